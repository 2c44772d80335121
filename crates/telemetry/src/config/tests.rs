//! The effect of each variable on the whole configuration, and its faults and warnings.

use super::*;
use crate::destinations::otlp::variables::GRPC;
use crate::span::sampler::Sampler;

pub(super) fn read(pairs: &[(&str, &str)]) -> Result<Config, String> {
    let mut settings = Settings::from_pairs(pairs);
    let config = Config::read(&mut settings);
    settings.finish(config).map_err(|faults| faults.to_string())
}

/// The addresses of the destinations that are on.
fn addresses(config: &Config) -> Vec<String> {
    config.destinations().filter_map(|(_, address)| address.ok()).collect()
}

#[test]
fn nothing_is_on_unless_a_variable_turns_it_on() {
    assert_eq!(addresses(&read(&[]).unwrap()), Vec::<String>::new());
}

#[test]
fn every_fault_is_named_and_no_key_is_quoted() {
    let faults = read(&[
        ("HONEYCOMB_API_KEY", "canary\u{7}key"),
        ("HONEYCOMB_API_ENDPOINT", "http://honeycomb.example"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-canary"),
        ("AWS_XRAY_DAEMON_ADDRESS", "2000"),
        ("RUST_LOG", "backend=loud"),
    ])
    .unwrap_err();
    for name in [
        "HONEYCOMB_API_KEY",
        "HONEYCOMB_API_ENDPOINT",
        "OTEL_EXPORTER_OTLP_HEADERS",
        "AWS_XRAY_DAEMON_ADDRESS",
        "RUST_LOG",
    ] {
        assert!(faults.lines().any(|line| line.starts_with(name)), "{name} in {faults}");
    }
    assert!(!faults.contains("canary"), "{faults}");
}

#[test]
fn the_specifications_variables_are_read() {
    let config = read(&[
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test,team=a%2Cb"),
        ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "100"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "10"),
        ("OTEL_BSP_SCHEDULE_DELAY", "20"),
        ("OTEL_BLRP_MAX_QUEUE_SIZE", "50"),
        ("OTEL_ATTRIBUTE_COUNT_LIMIT", "5"),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "6"),
        ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "7"),
    ]);
    let config = config.unwrap();
    assert_eq!(config.resource[1], ("team".to_owned(), "a,b".to_owned()));
    assert_eq!(config.sampling.to_string(), "parentbased_traceidratio, 1 of 4");
    assert_eq!((config.pace.queue, config.pace.batch, config.pace.delay.as_millis()), (100, 10, 20));
    assert_eq!(
        config.limits,
        Limits { attributes: 5, events: 6, value_bytes: 7, log_attributes: 5, ..Limits::default() }
    );
    assert_eq!((config.log_pace.queue, config.log_pace.batch, config.log_pace.delay.as_millis()), (50, 10, 20));
    let config = read(&[
        ("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "1"),
        ("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", "2"),
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "3"),
    ]);
    let Limits { event_attributes, log_attributes, log_value_bytes, .. } = config.unwrap().limits;
    assert_eq!((event_attributes, log_attributes, log_value_bytes), (1, 2, 3));
}

