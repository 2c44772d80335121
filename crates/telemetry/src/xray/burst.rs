//! Datagrams that are sent together, in the form in which one system call takes them. Does no I/O.

use wire::datagram::MAX_DOCUMENT_BYTES;

/// Bytes of the daemon's buffer that a burst may take, unless it is one longer datagram. The buffer is of 208 KiB unless it is told
/// otherwise: three services that send at the same time fit, beside what [`super::backlog::Backlog::is_high`] leaves there. A longer burst costs hardly less, and leaves the daemon with
/// nothing to read while the next one is made.
const BURST: usize = 48 * 1024;
/// What the kernel accounts for with each datagram of a burst, beside its bytes.
const ACCOUNTED: usize = 832;
/// The datagrams of a burst are of one length, this or a multiple: those of spans alike differ by less.
const STEP: usize = 64;
/// Datagrams that wait to be sent together, written one behind the other as one system call takes them: all of one length. Spaces behind
/// a document mean nothing.
#[derive(Debug, Default)]
pub(super) struct Burst {
    bytes: Vec<u8>,
    length: usize,
    /// How long each is without the spaces, and how many spans it tells of.
    datagrams: Vec<(usize, usize)>,
}

impl Burst {
    pub(super) fn len(&self) -> usize {
        self.datagrams.len()
    }

    /// The spans that its datagrams tell of.
    pub(super) fn spans(&self) -> usize {
        self.datagrams.iter().map(|(_, spans)| spans).sum()
    }

    /// Where the next datagram is appended, instead of what was there and did not join.
    pub(super) fn next(&mut self) -> &mut Vec<u8> {
        self.bytes.truncate(self.end());
        &mut self.bytes
    }

    /// Lets the datagram join that was appended, and tells of so many spans. `false` where there is no room for it; the first one
    /// always joins.
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

    /// Forgets its datagrams. What was appended and did not join comes first now.
    pub(super) fn clear(&mut self) {
        self.bytes.drain(..self.end());
        self.datagrams.clear();
        self.length = 0;
        // A span that had to be told in less detail was written in more.
        self.bytes.shrink_to(BURST + MAX_DOCUMENT_BYTES);
    }

    /// All of them in one, each of this length.
    pub(super) fn together(&self) -> (&[u8], usize) {
        (self.bytes.get(..self.end()).unwrap_or_default(), self.length)
    }

    fn end(&self) -> usize {
        self.len() * self.length
    }

    /// Each datagram, and the spans that it tells of.
    pub(super) fn datagrams(&self) -> impl Iterator<Item = (&[u8], usize)> {
        let padded = self.bytes.chunks(self.length.max(1));
        padded.zip(&self.datagrams).filter_map(|(padded, (length, spans))| Some((padded.get(..*length)?, *spans)))
    }

    /// Makes each so long, behind the last of which one was appended that is longer than they were.
    fn widen(&mut self, length: usize) {
        let mut wide = Vec::with_capacity(BURST + MAX_DOCUMENT_BYTES);
        for (datagram, _) in self.datagrams() {
            wide.extend_from_slice(datagram);
            wide.resize(wide.len().next_multiple_of(length), b' ');
        }
        wide.extend_from_slice(self.bytes.get(self.end()..).unwrap_or_default());
        self.bytes = wide;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever their lengths, datagrams leave in the order in which they came, each once, and with room for all of a burst.
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
