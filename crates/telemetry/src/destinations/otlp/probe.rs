//! Checks an OTLP endpoint: its host name, a connection, its certificate, and whether it accepts an empty request. If the
//! server speaks another protocol, the problem names it.

use super::endpoint::{Endpoint, Endpoints, Protocol, Signal};
use super::exporter::exporter;
use super::settings::Collector;
use crate::client::agent;
use crate::explain::explain;
use crate::ledger::Reason;
use crate::pipeline::Exporter;
use crate::probe::connection::{CONNECT, TOTAL, connect, or_mistake, resolve};
use crate::probe::speaker::FailedAttempt;
use crate::probe::{Report, Status};
use crate::resource::Resource;

pub(super) fn probe(collector: &Collector, report: &mut Report) {
    if let Some(endpoint) = &collector.endpoints.traces
        && reaches(report, "otlp", endpoint)
    {
        accepts_spans(report, "otlp span", &collector.endpoints);
    }
    accepts_logs(report, "otlp log record", &collector.endpoints);
    accepts_metrics(report, "otlp metric", &collector.endpoints);
}

/// Looks up the host name, connects, and tries TLS with the endpoint's certificates. Returns whether all of this works.
pub(crate) fn reaches(report: &mut Report, name: &str, endpoint: &Endpoint) -> bool {
    let url = &endpoint.url;
    let (host, port) = (url.host(), url.port());
    let resolved = report.found(&format!("{name} DNS"), resolve(&host, port), |addresses| {
        let addresses: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
        format!("{host} is {}", addresses.join(", "))
    });
    if resolved.is_none() {
        return false;
    }
    let connected = report.found(&format!("{name} connection"), connect(&host, port), ToString::to_string);
    if connected.is_none() {
        return false;
    }
    if !url.is_encrypted() {
        report.add(format!("{name} TLS"), Status::Off, format!("{url} is not encrypted"));
        return true;
    }
    if endpoint.protocol == Protocol::Grpc {
        // Its TLS agrees on HTTP/2 alone, so the export checks it.
        return true;
    }
    report.found(&format!("{name} TLS"), tls(endpoint), |()| "the certificate is valid".to_owned()).is_some()
}

/// Checks whether an export request without spans is accepted.
pub(crate) fn accepts_spans(report: &mut Report, check: &str, endpoints: &Endpoints) {
    accepts(report, check, "spans", Signal::Traces, endpoints.traces.as_ref());
}

/// Checks the address of log records, which may differ from that of spans.
pub(crate) fn accepts_logs(report: &mut Report, check: &str, endpoints: &Endpoints) {
    accepts(report, check, "log records", Signal::Logs, endpoints.logs.as_ref());
}

/// Checks the address of metrics, likewise.
pub(crate) fn accepts_metrics(report: &mut Report, check: &str, endpoints: &Endpoints) {
    accepts(report, check, "metrics", Signal::Metrics, endpoints.metrics.as_ref());
}

fn accepts(report: &mut Report, check: &str, what: &str, signal: Signal, endpoint: Option<&Endpoint>) {
    if let Some(endpoint) = endpoint {
        let new = |resource: &[u8]| exporter(endpoint.clone(), signal, resource);
        report.found(check, export_nothing(endpoint, new), |()| accepted(what, endpoint));
    }
}

/// Sends an empty export.
///
/// # Errors
/// The request was not accepted: the destination's own words, or the protocol that the server speaks instead of OTLP over HTTP.
pub(crate) fn export_nothing<E: Exporter>(endpoint: &Endpoint, new: impl FnOnce(&[u8]) -> E) -> Result<(), String> {
    let resource = Resource::new("cruddur-doctor", None, &[]);
    let outcome = new(resource.encoding()).export(&[]);
    let attempt = match endpoint.protocol {
        Protocol::Grpc => FailedAttempt::Grpc,
        _ if outcome.dropped.contains_key(&Reason::Unreachable) => FailedAttempt::Http,
        _ => FailedAttempt::AnsweredHttp,
    };
    outcome.error.map_or(Ok(()), |problem| Err(or_mistake(&endpoint.url, attempt, problem)))
}

pub(crate) fn accepted(what: &str, endpoint: &Endpoint) -> String {
    format!("{} accepts {what}; none were sent", endpoint.url)
}

/// Connects by TLS.
fn tls(endpoint: &Endpoint) -> Result<(), String> {
    let url = &endpoint.url;
    match agent(CONNECT, TOTAL, &endpoint.tls).get(url.as_str()).call() {
        Ok(_) => Ok(()),
        Err(error) => Err(or_mistake(url, FailedAttempt::Http, format!("{url} did not respond: {}", explain(&error)))),
    }
}
