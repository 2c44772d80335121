//! The JSON of a list, written part by part: it holds one part, and the keys of the remaining items; the items stay in the store.

use std::io::{self, Write};
use std::sync::{Arc, Weak};

use actix_web::web::Bytes;

/// The size of a part in bytes. The server requests the next part when this one is nearly sent.
pub(super) const PART: usize = 256 * 1024;

/// The items of a list, in the store.
pub(super) trait Items {
    type Item;
    fn count(&self) -> usize;
    /// The item at an index; `None` if the list can go on without it.
    ///
    /// # Errors
    /// The list is useless without the item.
    fn find(&self, index: usize) -> Result<Option<Arc<Self::Item>>, Evicted>;
    /// Writes an item as JSON.
    ///
    /// # Errors
    /// The part is full.
    fn write(&self, index: usize, item: &Self::Item, to: PartWriter<'_>) -> io::Result<()>;
}

/// An item was evicted while its list was being read.
#[derive(Debug, thiserror::Error)]
#[error("the trace was evicted while it was being read")]
pub(super) struct Evicted;

/// JSON that is written part by part.
pub(super) struct ListJson<I: Items> {
    before: Vec<u8>,
    items: I,
    after: &'static str,
    /// The next item.
    index: usize,
    /// The bytes of this item that earlier parts hold, if the item is longer than a part.
    written: usize,
    open: Option<Weak<I::Item>>,
    is_first: bool,
    is_whole: bool,
}

impl<I: Items> ListJson<I> {
    pub(super) fn new(before: Vec<u8>, items: I, after: &'static str) -> Self {
        Self { before, items, after, index: 0, written: 0, open: None, is_first: true, is_whole: false }
    }

    /// Whether all parts have been written.
    pub(super) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// The next part; empty at the end.
    pub(super) fn next(&mut self) -> Result<Bytes, Evicted> {
        let mut part = std::mem::take(&mut self.before);
        while self.index < self.items.count() {
            if part.len() >= PART {
                return Ok(part.into());
            }
            let found = match &self.open {
                Some(open) => Some(open.upgrade().ok_or(Evicted)?),
                None => self.items.find(self.index)?,
            };
            let Some(item) = found else {
                self.index += 1;
                continue;
            };
            if self.open.is_none() && !self.is_first {
                part.push(b',');
            }
            self.is_first = false;
            let before = part.len();
            let to = PartWriter { skip: self.written, limit: before + PART, part: &mut part };
            if self.items.write(self.index, &item, to).is_ok() {
                (self.index, self.written, self.open) = (self.index + 1, 0, None);
            } else {
                // Writing fails only if the part is full. The next write skips the bytes written so far.
                self.written += part.len() - before;
                self.open = Some(Arc::downgrade(&item));
                return Ok(part.into());
            }
        }
        if !self.is_whole {
            self.is_whole = true;
            part.extend_from_slice(self.after.as_bytes());
        }
        Ok(part.into())
    }
}

/// The target of an item's bytes: skips those that earlier parts hold, and fails if the remaining ones do not fit.
pub(super) struct PartWriter<'a> {
    skip: usize,
    limit: usize,
    part: &'a mut Vec<u8>,
}

impl Write for PartWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let skipped = bytes.len().min(self.skip);
        self.skip -= skipped;
        let new = bytes.get(skipped..).unwrap_or_default();
        let fits = new.len().min(self.limit.saturating_sub(self.part.len()));
        self.part.extend_from_slice(new.get(..fits).unwrap_or_default());
        if fits < new.len() { Err(io::ErrorKind::WriteZero.into()) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Texts, of which some are missing.
    pub(in crate::http) struct Texts(pub(in crate::http) Vec<Option<Arc<String>>>);

    impl Items for Texts {
        type Item = String;

        fn count(&self) -> usize {
            self.0.len()
        }

        fn find(&self, index: usize) -> Result<Option<Arc<String>>, Evicted> {
            Ok(self.0[index].clone())
        }

        fn write(&self, _: usize, item: &String, to: PartWriter<'_>) -> io::Result<()> {
            Ok(serde_json::to_writer(to, item)?)
        }
    }

    fn json(texts: Vec<Option<String>>) -> ListJson<Texts> {
        let items = Texts(texts.into_iter().map(|text| text.map(Arc::new)).collect());
        let before = b"[".to_vec();
        ListJson::new(before, items, "]")
    }

    fn whole(mut json: ListJson<Texts>) -> Vec<u8> {
        let mut whole = Vec::new();
        loop {
            let part = json.next().unwrap();
            if part.is_empty() {
                return whole;
            }
            assert!(part.len() <= 2 * PART + 2, "{}", part.len());
            whole.extend_from_slice(&part);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn the_parts_of_any_list_join_to_the_list(
            texts in proptest::collection::vec(proptest::option::of(("[\u{0}\"é]", 0..2 * PART)), 0..6)
        ) {
            let texts: Vec<Option<String>> =
                texts.into_iter().map(|text| text.map(|(text, times)| text.repeat(times))).collect();
            let kept: Vec<&String> = texts.iter().flatten().collect();
            let expected = serde_json::to_vec(&kept).unwrap();
            prop_assert_eq!(whole(json(texts)), expected);
        }
    }

    #[test]
    fn an_item_evicted_half_way_fails_the_response() {
        let mut json = json(vec![Some("x".repeat(3 * PART))]);
        assert!(!json.next().unwrap().is_empty());
        json.items.0.clear();
        json.items.0.push(None);
        assert!(json.next().is_err());
    }
}
