//! The ledger: the outcome of each span and each log record. At any moment, for each destination, exactly
//! `created = delivered + queued + dropped`. Only data: the pipeline counts, under one lock.
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

/// The counts of one destination for one kind of record. All figures are records since the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DestinationCounts {
    /// `honeycomb`, `otlp`, `xray`, `xray-otlp`, or the name of a destination of the caller's own; for log records
    /// `honeycomb-logs` or `otlp-logs`; for metrics `honeycomb-metrics` or `otlp-metrics`, whose figures are points, each once for
    /// each export.
    pub name: String,
    /// The destination's protocol: `otlp_http`, `xray_udp`, or `custom` for a destination of the caller's own.
    pub kind: &'static str,
    /// What is counted.
    pub records: RecordKind,
    /// The destination's address.
    pub endpoint: String,
    /// Records handed to this destination.
    pub created: u64,
    /// Records that the destination accepted. For X-Ray's UDP that means handed to the network, because UDP confirms nothing
    /// more.
    pub delivered: u64,
    /// Records that wait, are being sent, or will be retried.
    pub queued: u64,
    /// Records that will not arrive, by reason.
    pub dropped: BTreeMap<Reason, u64>,
    /// Records that were changed to fit the destination, by kind of change. They are also counted above, as delivered or dropped.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub altered: BTreeMap<Alteration, u64>,
    /// The last error: why the destination did not accept records.
    pub last_error: Option<String>,
}

/// What a destination receives: spans and log records are queued, sent and counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RecordKind {
    /// Ended spans, also those that are relayed for other programs.
    Span,
    /// Events that are sent as log records.
    LogRecord,
    /// Points of metrics, each once for each export.
    MetricPoint,
}

/// Why a span or log record will not arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
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
    /// A [processor](crate::span::SpanProcessor) of the caller's own dropped the span, or panicked.
    Processor,
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

impl RecordKind {
    pub(crate) const ALL: [Self; 3] = [Self::Span, Self::LogRecord, Self::MetricPoint];

    /// As a part of a metric's name.
    pub(crate) fn plural(self) -> &'static str {
        match self {
            Self::Span => "spans",
            Self::LogRecord => "log_records",
            Self::MetricPoint => "metric_points",
        }
    }

    /// As a metric's unit.
    #[cfg_attr(not(feature = "metrics"), expect(dead_code, reason = "Prometheus has no such units"))]
    pub(crate) fn annotation(self) -> &'static str {
        match self {
            Self::Span => "{span}",
            Self::LogRecord => "{log_record}",
            Self::MetricPoint => "{metric_point}",
        }
    }

    /// At the start of a sentence.
    fn title(self) -> &'static str {
        match self {
            Self::Span => "Spans",
            Self::LogRecord => "Log records",
            Self::MetricPoint => "Metric points",
        }
    }
}

impl Ledger {
    /// In [Prometheus' text format](crate::prometheus).
    pub fn prometheus(&self) -> String {
        let mut text = String::new();
        for unit in RecordKind::ALL {
            // Spans are always counted, so that an alert on them finds its metric.
            if unit == RecordKind::Span || self.of(unit).next().is_some() {
                self.write(unit, &mut text);
            }
        }
        text
    }

    fn write(&self, unit: RecordKind, text: &mut String) {
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
                let labels = [("service", self.service.as_str()), ("destination", counts.name.as_str())];
                for (label, count) in counts.samples(count) {
                    let more = label.as_ref().map(|(name, value)| (*name, value.as_str()));
                    family.sample(&labels.into_iter().chain(more).collect::<Vec<_>>(), count);
                }
            }
        }
    }

    fn of(&self, unit: RecordKind) -> impl Iterator<Item = &DestinationCounts> {
        self.destinations.iter().filter(move |counts| counts.records == unit)
    }
}

impl DestinationCounts {
    /// Records that will not arrive, for any reason.
    pub fn total_dropped(&self) -> u64 {
        self.dropped.values().sum()
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

/// As in the names of metrics and in JSON: `spans`, `log_records`.
impl fmt::Display for RecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.plural())
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
            self.records.plural().replace('_', " "),
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
            Self::Processor => "processor",
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

impl Serialize for RecordKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
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
            name: "otlp".to_owned(),
            kind: "otlp_http",
            records: RecordKind::Span,
            endpoint: "http://127.0.0.1:4318/v1/traces".to_owned(),
            created: 9,
            delivered: 4,
            queued: 2,
            dropped: BTreeMap::from([(Reason::QueueFull, 1), (Reason::Refused, 2)]),
            altered: BTreeMap::from([(Alteration::Split, 3)]),
            last_error: None,
        };
        let logs = DestinationCounts {
            name: "otlp-logs".to_owned(),
            records: RecordKind::LogRecord,
            dropped: BTreeMap::new(),
            altered: BTreeMap::new(),
            ..counts.clone()
        };
        assert!(logs.to_string().starts_with("otlp-logs: 9 log records created = "), "{logs}");
        let ledger = Ledger { service: "a \"b\"".to_owned(), destinations: vec![counts, logs] };
        let json = serde_json::to_value(&ledger).unwrap();
        let records = json["destinations"].as_array().unwrap().iter().map(|one| one["records"].as_str());
        assert!(records.eq([Some("spans"), Some("log_records")]), "{json}");
        let text = ledger.prometheus();
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
                r#"telemetry_log_records_created_total{service="a \"b\"",destination="otlp-logs"} 9"#,
                r#"telemetry_log_records_delivered_total{service="a \"b\"",destination="otlp-logs"} 4"#,
                r#"telemetry_log_records_queued{service="a \"b\"",destination="otlp-logs"} 2"#,
            ]
        );
    }
}
