//! The list of the specification's variables is that of what is read, and texts that state a bound have that of the code. A test
//! in `cruddur` compares `docs/src/configuration.md` with all variables and defaults of the code.

use std::collections::BTreeSet;

use settings::Settings;

use super::Config;
use super::variables::{Support, VARIABLES, matches};
use crate::pipeline::Pace;
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
        ("OTEL_METRICS_EXPORTER", "otlp"),
    ],
    &[("AWS_XRAY_OTLP_ENDPOINT", "http://127.0.0.1:1"), ("HOME", "/nonexistent")],
    &[("OTEL_RESOURCE_DETECTORS", "ecs,ec2,eks"), ("KUBERNETES_SERVICE_HOST", "10.0.0.1")],
];

/// The names of all variables that the configuration reads.
pub(crate) fn read() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for environment in ENVIRONMENTS {
        let mut settings = Settings::from_pairs(environment);
        drop(Config::read(&mut settings));
        names.extend(settings.read_names().map(str::to_owned));
    }
    names
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
    let architecture = include_str!("../../../../docs/src/architecture.md").replace('\n', " ");
    assert!(architecture.contains(&format!(" at most {} spans, as soon as ", thousands(&pace.batch))));
}

/// `cruddur` compares the defaults on the page.
#[test]
fn the_bounds_on_the_page_are_those_of_the_code() {
    let pace = Pace::default();
    let mebibytes = |bytes: usize| format!("never more than {} MiB", bytes / 1024 / 1024);
    for (name, bound) in [
        ("OTEL_BSP_MAX_QUEUE_SIZE", mebibytes(pace.queue_bytes)),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", mebibytes(pace.batch_bytes)),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", format!("{} at most", thousands(&LONGEST_TIMEOUT))),
    ] {
        let row = PAGE.lines().find(|line| line.starts_with(&format!("| `{name}` | ")));
        assert!(row.is_some_and(|row| row.contains(&bound)), "{name}: {bound}");
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
