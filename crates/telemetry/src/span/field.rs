//! The numbers of the fields of OTLP's `Span`, and the values of two of them.

use opentelemetry::trace::{SpanKind, TraceFlags};

pub(super) const TRACE_ID: u8 = 1;
pub(super) const SPAN_ID: u8 = 2;
pub(super) const TRACE_STATE: u8 = 3;
pub(super) const PARENT: u8 = 4;
pub(super) const NAME: u8 = 5;
pub(super) const KIND: u8 = 6;
pub(super) const START: u8 = 7;
pub(super) const END: u8 = 8;
pub(super) const ATTRIBUTE: u8 = 9;
pub(super) const DROPPED_ATTRIBUTES: u8 = 10;
pub(super) const EVENT: u8 = 11;
pub(super) const DROPPED_EVENTS: u8 = 12;
pub(super) const LINK: u8 = 13;
pub(super) const DROPPED_LINKS: u8 = 14;
pub(super) const STATUS: u8 = 15;
/// Above 15: the field's key is two bytes, see [`FLAGS_KEY`].
pub(super) const FLAGS: u64 = 16;

/// The key of field 16, four bytes.
pub(super) const FLAGS_KEY: [u8; 2] = [0x85, 0x01];
/// Declares that the next bit is meaningful.
const HAS_IS_REMOTE: u32 = 0x100;
pub(super) const IS_REMOTE: u32 = 0x200;

pub(super) fn flags(out: &mut Vec<u8>, key: &[u8], flags: TraceFlags, remote: u32) {
    out.extend_from_slice(key);
    out.extend_from_slice(&(u32::from(flags.to_u8()) | HAS_IS_REMOTE | remote).to_le_bytes());
}

pub(super) fn kind_number(kind: &SpanKind) -> u64 {
    match kind {
        SpanKind::Internal => 1,
        SpanKind::Server => 2,
        SpanKind::Client => 3,
        SpanKind::Producer => 4,
        SpanKind::Consumer => 5,
    }
}
