//! The ledger: the outcome of each span. At any moment, for each destination, `created = delivered + queued + dropped`,
//! exactly. Only data: the pipeline counts, under one lock.
//!
//! The ledger is available in code ([`current_ledger`](crate::current_ledger)), as JSON (it is [`Serialize`]) and as Prometheus
//! text ([`Ledger::prometheus`]). It is printed when telemetry shuts down.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Serialize, Serializer};

use crate::prometheus::{Family, MetricKind};

/// A service's counts, one [`DestinationCounts`] for each destination that is on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ledger {
    /// The name under which the service's spans appear.
    pub service: String,
    /// The destinations, in the order in which they were started.
    pub destinations: Vec<DestinationCounts>,
}

/// The counts of one destination. All figures are spans since the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DestinationCounts {
    /// `honeycomb`, `otlp`, `xray` or `xray-otlp`; for log records `honeycomb-logs` or `otlp-logs`, whose figures are records;
    /// for metrics `honeycomb-metrics` or `otlp-metrics`, whose figures are points, each once for each export.
    pub name: &'static str,
    /// The destination's protocol: `otlp_http` or `xray_udp`.
    pub kind: &'static str,
    /// The destination's address.
    pub endpoint: String,
    /// Spans handed to this destination.
    pub created: u64,
    /// Spans that the destination accepted. For X-Ray's UDP that means handed to the network, because UDP confirms nothing
    /// more.
    pub delivered: u64,
    /// Spans that wait, are being sent, or will be retried.
    pub queued: u64,
    /// Spans that will not arrive, by reason.
    pub dropped: BTreeMap<Reason, u64>,
    /// Spans that were changed to fit the destination, by kind of change. They are also counted above, as delivered or dropped.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub altered: BTreeMap<Alteration, u64>,
    /// The last error: why the destination did not accept spans.
    pub last_error: Option<String>,
}

/// Why a span will not arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The queue was at its bound.
    QueueFull,
    /// The destination responded, and refused the span.
    Refused,
    /// The destination responded with a success that is not an OTLP response, such as a web page: nothing confirms that it
    /// accepted anything.
    Unconfirmed,
    /// The destination did not respond.
    Unreachable,
    /// The span is larger than the destination accepts.
    TooLarge,
    /// The exporter panicked.
    Panicked,
    /// Time ran out at shutdown, or the span ended after it.
    Shutdown,
}

/// What was done to a span that the destination would not have accepted unchanged. Only X-Ray needs this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Alteration {
    /// A field was cut, or stripped of characters that it must not contain; the metadata still has it whole.
    Truncated,
    /// The document would have been too large: metadata, then stacks, then SQL and long texts were omitted.
    Shrunk,
    /// The span did not fit in its parent's document, and was sent separately.
    Split,
}

/// What a destination's counts are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CountedUnit {
    Spans,
    LogRecords,
    MetricPoints,
}

impl CountedUnit {
    pub(crate) const ALL: [Self; 3] = [Self::Spans, Self::LogRecords, Self::MetricPoints];

    /// As a part of a metric's name.
    pub(crate) fn plural(self) -> &'static str {
        match self {
            Self::Spans => "spans",
            Self::LogRecords => "log_records",
            Self::MetricPoints => "metric_points",
        }
    }

    /// As a metric's unit.
    #[cfg_attr(not(feature = "metrics"), expect(dead_code, reason = "Prometheus has no such units"))]
    pub(crate) fn annotation(self) -> &'static str {
        match self {
            Self::Spans => "{span}",
            Self::LogRecords => "{log_record}",
            Self::MetricPoints => "{metric_point}",
        }
    }

    /// At the start of a sentence.
    fn title(self) -> &'static str {
        match self {
            Self::Spans => "Spans",
            Self::LogRecords => "Log records",
            Self::MetricPoints => "Metric points",
        }
    }
}

impl Ledger {
    /// In [Prometheus' text format](crate::prometheus).
    pub fn prometheus(&self) -> String {
        let mut text = String::new();
        for unit in CountedUnit::ALL {
            // Spans are always counted, so that an alert on them finds its metric.
            if unit == CountedUnit::Spans || self.of(unit).next().is_some() {
                self.write(unit, &mut text);
            }
        }
        text
    }

