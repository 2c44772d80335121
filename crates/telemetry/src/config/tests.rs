//! The effect of each variable on the whole configuration, and its faults and warnings.

use std::time::Duration;

use secrecy::ExposeSecret;

use super::*;
use crate::destinations::otlp::headers::TEAM;

pub(super) fn read(pairs: &[(&str, &str)]) -> Result<Config, String> {
    let mut settings = Settings::from_pairs(pairs);
    let config = Config::read(&mut settings);
    settings.finish(config).map_err(|faults| faults.to_string())
}

pub(super) fn traces(switch: Switch<Otlp>) -> Endpoint {
    on(switch).traces.unwrap()
}

pub(super) fn on<T>(switch: Switch<T>) -> T {
    match switch {
        Switch::On(target, _) => target,
        Switch::Off(why) => panic!("off: {why}"),
    }
}

fn is_off<T>(switch: &Switch<T>) -> bool {
    matches!(switch, Switch::Off(_))
}

#[test]
fn nothing_is_on_unless_asked_for() {
    let config = read(&[]).unwrap();
    assert!(is_off(&config.honeycomb) && is_off(&config.otlp) && is_off(&config.xray));
}

#[test]
fn a_honeycomb_key_and_a_collector_are_two_destinations() {
    let config =
        read(&[("HONEYCOMB_API_KEY", "k"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318/")]).unwrap();
    assert_eq!(traces(config.honeycomb).url.as_str(), "https://api.honeycomb.io/v1/traces");
    let otlp = traces(config.otlp);
    assert_eq!(otlp.url.as_str(), "http://127.0.0.1:4318/v1/traces");
    assert!(otlp.headers.is_empty(), "the key goes to Honeycomb alone");
}

#[test]
fn the_lessons_form_is_honeycomb() {
    let config = read(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://api.eu1.honeycomb.io:443"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-honeycomb-team=a%20b"),
    ]);
    let config = config.unwrap();
    assert!(is_off(&config.otlp));
    let endpoint = traces(config.honeycomb);
    assert_eq!(endpoint.url.as_str(), "https://api.eu1.honeycomb.io:443/v1/traces");
    assert_eq!(endpoint.headers.iter().map(|(_, value)| value.expose_secret()).collect::<Vec<_>>(), ["a b"]);
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
fn a_header_says_what_is_wrong_with_it() {
    let fault = |headers: &str| read(&[("OTEL_EXPORTER_OTLP_HEADERS", headers)]).unwrap_err();
    assert!(fault("a=1,b=%zz").contains("its entry 2 has a % before what is no byte"));
    assert!(fault("a=").contains("its entry 1 is not a name=value pair"));
}

#[test]
fn of_two_headers_with_one_name_the_last_is_sent() {
    for name in ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"] {
        let pairs = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318"), (name, "a=1, b=2 ,A=%33")];
        let config = read(&pairs).unwrap();
        assert_eq!(config.warnings, [format!("{name}: a is given more than once; the last value is used")]);
        let sent = traces(config.otlp).headers;
        let sent: Vec<_> = sent.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect();
        assert_eq!(sent, [("b", "2"), ("a", "3")]);
    }
}

#[test]
fn a_header_that_describes_the_body_is_the_exporters_own() {
    for name in ["content-length", "Content-Type", "CONTENT-ENCODING", "transfer-encoding"] {
        let headers = format!("{name}=3,a=1");
        let pairs =
            [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318"), ("OTEL_EXPORTER_OTLP_HEADERS", &*headers)];
        let config = read(&pairs).unwrap();
        let warning =
            format!("{} is not sent as given: the exporter sets it for each request", name.to_ascii_lowercase());
        assert_eq!(config.warnings, [format!("OTEL_EXPORTER_OTLP_HEADERS: {warning}")]);
        let sent = traces(config.otlp).headers;
        assert_eq!(sent.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a"]);
    }
}

#[test]
fn honeycombs_address_without_a_key_is_a_fault() {
    let faults = read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "https://api.honeycomb.io")]).unwrap_err();
    assert!(faults.contains("no key is set"), "{faults}");
}

#[test]
fn each_signal_may_have_its_own_variables() {
    let config = read(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "250"),
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "https://logs.example/in"),
        ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "a=b%2C"),
        ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", "none"),
        ("OTEL_LOGS_EXPORTER", "otlp"),
    ]);
    let otlp = on(config.unwrap().otlp);
    let (traces, logs) = (otlp.traces.unwrap(), otlp.logs.unwrap());
    assert_eq!(traces.to_string(), "http://127.0.0.1:4318/v1/traces, http/json");
    assert_eq!(logs.to_string(), "https://logs.example/in, http/protobuf");
    assert_eq!((traces.timeout, traces.headers.len()), (Duration::from_millis(250), 0));
    assert_eq!(logs.header("a"), Some("b,".to_owned()));
}

