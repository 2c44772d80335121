//! A chunked body's size lines and trailers, by [RFC 9112 §7.1](https://www.rfc-editor.org/rfc/rfc9112#section-7.1), read one
//! byte at a time; the data is skipped.

use super::token::is_token;

/// Most digits of a chunk's size: more would be leading zeros or too large.
const DIGITS: u8 = 15;
/// Most bytes of all extensions and trailers of one body.
const EXTRA: u16 = 8 * 1024;

#[derive(Debug, Default)]
pub(super) struct ChunkScanner {
    at: At,
    /// Bytes of extensions and trailers so far.
    extra: u16,
}

#[derive(Debug, Clone, Copy)]
enum At {
    Size {
        digits: u8,
        size: u64,
    },
    /// After the semicolon, before a name.
    Extension(u64),
    ExtensionRest(u64),
    SizeEnd(u64),
    Data(u64),
    DataReturn,
    DataEnd,
    /// At the start of a trailer line.
    Trailer,
    TrailerName,
    TrailerValue,
    TrailerEnd,
    End,
}

impl Default for At {
    fn default() -> Self {
        Self::Size { digits: 0, size: 0 }
    }
}

impl ChunkScanner {
    /// How many of `bytes` belong to this body, and whether the body ends there; `None` if its framing is invalid.
    pub(super) fn follow(&mut self, bytes: &[u8]) -> Option<(usize, bool)> {
        let mut rest = bytes;
        while let Some((byte, after)) = rest.split_first() {
            if let At::Data(left) = self.at {
                let skipped = usize::try_from(left).map_or(rest.len(), |left| left.min(rest.len()));
                let left = left.saturating_sub(u64::try_from(skipped).unwrap_or(u64::MAX));
                self.at = if left == 0 { At::DataReturn } else { At::Data(left) };
                rest = rest.get(skipped..).unwrap_or_default();
                continue;
            }
            rest = after;
            if let (At::End, b'\n') = (self.at, *byte) {
                return Some((bytes.len() - rest.len(), true));
            }
            self.at = self.next(*byte)?;
        }
        Some((bytes.len(), false))
    }

    fn next(&mut self, byte: u8) -> Option<At> {
        if let At::Extension(_) | At::ExtensionRest(_) | At::Trailer | At::TrailerName | At::TrailerValue = self.at {
            self.extra = self.extra.checked_add(1).filter(|extra| *extra <= EXTRA)?;
        }
        let visible = byte == b'\t' || (byte >= b' ' && byte != 0x7f);
        Some(match (self.at, byte) {
            (At::Size { digits, size }, b'\r') if digits > 0 => At::SizeEnd(size),
            (At::Size { digits, size }, b';') if digits > 0 => At::Extension(size),
            (At::Size { digits, size }, _) if digits < DIGITS => {
                let digit = u64::from(char::from(byte).to_digit(16)?);
                At::Size { digits: digits + 1, size: size * 16 + digit }
            }
            (At::Extension(size), _) if is_token(byte) => At::ExtensionRest(size),
            (At::ExtensionRest(size), b'\r') => At::SizeEnd(size),
            (At::ExtensionRest(size), _) if visible => At::ExtensionRest(size),
            (At::SizeEnd(0), b'\n') => At::Trailer,
            (At::SizeEnd(size), b'\n') => At::Data(size),
            (At::DataReturn, b'\r') => At::DataEnd,
            (At::DataEnd, b'\n') => At::default(),
            (At::Trailer, b'\r') => At::End,
            (At::Trailer | At::TrailerName, _) if is_token(byte) => At::TrailerName,
            (At::TrailerName, b':') => At::TrailerValue,
            (At::TrailerValue, b'\r') => At::TrailerEnd,
            (At::TrailerValue, _) if visible => At::TrailerValue,
            (At::TrailerEnd, b'\n') => At::Trailer,
            _ => return None,
        })
    }
}
