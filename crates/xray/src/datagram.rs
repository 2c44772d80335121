//! The daemon's datagram: a header line, then one document. Does not send and does not split.

use crate::{Document, Error};

/// The most bytes of a document in a datagram. UDP carries 65,507 bytes and X-Ray's API accepts 64 kB; the header line and a
/// margin for the daemon's additions are subtracted from that.
pub const MAX_DOCUMENT_BYTES: usize = 63_000;

/// The line that precedes a document, with its newline.
pub const HEADER: &[u8] = b"{\"format\": \"json\", \"version\": 1}\n";

/// Reads a datagram as the daemon does: the document follows the first newline.
///
/// # Errors
/// [`Error::Framing`] if the header line is missing or of another format; [`Error::Json`] or [`Error::Missing`] if the document
/// is neither a segment nor a stand-alone subsegment.
pub fn parse(datagram: &[u8]) -> Result<Document, Error> {
    Document::parse(document(datagram)?)
}

/// The bytes of a datagram's document.
///
/// # Errors
/// [`Error::Framing`] if the header line is missing or of another format.
pub fn document(datagram: &[u8]) -> Result<&[u8], Error> {
    #[derive(serde::Deserialize)]
    struct Header {
        format: String,
        version: u32,
    }
    let newline = datagram.iter().position(|byte| *byte == b'\n').ok_or(Error::Framing)?;
    let (header, document) = datagram.split_at(newline);
    let header: Header = serde_json::from_slice(header).map_err(|_| Error::Framing)?;
    if header.format != "json" || header.version != 1 {
        return Err(Error::Framing);
    }
    Ok(document)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DOCUMENT: &str = r#"{"id":"53995c3f42cd8ad8","name":"backend","trace_id":"1-5759e988-bd862e3fe1be46a994272793","start_time":1.5,"end_time":2.5}"#;

    #[test]
    fn a_header_line_and_a_document_are_a_datagram() {
        let datagram = [HEADER, DOCUMENT.as_bytes()].concat();
        assert_eq!(parse(&datagram).unwrap().name, "backend");
        let compact = format!("{{\"version\":1,\"format\":\"json\"}}\n{DOCUMENT}");
        assert_eq!(parse(compact.as_bytes()).unwrap().name, "backend");
    }

    #[test]
    fn another_format_version_or_no_newline_is_a_framing_error() {
        for datagram in
            ["{\"format\":\"json\",\"version\":2}\n{}", "{\"format\":\"xml\",\"version\":1}\n{}", "{}", "\n"]
        {
            assert!(matches!(parse(datagram.as_bytes()), Err(Error::Framing)), "{datagram}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_document_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse(&bytes);
            let _ = parse(&[HEADER, &bytes].concat());
        }
    }
}
