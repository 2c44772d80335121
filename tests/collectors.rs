//! Collectors as they occur in practice: behind a private CA, with mutual TLS, and servers that answer a batch with a success
//! that is not an OTLP response.

use crate::support::Folder;
use crate::support::certificate::Authority;
use crate::support::cruddur::{Cruddur, Ended, run};
use crate::support::honeycomb::{Honeycomb, Trouble};

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_CERTIFICATE";
const CLIENT: &str = "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE";
const KEY: &str = "OTEL_EXPORTER_OTLP_CLIENT_KEY";

/// The backend alone, run from its start, which makes spans, to its end.
fn backend(variables: &[(&str, &str)]) -> Ended {
    let data = Folder::new();
    let own = [("CRUDDUR_DATA", data.path().to_str().unwrap())];
    Cruddur::service("backend", &[&own, variables].concat()).stop()
}

/// The backend's final ledger.
fn ledger(ended: &Ended) -> &str {
    let line = ended.errors.lines().find(|line| line.starts_with("backend: otlp: "));
    line.unwrap_or_else(|| panic!("no ledger in {}", ended.errors))
}

#[test]
fn a_private_ca_is_trusted_by_any_of_its_variables() {
    let Some(authority) = Authority::make() else { return };
    let (file, folder) = (authority.file(), authority.folder());
    let folders = format!("/no/such:{}:{folder}", env!("CARGO_MANIFEST_DIR"));
    for (variable, value) in [
        (CERTIFICATE, &file),
        ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", &file),
        ("SSL_CERT_FILE", &file),
        ("SSL_CERT_DIR", &folder),
        ("SSL_CERT_DIR", &folders),
    ] {
        let collector = Honeycomb::encrypted("", authority.server(false));
        let ended = backend(&[(ENDPOINT, &collector.url), (variable, value)]);
        assert!(!collector.accepted().is_empty(), "{variable}: {}", ended.errors);
        assert!(ledger(&ended).contains("0 queued + 0 dropped"), "{variable}: {}", ended.errors);
    }
    let collector = Honeycomb::encrypted("", authority.server(false));
    let ended = backend(&[(ENDPOINT, &collector.url)]);
    assert!(collector.accepted().is_empty(), "{}", ended.errors);
    let ledger = ledger(&ended);
    assert!(ledger.contains("UnknownIssuer") && ledger.contains(&format!("name its CA in {CERTIFICATE}")), "{ledger}");
}

#[test]
fn a_certificate_setting_applies_to_its_own_address_alone() {
    let Some(authority) = Authority::make() else { return };
    let honeycomb = Honeycomb::encrypted("k", authority.server(false));
    let own = [("HONEYCOMB_API_KEY", "k"), ("HONEYCOMB_API_ENDPOINT", honeycomb.url.as_str())];
    let file = authority.file();
    backend(&[own[0], own[1], (CERTIFICATE, &file)]);
    assert!(honeycomb.accepted().is_empty(), "the collector's CA is not Honeycomb's");
    let ended = backend(&[own[0], own[1], ("SSL_CERT_FILE", &file)]);
    assert!(!honeycomb.accepted().is_empty(), "{}", ended.errors);
}

#[test]
fn a_collector_may_require_a_client_certificate() {
    let Some(authority) = Authority::make() else { return };
    let (file, [certificate, key]) = (authority.file(), authority.issue("client"));
    let collector = Honeycomb::encrypted("", authority.server(true));
    let to = [(ENDPOINT, collector.url.as_str()), (CERTIFICATE, file.as_str())];
    let ended = backend(&to);
    assert!(collector.accepted().is_empty());
    assert!(ledger(&ended).contains(&format!("set {CLIENT} and {KEY}")), "{}", ended.errors);
    let ended = backend(&[to[0], to[1], (CLIENT, &certificate), (KEY, &key)]);
    assert!(!collector.accepted().is_empty(), "{}", ended.errors);
    assert!(!ended.errors.contains("PRIVATE KEY"), "{}", ended.errors);
}

