//! Reads any bytes as spans in both encodings, without a panic. Each span has valid ids and stays within its bounds.

#![no_main]

use libfuzzer_sys::fuzz_target;
use otlp::{Bounds, Encoding, Parent};

fuzz_target!(|input: &[u8]| {
    let bounds = Bounds { attributes: 8, events: 4, links: 4, inner_attributes: 4 };
    for encoding in [Encoding::Json, Encoding::Protobuf] {
        let read = otlp::spans(encoding, input, &bounds, |resource, _, span| {
            assert!(resource.attributes.kept.len() <= bounds.attributes);
            let Ok(span) = span else { return };
            assert!(span.trace_id != [0; 16] && span.span_id != [0; 8] && span.parent != Parent::Span([0; 8]));
            assert!(span.attributes.kept.len() <= bounds.attributes && span.events.len() <= bounds.events);
            assert!(span.links.len() <= bounds.links && span.attributes.kept.iter().all(|one| !one.key.is_empty()));
        });
        drop(read);
    }
});
