//! OpenTelemetry's variables, as a platform sets them for every service: none of them stops a service, and each deviation from
//! them is logged in one line.

use crate::support::Folder;
use crate::support::cruddur::{Cruddur, run};
use crate::support::honeycomb::Honeycomb;
use crate::support::http;

/// The backend alone, with its own database; its start makes spans.
fn backend(variables: &[(&str, &str)]) -> (Cruddur, Folder) {
    let data = Folder::new();
    let own = [("CRUDDUR_DATA", data.path().to_str().unwrap())];
    (Cruddur::service("backend", &[&own, variables].concat()), data)
}

#[test]
fn platform_variables_stop_no_service_and_each_is_one_warning() {
    let collector = Honeycomb::start("");
    let (backend, _data) = backend(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "HTTP/protobuf"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "GZIP"),
        ("OTEL_PROPAGATORS", "tracecontext,b3"),
        ("OTEL_TRACES_EXPORTER", "otlp,console"),
        ("OTEL_METRICS_EXPORTER", "otlp,console"),
        ("OTEL_LOGS_EXPORTER", "console"),
        ("OTEL_TRACES_SAMPLER", "parentbased_ALWAYS_ON"),
        ("OTEL_TRACES_SAMPLER_ARG", "junk"),
        ("OTEL_SDK_DISABLED", "1"),
        ("OTEL_CONFIG_FILE", "/etc/otel.yaml"),
        ("OTEL_PYTHON_LOG_CORRELATION", "true"),
        ("OTEL_NODE_RESOURCE_DETECTORS", "env"),
        ("OTEL_BSP_SCHEDULE_DELAY", ""),
    ]);
    let ended = backend.stop();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.errors);
    assert!(!collector.accepted().is_empty(), "{}", ended.errors);
    let warnings: Vec<&str> = ended.errors.lines().filter_map(|line| line.strip_prefix("backend: warning: ")).collect();
    for variable in [
        "OTEL_PROPAGATORS: b3 is not supported; tracecontext is used",
        "OTEL_TRACES_EXPORTER: console is not supported; spans are sent by otlp alone",
        "OTEL_METRICS_EXPORTER: console is not supported; metrics are sent by otlp",
        "OTEL_LOGS_EXPORTER: console is not supported; no log records are sent",
        "OTEL_TRACES_SAMPLER_ARG: ignored: the sampler parentbased_always_on takes no argument",
        "OTEL_SDK_DISABLED: \"1\" is neither true nor false; false is used",
        "OTEL_CONFIG_FILE: ignored: the file is not read",
        "OTEL_NODE_RESOURCE_DETECTORS, OTEL_PYTHON_LOG_CORRELATION: ignored: for another language's SDK",
    ] {
        assert_eq!(warnings.iter().filter(|line| line.starts_with(variable)).count(), 1, "{variable} in {warnings:#?}");
    }
    assert_eq!(warnings.len(), 8, "{warnings:#?}");
}

#[test]
fn an_invalid_value_stops_a_service() {
    for (name, value) in [("OTEL_EXPORTER_OTLP_PROTOCOL", "smtp"), ("OTEL_EXPORTER_OTLP_HEADERS", "'x-api-key=canary'")]
    {
        let ended = run(&["backend"], &[(name, value)]);
        assert_eq!(ended.status.code(), Some(64), "{}", ended.errors);
        assert!(ended.errors.starts_with(&format!("error: {name}: ")), "{}", ended.errors);
        assert!(!ended.errors.contains("canary"), "{}", ended.errors);
    }
}

#[test]
fn a_signals_endpoint_is_used_verbatim() {
    for path in ["/custom/", "/?key=canary"] {
        let collector = Honeycomb::start("");
        let address = format!("{}{path}", collector.url);
        let (backend, _data) = backend(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &address)]);
        let ended = backend.stop();
        let heads = collector.heads();
        let head = heads.first().unwrap();
        assert!(head.starts_with(&format!("POST {path} HTTP/1.1\n")), "{head}");
        let agent = head.lines().find_map(|line| line.strip_prefix("user-agent: ")).unwrap();
        assert!(agent.starts_with("OTel-OTLP-Exporter-Rust/"), "{agent}");
        assert!(!ended.errors.contains("canary"), "{}", ended.errors);
    }
}

#[test]
fn a_user_agent_among_the_headers_of_an_exporter_is_sent_instead_of_its_own() {
    for header in ["User-Agent=shop/1.0", "user-agent=shop%2F1.0"] {
        let collector = Honeycomb::start("");
        let (backend, _data) =
            backend(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url), ("OTEL_EXPORTER_OTLP_HEADERS", header)]);
        backend.stop();
        let heads = collector.heads();
        let agents = |head: &str| -> Vec<_> {
            head.lines().filter_map(|line| line.strip_prefix("user-agent: ")).map(str::to_owned).collect()
        };
        assert!(!heads.is_empty());
        heads.iter().for_each(|head| assert_eq!(agents(head), ["shop/1.0"], "{head}"));
    }
}

#[test]
fn a_service_name_among_resource_attributes_names_the_backend_alone() {
    let data = Folder::new();
    let cruddur = Cruddur::up(&data, &[("OTEL_RESOURCE_ATTRIBUTES", "team=a,service.name=shop")]);
    for (base, service) in [(&cruddur.backend, "shop"), (&cruddur.page, "frontend-proxy")] {
        assert_eq!(http::get(&format!("{base}/health/telemetry")).json()["service"], service);
    }
}
