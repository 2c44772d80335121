//! Reads any environment, without a panic. Every fault names a variable that is set.
//!
//! Each line of the input is the value of a variable, in the order of `NAMES`. An empty line leaves its variable unset.

#![no_main]

use libfuzzer_sys::fuzz_target;
use settings::Settings;
use telemetry::Config;

const NAMES: [&str; 32] = [
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TIMEOUT",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_EXPORTER_OTLP_COMPRESSION",
    "OTEL_EXPORTER_OTLP_INSECURE",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_SERVICE_NAME",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
    "OTEL_PROPAGATORS",
    "OTEL_TRACES_EXPORTER",
    "OTEL_LOGS_EXPORTER",
    "OTEL_METRICS_EXPORTER",
    "OTEL_SDK_DISABLED",
    "OTEL_BSP_SCHEDULE_DELAY",
    "OTEL_BSP_MAX_QUEUE_SIZE",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
    "OTEL_BSP_EXPORT_TIMEOUT",
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_SPAN_EVENT_COUNT_LIMIT",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
    "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
    "HONEYCOMB_API_KEY",
    "HONEYCOMB_API_ENDPOINT",
    "HONEYCOMB_DATASET",
    "AWS_XRAY_DAEMON_ADDRESS",
    "AWS_XRAY_OTLP_ENDPOINT",
    "AWS_REGION",
    "TRACE_TRUST",
    "RUST_LOG",
];

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let set = |(name, value): (&'static str, _)| (!str::is_empty(value)).then_some((name, value));
    let pairs: Vec<_> = NAMES.into_iter().zip(text.split('\n')).filter_map(set).collect();
    let mut settings = Settings::from_pairs(&pairs);
    let config = Config::read(&mut settings);
    let _ = (config.destinations(), config.rules_file(), config.log_records());
    if let Err(faults) = settings.finish(config) {
        let faults = faults.to_string();
        assert!(NAMES.iter().any(|name| faults.contains(name)), "the fault names no variable: {faults}");
        assert!(pairs.iter().any(|(name, _)| faults.contains(name)), "the fault names an unset variable: {faults}");
    }
});
