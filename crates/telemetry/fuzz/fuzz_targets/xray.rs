//! Parses any bytes as X-Ray's formats, without a panic. A value that was parsed can be written and parsed again. The lenient
//! reader accepts every document that the strict one accepts.
//!
//! Each line of the input is a trace header. The whole input is a document, and a datagram with and without its header.

#![no_main]

use libfuzzer_sys::fuzz_target;
use xray::{Document, TraceHeader, datagram};

fuzz_target!(|input: &[u8]| {
    for line in input.split(|byte| *byte == b'\n') {
        let Ok(text) = std::str::from_utf8(line) else { continue };
        let Ok(header) = text.parse::<TraceHeader>() else { continue };
        assert_eq!(header.to_string().parse::<TraceHeader>().expect("a valid header"), header);
    }
    let document = Document::parse(input);
    let framed = datagram::parse(&[datagram::HEADER, input].concat());
    assert_eq!(document.is_ok(), framed.is_ok());
    for document in [document, framed, datagram::parse(input)].into_iter().flatten() {
        let json = serde_json::to_vec(&document).expect("a document is JSON");
        let again = Document::parse(&json).expect("a document can be read again");
        // Numbers are not compared: serde_json may read a float's last bit differently, to be fast.
        let of = |document: &Document| {
            (document.id, document.name.clone(), document.trace_id, document.kind, document.parent_id)
        };
        assert_eq!(of(&again), of(&document));
        assert_eq!(again.subsegments.len(), document.subsegments.len());
    }
    lenient(input);
});

fn lenient(input: &[u8]) {
    let Ok(serde_json::Value::Object(fields)) = serde_json::from_slice(input) else { return };
    let read = xray::lenient::document(fields);
    assert!(read.is_ok() || Document::parse(input).is_err(), "a valid document was rejected");
}
