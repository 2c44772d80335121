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
    let mut count = |variable| {
        let count = values::number(settings, variable, 0..=10_000, "a number")?;
        u32::try_from(count).ok()
    };
    let general = count("OTEL_ATTRIBUTE_COUNT_LIMIT");
    let attributes = count("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT").or(general);
    let events = count("OTEL_SPAN_EVENT_COUNT_LIMIT");
    let links = count("OTEL_SPAN_LINK_COUNT_LIMIT");
    let event_attributes = count("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT");
    let log_attributes = count("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT").or(general);
    // Links have no attributes here.
    count("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT");
    // Honeycomb accepts texts of 64 KiB.
    let mut length = |variable| {
        let length = values::number(settings, variable, 1..=65_536, "a number of bytes")?;
        usize::try_from(length).ok()
    };
    let general = length("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT");
    let value = length("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT").or(general);
    let log_value = length("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT").or(general);
    Limits {
        attributes: attributes.unwrap_or(default.attributes),
        events: events.unwrap_or(default.events),
        links: links.unwrap_or(default.links),
        event_attributes: event_attributes.unwrap_or(default.event_attributes),
        log_attributes: log_attributes.unwrap_or(default.log_attributes),
        value_bytes: value.unwrap_or(default.value_bytes),
        log_value_bytes: log_value.unwrap_or(default.log_value_bytes),
    }
}

/// The variables of a signal's pace.
pub(super) struct PaceVariables {
    queue: &'static str,
    batch: &'static str,
    delay: &'static str,
}

pub(super) const SPANS: PaceVariables = PaceVariables {
    queue: "OTEL_BSP_MAX_QUEUE_SIZE",
    batch: "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
    delay: "OTEL_BSP_SCHEDULE_DELAY",
};
pub(super) const LOG_RECORDS: PaceVariables = PaceVariables {
    queue: "OTEL_BLRP_MAX_QUEUE_SIZE",
    batch: "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE",
    delay: "OTEL_BLRP_SCHEDULE_DELAY",
};

pub(super) fn pace(settings: &mut Settings, by: &PaceVariables, default: Pace) -> Pace {
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
