//! Every environment variable of OpenTelemetry's specification, and how it is supported here. A variable that is not supported
//! never keeps a service from starting: a warning says what happens instead. `docs/src/configuration.md` has the same list, and
//! a test compares the two.
//!
//! Sources: [the SDK's variables](https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/) and
//! [the OTLP exporter's](https://opentelemetry.io/docs/specs/otel/protocol/exporter/), including the deprecated ones.

use std::collections::BTreeMap;

use settings::Settings;

/// How a variable is supported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Support {
    /// The variable has the effect that the specification requires; the text adds details.
    Done,
    /// The variable is not read; the text says what happens instead.
    Ignored,
}

use Support::{Done, Ignored};

/// Each pattern of names, with alternatives in braces and `*` for any ending; its support; and details.
#[rustfmt::skip]
pub(super) const VARIABLES: &[(&str, Support, &str)] = &[
    ("OTEL_SDK_DISABLED", Done, "any value other than `true` and `false` means `false`, with a warning"),
    ("OTEL_RESOURCE_ATTRIBUTES", Done, "an invalid list is a fault"),
    ("OTEL_SERVICE_NAME", Done, "overrides `service.name` in `OTEL_RESOURCE_ATTRIBUTES`"),
    ("OTEL_RESOURCE_DETECTORS", Done, "`ecs`, `ec2`, `eks`; detectors of other SDKs are skipped with a warning; an unknown name is a fault"),
    ("OTEL_PROPAGATORS", Done, "`b3`, `b3multi`, `jaeger`, `ottrace` and `xray-lambda` are skipped with a warning, and if the list has no other name, the default is used; an unknown name is a fault"),
    ("OTEL_TRACES_SAMPLER", Done, "`jaeger_remote` and `parentbased_jaeger_remote` cause a warning, and the default is used; an unknown name is a fault"),
    ("OTEL_TRACES_SAMPLER_ARG", Done, "ignored with a warning if the sampler takes no argument; an invalid ratio is a fault"),
    ("OTEL_BSP_{SCHEDULE_DELAY,EXPORT_TIMEOUT,MAX_QUEUE_SIZE,MAX_EXPORT_BATCH_SIZE}", Done, "a number out of range causes a warning that gives the value used instead; a value that is not a whole number is a fault"),
    ("OTEL_BLRP_{SCHEDULE_DELAY,EXPORT_TIMEOUT,MAX_QUEUE_SIZE,MAX_EXPORT_BATCH_SIZE}", Done, "as for spans"),
    ("OTEL_ATTRIBUTE_{COUNT_LIMIT,VALUE_LENGTH_LIMIT}", Done, "numbers as above"),
    ("OTEL_SPAN_{ATTRIBUTE_VALUE_LENGTH_LIMIT,ATTRIBUTE_COUNT_LIMIT,EVENT_COUNT_LIMIT,LINK_COUNT_LIMIT}", Done, "numbers as above"),
    ("OTEL_{EVENT,LINK}_ATTRIBUTE_COUNT_LIMIT", Done, "numbers as above; only spans of OpenTelemetry's API have links with attributes"),
    ("OTEL_LOGRECORD_{ATTRIBUTE_VALUE_LENGTH_LIMIT,ATTRIBUTE_COUNT_LIMIT}", Done, "numbers as above"),
    ("OTEL_TRACES_EXPORTER", Done, "`otlp`, `none`; `console`, `zipkin` and `jaeger` cause a warning, and spans go where other variables send them; an unknown name is a fault"),
    ("OTEL_LOGS_EXPORTER", Done, "`otlp`, `none`; `console` causes a warning: logs are on standard error anyway; an unknown name is a fault"),
    ("OTEL_METRICS_EXPORTER", Done, "`otlp`, `none`; `prometheus` causes a warning: no port is opened, and metrics are at the service's own `/metrics`; `console` causes a warning; an unknown name is a fault"),
    ("OTEL_EXPORTER_OTLP_{,TRACES_,LOGS_,METRICS_}ENDPOINT", Done, "a signal's own endpoint is used exactly as written; an invalid URL is a fault"),
    ("OTEL_EXPORTER_OTLP_{,TRACES_,LOGS_,METRICS_}HEADERS", Done, "an entry that cannot be sent is a fault, whose message does not quote it"),
    ("OTEL_EXPORTER_OTLP_{,TRACES_,LOGS_,METRICS_}TIMEOUT", Done, "at most 60,000; 0 (no limit) means 60,000, with a warning"),
    ("OTEL_EXPORTER_OTLP_{,TRACES_,LOGS_,METRICS_}COMPRESSION", Done, "`gzip`, `none`; an unknown name is a fault"),
    ("OTEL_EXPORTER_OTLP_{,TRACES_,LOGS_,METRICS_}PROTOCOL", Done, "`http/protobuf`, `http/json`, `grpc`; without the feature `grpc`, `grpc` causes a warning, and `http/protobuf` is used: port 4317 becomes 4318, and an endpoint without a path gets `/v1/traces`, `/v1/logs` or `/v1/metrics`; an unknown name is a fault"),
    ("OTEL_EXPORTER_OTLP_{,TRACES_,LOGS_,METRICS_}INSECURE", Done, "with `true`, an endpoint without a scheme is `http://`"),
    ("OTEL_EXPORTER_OTLP_{,TRACES_,LOGS_,METRICS_}CERTIFICATE", Done, "the CAs to trust instead of the public ones; an unusable file is a fault"),
    ("OTEL_EXPORTER_OTLP_{,TRACES_,LOGS_,METRICS_}CLIENT_{CERTIFICATE,KEY}", Done, "for mutual TLS; a certificate without a key, a key without a certificate, or a pair that does not match is a fault"),
    ("OTEL_EXPORTER_OTLP_{SPAN,METRIC}_INSECURE", Ignored, "obsolete; OTEL_EXPORTER_OTLP_INSECURE is read instead"),
    ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", Done, "`cumulative`, `delta`, `lowmemory`; an unknown name is a fault"),
    ("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", Done, "`explicit_bucket_histogram`, `base2_exponential_bucket_histogram`; an unknown name is a fault"),
    ("OTEL_METRIC_EXPORT_{INTERVAL,TIMEOUT}", Done, "numbers as above; the timeout applies if OTLP's own is not set"),
    ("OTEL_METRICS_EXEMPLAR_FILTER", Done, "`trace_based`, `always_on`, `always_off`; an unknown name is a fault"),
    ("OTEL_EXPORTER_PROMETHEUS_*", Ignored, "no port is opened; metrics are at the service's own /metrics"),
    ("OTEL_EXPORTER_OTLP_PROFILES_*", Ignored, "no profiles are collected"),
    ("OTEL_PROFILES_EXPORTER", Ignored, "no profiles are collected"),
    ("OTEL_EXPORTER_ZIPKIN_*", Ignored, "deprecated; spans are sent by OTLP and to X-Ray"),
    ("OTEL_EXPORTER_JAEGER_*", Ignored, "removed from the specification; Jaeger accepts OTLP: set OTEL_EXPORTER_OTLP_ENDPOINT"),
    ("OTEL_CONFIG_FILE", Ignored, "the file is not read; the other variables apply"),
    ("OTEL_EXPERIMENTAL_CONFIG_FILE", Ignored, "the file is not read; the other variables apply"),
    ("OTEL_ENTITIES", Ignored, "entities are not read; use OTEL_RESOURCE_ATTRIBUTES"),
    ("OTEL_LOG_LEVEL", Ignored, "RUST_LOG selects what is logged"),
    ("OTEL_SEMCONV_{STABILITY,EXCEPTION_SIGNAL}_OPT_IN", Ignored, "spans always have the stable names"),
    ("OTEL_EXPERIMENTAL_*", Ignored, "there are no experimental features"),
    ("OTEL_INSTRUMENTATION_*", Ignored, "for instrumentation libraries that are not used here"),
    ("OTEL_RESOURCE_ATTRIBUTES_{POD_NAME,POD_UID,NODE_NAME}", Ignored, "Kubernetes' operator copies the value into OTEL_RESOURCE_ATTRIBUTES, which is read"),
    ("OTEL_{NODE,POD}_IP", Ignored, "Kubernetes' operator copies the value into OTEL_EXPORTER_OTLP_ENDPOINT, which is read"),
    ("OTEL_{PYTHON,NODE,JAVA,JAVAAGENT,GO,DOTNET,RUBY,PHP,CPP,RUST,JS,ERLANG,ELIXIR,SWIFT,DENO,LAMBDA,AWS,INJECTOR}_*", Ignored, "for another language's SDK or for a platform"),
];

