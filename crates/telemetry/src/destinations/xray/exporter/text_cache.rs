//! A cache of texts for spans that differ only in their ids and times. Most spans of a busy service do: the same agent requests
//! the same route, or the same statement is sent to the same database. A text that is written twice within a short time is
//! kept, and copied from then on. The number of kept texts is bounded, and the least recently used one is replaced. A span
//! without a kept text is written as usual. Does no I/O.

use super::part::{Place, Written};

/// Sets, of two texts each.
const SETS: usize = 64;
/// The most bytes of a text and its source together. A longer text is not kept.
const MOST: usize = 8_192;
/// An odd multiplier whose bits have no pattern.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// Texts by the content of the spans that they were written from.
#[derive(Default)]
pub(super) struct TextCache(Vec<Set>);

#[derive(Default)]
struct Set {
    kept: [Kept; 2],
    /// The sums of the texts written most recently. A text is kept only the second time, so that texts that occur once do not
    /// replace those that recur. A child that does not fit in its parent's document is written twice in succession, so its text
    /// is kept.
    written: [u64; 2],
}

#[derive(Default)]
struct Kept {
    /// The span's content, followed by the text.
    bytes: Vec<u8>,
    /// Bytes of the span's content.
    content: usize,
    is_segment: bool,
    written: Written,
}

impl TextCache {
    /// The text for a span with the content `content` at `place`, and how it was written.
    pub(super) fn find(&mut self, place: Place, content: &[u8]) -> Option<(&[u8], Written)> {
        let Set { kept, .. } = self.0.get_mut(set_of(sum(place, content)))?;
        if kept.last().is_some_and(|last| last.text(place, content).is_some()) {
            kept.reverse();
        }
        let first = kept.first()?;
        Some((first.text(place, content)?, first.written))
    }

    /// Keeps a text that was not found, if it has been written before. It replaces the least recently used text of its set.
    pub(super) fn keep(&mut self, place: Place, content: &[u8], text: &[u8], written: Written) {
        if self.0.is_empty() {
            self.0.resize_with(SETS, Default::default);
        }
        let sum = sum(place, content);
        let Some(set) = self.0.get_mut(set_of(sum)) else { return };
        if !set.written.contains(&sum) {
            let [last, _] = set.written;
            set.written = [sum, last];
            return;
        }
        let length = content.len() + text.len();
        if length > MOST {
            return;
        }
        set.kept.reverse();
        if let Some(kept) = set.kept.first_mut() {
            kept.bytes.clear();
            kept.bytes.reserve_exact(length);
            kept.bytes.extend_from_slice(content);
            kept.bytes.extend_from_slice(text);
            (kept.content, kept.is_segment, kept.written) = (content.len(), place == Place::Segment, written);
        }
    }
}

impl Kept {
    fn text(&self, place: Place, content: &[u8]) -> Option<&[u8]> {
        let (own, text) = self.bytes.split_at_checked(self.content)?;
        (!text.is_empty() && self.is_segment == (place == Place::Segment) && own == content).then_some(text)
    }
}

/// A hash of the content, computed in four independent parts. If an attacker makes two texts have the same sum or fall into the
/// same set, they are only written again.
fn sum(place: Place, content: &[u8]) -> u64 {
    let (blocks, rest) = content.as_chunks::<32>();
    let mut last = [0; 32];
    last.iter_mut().zip(rest).for_each(|(place, byte)| *place = *byte);
    let mut sums = [(content.len() as u64) << 1 | u64::from(place == Place::Segment); 4];
    for block in blocks.iter().chain([&last]) {
        let (words, _) = block.as_chunks();
        for (sum, word) in sums.iter_mut().zip(words) {
            *sum = (*sum ^ u64::from_le_bytes(*word)).wrapping_mul(FACTOR).rotate_left(32);
        }
    }
    sums.iter().fold(0, |all: u64, sum| (all ^ sum).wrapping_mul(FACTOR))
}

/// Uses the high bits of a sum, which depend on all other bits.
fn set_of(sum: u64) -> usize {
    usize::try_from(sum >> 32).map_or(0, |high| high % SETS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(number: usize) -> Vec<u8> {
        format!("{number}").repeat(9).into_bytes()
    }

    fn set(number: usize) -> usize {
        set_of(sum(Place::Segment, &content(number)))
    }

    /// Numbers whose texts belong to the same set.
    fn together<const N: usize>() -> [usize; N] {
        let mut others = (0..).filter(|number| set(*number) == set(0));
        [(); N].map(|()| others.next().unwrap())
    }

    /// Whether a text for `number` is kept; checks that it is the right text.
    fn has(cache: &mut TextCache, number: usize) -> bool {
        let found =
            cache.find(Place::Segment, &content(number)).map(|(text, written)| (text.to_vec(), written.annotations));
        found.inspect(|found| assert_eq!(*found, (format!("text {number}").into_bytes(), number))).is_some()
    }

    /// Writes the text of `number` this many times.
    fn write(cache: &mut TextCache, number: usize, times: usize) {
        let written = Written { is_cut: false, annotations: number };
        for _ in 0..times {
            assert!(!has(cache, number));
            cache.keep(Place::Segment, &content(number), format!("text {number}").as_bytes(), written);
        }
    }

    #[test]
    fn a_text_is_found_by_its_whole_content() {
        let mut cache = TextCache::default();
        write(&mut cache, 1, 2);
        assert!(has(&mut cache, 1));
        assert!(cache.find(Place::Nested, &content(1)).is_none());
        let mut other = content(1);
        other.pop();
        assert!(cache.find(Place::Segment, &other).is_none());
    }

    #[test]
    fn a_subsegments_text_is_the_same_in_every_position() {
        let mut cache = TextCache::default();
        for place in [Place::Nested, Place::Alone] {
            assert!(cache.find(place, b"content").is_none());
            cache.keep(place, b"content", b"text", Written::default());
        }
        assert!([Place::Nested, Place::Alone].iter().all(|place| cache.find(*place, b"content").is_some()));
    }

    #[test]
    fn two_alternating_texts_of_one_set_are_kept() {
        let (mut cache, numbers) = (TextCache::default(), together::<2>());
        for _ in 0..2 {
            numbers.iter().for_each(|number| write(&mut cache, *number, 1));
        }
        assert_eq!(numbers.map(|number| has(&mut cache, number)), [true; 2]);
    }

    #[test]
    fn the_most_recently_used_of_three_texts_in_a_set_is_kept() {
        let (mut cache, numbers) = (TextCache::default(), together());
        let [first, second, third, once] = numbers;
        write(&mut cache, first, 2);
        write(&mut cache, second, 2);
        assert!(has(&mut cache, first));
        write(&mut cache, third, 2);
        write(&mut cache, once, 1);
        assert_eq!(numbers.map(|number| has(&mut cache, number)), [true, false, true, false]);
    }

    #[test]
    fn the_number_of_kept_texts_is_bounded() {
        let mut cache = TextCache::default();
        (0..10_000).for_each(|number| write(&mut cache, number, 2));
        let kept = (0..10_000).filter(|number| has(&mut cache, *number)).count();
        // The numbers spread over every set.
        assert_eq!(kept, 2 * SETS);
        for _ in 0..2 {
            assert!(cache.find(Place::Segment, b"long").is_none());
            cache.keep(Place::Segment, b"long", &[b'x'; MOST], Written::default());
        }
        assert!(cache.find(Place::Segment, b"long").is_none());
        let bytes: usize = cache.0.iter().flat_map(|set| &set.kept).map(|kept| kept.bytes.capacity()).sum();
        assert!(bytes <= 2 * SETS * MOST, "{bytes}");
    }
}
