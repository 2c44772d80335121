//! The headers of a request, independent of the framework.

/// The headers that carry a trace. A proxy removes them all from what it forwards before it sets its own.
pub const FIELDS: [&str; 4] = ["traceparent", "tracestate", "baggage", "x-amzn-trace-id"];

/// Replaces a value that is not visible ASCII. No parser accepts it, so it invalidates the header that has it.
pub(crate) const UNREADABLE: &str = "\u{0}";

/// Looks up header values; implemented for the header maps of `http` 1 and of actix-web.
pub trait Headers {
    /// Each value of the header `name` (lower case), in order. A value that is not visible ASCII must not be skipped:
    /// return a text that is not visible ASCII either.
    fn values<'a>(&'a self, name: &'static str) -> impl Iterator<Item = &'a str>;

    /// Whether one of these headers may be present. `false` saves the look-up of each, which hashes its name.
    fn may_have(&self, names: &[&'static str]) -> bool {
        let _ = names;
        true
    }
}

impl Headers for ::http::HeaderMap {
    fn values<'a>(&'a self, name: &'static str) -> impl Iterator<Item = &'a str> {
        self.get_all(name).iter().map(|value| value.to_str().unwrap_or(UNREADABLE))
    }

    /// One pass, because a request has few headers.
    fn may_have(&self, names: &[&'static str]) -> bool {
        self.keys().any(|own| names.contains(&own.as_str()))
    }
}
