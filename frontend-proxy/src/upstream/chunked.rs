//! Decodes the chunked coding of a response's body, [RFC 9112 §7.1](https://www.rfc-editor.org/rfc/rfc9112#section-7.1), as it
//! arrives. Strict: line ends are CRLF, sizes have a bound, extensions are dropped. Keeps only its position; does no I/O.

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;

use super::trailers::{Malformed, trailers};

/// Most hex digits of a chunk's size: less than 2^60.
const DIGITS: u8 = 15;
/// Most bytes of one chunk's extensions, and of all trailers.
const MORE: usize = 4_096;

/// How far a body has been read.
#[derive(Debug)]
pub(crate) struct ChunkDecoder(Position);

#[derive(Debug, Clone, Copy)]
enum Position {
    /// Before a chunk's size, or within it.
    Size {
        size: u64,
        digits: u8,
    },
    /// Within an extension, of which `passed` bytes have been read.
    Extension {
        size: u64,
        passed: usize,
    },
    /// Before the LF that ends a size line.
    SizeEnd(u64),
    Data(u64),
    /// Before the CR that ends a chunk's data; with `feed`, before its LF.
    DataEnd {
        feed: bool,
    },
    Trailers,
    End,
}

/// The result of reading the input.
#[derive(Debug, PartialEq)]
pub(crate) enum Piece {
    Data(Bytes),
    Trailers(HeaderMap),
    /// More input is needed.
    More,
    End,
}

impl ChunkDecoder {
    pub(crate) fn new() -> Self {
        Self(Position::Size { size: 0, digits: 0 })
    }

    pub(crate) fn is_ended(&self) -> bool {
        matches!(self.0, Position::End)
    }

    /// Takes the next piece from `input`.
    pub(crate) fn take(&mut self, input: &mut BytesMut) -> Result<Piece, Malformed> {
        loop {
            match self.0 {
                Position::End => return Ok(Piece::End),
                Position::Trailers => return self.trailers(input),
                Position::Data(left) if !input.is_empty() => {
                    let length = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
                    let left = left - u64::try_from(length).unwrap_or(left);
                    self.0 = if left == 0 { Position::DataEnd { feed: false } } else { Position::Data(left) };
                    return Ok(Piece::Data(input.split_to(length).freeze()));
                }
                position => match input.first() {
                    None => return Ok(Piece::More),
                    Some(byte) => {
                        self.0 = position.after(*byte)?;
                        input.advance(1);
                    }
                },
            }
        }
    }

    /// Reads up to the empty line that ends the trailers.
    fn trailers(&mut self, input: &mut BytesMut) -> Result<Piece, Malformed> {
        if input.starts_with(b"\r\n") {
            input.advance(2);
            self.0 = Position::End;
            return Ok(Piece::End);
        }
        let Some(end) = input.windows(4).take(MORE).position(|end| end == b"\r\n\r\n") else {
            return if input.len() < MORE { Ok(Piece::More) } else { Err(Malformed("its trailers are too long")) };
        };
        self.0 = Position::End;
        Ok(Piece::Trailers(trailers(&input.split_to(end + 4).freeze())?))
    }
}

impl Position {
    /// The position after `byte`. Covers every position that is advanced one byte at a time.
    fn after(self, byte: u8) -> Result<Self, Malformed> {
        let position = match (self, byte) {
            (Self::Size { size, digits }, _) if byte.is_ascii_hexdigit() => {
                if digits == DIGITS {
                    return Err(Malformed("a chunk is too large"));
                }
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                Self::Size { size: size << 4 | u64::from(digit), digits: digits + 1 }
            }
            (Self::Size { digits: 0, .. }, _) => return Err(Malformed("a chunk has no size")),
            (Self::Size { size, .. } | Self::Extension { size, .. }, b'\r') => Self::SizeEnd(size),
            (Self::Size { size, .. }, b';' | b' ' | b'\t') => Self::Extension { size, passed: 0 },
            (Self::Extension { size, passed }, _) if byte != b'\n' && passed < MORE => {
                Self::Extension { size, passed: passed + 1 }
            }
            (Self::SizeEnd(0), b'\n') => Self::Trailers,
            (Self::SizeEnd(size), b'\n') => Self::Data(size),
            (Self::DataEnd { feed: false }, b'\r') => Self::DataEnd { feed: true },
            (Self::DataEnd { feed: true }, b'\n') => Self::Size { size: 0, digits: 0 },
            _ => return Err(Malformed("its chunks are framed incorrectly")),
        };
        Ok(position)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The data and trailers of `pieces`, which arrive one after the other.
    fn read(pieces: &[&[u8]]) -> Result<(Vec<u8>, HeaderMap, bool), Malformed> {
        let (mut chunked, mut input) = (ChunkDecoder::new(), BytesMut::new());
        let (mut data, mut trailers) = (Vec::new(), HeaderMap::new());
        for piece in pieces {
            input.extend_from_slice(piece);
            loop {
                match chunked.take(&mut input)? {
                    Piece::Data(bytes) => data.extend_from_slice(&bytes),
                    Piece::Trailers(fields) => trailers = fields,
                    Piece::More | Piece::End => break,
                }
            }
        }
        Ok((data, trailers, chunked.is_ended()))
    }

    #[test]
    fn chunks_extensions_and_trailers_are_read() {
        let (data, trailers, ended) = read(&[b"5;a=b\r\nhello\r\n1 \r\n!\r\n0\r\nx-sum: 6\r\n\r\n"]).unwrap();
        assert_eq!((data.as_slice(), ended), (b"hello!".as_slice(), true));
        assert_eq!(trailers["x-sum"], "6");
        assert_eq!(read(&[b"0\r\n\r\n"]).unwrap(), (vec![], HeaderMap::new(), true));
    }

    #[test]
    fn loose_framing_is_refused() {
        for bad in [
            "\r\n",
            "5\nhello",
            "g\r\n",
            "-1\r\n",
            "0x5\r\n",
            "5\r\nhelloX\r\n",
            "5\r\nhello\n",
            "1000000000000000\r\n",
            ";a\r\n",
            "5;a\nb\r\n",
            "0\r\n x: folded\r\n\r\n",
            "0\r\nno colon\r\n\r\n",
        ] {
            assert!(read(&[bad.as_bytes()]).is_err(), "{bad:?}");
        }
        assert!(read(&[b"1;", &[b'x'; 2 * MORE]]).is_err(), "an endless extension");
        assert!(read(&[b"0\r\n", &[b'x'; 2 * MORE]]).is_err(), "endless trailers");
    }

    proptest! {
        #[test]
        fn the_result_does_not_depend_on_the_pieces(chunks in prop::collection::vec("[a-z]{1,20}", 0..5), cut in 1usize..9) {
            let mut encoded = String::new();
            for chunk in &chunks {
                encoded += &format!("{:x}\r\n{chunk}\r\n", chunk.len());
            }
            encoded += "0\r\nx: y\r\n\r\n";
            let pieces: Vec<&[u8]> = encoded.as_bytes().chunks(cut).collect();
            let (data, trailers, ended) = read(&pieces).unwrap();
            prop_assert_eq!(String::from_utf8(data).unwrap(), chunks.concat());
            prop_assert!(ended && trailers.len() == 1);
        }

        #[test]
        fn any_bytes_are_a_body_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[0-9a-f\r\n;: ]{0,80}") {
            let _ = read(&[&bytes]);
            let _ = read(&[text.as_bytes()]);
        }
    }
}