/// Whether the specification has a variable of this name.
pub fn is_known(name: &str) -> bool {
    VARIABLES.iter().any(|(pattern, ..)| matches(pattern, name))
}

/// Warns of all variables that are set but ignored, with one warning for each line of the list.
pub(super) fn warn_of_ignored(settings: &mut Settings) {
    let mut set: Vec<String> = settings.names().filter(|name| name.starts_with("OTEL_")).map(str::to_owned).collect();
    set.sort_unstable();
    let mut lines: BTreeMap<usize, (&str, Vec<&str>)> = BTreeMap::new();
    for name in &set {
        // The first line that matches a name applies to it.
        let found = VARIABLES.iter().enumerate().find(|(_, (pattern, ..))| matches(pattern, name));
        if let Some((line, (_, Ignored, instead))) = found {
            lines.entry(line).or_insert((instead, Vec::new())).1.push(name);
        }
    }
    for (instead, names) in lines.into_values() {
        settings.warn(names.join(", "), format!("ignored: {instead}"));
    }
}

pub(super) fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?))) {
        Some((before, (alternatives, after))) => {
            alternatives.split(',').any(|alternative| matches(&[before, alternative, after].concat(), name))
        }
        None => match pattern.strip_suffix('*') {
            Some(start) => name.len() > start.len() && name.starts_with(start),
            None => pattern == name,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::read;
    use super::*;

    /// The rows of the documentation's table, one for each line of the list.
    fn documented() -> Vec<String> {
        let row = |(pattern, support, text): &(&str, Support, &str)| {
            let support = if *support == Done { "supported" } else { "ignored with a warning" };
            format!("| `{pattern}` | {support} | {text} |")
        };
        VARIABLES.iter().map(row).collect()
    }

    #[test]
    fn the_documentation_has_the_same_list() {
        let page = include_str!("../../../../docs/src/configuration.md");
        let (_, section) = page.split_once("## Variables of OpenTelemetry's specification").unwrap();
        let section = section.split("\n## ").next().unwrap();
        let rows: Vec<&str> = section.lines().filter(|line| line.starts_with("| `OTEL_")).collect();
        assert_eq!(rows, documented(), "the table must read:\n{}", documented().join("\n"));
    }

    #[test]
    fn a_pattern_has_alternatives_and_an_open_end() {
        assert!(matches("A_{,B_}C", "A_C") && matches("A_{,B_}C", "A_B_C") && !matches("A_{,B_}C", "A_D_C"));
        assert!(matches("A_{B,C}_{D,E}", "A_C_D") && !matches("A_{B,C}_{D,E}", "A_C"));
        assert!(matches("A_*", "A_B") && !matches("A_*", "A_") && !matches("A_*", "B"));
    }

    /// Names from the specification, copied by hand.
    const SPECIFICATION: &[&str] = &[
        "OTEL_SDK_DISABLED",
        "OTEL_ENTITIES",
        "OTEL_RESOURCE_ATTRIBUTES",
        "OTEL_SERVICE_NAME",
        "OTEL_LOG_LEVEL",
        "OTEL_PROPAGATORS",
        "OTEL_TRACES_SAMPLER",
        "OTEL_TRACES_SAMPLER_ARG",
        "OTEL_BSP_SCHEDULE_DELAY",
        "OTEL_BSP_EXPORT_TIMEOUT",
        "OTEL_BSP_MAX_QUEUE_SIZE",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
        "OTEL_BLRP_SCHEDULE_DELAY",
        "OTEL_BLRP_EXPORT_TIMEOUT",
        "OTEL_BLRP_MAX_QUEUE_SIZE",
        "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE",
        "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
        "OTEL_ATTRIBUTE_COUNT_LIMIT",
        "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
        "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
        "OTEL_SPAN_EVENT_COUNT_LIMIT",
        "OTEL_SPAN_LINK_COUNT_LIMIT",
        "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT",
        "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
        "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT",
        "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
        "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
        "OTEL_EXPORTER_OTLP_INSECURE",
        "OTEL_EXPORTER_OTLP_SPAN_INSECURE",
        "OTEL_EXPORTER_OTLP_HEADERS",
        "OTEL_EXPORTER_OTLP_LOGS_HEADERS",
        "OTEL_EXPORTER_OTLP_COMPRESSION",
        "OTEL_EXPORTER_OTLP_TIMEOUT",
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
        "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
        "OTEL_EXPORTER_OTLP_PROFILES_ENDPOINT",
        "OTEL_EXPORTER_ZIPKIN_ENDPOINT",
        "OTEL_EXPORTER_ZIPKIN_TIMEOUT",
        "OTEL_EXPORTER_JAEGER_AGENT_HOST",
        "OTEL_EXPORTER_PROMETHEUS_HOST",
        "OTEL_EXPORTER_PROMETHEUS_PORT",
        "OTEL_TRACES_EXPORTER",
        "OTEL_METRICS_EXPORTER",
        "OTEL_LOGS_EXPORTER",
        "OTEL_METRICS_EXEMPLAR_FILTER",
        "OTEL_METRIC_EXPORT_INTERVAL",
        "OTEL_METRIC_EXPORT_TIMEOUT",
        "OTEL_CONFIG_FILE",
        "OTEL_EXPERIMENTAL_CONFIG_FILE",
        "OTEL_SEMCONV_STABILITY_OPT_IN",
        "OTEL_PYTHON_LOG_CORRELATION",
        "OTEL_NODE_RESOURCE_DETECTORS",
        "OTEL_GO_X_EXEMPLAR",
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST",
        "OTEL_JAVAAGENT_DEBUG",
        "OTEL_DOTNET_AUTO_HOME",
        "OTEL_AWS_APPLICATION_SIGNALS_ENABLED",
        "OTEL_RESOURCE_ATTRIBUTES_POD_NAME",
    ];

    #[test]
    fn every_variable_of_the_specification_lets_a_service_start() {
        for name in SPECIFICATION {
            assert!(is_known(name), "{name}");
            let value = match *name {
                name if name.ends_with("_ENDPOINT") => "http://127.0.0.1:4318",
                name if name.ends_with("_HEADERS") || name.ends_with("_ATTRIBUTES") => "a=b",
                name if name.ends_with("COMPRESSION") => "gzip",
                name if name.ends_with("PROTOCOL") => "grpc",
                name if name.ends_with("_EXPORTER") => "console",
                name if name.ends_with("TEMPORALITY_PREFERENCE") => "delta",
                name if name.ends_with("HISTOGRAM_AGGREGATION") => "explicit_bucket_histogram",
                name if name.ends_with("EXEMPLAR_FILTER") => "always_off",
                "OTEL_PROPAGATORS" => "b3",
                "OTEL_TRACES_SAMPLER" => "parentbased_jaeger_remote",
                "OTEL_TRACES_SAMPLER_ARG" => "endpoint=http://localhost:14250",
                _ => "1",
            };
            let config = read(&[(name, value)]).unwrap_or_else(|faults| panic!("{faults}"));
            let is_ignored =
                VARIABLES.iter().any(|(pattern, support, _)| matches(pattern, name) && *support == Ignored);
            let warned = config.warnings.iter().any(|warning| warning.starts_with(&format!("{name}: ")));
            assert!(warned || !is_ignored, "{name}: {:?}", config.warnings);
        }
        assert!(!is_known("OTEL_EXPORTER_OTLP_ENDPOIN") && !is_known("OTEL_SERVICE"));
    }

    #[test]
    fn variables_of_one_pattern_cause_one_warning() {
        let set = [("OTEL_PYTHON_LOG_LEVEL", "debug"), ("OTEL_NODE_ENABLED", "true"), ("OTEL_GO_X", " ")];
        let warnings = read(&set).unwrap().warnings;
        assert_eq!(
            warnings,
            ["OTEL_NODE_ENABLED, OTEL_PYTHON_LOG_LEVEL: ignored: for another language's SDK or for a platform"]
        );
    }
}
