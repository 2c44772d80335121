//! The code's values, and the variables that take precedence over them.

use std::collections::BTreeSet;

use super::*;
use crate::config::documented;
use crate::destinations::otlp::variables::GRPC;

fn read(builder: Builder, pairs: &[(&str, &str)]) -> Result<Config, String> {
    let mut settings = Settings::from_pairs(pairs);
    let config = builder.read(&mut settings);
    settings.finish(config).map_err(|faults| faults.to_string())
}

fn addresses(config: &Config) -> Vec<String> {
    config.destinations().filter_map(|(_, address)| address.ok()).collect()
}

/// Everything that can be configured in code.
fn everything() -> Builder {
    let collector = OtlpDestination::at("https://collector.example:4318/")
        .header("x-canary", "canary, \"1\"")
        .timeout(std::time::Duration::from_secs(5))
        .gzip()
        .json()
        .certificates("/nonexistent/ca.pem")
        .client_certificate("/nonexistent/own.pem", "/nonexistent/key.pem");
    let limits = RecordLimits::default()
        .attributes(1)
        .events(2)
        .links(3)
        .event_attributes(4)
        .link_attributes(4)
        .log_attributes(5)
        .value_bytes(6)
        .log_value_bytes(7);
    let bounds = || {
        let second = std::time::Duration::from_secs(1);
        QueueBounds::default().records(9).batch(8).delay(second).timeout(second)
    };
    Config::builder()
        .sampler(TraceSampler::xray().rules_at("http://127.0.0.1:2").polling(std::time::Duration::from_secs(9)))
        .limits(limits)
        .queue(RecordKind::Span, bounds())
        .queue(RecordKind::LogRecord, bounds())
        .queue(RecordKind::MetricPoint, bounds())
        .span_levels("debug")
        .log_levels("warn")
        .without_colours()
        .propagation([PropagationFormat::TraceContext, PropagationFormat::Baggage])
        .detectors([Platform::Ecs, Platform::Ec2, Platform::Eks])
        .honeycomb(
            HoneycombDestination::new("canary")
                .at("https://api.eu1.honeycomb.io")
                .dataset("orders")
                .metrics_dataset("m"),
        )
        .otlp(collector)
        .xray(XrayDestination::at("127.0.0.1:2000").indexed(["user.id"]))
        .xray_otlp(
            XrayOtlpDestination::at("http://127.0.0.1:1").region("eu-west-1").keys("id", "canary").session("canary"),
        )
        .certificates("/nonexistent/public.pem")
        .certificate_folder("/nonexistent")
        .logs()
        .metrics(std::time::Duration::from_secs(9))
        .metric_temporality(TemporalityPreference::Delta)
        .histograms(HistogramAggregation::Exponential)
        .exemplars(ExemplarFilter::AlwaysOff)
        .without_spans()
        .disabled()
}

/// Variables that have no method of their own, with the reason.
fn has_no_method(name: &str) -> bool {
    let parts = [
        // Their methods merge with the variable.
        "OTEL_SERVICE_NAME",
        "OTEL_RESOURCE_ATTRIBUTES",
        // The scheme of a URL.
        "INSECURE",
        // General ones: code sets those of each signal.
        "OTEL_ATTRIBUTE_",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_EXPORTER_OTLP_HEADERS",
        "OTEL_EXPORTER_OTLP_TIMEOUT",
        "OTEL_EXPORTER_OTLP_COMPRESSION",
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        "OTEL_EXPORTER_OTLP_CERTIFICATE",
        "OTEL_EXPORTER_OTLP_CLIENT_",
        "AWS_DEFAULT_REGION",
        // What a platform sets, and where AWS's tools keep credentials.
        "HOME",
        "HOSTNAME",
        "ECS_",
        "KUBERNETES_",
        "AWS_PROFILE",
        "AWS_CONFIG_FILE",
        "AWS_SHARED_",
        "AWS_CONTAINER_",
        "AWS_EC2_METADATA_",
    ];
    parts.iter().any(|part| name.starts_with(part) || name.ends_with(part))
}

#[test]
fn what_variables_configure_can_be_configured_in_code() {
    let provided: BTreeSet<&str> = everything().provided.variables().collect();
    let read = documented::read();
    let missing: Vec<_> =
        read.iter().filter(|name| !provided.contains(name.as_str()) && !has_no_method(name)).collect();
    assert!(missing.is_empty(), "code cannot set {missing:?}");
    let unknown: Vec<_> = provided.iter().filter(|name| !read.contains(**name)).collect();
    assert!(unknown.is_empty(), "nothing reads {unknown:?}");
}

#[test]
fn all_faults_of_the_code_are_reported_together_without_secrets() {
    let wrong = everything()
        .sampler(TraceSampler::ratio(7.0))
        .log_levels("backend=loud")
        .honeycomb(HoneycombDestination::new(" "));
    let shown = format!("{wrong:?}");
    assert!(!shown.contains("canary"), "{shown}");
    let faults = read(wrong, &[("TRACE_LEVEL", "loud")]).unwrap_err();
    assert!(!faults.contains("canary"), "{faults}");
    for start in [
        "HONEYCOMB_API_KEY (in code): is blank",
        "OTEL_TRACES_SAMPLER_ARG (in code): ",
        "RUST_LOG (in code): ",
        "TRACE_LEVEL: ",
    ] {
        assert!(faults.lines().any(|line| line.starts_with(start)), "{start} in {faults}");
    }
}

