//! The library that made spans through OpenTelemetry's API: an
//! [instrumentation scope](https://opentelemetry.io/docs/specs/otel/common/instrumentation-scope/), encoded once.

use otlp::wire::bytes;

use crate::attribute::Attributes;
use crate::limits::Limits;

/// Attributes are field 3 of OTLP's `InstrumentationScope`.
const ATTRIBUTES: u8 = 3;

/// A library.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LibraryScope {
    /// OTLP's `InstrumentationScope`.
    encoding: Vec<u8>,
    /// The URL of the conventions that its spans follow; may be empty.
    schema: String,
}

impl LibraryScope {
    /// `record` sets the attributes.
    pub(crate) fn new(name: &str, version: &str, schema: &str, record: impl FnOnce(&mut Attributes)) -> Self {
        let limits = Limits::default();
        let mut kept = Attributes::new(ATTRIBUTES, limits.attributes, limits.value_bytes);
        record(&mut kept);
        let mut encoding = Vec::new();
        for (field, text) in [(1, name), (2, version)] {
            if !text.is_empty() {
                bytes(&mut encoding, field, text.as_bytes());
            }
        }
        encoding.extend_from_slice(kept.encoding());
        Self { encoding, schema: schema.to_owned() }
    }

    pub(crate) fn encoding(&self) -> &[u8] {
        &self.encoding
    }

    pub(crate) fn schema(&self) -> &str {
        &self.schema
    }
}
