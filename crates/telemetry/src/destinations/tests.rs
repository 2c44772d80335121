//! The destination that the variables select for each signal, and its settings.

use std::time::Duration;

use secrecy::ExposeSecret;

use super::honeycomb::settings::{Honeycomb, TEAM};
use super::otlp::endpoint::{Endpoint, Endpoints};
use super::otlp::settings::Collector;
use super::otlp::variables::GRPC;
use super::xray::settings::Xray;
use super::*;
use crate::values::{self, Exporters};

/// The settings of each destination, and the warnings.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) honeycomb: Switch<Honeycomb>,
    pub(crate) otlp: Switch<Collector>,
    pub(crate) xray: Switch<Xray>,
    pub(crate) warnings: Vec<String>,
}

pub(crate) fn read(pairs: &[(&str, &str)]) -> Result<Found, String> {
    read_from(Settings::from_pairs(pairs))
}

pub(crate) fn read_from(mut settings: Settings) -> Result<Found, String> {
    let logs = values::exporters(&mut settings, &values::LOGS) == Exporters::Otlp;
    let metrics = values::metric_exporters(&mut settings).0 == Exporters::Otlp;
    let variables = variables(&mut settings, Wanted { logs, metrics });
    let mut found = Found {
        honeycomb: Destination::read(&mut settings, &variables),
        otlp: Destination::read(&mut settings, &variables),
        xray: Destination::read(&mut settings, &variables),
        warnings: Vec::new(),
    };
    found.warnings = settings.warnings().map(|(subject, instead)| format!("{subject}: {instead}")).collect();
    settings.finish(found).map_err(|faults| faults.to_string())
}

pub(crate) fn on<T>(switch: Switch<T>) -> T {
    match switch {
        Switch::On(target, _) => target,
        Switch::Off(why) => panic!("off: {why}"),
    }
}

pub(crate) fn endpoints<T: Into<Endpoints>>(switch: Switch<T>) -> Endpoints {
    on(switch).into()
}

pub(crate) fn traces<T: Into<Endpoints>>(switch: Switch<T>) -> Endpoint {
    endpoints(switch).traces.unwrap()
}

impl From<Honeycomb> for Endpoints {
    fn from(honeycomb: Honeycomb) -> Self {
        honeycomb.endpoints
    }
}

impl From<Collector> for Endpoints {
    fn from(collector: Collector) -> Self {
        collector.endpoints
    }
}

fn is_off<T>(switch: &Switch<T>) -> bool {
    matches!(switch, Switch::Off(_))
}

#[test]
fn each_kind_has_its_own_name() {
    let mut names: Vec<&str> = KINDS.iter().map(|kind| kind.owner.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), KINDS.len());
}

