//! Sampling, limits and queues in code.

use std::time::Duration;

use super::provided::{Provided, ProvidedValue};
use crate::ledger::RecordKind;

/// Which traces are recorded.
///
/// ```
/// use telemetry::builder::TraceSampler;
/// let sampler = TraceSampler::ratio(0.25);
/// let own_decision = TraceSampler::always_on().ignoring_parent();
/// # drop((sampler, own_decision));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct TraceSampler {
    name: &'static str,
    argument: Vec<String>,
    is_parent_based: bool,
}

/// How much a span and a log record may hold. What is not set is as by the variables' defaults.
///
/// ```
/// use telemetry::builder::RecordLimits;
/// let limits = RecordLimits::default().attributes(64).value_bytes(1_024);
/// # drop(limits);
/// ```
#[derive(Debug, Clone, Default)]
pub struct RecordLimits(Vec<(&'static str, String)>);

/// The queue of each destination for one kind of record. What is not set is as by the variables' defaults.
///
/// ```
/// use std::time::Duration;
/// use telemetry::builder::QueueBounds;
/// let queue = QueueBounds::default().records(8_192).batch(512).delay(Duration::from_secs(1));
/// # drop(queue);
/// ```
#[derive(Debug, Clone, Default)]
pub struct QueueBounds {
    records: Option<usize>,
    batch: Option<usize>,
    delay: Option<Duration>,
    timeout: Option<Duration>,
}

impl TraceSampler {
    /// Records every trace.
    pub fn always_on() -> Self {
        Self { name: "always_on", argument: Vec::new(), is_parent_based: true }
    }

    /// Records no trace that starts here.
    pub fn always_off() -> Self {
        Self { name: "always_off", ..Self::always_on() }
    }

    /// Records this share of the traces that start here, from 0 to 1. Another number is a fault.
    pub fn ratio(ratio: f64) -> Self {
        Self { name: "traceidratio", argument: vec![ratio.to_string()], ..Self::always_on() }
    }

    /// Decides by X-Ray's sampling rules, which the daemon serves.
    pub fn xray() -> Self {
        Self { name: "xray", ..Self::always_on() }
    }

    /// Ignores a caller's decision; by default it is kept. X-Ray's rules always keep it.
    #[must_use]
    pub fn ignoring_parent(self) -> Self {
        Self { is_parent_based: false, ..self }
    }

    /// Another server of X-Ray's rules, such as `http://127.0.0.1:2000`.
    #[must_use]
    pub fn rules_at(self, url: &str) -> Self {
        self.with("endpoint", url)
    }

    /// The file of X-Ray's rules that apply without central ones.
    #[must_use]
    pub fn rules_file(self, file: &str) -> Self {
        self.with("rules", file)
    }

    /// The interval at which X-Ray's rules are polled, in whole seconds from 1 to 1,800; by default 300.
    #[must_use]
    pub fn polling(self, interval: Duration) -> Self {
        self.with("polling_interval", &interval.as_secs().to_string())
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.argument.push(format!("{name}={value}"));
        self
    }

    pub(super) fn provide(self, to: &mut Provided) {
        const VARIABLE: &str = "OTEL_TRACES_SAMPLER";
        let prefix = if self.is_parent_based && self.name != "xray" { "parentbased_" } else { "" };
        let name = ProvidedValue::new(VARIABLE, format!("{prefix}{}", self.name), &[]);
        let argument = self.argument.join(",");
        let argument =
            (!argument.is_empty()).then(|| ProvidedValue::new("OTEL_TRACES_SAMPLER_ARG", argument, &[VARIABLE]));
        to.replace(VARIABLE, [name].into_iter().chain(argument));
    }
}

impl RecordLimits {
    /// Attributes of a span: at most 10,000, by default 128.
    #[must_use]
    pub fn attributes(self, count: u32) -> Self {
        self.with("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", count)
    }

    /// Events of a span: at most 10,000, by default 128.
    #[must_use]
    pub fn events(self, count: u32) -> Self {
        self.with("OTEL_SPAN_EVENT_COUNT_LIMIT", count)
    }

    /// Links of a span: at most 10,000, by default 128.
    #[must_use]
    pub fn links(self, count: u32) -> Self {
        self.with("OTEL_SPAN_LINK_COUNT_LIMIT", count)
    }

    /// Attributes of an event of a span: at most 10,000, by default 128.
    #[must_use]
    pub fn event_attributes(self, count: u32) -> Self {
        self.with("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", count)
    }

    /// Attributes of a link of a span: at most 10,000, by default 128.
    #[must_use]
    pub fn link_attributes(self, count: u32) -> Self {
        self.with("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", count)
    }

    /// Attributes of a log record: at most 10,000, by default 128.
    #[must_use]
    pub fn log_attributes(self, count: u32) -> Self {
        self.with("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", count)
    }

    /// Bytes of one text of a span: from 1 to 65,536, by default 8,192.
    #[must_use]
    pub fn value_bytes(self, bytes: u32) -> Self {
        self.with("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", bytes)
    }

    /// Bytes of one text of a log record: from 1 to 65,536, by default 8,192.
    #[must_use]
    pub fn log_value_bytes(self, bytes: u32) -> Self {
        self.with("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", bytes)
    }

    fn with(mut self, variable: &'static str, value: u32) -> Self {
        self.0.push((variable, value.to_string()));
        self
    }

    pub(super) fn provide(self, to: &mut Provided) {
        for (variable, value) in self.0 {
            // A general variable applies to what has no variable of its own.
            let general: &[&'static str] = match variable {
                "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT" | "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT" => {
                    &["OTEL_ATTRIBUTE_COUNT_LIMIT"]
                }
                "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT" | "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT" => {
                    &["OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"]
                }
                _ => &[],
            };
            to.replace(variable, [ProvidedValue::new(variable, value, general)]);
        }
    }
}

impl QueueBounds {
    /// Records that may wait or be sent: at most 1,000,000, by default 32,768, and never more than 16 MiB of them.
    #[must_use]
    pub fn records(self, records: usize) -> Self {
        Self { records: Some(records), ..self }
    }

    /// Records in one export: at most as many as in the queue, by default 2,048, and never more than 1 MiB of them.
    #[must_use]
    pub fn batch(self, records: usize) -> Self {
        Self { batch: Some(records), ..self }
    }

    /// How long a record waits for others, to be exported with them: at most a minute, by default half a second.
    #[must_use]
    pub fn delay(self, delay: Duration) -> Self {
        Self { delay: Some(delay), ..self }
    }

    /// The time limit of an export, unless the destination has one: at most a minute, by default ten seconds.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout: Some(timeout), ..self }
    }

    pub(super) fn provide(self, kind: RecordKind, to: &mut Provided) {
        const SPANS: [&str; 3] =
            ["OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "OTEL_BSP_SCHEDULE_DELAY"];
        const LOGS: [&str; 3] =
            ["OTEL_BLRP_MAX_QUEUE_SIZE", "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "OTEL_BLRP_SCHEDULE_DELAY"];
        let (bounds, timeout) = match kind {
            RecordKind::Span => (Some(SPANS), "OTEL_BSP_EXPORT_TIMEOUT"),
            RecordKind::LogRecord => (Some(LOGS), "OTEL_BLRP_EXPORT_TIMEOUT"),
            RecordKind::MetricPoint => (None, "OTEL_METRIC_EXPORT_TIMEOUT"),
        };
        let milliseconds = |time: Option<Duration>| time.map(|time| time.as_millis().to_string());
        let count = |count: Option<usize>| count.map(|count| count.to_string());
        let values = [count(self.records), count(self.batch), milliseconds(self.delay)];
        let bounds = bounds.into_iter().flat_map(|variables| variables.into_iter().zip(values.clone()));
        for (variable, value) in bounds.chain([(timeout, milliseconds(self.timeout))]) {
            if let Some(value) = value {
                to.set(variable, value);
            }
        }
    }
}
