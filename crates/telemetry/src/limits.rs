//! The bounds of what spans and log records hold, so that the size of a full queue is bounded.

/// How much a span may hold; the excess is counted in the span as dropped. The variables are OpenTelemetry's
/// `OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT` and similar, with its defaults except for the length of values, which OpenTelemetry does
/// not limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) attributes: u32,
    pub(crate) events: u32,
    pub(crate) links: u32,
    /// Attributes of one event.
    pub(crate) event_attributes: u32,
    /// Attributes of one link, which only OpenTelemetry's API gives.
    pub(crate) link_attributes: u32,
    /// Attributes of one log record.
    pub(crate) log_attributes: u32,
    /// Length of a span's text, in bytes.
    pub(crate) value_bytes: usize,
    /// Length of a log record's text, in bytes.
    pub(crate) log_value_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            attributes: 128,
            events: 128,
            links: 128,
            event_attributes: 128,
            link_attributes: 128,
            log_attributes: 128,
            value_bytes: 8_192,
            log_value_bytes: 8_192,
        }
    }
}

/// The most bytes that are recorded of a text that a caller can make long, such as a path or a header's value.
pub(crate) const CALLER_BYTES: usize = 1_024;

/// At most [`CALLER_BYTES`] bytes of `text`, cut between characters.
pub(crate) fn bounded(text: &str) -> &str {
    text.get(..text.floor_char_boundary(CALLER_BYTES)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_value_is_cut_between_characters() {
        assert_eq!(bounded("short"), "short");
        assert_eq!(bounded(&"💣".repeat(1_000)).len(), 1_024);
        assert_eq!(bounded(&format!("x{}", "💣".repeat(1_000))).len(), 1_021);
    }
}
