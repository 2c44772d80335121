//! Finds the end of a request's body, by the rules of actix-http (3.20). Checks nothing that actix-http refuses anyway.

/// The body that a head announces.
#[derive(Debug, Default, Clone, Copy)]
pub(super) enum Framing {
    #[default]
    None,
    Length(u64),
    Chunked,
    /// actix-http refuses the head, or reads all further bytes as one body.
    Unknown,
}

impl Framing {
    /// Reads one field of a head.
    pub(super) fn field(&mut self, name: &[u8], value: &[u8]) {
        if name.eq_ignore_ascii_case(b"content-length") {
            let length = str::from_utf8(value.trim_ascii()).ok().and_then(|value| value.parse().ok());
            *self = match (*self, length) {
                (Self::None, Some(length)) => Self::Length(length),
                _ => Self::Unknown,
            };
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            *self = match *self {
                Self::None if value.trim_ascii().eq_ignore_ascii_case(b"chunked") => Self::Chunked,
                _ => Self::Unknown,
            };
        } else if name.eq_ignore_ascii_case(b"upgrade") && value.trim_ascii().eq_ignore_ascii_case(b"websocket") {
            *self = Self::Unknown;
        }
    }

    pub(super) fn body(self) -> Option<Body> {
        match self {
            Self::None => Some(Body::Length(0)),
            Self::Length(length) => Some(Body::Length(length)),
            Self::Chunked => Some(Body::Size(0)),
            Self::Unknown => None,
        }
    }
}

/// The position of the next byte in a body.
#[derive(Debug, Clone, Copy)]
pub(super) enum Body {
    /// In a body of known length; this many bytes remain.
    Length(u64),
    /// In a chunk's size, whose digits so far are this number.
    Size(u64),
    /// After the digits, up to the line's end.
    Extension(u64),
    /// In a chunk or the line end after it; this many bytes remain of both.
    Chunk(u64),
    /// At the start of a line after the last chunk.
    Trailer,
    /// In such a line. Only a CR ends it.
    InTrailer,
    TrailerLineFeed,
    LastLineFeed,
}

impl Body {
    pub(super) fn has_ended(self) -> bool {
        matches!(self, Self::Length(0))
    }

    /// Skips the body's bytes at the start of `bytes` and returns their number; `None` if actix-http refuses them.
    pub(super) fn skip(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(byte) = bytes.get(at).filter(|_| !self.has_ended()) {
            if let Self::Length(left) | Self::Chunk(left) = self {
                let length = (bytes.len() - at).min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= length as u64;
                at += length;
                if matches!(self, Self::Chunk(0)) {
                    *self = Self::Size(0);
                }
            } else {
                *self = self.next(*byte)?;
                at += 1;
            }
        }
        Some(at)
    }

    /// The position after a byte outside the data.
    fn next(self, byte: u8) -> Option<Self> {
        Some(match (self, byte) {
            (Self::Size(0) | Self::Extension(0), b'\n') => Self::Trailer,
            (Self::Size(size) | Self::Extension(size), b'\n') => Self::Chunk(size.checked_add(2)?),
            (Self::Size(size), digit) if digit.is_ascii_hexdigit() => {
                Self::Size(size.checked_mul(16)? + u64::from(char::from(digit).to_digit(16)?))
            }
            (Self::Size(size) | Self::Extension(size), _) => Self::Extension(size),
            (Self::Trailer, b'\r') => Self::LastLineFeed,
            (Self::InTrailer, b'\r') => Self::TrailerLineFeed,
            (Self::Trailer | Self::InTrailer, _) => Self::InTrailer,
            (Self::TrailerLineFeed, b'\n') => Self::Trailer,
            (Self::LastLineFeed, b'\n') => Self::Length(0),
            _ => return None,
        })
    }
}
