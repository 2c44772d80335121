//! The part of [Protocol Buffers' wire format](https://protobuf.dev/programming-guides/encoding/) that OTLP's messages need. Fields
//! are written directly into a buffer, and read without a copy. Knows no message; total on any bytes.

/// Appends an unsigned number of 1 to 10 bytes.
#[inline]
pub fn varint(out: &mut Vec<u8>, value: u64) {
    // Nearly every number is small.
    if let Ok(low @ ..0x80) = u8::try_from(value) { out.push(low) } else { long_varint(out, value) }
}

fn long_varint(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let [low, ..] = value.to_le_bytes();
        if value < 0x80 {
            return out.push(low);
        }
        out.push(low | 0x80);
        value >>= 7;
    }
}

/// The length of a [`varint`] in bytes.
pub const fn varint_len(value: u64) -> usize {
    (70 - (value | 1).leading_zeros() as usize) / 7
}

/// The length in bytes of a length-delimited field with a number below 16.
pub const fn field_len(payload: usize) -> usize {
    1 + varint_len(payload as u64) + payload
}

/// Appends the head of a length-delimited field; its payload follows.
#[inline]
pub fn head(out: &mut Vec<u8>, field: u8, length: usize) {
    out.push(field << 3 | 2);
    varint(out, length as u64);
}

/// Appends a field of bytes, a text, or a message.
#[inline]
pub fn bytes(out: &mut Vec<u8>, field: u8, payload: &[u8]) {
    head(out, field, payload.len());
    out.extend_from_slice(payload);
}

/// Appends a number, unless it is zero, which is what an absent field means.
#[inline]
pub fn number(out: &mut Vec<u8>, field: u8, value: u64) {
    if value != 0 {
        out.push(field << 3);
        varint(out, value);
    }
}

/// Appends a number of eight bytes.
#[inline]
pub fn fixed64(out: &mut Vec<u8>, field: u8, value: u64) {
    out.push(field << 3 | 1);
    out.extend_from_slice(&value.to_le_bytes());
}

/// A field's value on the wire.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Field<'a> {
    /// A varint.
    Number(u64),
    /// Eight bytes.
    Fixed64(u64),
    /// Four bytes.
    Fixed32(u32),
    /// Bytes, a text, or a message.
    Bytes(&'a [u8]),
}

/// The fields of a message in order. Ends early if the bytes are not a message.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    /// The next field's bytes, if it is length-delimited.
    #[inline(always)]
    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let key = self.number()?;
        let length = if key & 7 == 2 { self.number()? } else { return None };
        self.take(usize::try_from(length).ok()?)
    }

    #[inline(always)]
    fn number(&mut self) -> Option<u64> {
        // Nearly every key and length is one byte or two.
        match self.0 {
            [byte @ ..0x80, rest @ ..] => {
                self.0 = rest;
                Some(u64::from(*byte))
            }
            [low, high @ ..0x80, rest @ ..] => {
                self.0 = rest;
                Some(u64::from(*high) << 7 | u64::from(low & 0x7f))
            }
            _ => self.long_number(),
        }
    }

    #[inline(never)]
    fn long_number(&mut self) -> Option<u64> {
        let mut value = 0;
        for (index, byte) in self.0.iter().take(10).enumerate() {
            // The tenth byte has only the highest of 64 bits.
            if index == 9 && *byte > 1 {
                return None;
            }
            value |= u64::from(byte & 0x7f).checked_shl(7 * u32::try_from(index).ok()?)?;
            if byte & 0x80 == 0 {
                self.0 = self.0.get(index + 1..)?;
                return Some(value);
            }
        }
        None
    }

    #[inline]
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u64, Field<'a>);

    // Inlined into the loops that read spans, so that no `Field` is built there.
    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        let key = self.number()?;
        let value = match key & 7 {
            0 => Field::Number(self.number()?),
            1 => Field::Fixed64(u64::from_le_bytes(self.take(8)?.try_into().ok()?)),
            2 => {
                let length = self.number()?;
                Field::Bytes(self.take(usize::try_from(length).ok()?)?)
            }
            5 => Field::Fixed32(u32::from_le_bytes(self.take(4)?.try_into().ok()?)),
            _ => return None,
        };
        Some((key >> 3, value))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_number_survives_at_its_length(value: u64) {
            let mut out = Vec::new();
            varint(&mut out, value);
            prop_assert_eq!(out.len(), varint_len(value));
            prop_assert_eq!(Fields(&out).number(), Some(value));
        }

        #[test]
        fn fields_are_read_as_they_were_written(payload in proptest::collection::vec(any::<u8>(), 0..300), long: u64, number in 1u64..) {
            let mut out = Vec::new();
            bytes(&mut out, 1, &payload);
            prop_assert_eq!(out.len(), field_len(payload.len()));
            fixed64(&mut out, 2, long);
            super::number(&mut out, 3, number);
            super::number(&mut out, 4, 0);
            let fields: Vec<_> = Fields(&out).collect();
            prop_assert_eq!(fields, [(1, Field::Bytes(&payload[..])), (2, Field::Fixed64(long)), (3, Field::Number(number))]);
        }

        #[test]
        fn reading_any_bytes_ends(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            prop_assert!(Fields(&bytes).count() <= bytes.len());
        }
    }
}
