//! Request bodies, plain or compressed by gzip. Memory is bounded in both forms: for one body, and for all that are arriving.

use std::io::Read;
use std::sync::Arc;

use actix_web::error::PayloadError;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap};
use actix_web::web::{Bytes, Payload};
use flate2::read::MultiGzDecoder;
use futures_util::StreamExt;
use tokio::sync::{Semaphore, TryAcquireError};

/// The part of a body for which memory is reserved at a time.
const PART: usize = 64 * 1024;
/// Parts of all bodies that are arriving: 64 MiB.
const PARTS: usize = 1_024;

/// The limits within which one listener reads bodies.
pub(crate) struct Bodies {
    /// The most bytes of a decoded body.
    limit: usize,
    memory: Arc<Semaphore>,
}

/// Why a body is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The body has a compression other than gzip.
    Encoding,
    TooLarge,
    /// The body took longer than the listener allows.
    TooSlow,
    /// The body is incomplete, or does not match its encoding.
    Invalid,
    /// Other bodies need the memory.
    NoMemory,
}

impl Bodies {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, memory: Arc::new(Semaphore::new(PARTS)) }
    }

    /// The decoded body. Decoding starts once the whole body has arrived, and waits for nothing: one worker decodes one body at a time.
    pub(crate) async fn read(&self, headers: &HeaderMap, mut payload: Payload) -> Result<Bytes, Refusal> {
        let is_compressed = is_compressed(headers)?;
        // Gzip makes incompressible data a little longer.
        let limit = if is_compressed { self.limit + self.limit / 64 } else { self.limit };
        let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if length.is_some_and(|length: u64| u64::try_from(limit).is_ok_and(|limit| length > limit)) {
            return Err(Refusal::TooLarge);
        }
        let mut body = Vec::new();
        let mut memory = None;
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|error| Refusal::from(&error))?;
            let length = body.len() + chunk.len();
            if length > limit {
                return Err(Refusal::TooLarge);
            }
            let held = body.capacity().div_ceil(PART);
            let needed = length.div_ceil(PART);
            if needed > held {
                let more = u32::try_from(needed - held).unwrap_or(u32::MAX);
                let more = Arc::clone(&self.memory).try_acquire_many_owned(more);
                let more = more.map_err(|_: TryAcquireError| Refusal::NoMemory)?;
                match &mut memory {
                    None => memory = Some(more),
                    Some(memory) => memory.merge(more),
                }
                body.reserve_exact(needed * PART - body.len());
            }
            body.extend_from_slice(&chunk);
        }
        if is_compressed { inflate(&body, self.limit).map(Bytes::from) } else { Ok(body.into()) }
    }
}

impl From<&PayloadError> for Refusal {
    fn from(error: &PayloadError) -> Self {
        if listener::is_late(error) { Self::TooSlow } else { Self::Invalid }
    }
}

/// `Content-Encoding` is a list, which may be spread over several header lines.
fn is_compressed(headers: &HeaderMap) -> Result<bool, Refusal> {
    let mut is_compressed = false;
    for value in headers.get_all(CONTENT_ENCODING) {
        let value = value.to_str().map_err(|_| Refusal::Encoding)?;
        for coding in value.split(',').map(str::trim) {
            match coding {
                _ if coding.is_empty() || coding.eq_ignore_ascii_case("identity") => {}
                _ if is_compressed => return Err(Refusal::Encoding),
                _ if coding.eq_ignore_ascii_case("gzip") || coding.eq_ignore_ascii_case("x-gzip") => {
                    is_compressed = true;
                }
                _ => return Err(Refusal::Encoding),
            }
        }
    }
    Ok(is_compressed)
}

/// Every member of a gzip file, at most `limit` bytes.
fn inflate(body: &[u8], limit: usize) -> Result<Vec<u8>, Refusal> {
    let mut inflated = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    MultiGzDecoder::new(body).take(most).read_to_end(&mut inflated).map_err(|_| Refusal::Invalid)?;
    if inflated.len() > limit { Err(Refusal::TooLarge) } else { Ok(inflated) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use actix_web::http::header::HeaderValue;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::*;

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn the_documented_limits_are_those_of_the_code() {
        let page = include_str!("../../../docs/src/architecture.md");
        let (one, all) = (crate::http::MAX_BODY / 1024 / 1024, PART * PARTS / 1024 / 1024);
        let limits = format!(" s, {one} MiB and 256 KiB decoded, gzip or none; {all} MiB for all bodies");
        assert!(page.contains(&limits), "{limits}");
    }

    #[test]
    fn every_member_is_inflated_and_nothing_else_may_follow() {
        let two = [gzip(b"one "), gzip(b""), gzip(b"two")].concat();
        assert_eq!(inflate(&two, 7), Ok(b"one two".to_vec()));
        assert_eq!(inflate(&two, 6), Err(Refusal::TooLarge));
        for broken in [
            &b""[..],
            b"not gzip",
            &two[..two.len() - 1],
            &[&two[..], b"garbage"].concat(),
            &[&two[..], b"\x1f"].concat(),
        ] {
            assert_eq!(inflate(broken, 100), Err(Refusal::Invalid), "{}", broken.escape_ascii());
        }
        let mut wrong_sum = gzip(b"one");
        let at = wrong_sum.len() - 8;
        wrong_sum[at] ^= 1;
        assert_eq!(inflate(&wrong_sum, 100), Err(Refusal::Invalid));
    }

    #[test]
    fn a_body_is_not_inflated_beyond_its_limit() {
        let bomb = gzip(&vec![0; 60 * 1024 * 1024]);
        assert!(bomb.len() < 64 * 1024);
        assert_eq!(inflate(&bomb, 1024), Err(Refusal::TooLarge));
        assert_eq!(inflate(&gzip(&bomb), bomb.len()).map(|inner| inner.len()), Ok(bomb.len()), "only one layer");
    }

    #[test]
    fn only_gzip_by_its_names_and_only_once_is_an_encoding() {
        let encoding = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(CONTENT_ENCODING, HeaderValue::from_static(value));
            }
            is_compressed(&headers)
        };
        for plain in [&[][..], &[""], &["identity"], &["Identity", ""], &["identity, identity"]] {
            assert_eq!(encoding(plain), Ok(false), "{plain:?}");
        }
        for packed in [&["gzip"][..], &["GZIP"], &["x-gzip"], &[" gzip "], &["identity", "gzip"], &["gzip, identity"]] {
            assert_eq!(encoding(packed), Ok(true), "{packed:?}");
        }
        for refused in [
            &["deflate"][..],
            &["br"],
            &["zstd"],
            &["compress"],
            &["gzip, gzip"],
            &["gzip", "gzip"],
            &["gzip", "br"],
            &["gzip;q=1"],
        ] {
            assert_eq!(encoding(refused), Err(Refusal::Encoding), "{refused:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_inflated_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400), limit in 0_usize..100) {
            let _ = inflate(&bytes, limit);
            let _ = inflate(&[&gzip(b"x"), &bytes[..]].concat(), limit);
        }

        #[test]
        fn a_body_is_the_same_however_it_is_cut_into_members(content in ".{0,200}", at in 0_usize..200) {
            let (one, two) = content.as_bytes().split_at(at.min(content.len()));
            prop_assert_eq!(inflate(&[gzip(one), gzip(two)].concat(), 1_000), Ok(content.into_bytes()));
        }
    }
}
