//! Relays any request of a page, or refuses it, without a panic. The accepted spans stay within their bounds.

#![no_main]

use std::time::{Duration, UNIX_EPOCH};

use libfuzzer_sys::fuzz_target;
use telemetry::relay::{Encoding, Relay};

fuzz_target!(|input: &[u8]| {
    let relay = Relay::new(["page"]);
    // Early, so that small numbers are valid times of spans.
    let now = UNIX_EPOCH + Duration::from_secs(60 * 60);
    for encoding in [Encoding::Json, Encoding::Protobuf] {
        if let Ok(batch) = relay.read(encoding, input, now, |_, _| true) {
            assert!(batch.accepted() <= 512);
            assert!(batch.total_rejected() == 0 || !batch.response(encoding).is_empty());
        }
    }
});