#[test]
fn a_variable_takes_precedence_over_the_code() {
    let builder = || {
        Config::builder()
            .service("orders")
            .attribute("team", "blue")
            .attribute("region", "north")
            .sampler(TraceSampler::ratio(0.25))
            .limits(RecordLimits::default().attributes(64).events(7))
            .propagation([])
    };
    let config = read(builder(), &[]).unwrap();
    assert_eq!(config.service.as_deref(), Some("orders"));
    assert_eq!(config.sampling.to_string(), "parentbased_traceidratio, 1 of 4");
    assert_eq!((config.limits.attributes, config.limits.events), (64, 7));
    assert!(config.propagators.names().is_empty());
    let pairs = [
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=backend,team=red"),
        ("OTEL_TRACES_SAMPLER", "always_off"),
        ("OTEL_ATTRIBUTE_COUNT_LIMIT", "9"),
        ("OTEL_PROPAGATORS", "xray"),
    ];
    let config = read(builder(), &pairs).unwrap();
    assert_eq!((config.service.as_deref(), config.warnings.len()), (Some("backend"), 0), "{:?}", config.warnings);
    assert_eq!(config.sampling.to_string(), "always_off");
    assert_eq!((config.limits.attributes, config.limits.events), (9, 7));
    let last = |key: &str| config.resource.iter().rfind(|(own, _)| own == key).map(|(_, value)| value.as_str());
    assert_eq!((last("team"), last("region")), (Some("red"), Some("north")));
}

#[test]
fn headers_of_the_code_go_to_no_other_address() {
    let collector = || OtlpDestination::at("https://one.example").header("x-canary", "canary");
    let shown = |pairs: &[(&str, &str)]| {
        let config = read(Config::builder().otlp(collector()).logs(), pairs).unwrap();
        (addresses(&config), config.log_records().unwrap(), format!("{config:?}").matches("x-canary").count())
    };
    let (one, logs) = ("https://one.example/v1/traces".to_owned(), "https://one.example/v1/logs".to_owned());
    assert_eq!(shown(&[]), (vec![one.clone()], vec![logs], 2));
    let other = "https://two.example/in";
    let own = [("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", other)];
    assert_eq!(shown(&own), (vec![one], vec![other.to_owned()], 1));
    let all = [("OTEL_EXPORTER_OTLP_ENDPOINT", "https://two.example")];
    let two = ["https://two.example/v1/traces".to_owned(), "https://two.example/v1/logs".to_owned()];
    let [spans, logs] = two.map(|url| vec![url]);
    assert_eq!(shown(&all), (spans, logs, 0));
    let again = Config::builder().otlp(collector()).otlp(OtlpDestination::at("https://two.example"));
    assert!(!format!("{:?}", read(again, &[]).unwrap()).contains("x-canary"));
}

#[test]
fn a_key_of_the_code_goes_to_no_other_address() {
    let honeycomb = || Config::builder().honeycomb(HoneycombDestination::new("canary"));
    assert_eq!(addresses(&read(honeycomb(), &[]).unwrap()), ["https://api.honeycomb.io/v1/traces"]);
    let elsewhere = [("HONEYCOMB_API_ENDPOINT", "https://other.example")];
    assert_eq!(addresses(&read(honeycomb(), &elsewhere).unwrap()), Vec::<String>::new());
    let europe = || Config::builder().honeycomb(HoneycombDestination::new("canary").at("https://api.eu1.honeycomb.io"));
    let key = [("HONEYCOMB_API_KEY", "k")];
    assert_eq!(addresses(&read(europe(), &key).unwrap()), ["https://api.eu1.honeycomb.io/v1/traces"]);
}

#[test]
fn a_destination_of_the_code_is_on_by_code() {
    let config = read(Config::builder().otlp(OtlpDestination::at("http://127.0.0.1:4318")), &[]).unwrap();
    let by = config.destinations.iter().find_map(|to| match &to.switch {
        Switch::On(_, by) => Some(*by),
        Switch::Off(_) => None,
    });
    assert_eq!((by, config.warnings.len()), (Some("code"), 0), "{:?}", config.warnings);
}

#[test]
fn a_collector_of_the_code_may_be_one_of_grpc() {
    let collector = || Config::builder().otlp(OtlpDestination::at("http://127.0.0.1:4317").grpc());
    let config = read(collector(), &[]).unwrap();
    assert_eq!(addresses(&config), [if GRPC { "http://127.0.0.1:4317" } else { "http://127.0.0.1:4318/v1/traces" }]);
    assert_eq!(config.warnings.is_empty(), GRPC, "{:?}", config.warnings);
    let http = read(collector(), &[("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")]).unwrap();
    assert_eq!(addresses(&http), ["http://127.0.0.1:4317/v1/traces"]);
}
