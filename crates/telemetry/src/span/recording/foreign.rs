//! A span that other code has begun: its id and its start are that code's. Both are overwritten in the encoding, which begins with them.

use std::ops::Range;

use opentelemetry::trace::SpanId;

use super::Recording;

/// The position of the span's id: after the trace id, and the heads of both fields.
const ID: Range<usize> = 20..28;
/// The bytes of a field of eight bytes.
const FIXED64: usize = 9;

impl Recording {
    #[cfg_attr(not(feature = "xray-lite"), expect(dead_code, reason = "only xray-lite's spans choose their ids"))]
    pub(crate) fn identify(&mut self, id: SpanId) {
        if let Some(place) = self.encoding.get_mut(ID) {
            place.copy_from_slice(&id.to_bytes());
        }
    }

    /// Sets when the span started, in nanoseconds since 1970.
    pub(crate) fn start_at(&mut self, start: u64) {
        self.start = start;
        // The end is the last field before the attributes, and the start precedes it.
        let end = self.attributes_at.saturating_sub(FIXED64);
        if let Some(place) = self.encoding.get_mut(..end).and_then(|head| head.last_chunk_mut()) {
            *place = start.to_le_bytes();
        }
    }
}
