//! Collects datagrams to be sent together, in the form that a single system call accepts. Does no I/O.

use xray::datagram::MAX_DOCUMENT_BYTES;

/// The most bytes of the daemon's buffer that a burst may occupy, unless it is a single longer datagram. The buffer has 208 KiB
/// unless configured otherwise. Bursts of three services at the same time fit in the space that
/// [`super::backlog::Backlog::is_high`] leaves. Longer bursts would be hardly cheaper, and the daemon would have nothing to
/// read while the next one is prepared.
const BURST: usize = 48 * 1024;
/// The bytes that the kernel accounts for each datagram of a burst, besides its content.
const ACCOUNTED: usize = 832;
/// All datagrams of a burst have the same length, a multiple of this. The lengths of similar spans differ by less.
const STEP: usize = 64;
/// Datagrams that wait to be sent together, one after the other and all of the same length, as a single system call requires.
/// Documents are padded with spaces, which receivers ignore.
#[derive(Debug, Default)]
pub(super) struct Burst {
    bytes: Vec<u8>,
    length: usize,
    /// The length of each without the spaces, and the number of spans in it.
    datagrams: Vec<(usize, usize)>,
}

impl Burst {
    pub(super) fn len(&self) -> usize {
        self.datagrams.len()
    }

    /// The number of spans in its datagrams.
    pub(super) fn spans(&self) -> usize {
        self.datagrams.iter().map(|(_, spans)| spans).sum()
    }

    /// The buffer to which the next datagram is appended. A previous datagram that did not join is removed.
    pub(super) fn next(&mut self) -> &mut Vec<u8> {
        self.bytes.truncate(self.end());
        &mut self.bytes
    }

    /// Adds the appended datagram, which holds `spans` spans, to the burst. Returns `false` if it does not fit; the first
    /// datagram always joins.
    pub(super) fn join(&mut self, spans: usize) -> bool {
        let (count, own) = (self.len(), self.bytes.len() - self.end());
        let length = self.length.max(own.next_multiple_of(STEP));
        if count > 0 && (count + 1) * (length + ACCOUNTED) > BURST {
            return false;
        }
        if length > self.length && count > 0 {
            self.widen(length);
        }
        self.length = length;
        self.datagrams.push((own, spans));
        self.bytes.resize(self.end(), b' ');
        true
    }

    /// Removes the datagrams of the burst. An appended datagram that did not join becomes the first.
    pub(super) fn clear(&mut self) {
        self.bytes.drain(..self.end());
        self.datagrams.clear();
        self.length = 0;
        // A span that had to be shortened was first written in full.
        self.bytes.shrink_to(BURST + MAX_DOCUMENT_BYTES);
    }

    /// All datagrams as one text, and the length of each.
    pub(super) fn together(&self) -> (&[u8], usize) {
        (self.bytes.get(..self.end()).unwrap_or_default(), self.length)
    }

    fn end(&self) -> usize {
        self.len() * self.length
    }

    /// Each datagram, and the number of spans in it.
    pub(super) fn datagrams(&self) -> impl Iterator<Item = (&[u8], usize)> {
        let padded = self.bytes.chunks(self.length.max(1));
        padded.zip(&self.datagrams).filter_map(|(padded, (length, spans))| Some((padded.get(..*length)?, *spans)))
    }

    /// Pads each datagram to `length`, which the longer datagram appended after them requires.
    fn widen(&mut self, length: usize) {
        let (narrow, appended, end) = (self.length, self.end()..self.bytes.len(), self.len() * length);
        self.bytes.resize(end + appended.len(), b' ');
        // From the last one on, so that none is overwritten before it has moved.
        self.bytes.copy_within(appended, end);
        for (index, (own, _)) in self.datagrams.iter().enumerate().rev() {
            let (from, to) = (index * narrow, index * length);
            self.bytes.copy_within(from..from + own, to);
            if let Some(padding) = self.bytes.get_mut(to + own..to + length) {
                padding.fill(b' ');
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Datagrams of any length leave in the order in which they were added, each exactly once. A burst of several stays
        /// within its bound.
        #[test]
        fn every_datagram_is_in_one_burst(
            lengths in proptest::collection::vec(prop_oneof![1_usize..200, 900_usize..1_300, 1_usize..63_000], 1..50),
        ) {
            let (mut burst, mut sent) = (Burst::default(), Vec::new());
            let mut send = |burst: &mut Burst| {
                let (together, length) = burst.together();
                assert_eq!(together.len(), burst.len() * length);
                assert!(burst.len() == 1 || burst.len() * (length + ACCOUNTED) <= BURST, "{} of {length}", burst.len());
                for ((datagram, spans), padded) in burst.datagrams().zip(together.chunks(length)) {
                    let (start, spaces) = padded.split_at(datagram.len());
                    assert!(start == datagram && spaces.iter().all(|byte| *byte == b' '));
                    sent.push((datagram.to_vec(), spans));
                }
                burst.clear();
            };
            let datagrams: Vec<_> = lengths.iter().zip(0_u8..).map(|(length, byte)| (vec![byte; *length], *length)).collect();
            for (datagram, spans) in &datagrams {
                burst.next().extend_from_slice(b"in less detail");
                burst.next().extend_from_slice(datagram);
                if !burst.join(*spans) {
                    send(&mut burst);
                    prop_assert!(burst.join(*spans));
                }
            }
            send(&mut burst);
            prop_assert_eq!(sent, datagrams);
        }
    }
}
