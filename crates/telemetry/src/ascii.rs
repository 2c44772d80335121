//! Texts of a known length, such as the headers that carry a trace, filled in without formatting or allocating.

use std::ops::Deref;

/// `N` bytes of ASCII.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ascii<const N: usize>(pub(crate) [u8; N]);

/// Every byte in hex.
const PAIRS: [[u8; 2]; 256] = {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    #[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, which would say so")]
    while byte < 256 {
        pairs[byte] = [DIGITS[byte >> 4], DIGITS[byte & 15]];
        byte += 1;
    }
    pairs
};

impl<const N: usize> Ascii<N> {
    /// Writes `bytes` in hex from position `at` on, as far as there is room.
    pub(crate) fn hex(mut self, at: usize, bytes: &[u8]) -> Self {
        let room = self.0.get_mut(at..).unwrap_or_default();
        for (digits, byte) in room.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
            *digits = PAIRS.get(usize::from(*byte)).copied().unwrap_or_default();
        }
        self
    }

    /// Writes one byte.
    pub(crate) fn byte(mut self, at: usize, byte: u8) -> Self {
        if let Some(place) = self.0.get_mut(at) {
            *place = byte;
        }
        self
    }
}

impl<const N: usize> Deref for Ascii<N> {
    type Target = str;

    fn deref(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_is_written_where_there_is_room() {
        assert_eq!(&*Ascii(*b"x......").hex(1, &[0x00, 0x9f, 0xff]), "x009fff");
        assert_eq!(&*Ascii(*b"...").hex(0, &[0xab, 0xcd]).byte(2, b'!'), "ab!");
        assert_eq!(&*Ascii(*b"...").hex(9, &[1]).byte(9, b'!'), "...");
    }
}
