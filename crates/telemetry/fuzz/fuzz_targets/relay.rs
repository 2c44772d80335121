//! Whatever a page sends is read or refused without a panic, and what is taken of it stays within its bounds.

#![no_main]

use std::time::{Duration, UNIX_EPOCH};

use libfuzzer_sys::fuzz_target;
use telemetry::relay::{Encoding, Relay};

fuzz_target!(|input: &[u8]| {
    let relay = Relay::new(["page"]);
    // When a span's times may be small numbers.
    let now = UNIX_EPOCH + Duration::from_secs(60 * 60);
    for encoding in [Encoding::Json, Encoding::Protobuf] {
        if let Ok(taken) = relay.read(encoding, input, now, |_, _| true) {
            assert!(taken.accepted() <= 512);
            assert!(taken.total_rejected() == 0 || !taken.response(encoding).is_empty());
        }
    }
});