#[test]
fn a_key_that_cannot_send_is_explained() {
    let fault = |key: &str| read(&[("HONEYCOMB_API_KEY", key)]).unwrap_err();
    assert!(fault("hcamk_canary").contains("is a management key, which cannot send; give an ingest key"));
    assert!(fault("hcalk_canary").contains("is a configuration key"));
    let classic = "0123456789abcdef0123456789abcdef";
    assert!(fault(classic).contains("set HONEYCOMB_DATASET too"));
    for (dataset, is_right) in [("cruddur", true), ("my data", true), ("\"quoted\"", false), ("é", false)] {
        assert_eq!(read(&[("HONEYCOMB_API_KEY", classic), ("HONEYCOMB_DATASET", dataset)]).is_ok(), is_right);
    }
    assert!(!fault("hcamk_canary").contains("canary"));
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
fn what_the_specification_does_not_know_is_a_fault() {
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
    let ratio = read(&[("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "2")]);
    assert!(ratio.unwrap_err().starts_with("OTEL_TRACES_SAMPLER_ARG: \"2\" is not valid (it is not from 0 to 1)"));
}

#[test]
fn what_the_specification_knows_and_we_do_not_do_is_one_warning_with_what_happens_instead() {
    for (name, value, warning) in [
        ("OTEL_SDK_DISABLED", "1", "\"1\" is neither true nor false; it counts as false"),
        ("OTEL_SDK_DISABLED", "yes", "\"yes\" is neither true nor false; it counts as false"),
        ("OTEL_PROPAGATORS", "tracecontext,B3", "b3 is not supported; tracecontext is used"),
        ("OTEL_PROPAGATORS", "b3multi,jaeger", "b3multi, jaeger is not supported; tracecontext, baggage, xray is used"),
        ("OTEL_PROPAGATORS", "none,xray", "none contradicts what stands next to it; xray is used"),
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
            "no destination takes log records, so none are sent; name one in OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
        ),
        (
            "OTEL_METRICS_EXPORTER",
            "otlp",
            "otlp exports no metrics here; the ledger is at /metrics, in Prometheus's format",
        ),
        (
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            "gRPC",
            "grpc is not supported; http/protobuf is used, at port 4318 if the endpoint has 4317",
        ),
        ("OTEL_TRACES_SAMPLER", "jaeger_remote", "jaeger_remote is not supported; parentbased_always_on is used"),
        (
            "OTEL_TRACES_SAMPLER_ARG",
            "junk",
            "is not read: the sampler is parentbased_always_on, which takes no argument",
        ),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "0", "0 means no limit, and there is always one here; 60000 is used"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "300000", "300000 is more than 60000, the highest here; 60000 is used"),
        (
            "OTEL_BSP_SCHEDULE_DELAY",
            "99999999999999999999",
            "99999999999999999999 is more than 60000, the highest here; 60000 is used",
        ),
        ("OTEL_BLRP_MAX_QUEUE_SIZE", "0", "0 is less than 1, the lowest here; the default is used"),
        (
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
            "40000",
            "40000 is more than the 32768 of OTEL_BSP_MAX_QUEUE_SIZE; 32768 is used",
        ),
        ("OTEL_RESOURCE_DETECTORS", "gcp", "gcp is not run; ecs, ec2 and eks are, if they are named"),
        ("OTEL_RESOURCE_ATTRIBUTES", "team=\"a\"", "its entry 1 has quotes, which are part of it"),
    ] {
        let config = read(&[(name, value)]).unwrap_or_else(|faults| panic!("{name}={value}: {faults}"));
        assert_eq!(config.warnings, [format!("{name}: {warning}")]);
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
fn an_address_for_log_records_that_nobody_sends_is_a_warning() {
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
fn grpc_becomes_http_at_the_port_and_path_of_http() {
    let url = |pairs: &[(&str, &str)]| {
        let config = read(&[pairs, &[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]].concat()).unwrap();
        traces(config.otlp).to_string()
    };
    const BASE: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
    const TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
    assert_eq!(url(&[(BASE, "http://localhost:4317")]), "http://localhost:4318/v1/traces, http/protobuf");
    assert_eq!(url(&[(TRACES, "http://localhost:4317")]), "http://localhost:4318/v1/traces, http/protobuf");
    assert_eq!(url(&[(TRACES, "http://localhost:9/x/")]), "http://localhost:9/x/, http/protobuf");
    let insecure = ("OTEL_EXPORTER_OTLP_INSECURE", "true");
    let own = ("OTEL_EXPORTER_OTLP_TRACES_INSECURE", "false");
    assert_eq!(url(&[(BASE, "collector:4317"), insecure]), "http://collector:4318/v1/traces, http/protobuf, gzip");
    assert_eq!(url(&[(BASE, "collector:4317")]), "https://collector:4318/v1/traces, http/protobuf, gzip");
    assert_eq!(
        url(&[(TRACES, "collector:4317"), insecure, own]),
        "https://collector:4318/v1/traces, http/protobuf, gzip"
    );
    let both = [("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"), (BASE, "http://localhost:4317")];
    assert_eq!(url(&both), "http://localhost:4317/v1/traces, http/json", "the signal's own protocol holds");
}

#[test]
fn the_endpoint_of_a_signal_is_used_exactly_as_it_is_written() {
    for address in ["http://127.0.0.1:1/custom/", "http://127.0.0.1:1/?key=canary", "http://127.0.0.1:1"] {
        let config = read(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", address)]).unwrap();
        let endpoint = traces(config.otlp);
        assert_eq!(endpoint.url.as_str(), address);
        assert!(!format!("{endpoint} {endpoint:?}").contains("canary"), "{endpoint:?}");
    }
    let base = read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://h/?key=canary")]).unwrap_err();
    assert!(base.contains("it has a query") && !base.contains("canary"), "{base}");
}

#[test]
fn a_base_may_be_given_as_the_endpoint_of_a_signal() {
    for path in ["", "/", "/v1/traces", "/v1/traces/", "/v1/logs"] {
        let at = |variable: &str, host: &str| {
            let address = format!("{host}{path}");
            let config = read(&[("HONEYCOMB_API_KEY", "k"), (variable, &address)]).unwrap();
            (traces(config.honeycomb).url.to_string(), config.otlp)
        };
        let (honeycomb, _) = at("HONEYCOMB_API_ENDPOINT", "https://api.eu1.honeycomb.io");
        assert_eq!(honeycomb, "https://api.eu1.honeycomb.io/v1/traces", "{path}");
        let (_, otlp) = at("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1/otlp");
        assert_eq!(traces(otlp).url.as_str(), "http://127.0.0.1:1/otlp/v1/traces", "{path}");
    }
}

#[test]
fn quotes_that_became_part_of_a_value_are_a_fault_and_the_only_one() {
    let honeycomb = ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://api.honeycomb.io");
    for (name, value) in [
        ("OTEL_EXPORTER_OTLP_HEADERS", "'x-honeycomb-team=canary'"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "\"x-honeycomb-team=canary\""),
        ("OTEL_EXPORTER_OTLP_HEADERS", "'x-honeycomb-team'=canary"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-honeycomb-team=\"canary\""),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-honeycomb-team='canary'"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "'x-honeycomb-team=canary"),
        ("HONEYCOMB_API_KEY", "\"canary\""),
        ("HONEYCOMB_API_KEY", "'canary"),
    ] {
        let faults = read(&[honeycomb, (name, value)]).unwrap_err();
        assert!(faults.starts_with(&format!("{name}: ")) && faults.contains("quote"), "{faults}");
        assert_eq!((faults.lines().count(), faults.contains("canary")), (1, false), "{faults}");
    }
    for name in ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "AWS_XRAY_DAEMON_ADDRESS"] {
        let faults = read(&[(name, "'http://127.0.0.1:1'")]).unwrap_err();
        assert_eq!(faults, format!("{name}: is between quotes, which are part of its value; remove them"));
    }
    let meant = read(&[honeycomb, ("OTEL_EXPORTER_OTLP_HEADERS", "x-honeycomb-team=k,a=it's%22so%22")]);
    assert_eq!(traces(meant.unwrap().honeycomb).header("a").as_deref(), Some("it's\"so\""));
}

#[test]
fn a_fault_is_about_the_variable_that_is_wrong_and_about_no_other() {
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
fn nobody_is_asked_of_a_resource_that_nobody_reads() {
    let asked = |destination| read(&[("OTEL_RESOURCE_DETECTORS", "ec2,eks"), destination]).unwrap().detectors.len();
    assert_eq!(asked(("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")), 2);
    assert_eq!(asked(("HONEYCOMB_API_KEY", "k")), 2);
    assert_eq!(asked(("AWS_XRAY_DAEMON_ADDRESS", "127.0.0.1:2000")), 2);
    assert_eq!(asked(("OTEL_LOGS_EXPORTER", "none")), 0);
}

#[test]
fn everything_is_off_where_the_sdk_is_disabled() {
    for truth in ["true", "TRUE"] {
        let config = read(&[("HONEYCOMB_API_KEY", "k"), ("OTEL_SDK_DISABLED", truth)]).unwrap();
        assert!(config.disabled && matches!(config.honeycomb, Switch::Off(why) if why.contains("OTEL_SDK_DISABLED")));
    }
    assert!(!read(&[("OTEL_SDK_DISABLED", "False")]).unwrap().disabled);
}

#[test]
fn log_records_go_where_no_spans_do() {
    let all = [
        ("HONEYCOMB_API_KEY", "k"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318"),
        ("AWS_XRAY_DAEMON_ADDRESS", "127.0.0.1:2000"),
        ("OTEL_LOGS_EXPORTER", "otlp"),
        ("OTEL_TRACES_EXPORTER", "none"),
    ];
    let config = read(&all).unwrap();
    assert!(is_off(&config.xray));
    for otlp in [on(config.honeycomb), on(config.otlp)] {
        assert!(otlp.traces.is_none() && otlp.logs.is_some());
    }
    let config = read(&[all[0], all[1], all[4]]).unwrap();
    assert!(is_off(&config.honeycomb) && is_off(&config.otlp));
}

#[test]
fn headers_go_to_the_address_that_they_were_given_for_and_to_no_other() {
    let config = read(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://api.honeycomb.io"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-honeycomb-team=k"),
        ("OTEL_LOGS_EXPORTER", "otlp"),
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "https://logs.example/in"),
        ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "authorization=Bearer%20t"),
    ]);
    let config = config.unwrap();
    let honeycomb = on(config.honeycomb);
    assert!(honeycomb.logs.is_none() && honeycomb.traces.unwrap().header("authorization").is_none());
    let otlp = on(config.otlp);
    let logs = otlp.logs.unwrap();
    assert_eq!((logs.url.as_str(), logs.header(TEAM)), ("https://logs.example/in", None));
    assert!(otlp.traces.is_none() && logs.header("authorization").is_some());
    let config = read(&[
        ("HONEYCOMB_API_ENDPOINT", "https://refinery.example"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://api.honeycomb.io"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-honeycomb-team=k,x-other=1"),
    ]);
    let moved = traces(config.unwrap().honeycomb);
    assert_eq!((moved.url.as_str(), moved.header("x-other")), ("https://refinery.example/v1/traces", None));
    let config =
        read(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://x.honeycomb.io/custom"), ("HONEYCOMB_API_KEY", "k")]);
    assert_eq!(traces(config.unwrap().honeycomb).url.as_str(), "https://x.honeycomb.io/custom");
}
