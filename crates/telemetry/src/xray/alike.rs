//! The texts that spans share which differ in their ids and times alone, as most of a busy service do: the same route asked by the
//! same agent, the same statement to the same database. Such a text is kept when it is written for the second time, and copied
//! from then on. A bounded number of them is kept, those that were used last; what is not there is written as before. Does no
//! I/O.

use std::mem;

use super::translate::Written;

/// Sets, of two texts each.
const SETS: usize = 64;
/// Bytes of a text and of what it was written from, together. A longer one is not kept.
const MOST: usize = 8_192;
/// Odd, its bits without a pattern.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// Texts by what spans said.
#[derive(Default)]
pub(super) struct Alike {
    sets: Vec<Set>,
    /// The sum of what was looked for last.
    sum: u64,
}

#[derive(Default)]
struct Set {
    kept: [Kept; 2],
    /// The sum of what was written last: what comes once would only drive out what comes again.
    written: u64,
}

#[derive(Default)]
struct Kept {
    /// What was said, and behind it the text.
    bytes: Vec<u8>,
    /// Bytes of what was said.
    said: usize,
    is_segment: bool,
    written: Written,
}

impl Alike {
    /// The text for what a segment or a subsegment said, and what became of it there.
    pub(super) fn find(&mut self, is_segment: bool, said: &[u8]) -> Option<(&[u8], Written)> {
        self.sum = sum(is_segment, said);
        let Set { kept, .. } = self.sets.get_mut(set_of(self.sum))?;
        if kept.last().is_some_and(|last| last.text(is_segment, said).is_some()) {
            kept.swap(0, 1);
        }
        let first = kept.first()?;
        Some((first.text(is_segment, said)?, first.written))
    }

    /// Takes the text for what was looked for last, and keeps it if it is written again, in place of the one of its set that was
    /// not used for longer.
    pub(super) fn keep(&mut self, is_segment: bool, said: &[u8], text: &[u8], written: Written) {
        if self.sets.is_empty() {
            self.sets.resize_with(SETS, Default::default);
        }
        let Some(set) = self.sets.get_mut(set_of(self.sum)) else { return };
        let is_new = mem::replace(&mut set.written, self.sum) != self.sum;
        if is_new || said.len() + text.len() > MOST {
            return;
        }
        set.kept.swap(0, 1);
        if let Some(Kept { bytes, said: length, is_segment: of_segment, written: became }) = set.kept.first_mut() {
            bytes.clear();
            bytes.extend_from_slice(said);
            bytes.extend_from_slice(text);
            (*length, *of_segment, *became) = (said.len(), is_segment, written);
        }
    }
}

impl Kept {
    fn text(&self, is_segment: bool, said: &[u8]) -> Option<&[u8]> {
        let (own, text) = self.bytes.split_at_checked(self.said)?;
        (!text.is_empty() && self.is_segment == is_segment && own == said).then_some(text)
    }
}

/// In four parts that do not wait for each other. Whoever makes two texts have one sum, or fall into one set, has them written again, no
/// more.
fn sum(is_segment: bool, said: &[u8]) -> u64 {
    let (blocks, rest) = said.as_chunks::<32>();
    let mut last = [0; 32];
    last.iter_mut().zip(rest).for_each(|(place, byte)| *place = *byte);
    let mut sums = [(said.len() as u64) << 1 | u64::from(is_segment); 4];
    for block in blocks.iter().chain([&last]) {
        let (words, _) = block.as_chunks();
        for (sum, word) in sums.iter_mut().zip(words) {
            *sum = (*sum ^ u64::from_le_bytes(*word)).wrapping_mul(FACTOR).rotate_left(32);
        }
    }
    sums.iter().fold(0, |all: u64, sum| (all ^ sum).wrapping_mul(FACTOR))
}

/// By the high bits of a sum, in which every other has a part.
fn set_of(sum: u64) -> usize {
    usize::try_from(sum >> 32).map_or(0, |high| high % SETS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(number: usize) -> Vec<u8> {
        format!("{number}").repeat(9).into_bytes()
    }

    /// Whether the text of `number` is there; it is the one that was kept.
    fn has(alike: &mut Alike, number: usize) -> bool {
        let found = alike.find(true, &said(number)).map(|(text, written)| (text.to_vec(), written.annotations));
        found.inspect(|found| assert_eq!(*found, (format!("text {number}").into_bytes(), number))).is_some()
    }

    /// Has it written so many times.
    fn write(alike: &mut Alike, number: usize, times: usize) {
        let written = Written { is_cut: false, annotations: number };
        for _ in 0..times {
            assert!(!has(alike, number));
            alike.keep(true, &said(number), format!("text {number}").as_bytes(), written);
        }
    }

    #[test]
    fn a_text_is_found_by_all_that_was_said() {
        let mut alike = Alike::default();
        write(&mut alike, 1, 2);
        assert!(has(&mut alike, 1));
        assert!(alike.find(false, &said(1)).is_none(), "of a subsegment");
        let mut other = said(1);
        other.pop();
        assert!(alike.find(true, &other).is_none());
    }

    #[test]
    fn of_three_in_a_set_the_one_that_was_used_last_stays() {
        let set = |number| set_of(sum(true, &said(number)));
        let mut others = (1..).filter(|number| set(*number) == set(0));
        let [second, third, once] = [(); 3].map(|()| others.next().unwrap());
        let mut alike = Alike::default();
        write(&mut alike, 0, 2);
        write(&mut alike, second, 2);
        assert!(has(&mut alike, 0));
        write(&mut alike, third, 2);
        write(&mut alike, once, 1);
        assert_eq!([0, second, third, once].map(|number| has(&mut alike, number)), [true, false, true, false]);
    }

    #[test]
    fn however_many_come_a_bounded_number_is_kept() {
        let mut alike = Alike::default();
        (0..10_000).for_each(|number| write(&mut alike, number, 2));
        let kept = (0..10_000).filter(|number| has(&mut alike, *number)).count();
        // Numbers fall into every set.
        assert_eq!(kept, 2 * SETS);
        for _ in 0..2 {
            assert!(alike.find(true, b"long").is_none());
            alike.keep(true, b"long", &[b'x'; MOST], Written::default());
        }
        assert!(alike.find(true, b"long").is_none());
    }
}