#[test]
fn a_honeycomb_key_and_a_collector_are_two_destinations() {
    let found = read(&[("HONEYCOMB_API_KEY", "k"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318/")]).unwrap();
    assert_eq!(traces(found.honeycomb).url.as_str(), "https://api.honeycomb.io/v1/traces");
    let otlp = traces(found.otlp);
    assert_eq!(otlp.url.as_str(), "http://127.0.0.1:4318/v1/traces");
    assert!(otlp.headers.is_empty(), "the key goes to Honeycomb alone");
}

#[test]
fn honeycombs_headers_in_otlps_variables_select_honeycomb() {
    let found = read(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://api.eu1.honeycomb.io:443"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-honeycomb-team=a%20b"),
    ]);
    let found = found.unwrap();
    assert!(is_off(&found.otlp));
    let endpoint = traces(found.honeycomb);
    assert_eq!(endpoint.url.as_str(), "https://api.eu1.honeycomb.io:443/v1/traces");
    assert_eq!(endpoint.headers.iter().map(|(_, value)| value.expose_secret()).collect::<Vec<_>>(), ["a b"]);
}

#[test]
fn a_fault_of_a_header_names_its_entry() {
    let fault = |headers: &str| read(&[("OTEL_EXPORTER_OTLP_HEADERS", headers)]).unwrap_err();
    assert!(fault("a=1,b=%zz").contains("entry 2 is not valid percent-encoding"));
    assert!(fault("a=").contains("entry 1 is not a valid name=value pair"));
}

#[test]
fn the_last_of_two_headers_with_the_same_name_is_sent() {
    for name in ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"] {
        let pairs = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318"), (name, "a=1, b=2 ,A=%33")];
        let found = read(&pairs).unwrap();
        assert_eq!(found.warnings, [format!("{name}: a is given more than once; the last value is used")]);
        let sent = traces(found.otlp).headers;
        let sent: Vec<_> = sent.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect();
        assert_eq!(sent, [("b", "2"), ("a", "3")]);
    }
}

#[test]
fn only_the_exporter_sets_headers_that_describe_the_body() {
    for name in ["content-length", "Content-Type", "CONTENT-ENCODING", "transfer-encoding"] {
        let headers = format!("{name}=3,a=1");
        let pairs =
            [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318"), ("OTEL_EXPORTER_OTLP_HEADERS", &*headers)];
        let found = read(&pairs).unwrap();
        let warning =
            format!("{} is not sent as given: the exporter sets it for each request", name.to_ascii_lowercase());
        assert_eq!(found.warnings, [format!("OTEL_EXPORTER_OTLP_HEADERS: {warning}")]);
        let sent = traces(found.otlp).headers;
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
    let found = read(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "250"),
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "https://logs.example/in"),
        ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "a=b%2C"),
        ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", "none"),
        ("OTEL_LOGS_EXPORTER", "otlp"),
    ]);
    let otlp = endpoints(found.unwrap().otlp);
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
fn the_url_of_grpc_has_no_path_and_without_grpc_the_port_and_the_path_of_http() {
    let url = |pairs: &[(&str, &str)]| {
        let found = read(&[pairs, &[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]].concat()).unwrap();
        traces(found.otlp).to_string()
    };
    const BASE: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
    const TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
    let insecure = ("OTEL_EXPORTER_OTLP_INSECURE", "true");
    let own = ("OTEL_EXPORTER_OTLP_TRACES_INSECURE", "false");
    let local = "http://localhost:4317";
    for (pairs, by_grpc, by_http) in [
        (&[(BASE, local)][..], "http://localhost:4317, grpc", "http://localhost:4318/v1/traces, http/protobuf"),
        (&[(TRACES, local)], "http://localhost:4317, grpc", "http://localhost:4318/v1/traces, http/protobuf"),
        (&[(TRACES, "http://localhost:9/x/")], "http://localhost:9, grpc", "http://localhost:9/x/, http/protobuf"),
        (
            &[(BASE, "collector:4317"), insecure],
            "http://collector:4317, grpc, gzip",
            "http://collector:4318/v1/traces, http/protobuf, gzip",
        ),
        (
            &[(BASE, "collector:4317")],
            "https://collector:4317, grpc, gzip",
            "https://collector:4318/v1/traces, http/protobuf, gzip",
        ),
        (
            &[(TRACES, "collector:4317"), insecure, own],
            "https://collector:4317, grpc, gzip",
            "https://collector:4318/v1/traces, http/protobuf, gzip",
        ),
    ] {
        assert_eq!(url(pairs), if GRPC { by_grpc } else { by_http }, "{pairs:?}");
    }
    let both = [("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"), (BASE, local)];
    assert_eq!(url(&both), "http://localhost:4317/v1/traces, http/json", "the signal's own protocol takes precedence");
}

#[test]
fn the_endpoint_of_a_signal_is_used_exactly_as_it_is_written() {
    for address in ["http://127.0.0.1:1/custom/", "http://127.0.0.1:1/?key=canary", "http://127.0.0.1:1"] {
        let found = read(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", address)]).unwrap();
        let endpoint = traces(found.otlp);
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
            let found = read(&[("HONEYCOMB_API_KEY", "k"), (variable, &address)]).unwrap();
            (traces(found.honeycomb).url.to_string(), found.otlp)
        };
        let (honeycomb, _) = at("HONEYCOMB_API_ENDPOINT", "https://api.eu1.honeycomb.io");
        assert_eq!(honeycomb, "https://api.eu1.honeycomb.io/v1/traces", "{path}");
        let (_, otlp) = at("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1/otlp");
        assert_eq!(traces(otlp).url.as_str(), "http://127.0.0.1:1/otlp/v1/traces", "{path}");
    }
}

#[test]
fn quotes_in_a_value_are_one_fault() {
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
fn headers_go_only_to_the_address_for_which_they_were_given() {
    let found = read(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://api.honeycomb.io"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-honeycomb-team=k"),
        ("OTEL_LOGS_EXPORTER", "otlp"),
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "https://logs.example/in"),
        ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "authorization=Bearer%20t"),
    ]);
    let found = found.unwrap();
    let honeycomb = endpoints(found.honeycomb);
    assert!(honeycomb.logs.is_none() && honeycomb.traces.unwrap().header("authorization").is_none());
    let otlp = endpoints(found.otlp);
    let logs = otlp.logs.unwrap();
    assert_eq!((logs.url.as_str(), logs.header(TEAM)), ("https://logs.example/in", None));
    assert!(otlp.traces.is_none() && logs.header("authorization").is_some());
    let found = read(&[
        ("HONEYCOMB_API_ENDPOINT", "https://refinery.example"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://api.honeycomb.io"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-honeycomb-team=k,x-other=1"),
    ]);
    let moved = traces(found.unwrap().honeycomb);
    assert_eq!((moved.url.as_str(), moved.header("x-other")), ("https://refinery.example/v1/traces", None));
    let found =
        read(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://x.honeycomb.io/custom"), ("HONEYCOMB_API_KEY", "k")]);
    assert_eq!(traces(found.unwrap().honeycomb).url.as_str(), "https://x.honeycomb.io/custom");
}
