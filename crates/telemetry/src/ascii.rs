//! Texts of a known length, such as the headers that carry a trace, filled in without formatting or allocating.

use std::ops::Deref;

/// `N` bytes of ASCII.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ascii<const N: usize>(pub(crate) [u8; N]);

/// Eight bytes in hex, without a table: four at a time, each digit in its own byte of a number.
pub(crate) fn hex(bytes: [u8; 8]) -> [u8; 16] {
    let digits = |four: u64| {
        let pairs = (four | four << 16) & 0x0000_ffff_0000_ffff;
        let bytes = (pairs | pairs << 8) & 0x00ff_00ff_00ff_00ff;
        let nibbles = (bytes | bytes << 4) & 0x0f0f_0f0f_0f0f_0f0f;
        // One where it is a letter.
        let letters = (nibbles + 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101;
        nibbles + 0x3030_3030_3030_3030 + letters * u64::from(b'a' - b'0' - 10)
    };
    let number = u64::from_be_bytes(bytes);
    let (high, low) = (digits(number >> 32), digits(number & 0xffff_ffff));
    (u128::from(high) << 64 | u128::from(low)).to_be_bytes()
}

/// Eight decimal digits of a number below 100,000,000, without a table: the number is halved three times, each half where its digits
/// belong.
pub(crate) fn decimal(number: u32) -> [u8; 8] {
    let halves = u64::from(number / 10_000) | u64::from(number % 10_000) << 32;
    // Divides by 100, then by 10: exact for numbers of four digits, and of two.
    let hundreds = (halves * 10_486) >> 20 & 0x0000_007f_0000_007f;
    let pairs = hundreds | (halves - hundreds * 100) << 16;
    let tens = (pairs * 103) >> 10 & 0x000f_000f_000f_000f;
    let digits = tens | (pairs - tens * 10) << 8;
    (digits + 0x3030_3030_3030_3030).to_le_bytes()
}

impl<const N: usize> Ascii<N> {
    /// Writes `bytes` in hex from position `at` on: eight at a time, then the remaining ones. Bytes that do not fit are not written.
    #[inline]
    pub(crate) fn hex<const B: usize>(mut self, at: usize, bytes: &[u8; B]) -> Self {
        let mut room = self.0.get_mut(at..).unwrap_or_default();
        let (eights, rest) = bytes.as_chunks();
        for eight in eights {
            let Some((places, behind)) = room.split_first_chunk_mut() else { return self };
            *places = hex(*eight);
            room = behind;
        }
        if !rest.is_empty() {
            let mut padded = [0; 8];
            padded.iter_mut().zip(rest).for_each(|(place, byte)| *place = *byte);
            let digits = hex(padded).into_iter().take(2 * rest.len());
            room.iter_mut().zip(digits).for_each(|(place, digit)| *place = digit);
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
    fn every_byte_is_two_digits() {
        for byte in 0..=u8::MAX {
            let text = hex([byte, 0, 0x0f, 0x10, 0x9a, 0xa9, 0xff, byte]);
            let expected = format!("{byte:02x}000f109aa9ff{byte:02x}");
            assert_eq!(text.as_slice(), expected.as_bytes());
        }
    }

    #[test]
    fn every_four_digit_number_is_written_in_both_halves() {
        for number in 0..10_000 {
            let text = decimal(number * 10_000 + (9_999 - number));
            assert_eq!(text.as_slice(), format!("{number:04}{:04}", 9_999 - number).as_bytes());
        }
    }

    #[test]
    fn hex_is_written_only_where_it_fits() {
        assert_eq!(&*Ascii(*b"x......").hex(1, &[0x00, 0x9f, 0xff]), "x009fff");
        assert_eq!(&*Ascii(*b"...").hex(0, &[0xab, 0xcd]).byte(2, b'!'), "ab!");
        assert_eq!(&*Ascii(*b"...").hex(9, &[1]).byte(9, b'!'), "...");
        assert_eq!(&*Ascii([b'.'; 15]).hex(0, &[0; 9]), "...............");
        assert_eq!(&*Ascii([b'.'; 22]).hex(1, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]), ".0102030405060708090a.");
    }
}