#[test]
fn an_unusable_certificate_file_is_named() {
    let Some(authority) = Authority::make() else { return };
    let (file, [certificate, key], [_, other]) =
        (authority.file(), authority.issue("client"), authority.issue("other"));
    let text = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let to = (ENDPOINT, "https://127.0.0.1:1");
    for (variables, variable, problem) in [
        (vec![(CERTIFICATE, "/no/such/ca.pem")], CERTIFICATE, "/no/such/ca.pem cannot be read"),
        (vec![(CERTIFICATE, text)], CERTIFICATE, "Cargo.toml contains no certificate in PEM"),
        (vec![(CERTIFICATE, &key)], CERTIFICATE, "client.key contains no certificate in PEM"),
        (vec![("SSL_CERT_FILE", "/no/such/ca.pem")], "SSL_CERT_FILE", "/no/such/ca.pem cannot be read"),
        (vec![("SSL_CERT_DIR", env!("CARGO_MANIFEST_DIR"))], "SSL_CERT_DIR", "contains no CA certificates"),
        (vec![("SSL_CERT_DIR", "/no/such:/nor/this")], "SSL_CERT_DIR", "contains no CA certificates"),
        (vec![(CLIENT, &certificate)], CLIENT, "needs a certificate and its key"),
        (vec![(KEY, &key)], KEY, "needs a certificate and its key"),
        (vec![(CLIENT, &certificate), (KEY, &other)], KEY, "is not the key of"),
        (vec![(CLIENT, &certificate), (KEY, &file)], KEY, "ca.pem contains no private key in PEM"),
        (vec![(CLIENT, &key), (KEY, &key)], CLIENT, "client.key contains no certificate in PEM"),
    ] {
        let ended = run(&["backend"], &[vec![to], variables].concat());
        assert_eq!(ended.status.code(), Some(64), "{problem}: {}", ended.errors);
        assert!(ended.errors.starts_with(&format!("error: {variable}: ")), "{}", ended.errors);
        assert!(ended.errors.contains(problem) && ended.errors.lines().count() == 1, "{problem}: {}", ended.errors);
    }
    // A file that no endpoint needs is not read.
    let ended = backend(&[(ENDPOINT, "http://127.0.0.1:1"), (CERTIFICATE, "/no/such/ca.pem"), ("SSL_CERT_FILE", text)]);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.errors);
}

#[test]
fn a_success_that_is_not_an_otlp_response_delivers_nothing() {
    for (protocol, kind, body, what) in [
        ("http/protobuf", "text/html; charset=utf-8", "<!doctype html><title>A page</title>", "a web page (text/html)"),
        ("http/protobuf", "application/json", "{}", "a body of application/json"),
        ("http/json", "application/json", "", "no body (application/json)"),
        ("http/json", "application/json", r#"{"status":"ok"}"#, "a body of application/json"),
    ] {
        let page = Honeycomb::troubled("", Trouble::Answers(kind, body));
        let ended = backend(&[(ENDPOINT, &page.url), ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)]);
        let ledger = ledger(&ended);
        assert!(ledger.contains("= 0 delivered + 0 queued") && ledger.contains(" unconfirmed)"), "{what}: {ledger}");
        let reason = format!("responded 200 OK with {what}, which is not an OTLP response");
        assert!(ledger.contains(&reason), "{what}: {ledger}");
    }
}

#[test]
fn a_gzipped_response_is_read() {
    for protocol in ["http/protobuf", "http/json"] {
        let to =
            |collector: &Honeycomb| backend(&[(ENDPOINT, &collector.url), ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)]);
        let ended = to(&Honeycomb::troubled("", Trouble::Packs));
        assert!(ledger(&ended).ends_with(" delivered + 0 queued + 0 dropped"), "{protocol}: {}", ended.errors);
        let refused = to(&Honeycomb::troubled("a key", Trouble::Packs));
        assert!(ledger(&refused).ends_with(": missing 'x-honeycomb-team' header"), "{protocol}: {}", refused.errors);
    }
}

#[test]
fn a_message_without_rejections_is_one_warning_and_loses_nothing() {
    let collector = Honeycomb::troubled("", Trouble::Warns);
    let ended = backend(&[(ENDPOINT, &collector.url), ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1")]);
    assert!(ledger(&ended).ends_with(" delivered + 0 queued + 0 dropped"), "{}", ended.errors);
    let warning = "accepted the batch with a warning: the dataset is nearly full";
    assert_eq!(ended.errors.matches(warning).count(), 1, "{}", ended.errors);
}
