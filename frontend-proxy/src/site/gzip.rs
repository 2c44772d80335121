//! Compression that is done once, at start, even for a page with one line that differs in each response.
//! [Deflate](https://www.rfc-editor.org/rfc/rfc1951) allows separately compressed blocks next to an uncompressed one. Each
//! response then costs only copying, and a checksum that is combined from parts.

use flate2::{Compress, Compression, Crc, FlushCompress, Status};

/// No name, no time, an unknown system: [RFC 1952 §2.3](https://www.rfc-editor.org/rfc/rfc1952#section-2.3).
const HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255];
/// The most bytes that one uncompressed block can hold.
const STORED: usize = 65_535;

/// The part of a page before, or after, the line that changes.
pub(crate) struct Part {
    blocks: Vec<u8>,
    crc: Crc,
}

/// `content` compressed; `None` if that does not make it smaller.
pub(crate) fn whole(content: &[u8]) -> Option<Vec<u8>> {
    let packed = joined(&Part::new(content, false)?, b"", &Part::new(b"", true)?)?;
    (packed.len() < content.len()).then_some(packed)
}

/// A gzip file of `before`, `line` and `after`; `after` must be a last part. `None` if the line is longer than a block.
pub(crate) fn joined(before: &Part, line: &[u8], after: &Part) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(HEAD.len() + before.blocks.len() + line.len() + after.blocks.len() + 16);
    out.extend_from_slice(&HEAD);
    out.extend_from_slice(&before.blocks);
    let mut crc = Crc::new();
    crc.combine(&before.crc);
    if !line.is_empty() {
        let length = u16::try_from(line.len()).ok().filter(|_| line.len() <= STORED)?;
        out.push(0);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&(!length).to_le_bytes());
        out.extend_from_slice(line);
        crc.update(line);
    }
    out.extend_from_slice(&after.blocks);
    crc.combine(&after.crc);
    out.extend_from_slice(&crc.sum().to_le_bytes());
    out.extend_from_slice(&crc.amount().to_le_bytes());
    Some(out)
}

impl Part {
    /// Compresses `content`; the `last` part ends the file. `None` if the compressor fails, which it has no reason to do.
    pub(crate) fn new(content: &[u8], last: bool) -> Option<Self> {
        let mut compress = Compress::new(Compression::best(), false);
        let mut blocks = Vec::with_capacity(content.len() + content.len() / 1_000 + 64);
        // A full flush ends at a whole byte, and nothing after it refers to earlier data.
        let flush = if last { FlushCompress::Finish } else { FlushCompress::Full };
        let status = compress.compress_vec(content, &mut blocks, flush).ok()?;
        let is_whole =
            compress.total_in() == u64::try_from(content.len()).ok()? && (!last || status == Status::StreamEnd);
        let mut crc = Crc::new();
        crc.update(content);
        is_whole.then_some(Self { blocks, crc })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;
    use proptest::prelude::*;

    use super::*;

    fn unpacked(packed: &[u8]) -> Vec<u8> {
        let mut content = Vec::new();
        GzDecoder::new(packed).read_to_end(&mut content).unwrap();
        content
    }

    proptest! {
        #[test]
        fn two_parts_and_a_line_form_one_gzip_file(before in ".{0,400}", line in ".{0,100}", after in ".{0,400}") {
            let [first, last] = [(&before, false), (&after, true)].map(|(text, last)| Part::new(text.as_bytes(), last).unwrap());
            let packed = joined(&first, line.as_bytes(), &last).unwrap();
            prop_assert_eq!(unpacked(&packed), [before, line, after].concat().into_bytes());
        }
    }

    #[test]
    fn content_that_does_not_get_smaller_is_not_compressed() {
        assert_eq!(whole(b"short"), None);
        let long = b"long ".repeat(100);
        assert_eq!(unpacked(&whole(&long).unwrap()), long);
        let [first, last] = [false, true].map(|last| Part::new(b"", last).unwrap());
        assert!(joined(&first, &[0; STORED + 1], &last).is_none());
    }
}
