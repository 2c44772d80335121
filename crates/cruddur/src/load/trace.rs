//! The trace that a response names in `Server-Timing: traceparent;desc="00-TRACEID-SPANID-FLAGS"`. Does no I/O.

use hyper::HeaderMap;

/// The trace that served a request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Trace {
    /// 32 hex digits.
    pub(super) id: String,
    /// Whether its spans are recorded; otherwise the id is only useful in logs.
    pub(super) recorded: bool,
}

impl Trace {
    /// Reads the trace from the headers. `None` if they name none, as for the page's files, or if the value is invalid.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let metrics = headers.get_all("server-timing").into_iter().filter_map(|value| value.to_str().ok());
        metrics.flat_map(|value| value.split(',')).find_map(Self::parse)
    }

    fn parse(metric: &str) -> Option<Self> {
        let context = metric.trim().strip_prefix("traceparent;desc=\"")?.strip_suffix('"')?;
        let parts: Vec<&str> = context.split('-').collect();
        let [_, id, _, flags] = parts.as_slice() else { return None };
        let is_id = id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let flags = u8::from_str_radix(flags, 16).ok()?;
        is_id.then(|| Self { id: (*id).to_owned(), recorded: flags & 1 == 1 })
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "6b02f03a54f4980499a5c1872558fcbf";

    fn read(values: &[&str]) -> Option<Trace> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("server-timing", HeaderValue::from_str(value).unwrap());
        }
        Trace::of(&headers)
    }

    proptest! {
        #[test]
        fn any_header_is_a_trace_or_none(
            value in "[ -~]{0,80}|traceparent;desc=\"[0-9a-z]{2}-[0-9a-f]{31,33}-[0-9a-f]{16}-[0-9a-z]{1,3}\""
        ) {
            if let Some(trace) = read(&[&value]) {
                prop_assert!(trace.id.len() == 32 && value.contains(&trace.id));
            }
        }
    }

    #[test]
    fn a_trace_is_found_among_other_metrics() {
        let metric = |flags: &str| format!("traceparent;desc=\"00-{ID}-46422517bae0bb00-{flags}\"");
        for (flags, recorded) in [("01", true), ("03", true), ("02", false), ("00", false)] {
            let expected = Some(Trace { id: ID.to_owned(), recorded });
            assert_eq!(read(&[&metric(flags)]), expected);
            assert_eq!(read(&["cache;dur=1", &format!("db;dur=53, {}", metric(flags))]), expected);
        }
        for none in ["", "traceparent", "traceparent;desc=\"00-6B02-46-01\"", "db;dur=53"] {
            assert_eq!(read(&[none]), None, "{none}");
        }
    }
}
