//! What the variables say of spans and log records, wherever they go: their resource, how much one may hold, and at what pace they
//! are sent.

use std::str::FromStr;
use std::time::Duration;

use settings::Settings;

use crate::pipeline::Pace;
use crate::span::Limits;

pub(super) fn resource(settings: &mut Settings) -> Vec<(String, String)> {
    const VARIABLE: &str = "OTEL_RESOURCE_ATTRIBUTES";
    let text = settings.text(VARIABLE).unwrap_or_default();
    let mut attributes = Vec::new();
    for (index, member) in text.split(',').enumerate().filter(|(_, member)| !member.trim().is_empty()) {
        let pair = member.split_once('=').and_then(|(key, value)| {
            let (key, value) = (super::percent_decode(key.trim())?, super::percent_decode(value.trim())?);
            (!key.is_empty()).then_some((key, value))
        });
        match pair {
            Some(pair) => attributes.push(pair),
            None => {
                settings.fault(
                    VARIABLE,
                    format!("its entry {} is not key=value, percent-encoded; a comma in it is %2C", index + 1),
                );
            }
        }
    }
    attributes
}

pub(super) fn indexed(settings: &mut Settings) -> Vec<String> {
    const VARIABLE: &str = "AWS_XRAY_INDEXED_ATTRIBUTES";
    /// Annotations of a trace, which is as many as X-Ray indexes.
    const MOST: usize = 50;
    let text = settings.text(VARIABLE).unwrap_or_default();
    let keys: Vec<String> = text.split(',').map(str::trim).filter(|key| !key.is_empty()).map(str::to_owned).collect();
    if keys.len() > MOST {
        settings.fault(VARIABLE, format!("it names {} attributes, and X-Ray indexes {MOST}; give fewer", keys.len()));
    }
    keys
}

pub(super) fn limits(settings: &mut Settings) -> Limits {
    let default = Limits::default();
    let count = "a number from 0 to 10000";
    let general = settings.parse::<Within<0, 10_000>>("OTEL_ATTRIBUTE_COUNT_LIMIT", count);
    let mut number = |variable| settings.parse::<Within<0, 10_000>>(variable, count).and_then(Within::number);
    let general = general.and_then(Within::number);
    let attributes = number("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT").or(general);
    let events = number("OTEL_SPAN_EVENT_COUNT_LIMIT");
    let links = number("OTEL_SPAN_LINK_COUNT_LIMIT");
    let event_attributes = number("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT");
    let log_attributes = number("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT").or(general);
    // Links have no attributes here.
    number("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT");
    // Honeycomb takes texts of 64 KiB.
    let mut length = |variable| settings.parse::<Within<1, 65_536>>(variable, "a number of bytes from 1 to 65536");
    let general = length("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT");
    let value = length("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT").or(general);
    let log_value = length("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT").or(general);
    Limits {
        attributes: attributes.unwrap_or(default.attributes),
        events: events.unwrap_or(default.events),
        links: links.unwrap_or(default.links),
        event_attributes: event_attributes.unwrap_or(default.event_attributes),
        log_attributes: log_attributes.unwrap_or(default.log_attributes),
        value_bytes: value.map_or(default.value_bytes, |Within(value)| value),
        log_value_bytes: log_value.map_or(default.log_value_bytes, |Within(value)| value),
    }
}

/// The variables of a signal's pace.
pub(super) struct Paced {
    queue: &'static str,
    batch: &'static str,
    delay: &'static str,
}

pub(super) const SPANS: Paced = Paced {
    queue: "OTEL_BSP_MAX_QUEUE_SIZE",
    batch: "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
    delay: "OTEL_BSP_SCHEDULE_DELAY",
};
pub(super) const LOG_RECORDS: Paced = Paced {
    queue: "OTEL_BLRP_MAX_QUEUE_SIZE",
    batch: "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE",
    delay: "OTEL_BLRP_SCHEDULE_DELAY",
};

pub(super) fn pace(settings: &mut Settings, by: &Paced, default: Pace) -> Pace {
    let count = "a number from 1 to 1000000";
    let queue = settings.parse::<Within<1, 1_000_000>>(by.queue, count);
    let queue = queue.map_or(default.queue, |Within(queue)| queue);
    let batch = settings.parse::<Within<1, 1_000_000>>(by.batch, count);
    let batch = batch.map_or(default.batch.min(queue), |Within(batch)| batch);
    if batch > queue {
        settings.fault(by.batch, format!("{batch} is more than the {queue} of {}; give at most that", by.queue));
    }
    let delay = settings.parse::<Within<0, 60_000>>(by.delay, "milliseconds from 0 to 60000");
    let delay = delay.map_or(default.delay, |Within(delay)| Duration::from_millis(u64::try_from(delay).unwrap_or(0)));
    Pace { queue, batch, delay, ..default }
}

/// A whole number within these bounds.
#[derive(Clone, Copy)]
struct Within<const LOW: usize, const HIGH: usize>(usize);

impl<const LOW: usize, const HIGH: usize> Within<LOW, HIGH> {
    fn number(self) -> Option<u32> {
        u32::try_from(self.0).ok()
    }
}

impl<const LOW: usize, const HIGH: usize> FromStr for Within<LOW, HIGH> {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let number = text.parse().map_err(|_| "it is not a whole number")?;
        if (LOW..=HIGH).contains(&number) { Ok(Self(number)) } else { Err("it is out of range") }
    }
}