    fn write(&self, unit: CountedUnit, text: &mut String) {
        let counts = [
            ("created_total", MetricKind::Counter, "handed to the destination."),
            ("delivered_total", MetricKind::Counter, "that the destination accepted."),
            ("queued", MetricKind::Gauge, "that wait or are being sent."),
            ("dropped_total", MetricKind::Counter, "that will not arrive, by reason."),
            ("altered_total", MetricKind::Counter, "that were changed to fit the destination, by kind of change."),
        ];
        for (count, kind, help) in counts {
            let name = format!("telemetry_{}_{count}", unit.plural());
            let mut family = Family::begin(text, &name, kind, &format!("{} {help}", unit.title()));
            for counts in self.of(unit) {
                let labels = [("service", self.service.as_str()), ("destination", counts.name)];
                for (label, count) in counts.samples(count) {
                    let more = label.as_ref().map(|(name, value)| (*name, value.as_str()));
                    family.sample(&labels.into_iter().chain(more).collect::<Vec<_>>(), count);
                }
            }
        }
    }

    fn of(&self, unit: CountedUnit) -> impl Iterator<Item = &DestinationCounts> {
        self.destinations.iter().filter(move |counts| counts.unit() == unit)
    }
}

impl DestinationCounts {
    /// Spans that will not arrive, for any reason.
    pub fn total_dropped(&self) -> u64 {
        self.dropped.values().sum()
    }

    /// What is counted.
    pub(crate) fn unit(&self) -> CountedUnit {
        match self.name.rsplit_once('-') {
            Some((_, "logs")) => CountedUnit::LogRecords,
            Some((_, "metrics")) => CountedUnit::MetricPoints,
            _ => CountedUnit::Spans,
        }
    }

    /// The samples of one count: an additional label, and the number.
    fn samples(&self, count: &str) -> Vec<(Option<(&'static str, String)>, u64)> {
        match count {
            "created_total" => vec![(None, self.created)],
            "delivered_total" => vec![(None, self.delivered)],
            "queued" => vec![(None, self.queued)],
            "altered_total" => {
                self.altered.iter().map(|(change, count)| (Some(("alteration", change.to_string())), *count)).collect()
            }
            _ => self.dropped.iter().map(|(reason, count)| (Some(("reason", reason.to_string())), *count)).collect(),
        }
    }
}

/// A line for each destination.
impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, counts) in self.destinations.iter().enumerate() {
            let line_break = if index > 0 { "\n" } else { "" };
            write!(f, "{line_break}{}: {counts}", self.service)?;
        }
        Ok(())
    }
}

impl fmt::Display for DestinationCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} {} created = {} delivered + {} queued + {} dropped",
            self.name,
            self.created,
            self.unit().plural().replace('_', " "),
            self.delivered,
            self.queued,
            self.total_dropped()
        )?;
        let reasons: Vec<String> = self.dropped.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        if !reasons.is_empty() {
            write!(f, " ({})", reasons.join(", "))?;
        }
        if !self.altered.is_empty() {
            let altered: Vec<String> = self.altered.iter().map(|(what, count)| format!("{count} {what}")).collect();
            write!(f, "; {}", altered.join(", "))?;
        }
        match &self.last_error {
            Some(error) => write!(f, "; last error: {error}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::QueueFull => "queue_full",
            Self::Refused => "refused",
            Self::Unconfirmed => "unconfirmed",
            Self::Unreachable => "unreachable",
            Self::TooLarge => "too_large",
            Self::Panicked => "panicked",
            Self::Shutdown => "shutdown",
        })
    }
}

impl fmt::Display for Alteration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "truncated",
            Self::Shrunk => "shrunk",
            Self::Split => "split",
        })
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Alteration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prometheus_text_has_every_count_of_each_destination() {
        let counts = DestinationCounts {
            name: "otlp",
            kind: "otlp_http",
            endpoint: "http://127.0.0.1:4318/v1/traces".to_owned(),
            created: 9,
            delivered: 4,
            queued: 2,
            dropped: BTreeMap::from([(Reason::QueueFull, 1), (Reason::Refused, 2)]),
            altered: BTreeMap::from([(Alteration::Split, 3)]),
            last_error: None,
        };
        let text = Ledger { service: "a \"b\"".to_owned(), destinations: vec![counts] }.prometheus();
        let samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            samples,
            [
                r#"telemetry_spans_created_total{service="a \"b\"",destination="otlp"} 9"#,
                r#"telemetry_spans_delivered_total{service="a \"b\"",destination="otlp"} 4"#,
                r#"telemetry_spans_queued{service="a \"b\"",destination="otlp"} 2"#,
                r#"telemetry_spans_dropped_total{service="a \"b\"",destination="otlp",reason="queue_full"} 1"#,
                r#"telemetry_spans_dropped_total{service="a \"b\"",destination="otlp",reason="refused"} 2"#,
                r#"telemetry_spans_altered_total{service="a \"b\"",destination="otlp",alteration="split"} 3"#,
            ]
        );
    }
}
