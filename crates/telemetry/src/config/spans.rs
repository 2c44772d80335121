//! The variables of spans and log records that apply to all destinations: the resource, the limits of one record, and the pace
//! of sending.

use std::fmt;
use std::time::Duration;

use settings::Settings;

use crate::limits::Limits;
use crate::pipeline::Pace;
use crate::values;

const RESOURCE: &str = "OTEL_RESOURCE_ATTRIBUTES";

pub(super) fn resource(settings: &mut Settings) -> Vec<(String, String)> {
    let text = settings.text(RESOURCE).unwrap_or_default();
    let mut attributes = Vec::new();
    for (index, member) in text.split(',').enumerate().filter(|(_, member)| !member.trim().is_empty()) {
        let entry = index + 1;
        let pair = member.split_once('=').and_then(|(key, value)| {
            let (key, value) = (values::percent_decode(key.trim())?, values::percent_decode(value.trim())?);
            (!key.is_empty()).then_some((key, value))
        });
        match pair {
            Some(pair) => {
                if pair.0.contains('"') || (pair.1.len() > 1 && pair.1.starts_with('"') && pair.1.ends_with('"')) {
                    settings.warn(RESOURCE, format!("entry {entry} contains quotes, which become part of it"));
                }
                attributes.push(pair);
            }
            None => {
                settings.fault(
                    RESOURCE,
                    format!("entry {entry} is not a valid key=value; percent-encode it, with a comma as %2C"),
                );
            }
        }
    }
    attributes
}

/// The service's name, if a variable gives one: `OTEL_SERVICE_NAME`, otherwise `service.name` in `OTEL_RESOURCE_ATTRIBUTES`.
pub fn service_name(settings: &mut Settings) -> Option<String> {
    let own = settings.text("OTEL_SERVICE_NAME");
    let is_name = |(key, value): &(String, String)| key == "service.name" && !value.trim().is_empty();
    own.or_else(|| resource(settings).into_iter().rfind(is_name).map(|(_, value)| value.trim().to_owned()))
}

pub(super) fn limits(settings: &mut Settings) -> Limits {
    let default = Limits::default();
    let general = count(settings, "OTEL_ATTRIBUTE_COUNT_LIMIT");
    let mut count = |variable, general: Option<u32>, default: u32| {
        settings.note_default(variable, default);
        count(settings, variable).or(general).unwrap_or(default)
    };
    let attributes = count("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", general, default.attributes);
    let events = count("OTEL_SPAN_EVENT_COUNT_LIMIT", None, default.events);
    let links = count("OTEL_SPAN_LINK_COUNT_LIMIT", None, default.links);
    let event_attributes = count("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", None, default.event_attributes);
    let link_attributes = count("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", None, default.link_attributes);
    let log_attributes = count("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", general, default.log_attributes);
    let general = length(settings, "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT");
    let mut length = |variable, default: usize| {
        settings.note_default(variable, default);
        length(settings, variable).or(general).unwrap_or(default)
    };
    Limits {
        attributes,
        events,
        links,
        event_attributes,
        link_attributes,
        log_attributes,
        value_bytes: length("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", default.value_bytes),
        log_value_bytes: length("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", default.log_value_bytes),
    }
}

fn count(settings: &mut Settings, variable: &str) -> Option<u32> {
    let count = values::number(settings, variable, 0..=10_000, "a number")?;
    u32::try_from(count).ok()
}

/// Honeycomb accepts texts of 64 KiB.
fn length(settings: &mut Settings, variable: &str) -> Option<usize> {
    let length = values::number(settings, variable, 1..=65_536, "a number of bytes")?;
    usize::try_from(length).ok()
}

/// The variables of a signal's pace.
struct PaceVariables {
    queue: &'static str,
    batch: &'static str,
    delay: &'static str,
}

const SPANS: PaceVariables = PaceVariables {
    queue: "OTEL_BSP_MAX_QUEUE_SIZE",
    batch: "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
    delay: "OTEL_BSP_SCHEDULE_DELAY",
};
const LOG_RECORDS: PaceVariables = PaceVariables {
    queue: "OTEL_BLRP_MAX_QUEUE_SIZE",
    batch: "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE",
    delay: "OTEL_BLRP_SCHEDULE_DELAY",
};

/// The pace of spans: what is not set is that of `default`.
pub(super) fn pace_of_spans(settings: &mut Settings, default: Pace) -> Pace {
    settings.note_default(SPANS.queue, default.queue);
    settings.note_default(SPANS.batch, default.batch);
    settings.note_default(SPANS.delay, default.delay.as_millis());
    pace(settings, &SPANS, default)
}

/// The pace of log records: what is not set is as for spans.
pub(super) fn pace_of_log_records(settings: &mut Settings, of_spans: Pace) -> Pace {
    pace(settings, &LOG_RECORDS, of_spans)
}

fn pace(settings: &mut Settings, by: &PaceVariables, default: Pace) -> Pace {
    let mut count = |variable| {
        let count = values::number(settings, variable, 1..=1_000_000, "a number")?;
        usize::try_from(count).ok()
    };
    let queue = count(by.queue).unwrap_or(default.queue);
    let mut batch = count(by.batch).unwrap_or(default.batch.min(queue));
    if batch > queue {
        let instead = format!("{batch} is more than {}, which is {queue}; {queue} is used", by.queue);
        settings.warn(by.batch, instead);
        batch = queue;
    }
    let delay = values::number(settings, by.delay, 0..=60_000, "milliseconds");
    Pace { queue, batch, delay: delay.map_or(default.delay, Duration::from_millis), ..default }
}

/// `at most 32768 records or 16 MiB queued`
impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {} records or {} MiB queued", self.queue, self.queue_bytes / 1024 / 1024)
    }
}