#[test]
fn a_value_unknown_to_the_specification_is_a_fault() {
    let wrong = [
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("OTEL_PROPAGATORS", "tracecontext,b4"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "smtp"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zip"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "-1"),
        ("OTEL_BSP_SCHEDULE_DELAY", "-1"),
        ("OTEL_SPAN_LINK_COUNT_LIMIT", "many"),
        ("OTEL_TRACES_EXPORTER", "otlp,fax"),
        ("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "0.5"),
        ("OTEL_LOGS_EXPORTER", "fax"),
        ("OTEL_RESOURCE_ATTRIBUTES", "team"),
        ("OTEL_RESOURCE_DETECTORS", "mars"),
    ];
    let faults = read(&wrong).unwrap_err();
    assert_eq!(faults.lines().count(), wrong.len(), "{faults}");
    for (name, _) in wrong {
        assert!(faults.lines().any(|line| line.starts_with(name)), "{name} in {faults}");
    }
    let fault = read(&[("OTEL_EXPORTER_OTLP_COMPRESSION", "zip")]).unwrap_err();
    assert!(fault.ends_with("\"zip\" is not valid: use gzip or none"), "{fault}");
    let ratio = read(&[("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "2")]);
    assert!(ratio.unwrap_err().starts_with("OTEL_TRACES_SAMPLER_ARG: \"2\" is not valid (it is not from 0 to 1)"));
}

#[test]
fn an_unsupported_value_of_the_specification_is_one_warning() {
    for (name, value, warning) in [
        ("OTEL_SDK_DISABLED", "1", "\"1\" is neither true nor false; false is used"),
        ("OTEL_SDK_DISABLED", "yes", "\"yes\" is neither true nor false; false is used"),
        ("OTEL_PROPAGATORS", "tracecontext,B3", "b3 is not supported; tracecontext is used"),
        (
            "OTEL_PROPAGATORS",
            "b3multi,jaeger",
            &*format!("b3multi and jaeger are not supported; {} used", values::are(&Propagators::default().names())),
        ),
        ("OTEL_PROPAGATORS", "none,xray", "none contradicts the other names of the list; xray is used"),
        ("OTEL_TRACES_EXPORTER", "otlp,none", "none contradicts otlp in the same list; otlp is used"),
        ("OTEL_TRACES_EXPORTER", "otlp,console", "console is not supported; spans are sent by otlp alone"),
        (
            "OTEL_TRACES_EXPORTER",
            "zipkin",
            "zipkin is not supported; spans go wherever other variables send them, as if this one were unset",
        ),
        (
            "OTEL_LOGS_EXPORTER",
            "console",
            "console is not supported; no log records are sent; logs are on standard error anyway",
        ),
        (
            "OTEL_LOGS_EXPORTER",
            "otlp",
            "no destination accepts log records, so none are sent; name one in OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
        ),
        ("OTEL_METRICS_EXPORTER", "otlp", NO_METRICS),
        (
            "OTEL_TRACES_SAMPLER",
            "jaeger_remote",
            &*format!("jaeger_remote is not supported; {} is used", Sampler::default()),
        ),
        ("OTEL_TRACES_SAMPLER_ARG", "junk", &*format!("ignored: the sampler {} takes no argument", Sampler::default())),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "0", "0 means no limit, which is not supported; 60000 is used"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "300000", "300000 is more than the maximum; 60000 is used"),
        (
            "OTEL_BSP_SCHEDULE_DELAY",
            "99999999999999999999",
            "99999999999999999999 is more than the maximum; 60000 is used",
        ),
        ("OTEL_BLRP_MAX_QUEUE_SIZE", "0", "0 is less than the minimum of 1; the default is used"),
        (
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
            "40000",
            "40000 is more than OTEL_BSP_MAX_QUEUE_SIZE, which is 32768; 32768 is used",
        ),
        ("OTEL_RESOURCE_DETECTORS", "gcp", "gcp is not supported and is skipped; use ecs, ec2 or eks"),
        ("OTEL_RESOURCE_ATTRIBUTES", "team=\"a\"", "entry 1 contains quotes, which become part of it"),
    ] {
        let config = read(&[(name, value)]).unwrap_or_else(|faults| panic!("{name}={value}: {faults}"));
        assert_eq!(config.warnings, [format!("{name}: {warning}")]);
    }
    if !GRPC {
        let warnings = read(&[("OTEL_EXPORTER_OTLP_PROTOCOL", "gRPC")]).unwrap().warnings;
        let instead = "grpc is not built; http/protobuf is used, at port 4318 if the endpoint has 4317";
        assert_eq!(warnings, [format!("OTEL_EXPORTER_OTLP_PROTOCOL: {instead}")]);
    }
    let silent = [
        ("OTEL_METRICS_EXPORTER", "None"),
        ("OTEL_TRACES_EXPORTER", "OTLP"),
        ("OTEL_LOGS_EXPORTER", "none"),
        ("OTEL_PROPAGATORS", "TraceContext, Baggage,"),
        ("OTEL_TRACES_SAMPLER", "ALWAYS_ON"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "HTTP/protobuf"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "GZIP"),
        ("OTEL_SDK_DISABLED", "FALSE"),
        ("OTEL_CONFIG_FILE", " "),
    ];
    assert_eq!(read(&silent).unwrap().warnings, Vec::<String>::new());
}

#[test]
fn an_address_of_unsent_log_records_is_a_warning() {
    let warnings = |pairs: &[(&str, &str)]| {
        let address = ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://127.0.0.1:4318/v1/logs");
        read(&[pairs, &[address]].concat()).unwrap().warnings
    };
    let [warning] = &*warnings(&[]) else { panic!("one warning") };
    assert!(warning.starts_with("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT: not used"), "{warning}");
    for exporter in ["otlp", "none"] {
        assert!(warnings(&[("OTEL_LOGS_EXPORTER", exporter)]).is_empty(), "{exporter}");
    }
}

#[test]
fn a_fault_names_only_the_invalid_variable() {
    let key = "0123456789abcdef0123456789abcdef";
    for (pairs, variable) in [
        ([("HONEYCOMB_API_KEY", key), ("HONEYCOMB_DATASET", "'a'")], "HONEYCOMB_DATASET"),
        ([("OTEL_BSP_MAX_QUEUE_SIZE", "x"), ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "9")], "OTEL_BSP_MAX_QUEUE_SIZE"),
        ([("OTEL_TRACES_SAMPLER", "x"), ("OTEL_TRACES_SAMPLER_ARG", "y")], "OTEL_TRACES_SAMPLER"),
        (
            [("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://api.honeycomb.io/x"), ("HONEYCOMB_DATASET", "a")],
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        ),
        ([("HONEYCOMB_API_KEY", "your-ingest-key"), ("HONEYCOMB_DATASET", "a")], "HONEYCOMB_API_KEY"),
    ] {
        let faults = read(&pairs).unwrap_err();
        assert!(faults.starts_with(&format!("{variable}: ")), "{faults}");
        assert_eq!(faults.lines().count(), 1, "{faults}");
    }
}

#[test]
fn a_services_name_may_be_among_its_attributes() {
    let service = |pairs: &[(&str, &str)]| read(pairs).unwrap().service;
    let attributes = ("OTEL_RESOURCE_ATTRIBUTES", "service.name=first,service.name=the%20shop,team=a");
    assert_eq!(service(&[attributes]).as_deref(), Some("the shop"));
    assert_eq!(service(&[attributes, ("OTEL_SERVICE_NAME", "own")]).as_deref(), Some("own"));
    assert_eq!(service(&[("OTEL_RESOURCE_ATTRIBUTES", "service.name=,team=a")]), None);
}

#[test]
fn no_detector_runs_without_a_destination() {
    let detectors =
        |destination| read(&[("OTEL_RESOURCE_DETECTORS", "ec2,eks"), destination]).unwrap().detectors().len();
    assert_eq!(detectors(("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")), 2);
    assert_eq!(detectors(("HONEYCOMB_API_KEY", "k")), 2);
    assert_eq!(detectors(("AWS_XRAY_DAEMON_ADDRESS", "127.0.0.1:2000")), 2);
    assert_eq!(detectors(("OTEL_LOGS_EXPORTER", "none")), 0);
}

#[test]
fn every_destination_is_off_if_the_sdk_is_disabled() {
    for truth in ["true", "TRUE"] {
        let config = read(&[("HONEYCOMB_API_KEY", "k"), ("OTEL_SDK_DISABLED", truth)]).unwrap();
        let mut reasons = config.destinations().filter_map(|(_, address)| address.err());
        assert!(config.disabled && reasons.all(|why| why == "OTEL_SDK_DISABLED is true"));
    }
    assert!(!read(&[("OTEL_SDK_DISABLED", "False")]).unwrap().disabled);
}

#[test]
fn log_records_are_sent_without_spans() {
    let all = [
        ("HONEYCOMB_API_KEY", "k"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318"),
        ("AWS_XRAY_DAEMON_ADDRESS", "127.0.0.1:2000"),
        ("OTEL_LOGS_EXPORTER", "otlp"),
        ("OTEL_TRACES_EXPORTER", "none"),
    ];
    let config = read(&all).unwrap();
    let logs = ["https://api.honeycomb.io/v1/logs", "http://127.0.0.1:4318/v1/logs"];
    assert_eq!(addresses(&config), logs);
    assert_eq!(config.log_records().unwrap(), logs);
    let config = read(&[all[0], all[1], all[4]]).unwrap();
    assert_eq!((addresses(&config), config.log_records()), (Vec::new(), None));
}
