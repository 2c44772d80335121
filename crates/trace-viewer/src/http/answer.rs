//! Responses that may be large, such as a trace: each is written part by part as its client reads it. A response holds one part and the keys of the remaining
//! items; the items stay in the store. All responses together hold bounded memory, and one that does not fit is refused.

use std::io::{self, Write};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use actix_web::HttpResponse;
use actix_web::body::{BodySize, MessageBody};
use actix_web::web::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem;

/// The memory of all responses together, in KiB.
const ROOM: u32 = 128 * 1024;
/// The size of a part in bytes. The server requests the next part when this one is nearly sent.
const PART: usize = 256 * 1024;

/// Memory for responses.
#[derive(Clone)]
pub(crate) struct Room(Arc<Semaphore>);

/// The items of a list, in the store.
pub(super) trait Items {
    type Item;
    fn count(&self) -> usize;
    /// The item at an index; `None` if the list can go on without it.
    ///
    /// # Errors
    /// The list is useless without the item.
    fn find(&self, index: usize) -> Result<Option<Arc<Self::Item>>, Evicted>;
    /// # Errors
    /// The errors of `to`.
    fn write(&self, index: usize, item: &Self::Item, to: Part<'_>) -> serde_json::Result<()>;
}

/// An item was evicted while its list was being read.
#[derive(Debug, thiserror::Error)]
#[error("the trace was evicted while it was being read")]
pub(super) struct Evicted;

impl Room {
    pub(crate) fn new() -> Self {
        // On every supported machine a word has at least 32 bits.
        Self(Arc::new(Semaphore::new(usize::try_from(ROOM).unwrap_or(usize::MAX))))
    }

    /// 200 with the JSON `before`, the items, and `after`; or 404, or 503.
    pub(super) fn list<I: Items + 'static>(&self, before: Vec<u8>, items: I, after: &'static str) -> HttpResponse {
        let held = PART + items.count() * size_of::<(usize, Arc<I::Item>, usize)>();
        self.answer(
            held,
            Json { before, items, after, index: 0, written: 0, open: None, is_first: true, is_whole: false },
        )
    }

    /// 200 with JSON, or 503.
    pub(super) fn text(&self, json: Vec<u8>) -> HttpResponse {
        self.list(json, Nothing, "")
    }

    fn answer<I: Items + 'static>(&self, held: usize, mut json: Json<I>) -> HttpResponse {
        let size = u32::try_from(held / 1024).unwrap_or(ROOM).clamp(1, ROOM);
        let Ok(room) = Arc::clone(&self.0).try_acquire_many_owned(size) else {
            return problem(503, "too many responses are being read; try again when they have ended");
        };
        match json.next() {
            Ok(part) => HttpResponse::Ok().content_type("application/json").body(Answer {
                part,
                json,
                has_written: false,
                _room: room,
            }),
            Err(error) => problem(404, &error.to_string()),
        }
    }
}

/// JSON that is written part by part.
struct Json<I: Items> {
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

impl<I: Items> Json<I> {
    /// The next part; empty at the end.
    fn next(&mut self) -> Result<Bytes, Evicted> {
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
            let to = Part { skip: self.written, limit: before + PART, part: &mut part };
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
pub(super) struct Part<'a> {
    skip: usize,
    limit: usize,
    part: &'a mut Vec<u8>,
}

impl Write for Part<'_> {
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

struct Nothing;

impl Items for Nothing {
    type Item = ();

    fn count(&self) -> usize {
        0
    }

    fn find(&self, _: usize) -> Result<Option<Arc<()>>, Evicted> {
        Ok(None)
    }

    fn write(&self, _: usize, (): &(), _: Part<'_>) -> serde_json::Result<()> {
        Ok(())
    }
}

/// A response's body, and the memory reserved for it.
struct Answer<I: Items> {
    part: Bytes,
    json: Json<I>,
    /// Whether a part has just been handed out.
    has_written: bool,
    _room: OwnedSemaphorePermit,
}

impl<I: Items> Unpin for Answer<I> {}

impl<I: Items> MessageBody for Answer<I> {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        match self.json.is_whole {
            true => BodySize::Sized(self.part.len().try_into().unwrap_or(u64::MAX)),
            false => BodySize::Stream,
        }
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        // Otherwise a response with a fast client would keep its worker's other responses waiting.
        if std::mem::replace(&mut self.has_written, false) && !self.json.is_whole {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.has_written = true;
        let mut part = std::mem::take(&mut self.part);
        if part.is_empty() {
            part = match self.json.next() {
                Ok(next) => next,
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            };
        }
        Poll::Ready((!part.is_empty()).then_some(Ok(part)))
    }
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;
    use proptest::prelude::*;

    use super::*;

    /// Texts, of which some are missing.
    struct Texts(Vec<Option<Arc<String>>>);

    impl Items for Texts {
        type Item = String;

        fn count(&self) -> usize {
            self.0.len()
        }

        fn find(&self, index: usize) -> Result<Option<Arc<String>>, Evicted> {
            Ok(self.0[index].clone())
        }

        fn write(&self, _: usize, item: &String, to: Part<'_>) -> serde_json::Result<()> {
            serde_json::to_writer(to, item)
        }
    }

    fn json(texts: Vec<Option<String>>) -> Json<Texts> {
        let items = Texts(texts.into_iter().map(|text| text.map(Arc::new)).collect());
        let before = b"[".to_vec();
        Json { before, items, after: "]", index: 0, written: 0, open: None, is_first: true, is_whole: false }
    }

    fn whole(mut json: Json<Texts>) -> Vec<u8> {
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
        fn parts_of_any_items_are_the_list(
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
    fn an_item_that_is_evicted_half_way_fails_the_response() {
        let mut json = json(vec![Some("x".repeat(3 * PART))]);
        assert!(!json.next().unwrap().is_empty());
        json.items.0.clear();
        json.items.0.push(None);
        assert!(json.next().is_err());
    }

    #[test]
    fn a_short_response_says_its_length_and_a_long_one_streams() {
        let room = Room::new();
        let short = room.list(b"[".to_vec(), json(vec![Some("x".to_owned())]).items, "]");
        assert_eq!(short.body().size(), BodySize::Sized(5));
        let long = room.list(b"[".to_vec(), json(vec![Some("x".repeat(2 * PART))]).items, "]");
        assert_eq!(long.body().size(), BodySize::Stream);
        let length = actix_web::rt::System::new().block_on(to_bytes(long.into_body())).unwrap().len();
        assert_eq!(length, 2 * PART + 4);
    }

    #[test]
    fn responses_that_are_not_read_leave_room_for_a_hundred_more() {
        let room = Room::new();
        let long = Arc::new("x".repeat(4 * PART));
        let answer = || room.list(Vec::new(), Texts(vec![Some(Arc::clone(&long))]), "]");
        let held: Vec<_> = (0..1_000).map(|_| answer()).take_while(|answer| answer.status() == 200).collect();
        assert!((100..1_000).contains(&held.len()), "{}", held.len());
        assert_eq!(answer().status(), 503);
        drop(held);
        assert_eq!(room.text(b"1".to_vec()).status(), 200);
    }
}
