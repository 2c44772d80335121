//! Writes [Prometheus' text format](https://prometheus.io/docs/instrumenting/exposition_formats/): the ledger's metrics, and
//! those that a service adds to them. Counts nothing.
//!
//! ```
//! use telemetry::prometheus::{Family, MetricKind};
//! let mut text = String::new();
//! Family::begin(&mut text, "cruds_total", MetricKind::Counter, "Cruds that were posted.").sample(&[("author", "\"a\"")], 2);
//! assert_eq!(
//!     text,
//!     "# HELP cruds_total Cruds that were posted.\n# TYPE cruds_total counter\ncruds_total{author=\"\\\"a\\\"\"} 2\n"
//! );
//! ```

use std::fmt::{self, Display, Write};

/// The format's content type.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The kind of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// A count that never decreases.
    Counter,
    /// A value that increases and decreases.
    Gauge,
    /// Counts of observations up to each bound, their sum and their number.
    Histogram,
}

/// A metric whose samples are being written.
#[derive(Debug)]
pub struct Family<'a> {
    text: &'a mut String,
    name: &'a str,
}

impl<'a> Family<'a> {
    /// Appends the head of the metric `name` to `text`. `help` has no line break.
    pub fn begin(text: &'a mut String, name: &'a str, kind: MetricKind, help: &str) -> Self {
        append(text, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        Self { text, name }
    }

    /// Appends a sample. The names of labels are constants of the code; their values may be any text.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.part("", labels, value);
    }

    /// Appends a sample of a histogram, whose name ends with `_bucket`, `_sum` or `_count`.
    pub fn part(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
        append(self.text, format_args!("{}{suffix}", self.name));
        for (index, (name, value)) in labels.iter().enumerate() {
            let before = if index == 0 { '{' } else { ',' };
            append(self.text, format_args!("{before}{name}=\"{}\"", LabelValue(value)));
        }
        append(self.text, format_args!("{} {value}\n", if labels.is_empty() { "" } else { "}" }));
    }
}

fn append(text: &mut String, arguments: fmt::Arguments<'_>) {
    // Writing to a `String` cannot fail.
    let _ = text.write_fmt(arguments);
}

/// A label's value, with the format's three escapes.
struct LabelValue<'a>(&'a str);

impl Display for LabelValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '\\' => f.write_str("\\\\"),
            '"' => f.write_str("\\\""),
            '\n' => f.write_str("\\n"),
            c => f.write_char(c),
        })
    }
}

impl Display for MetricKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_may_be_any_text_and_may_be_missing() {
        let mut text = String::new();
        let mut family = Family::begin(&mut text, "wait_seconds", MetricKind::Histogram, "Time in the queue.");
        family.part("_bucket", &[("route", "a\\b\"c\nd"), ("le", "+Inf")], 1);
        family.part("_count", &[], 1);
        let expected = "# HELP wait_seconds Time in the queue.\n# TYPE wait_seconds histogram\n\
             wait_seconds_bucket{route=\"a\\\\b\\\"c\\nd\",le=\"+Inf\"} 1\nwait_seconds_count 1\n";
        assert_eq!(text, expected);
    }
}
