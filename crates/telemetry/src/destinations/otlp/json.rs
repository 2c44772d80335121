//! Converts a message that this crate has encoded to
//! [OTLP/JSON](https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding): protobuf's JSON mapping, except that ids are
//! hex. Absent fields stay absent. Supports only the values that this crate encodes: texts, booleans, integers,
//! doubles, and arrays of these.

use otlp::wire::{Field, Fields};
use serde_json::to_writer;

use super::endpoint::Signal;
use crate::value::not_finite;

/// A field of a message: its number, its name in JSON, and its form.
struct Member(u64, &'static str, Form);

enum Form {
    /// Bytes in hex.
    Id,
    Text,
    Bool,
    /// A 32-bit number, or an enumeration.
    Number,
    /// A 64-bit integer, which is text in JSON.
    Int,
    /// Nanoseconds since 1970, or another unsigned number of 64 bits: a text in JSON.
    Time,
    /// A signed number of 64 bits, a text in JSON.
    Long,
    /// A signed number of 32 bits.
    Signed,
    /// Unsigned numbers of eight bytes each, texts in JSON.
    Counts,
    /// Numbers of as many bytes as they need, texts in JSON.
    Varints,
    /// Doubles.
    Doubles,
    /// A text if JSON cannot represent the number.
    Double,
    One(&'static [Member]),
    /// An `ArrayValue`, whose `values` some receivers require even if there are none.
    Array(&'static [Member]),
    Many(&'static [Member]),
}

use Form::{Array, Bool, Counts, Double, Doubles, Id, Int, Long, Many, Number, One, Signed, Text, Time, Varints};

const TEXT: Member = Member(1, "stringValue", Text);
const BOOL: Member = Member(2, "boolValue", Bool);
const INT: Member = Member(3, "intValue", Int);
const DOUBLE: Member = Member(4, "doubleValue", Double);
const VALUE: &[Member] = &[TEXT, BOOL, INT, DOUBLE, Member(5, "arrayValue", Array(&[TEXT, BOOL, INT, DOUBLE]))];
const ATTRIBUTE: &[Member] = &[Member(1, "key", Text), Member(2, "value", One(VALUE))];
const RESOURCE: &[Member] = &[Member(1, "attributes", Many(ATTRIBUTE))];
const SCOPE: &[Member] = &[
    Member(1, "name", Text),
    Member(2, "version", Text),
    Member(3, "attributes", Many(ATTRIBUTE)),
    Member(4, "droppedAttributesCount", Number),
];
const EVENT: &[Member] = &[
    Member(1, "timeUnixNano", Time),
    Member(2, "name", Text),
    Member(3, "attributes", Many(ATTRIBUTE)),
    Member(4, "droppedAttributesCount", Number),
];
const LINK: &[Member] = &[
    Member(1, "traceId", Id),
    Member(2, "spanId", Id),
    Member(3, "traceState", Text),
    Member(4, "attributes", Many(ATTRIBUTE)),
    Member(5, "droppedAttributesCount", Number),
    Member(6, "flags", Number),
];
const STATUS: &[Member] = &[Member(2, "message", Text), Member(3, "code", Number)];
const SPAN: &[Member] = &[
    Member(1, "traceId", Id),
    Member(2, "spanId", Id),
    Member(3, "traceState", Text),
    Member(4, "parentSpanId", Id),
    Member(16, "flags", Number),
    Member(5, "name", Text),
    Member(6, "kind", Number),
    Member(7, "startTimeUnixNano", Time),
    Member(8, "endTimeUnixNano", Time),
    Member(9, "attributes", Many(ATTRIBUTE)),
    Member(10, "droppedAttributesCount", Number),
    Member(11, "events", Many(EVENT)),
    Member(12, "droppedEventsCount", Number),
    Member(13, "links", Many(LINK)),
    Member(14, "droppedLinksCount", Number),
    Member(15, "status", One(STATUS)),
];
const LOG_RECORD: &[Member] = &[
    Member(1, "timeUnixNano", Time),
    Member(11, "observedTimeUnixNano", Time),
    Member(2, "severityNumber", Number),
    Member(3, "severityText", Text),
    Member(5, "body", One(VALUE)),
    Member(6, "attributes", Many(ATTRIBUTE)),
    Member(7, "droppedAttributesCount", Number),
    Member(8, "flags", Number),
    Member(9, "traceId", Id),
    Member(10, "spanId", Id),
];
const EXEMPLAR: &[Member] = &[
    Member(7, "filteredAttributes", Many(ATTRIBUTE)),
    Member(2, "timeUnixNano", Time),
    Member(3, "asDouble", Double),
    Member(6, "asInt", Long),
    Member(4, "spanId", Id),
    Member(5, "traceId", Id),
];
const NUMBER_POINT: &[Member] = &[
    Member(7, "attributes", Many(ATTRIBUTE)),
    Member(2, "startTimeUnixNano", Time),
    Member(3, "timeUnixNano", Time),
    Member(4, "asDouble", Double),
    Member(6, "asInt", Long),
    Member(5, "exemplars", Many(EXEMPLAR)),
    Member(8, "flags", Number),
];
const HISTOGRAM_POINT: &[Member] = &[
    Member(9, "attributes", Many(ATTRIBUTE)),
    Member(2, "startTimeUnixNano", Time),
    Member(3, "timeUnixNano", Time),
    Member(4, "count", Time),
    Member(5, "sum", Double),
    Member(6, "bucketCounts", Counts),
    Member(7, "explicitBounds", Doubles),
    Member(8, "exemplars", Many(EXEMPLAR)),
    Member(10, "flags", Number),
    Member(11, "min", Double),
    Member(12, "max", Double),
];
const BUCKETS: &[Member] = &[Member(1, "offset", Signed), Member(2, "bucketCounts", Varints)];
const EXPONENTIAL_POINT: &[Member] = &[
    Member(1, "attributes", Many(ATTRIBUTE)),
    Member(2, "startTimeUnixNano", Time),
    Member(3, "timeUnixNano", Time),
    Member(4, "count", Time),
    Member(5, "sum", Double),
    Member(6, "scale", Signed),
    Member(7, "zeroCount", Time),
    Member(8, "positive", One(BUCKETS)),
    Member(9, "negative", One(BUCKETS)),
    Member(10, "flags", Number),
    Member(11, "exemplars", Many(EXEMPLAR)),
    Member(12, "min", Double),
    Member(13, "max", Double),
    Member(14, "zeroThreshold", Double),
];
const GAUGE: &[Member] = &[Member(1, "dataPoints", Many(NUMBER_POINT))];
const SUM: &[Member] = &[
    Member(1, "dataPoints", Many(NUMBER_POINT)),
    Member(2, "aggregationTemporality", Number),
    Member(3, "isMonotonic", Bool),
];
const HISTOGRAM: &[Member] =
    &[Member(1, "dataPoints", Many(HISTOGRAM_POINT)), Member(2, "aggregationTemporality", Number)];
const EXPONENTIAL: &[Member] =
    &[Member(1, "dataPoints", Many(EXPONENTIAL_POINT)), Member(2, "aggregationTemporality", Number)];
const METRIC: &[Member] = &[
    Member(1, "name", Text),
    Member(2, "description", Text),
    Member(3, "unit", Text),
    Member(5, "gauge", One(GAUGE)),
    Member(7, "sum", One(SUM)),
    Member(9, "histogram", One(HISTOGRAM)),
    Member(10, "exponentialHistogram", One(EXPONENTIAL)),
];
const SCOPE_METRICS: &[Member] =
    &[Member(1, "scope", One(SCOPE)), Member(2, "metrics", Many(METRIC)), Member(3, "schemaUrl", Text)];
const RESOURCE_METRICS: &[Member] = &[
    Member(1, "resource", One(RESOURCE)),
    Member(2, "scopeMetrics", Many(SCOPE_METRICS)),
    Member(3, "schemaUrl", Text),
];
const SCOPE_SPANS: &[Member] =
    &[Member(1, "scope", One(SCOPE)), Member(2, "spans", Many(SPAN)), Member(3, "schemaUrl", Text)];
const SCOPE_LOGS: &[Member] =
    &[Member(1, "scope", One(SCOPE)), Member(2, "logRecords", Many(LOG_RECORD)), Member(3, "schemaUrl", Text)];
const RESOURCE_SPANS: &[Member] =
    &[Member(1, "resource", One(RESOURCE)), Member(2, "scopeSpans", Many(SCOPE_SPANS)), Member(3, "schemaUrl", Text)];
const RESOURCE_LOGS: &[Member] =
    &[Member(1, "resource", One(RESOURCE)), Member(2, "scopeLogs", Many(SCOPE_LOGS)), Member(3, "schemaUrl", Text)];
const TRACES: &[Member] = &[Member(1, "resourceSpans", Many(RESOURCE_SPANS))];
const LOGS: &[Member] = &[Member(1, "resourceLogs", Many(RESOURCE_LOGS))];

const METRICS: &[Member] = &[Member(1, "resourceMetrics", Many(RESOURCE_METRICS))];

/// The message of an export in JSON.
pub(super) fn of(signal: Signal, export: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(2 * export.len());
    let members = match signal {
        Signal::Traces => TRACES,
        Signal::Logs => LOGS,
        Signal::Metrics => METRICS,
    };
    message(&mut out, export, members);
    out
}

fn message(out: &mut Vec<u8>, bytes: &[u8], members: &[Member]) {
    out.push(b'{');
    for Member(number, name, form) in members {
        // Fields with the same number may be apart, because a span's events and links are in the order in which they were
        // added.
        let mut fields = Fields(bytes).filter(|(own, _)| own == number).map(|(_, field)| field).peekable();
        if fields.peek().is_none() {
            continue;
        }
        out.push(b'"');
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        match form {
            Many(members) => {
                out.push(b'[');
                fields.for_each(|field| {
                    if let Field::Bytes(bytes) = field {
                        message(out, bytes, members);
                        out.push(b',');
                    }
                });
                end(out, b']');
            }
            form => fields.take(1).for_each(|field| value(out, field, form)),
        }
        out.push(b',');
    }
    end(out, b'}');
}

fn value(out: &mut Vec<u8>, field: Field<'_>, form: &Form) {
    match (form, field) {
        (One(members), Field::Bytes(bytes)) => message(out, bytes, members),
        (Array(members), Field::Bytes(bytes)) => {
            out.extend_from_slice(b"{\"values\":[");
            for (_, item) in Fields(bytes) {
                if let Field::Bytes(item) = item {
                    message(out, item, members);
                    out.push(b',');
                }
            }
            end(out, b']');
            out.push(b'}');
        }
        (Id, Field::Bytes(bytes)) => {
            out.push(b'"');
            bytes.iter().for_each(|byte| out.extend_from_slice(format!("{byte:02x}").as_bytes()));
            out.push(b'"');
        }
        (Text, Field::Bytes(bytes)) => json(out, &String::from_utf8_lossy(bytes)),
        (Bool, Field::Number(flag)) => json(out, &(flag != 0)),
        (Int, Field::Number(int)) => json(out, &int.cast_signed().to_string()),
        (Time, Field::Fixed64(time)) => json(out, &time.to_string()),
        (Long, Field::Fixed64(long)) => json(out, &long.cast_signed().to_string()),
        (Signed, Field::Number(zigzag)) => json(out, &((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed())),
        (Counts, Field::Bytes(packed)) => list(out, eights(packed), |count| u64::from_le_bytes(count).to_string()),
        (Doubles, Field::Bytes(packed)) => list(out, eights(packed), f64::from_le_bytes),
        (Varints, Field::Bytes(packed)) => list(out, varints(packed), |count| count.to_string()),
        (Number, Field::Number(number)) => json(out, &number),
        (Number, Field::Fixed32(number)) => json(out, &number),
        (Double, Field::Fixed64(bits)) => {
            let double = f64::from_bits(bits);
            match not_finite(double) {
                Some(text) => json(out, text),
                None => json(out, &double),
            }
        }
        _ => out.extend_from_slice(b"null"),
    }
}

/// The numbers of eight bytes in a packed field.
fn eights(packed: &[u8]) -> impl Iterator<Item = [u8; 8]> {
    packed.as_chunks().0.iter().copied()
}

/// The varints in a packed field.
fn varints(packed: &[u8]) -> impl Iterator<Item = u64> {
    let whole = |varint: &[u8]| {
        varint.iter().rev().fold(0, |number: u64, byte| number.wrapping_shl(7) | u64::from(byte & 0x7f))
    };
    packed.split_inclusive(|byte| byte & 0x80 == 0).map(whole)
}

fn list<T, J: serde::Serialize>(out: &mut Vec<u8>, items: impl Iterator<Item = T>, of: impl Fn(T) -> J) {
    out.push(b'[');
    items.for_each(|item| {
        json(out, &of(item));
        out.push(b',');
    });
    end(out, b']');
}

fn json(out: &mut Vec<u8>, value: &(impl serde::Serialize + ?Sized)) {
    // Neither these values nor writing to memory can fail.
    let _: serde_json::Result<()> = to_writer(out, value);
}

/// Replaces the last comma, if there is one, by `bracket`.
fn end(out: &mut Vec<u8>, bracket: u8) {
    match out.last_mut() {
        Some(last @ b',') => *last = bracket,
        _ => out.push(bracket),
    }
}
