//! `docs/src/configuration.md` describes exactly the variables that this crate reads, with the defaults of the code.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use settings::Settings;

use super::Config;
use super::variables::{Support, VARIABLES, matches};
use crate::destinations::honeycomb::settings::DEFAULT_ADDRESS;
use crate::destinations::otlp::endpoint::Protocol;
use crate::destinations::otlp::variables::TIMEOUT;
use crate::limits::Limits;
use crate::pipeline::Pace;
use crate::propagation::Propagators;
use crate::span::levels::SpanLevels;
use crate::span::sampler::Sampler;
use crate::values::LONGEST_TIMEOUT;

const PAGE: &str = include_str!("../../../../docs/src/configuration.md");

/// Environments that together cause every variable to be read: some are read only if others are set.
const ENVIRONMENTS: &[&[(&str, &str)]] = &[
    &[("HONEYCOMB_API_KEY", "k")],
    &[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "127.0.0.1:1"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "127.0.0.1:1"),
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "127.0.0.1:1"),
        ("OTEL_LOGS_EXPORTER", "otlp"),
    ],
    &[("AWS_XRAY_OTLP_ENDPOINT", "http://127.0.0.1:1"), ("HOME", "/nonexistent")],
    &[("OTEL_RESOURCE_DETECTORS", "ecs,ec2,eks"), ("KUBERNETES_SERVICE_HOST", "10.0.0.1")],
];

/// The names of all variables that the configuration reads.
fn read() -> BTreeSet<String> {
    let names = Rc::new(RefCell::new(BTreeSet::new()));
    for environment in ENVIRONMENTS {
        let names = Rc::clone(&names);
        let mut settings = Settings::from_lookup(move |name| {
            names.borrow_mut().insert(name.to_owned());
            environment.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned())
        });
        drop(Config::read(&mut settings));
    }
    names.take()
}

/// The first cell of each row of the tables under a heading, and the remaining cells.
fn rows(heading: &str) -> Vec<(&str, &str)> {
    let (_, section) = PAGE.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once(" |"));
    rows.collect()
}

fn names(cell: &str) -> impl Iterator<Item = &str> {
    let is_name =
        |part: &&str| part.contains('_') && part.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_'));
    cell.split(['`', ' ', ',']).filter(is_name)
}

#[test]
fn the_page_lists_exactly_the_variables_that_are_read() {
    let read = read();
    let of_specification =
        |name: &str| VARIABLES.iter().any(|(pattern, support, _)| *support == Support::Done && matches(pattern, name));
    let missing: Vec<_> =
        read.iter().filter(|name| !PAGE.contains(&format!("`{name}`")) && !of_specification(name)).collect();
    assert!(missing.is_empty(), "these are read but not listed: {missing:?}");
    let listed: Vec<&str> =
        ["Destinations", "Spans"].into_iter().flat_map(rows).flat_map(|(cell, _)| names(cell)).collect();
    assert!(listed.len() > 30, "{listed:?}");
    let unread: Vec<_> = listed.iter().filter(|name| !read.contains(**name)).collect();
    assert!(unread.is_empty(), "these are listed but not read: {unread:?}");
}

#[test]
fn the_supported_variables_of_the_list_are_those_that_are_read() {
    let read = read();
    for (pattern, support, _) in VARIABLES {
        // The first line that matches a name applies to it.
        let is_first = |name: &&String| {
            VARIABLES.iter().find(|(any, ..)| matches(any, name)).is_some_and(|(own, ..)| own == pattern)
        };
        let count = read.iter().filter(is_first).count();
        assert_eq!(count > 0, *support == Support::Done, "{pattern}");
    }
}

/// Other texts that state a default.
#[test]
fn the_bounds_in_other_texts_are_those_of_the_code() {
    let (pace, journal) = (Pace::default(), include_str!("../../../../journal/week2.md"));
    assert!(journal.contains(&format!("; sampler {}; {pace})", Sampler::default())));
    let architecture = include_str!("../../../../docs/src/architecture.md");
    assert!(architecture.contains(&format!("spans wait, up to {} at once", thousands(&pace.batch))));
}

#[test]
fn the_defaults_on_the_page_are_those_of_the_code() {
    let (pace, limits) = (Pace::default(), Limits::default());
    let mebibytes = |bytes: usize| format!("never more than {} MiB", bytes / 1024 / 1024);
    let propagators = Propagators::default().names().join("`, `");
    let config = Config::read(&mut Settings::from_pairs(&[]));
    let exporter = |is_on: bool| format!("`{}` (default)", if is_on { "otlp" } else { "none" });
    for (name, default) in [
        ("OTEL_TRACES_EXPORTER", exporter(config.sends_spans)),
        ("OTEL_LOGS_EXPORTER", exporter(config.log_records().is_some())),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", format!("`{}` (default)", Protocol::default())),
        ("RUST_LOG", format!("by default `{}`", config.console.level().unwrap())),
        ("OTEL_PROPAGATORS", format!("any of `{propagators}`; all three by default")),
        ("TRACE_LEVEL", format!("`{}` by default", SpanLevels::default().max())),
        ("OTEL_BSP_MAX_QUEUE_SIZE", mebibytes(pace.queue_bytes)),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", mebibytes(pace.batch_bytes)),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", format!("{} at most", thousands(&LONGEST_TIMEOUT))),
        ("OTEL_TRACES_SAMPLER", format!("`{}` by default", Sampler::default())),
        ("OTEL_BSP_MAX_QUEUE_SIZE", format!("{} by default", thousands(&pace.queue))),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", format!("{} by default", thousands(&pace.batch))),
        ("OTEL_BSP_SCHEDULE_DELAY", format!("{} by default", pace.delay.as_millis())),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", format!("{} each", limits.attributes)),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", format!("{} each", limits.events)),
        ("OTEL_SPAN_LINK_COUNT_LIMIT", format!("{} each", limits.links)),
        ("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", format!("{} each", limits.event_attributes)),
        ("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", format!("{} each", limits.log_attributes)),
        ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", format!("{} by default", thousands(&limits.value_bytes))),
        ("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", format!("{} by default", thousands(&limits.log_value_bytes))),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", format!("{} by default", thousands(&TIMEOUT.as_millis()))),
        ("HONEYCOMB_API_ENDPOINT", format!("`{DEFAULT_ADDRESS}` (default)")),
    ] {
        let rows = ["Destinations", "Spans"].into_iter().flat_map(rows);
        let row = rows.into_iter().find(|(cell, _)| names(cell).any(|own| own == name));
        assert!(row.is_some_and(|(_, text)| text.contains(&default)), "{name}: {default}");
    }
}

/// With a comma before the last three digits of a larger number.
fn thousands(number: &dyn ToString) -> String {
    let mut digits = number.to_string();
    if digits.len() > 3 {
        digits.insert(digits.len() - 3, ',');
    }
    digits
}
