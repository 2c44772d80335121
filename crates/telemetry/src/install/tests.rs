//! Spans are delivered however a process ends.

use std::process::Command;

use super::*;
use crate::testing::endpoint;

/// The variable that selects how the child process below ends.
const ENDING: &str = "TELEMETRY_TEST_ENDING";

/// Runs [`ends_as_requested`] in a separate process, with more variables, and returns its output.
fn printed(ending: &str, more: &[(&str, &str)]) -> String {
    let url = endpoint(|_| ("200 OK", String::new())).to_string();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "install::tests::ends_as_requested", "--nocapture"])
        .envs([(ENDING, ending), ("OTEL_EXPORTER_OTLP_ENDPOINT", &url)])
        .envs(more.iter().copied())
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the tests below set it for the process that they start")]
fn ends_as_requested() {
    let Ok(ending) = std::env::var(ENDING) else { return };
    let telemetry = Config::from_env().unwrap().install("test").unwrap();
    for _ in 0..5 {
        drop(tracing::info_span!("work"));
    }
    match ending.as_str() {
        "shutdown" => drop(telemetry.shutdown()),
        "panic" => panic!("by this test"),
        "second guard" => drop(Config::from_env().unwrap().layer("second").unwrap()),
        _ => {}
    }
}

#[test]
fn spans_are_delivered_and_counted_once_however_a_process_ends() {
    for (ending, created) in [("return", 5), ("shutdown", 5), ("panic", 5)] {
        let printed = printed(ending, &[]);
        let ledger = format!("test: otlp: {created} spans created = {created} delivered + 0 queued + 0 dropped");
        assert_eq!(printed.matches(&ledger).count(), 1, "{ending}: {printed}");
    }
}

#[cfg(feature = "metrics")]
#[test]
fn a_second_guard_says_that_it_sends_no_metrics() {
    let printed = printed("second guard", &[("OTEL_METRICS_EXPORTER", "otlp")]);
    let warning = "warning: no metrics are sent to the destinations above";
    assert_eq!(printed.matches(warning).count(), 1, "{printed}");
    assert!(printed.contains(&format!("second: {warning}")), "{printed}");
}
