//! `cruddur honeycomb`: a stand-in for Honeycomb, to try it without an account. Accepts spans and log records over OTLP/HTTP with a
//! key, refuses what Honeycomb would refuse, and prints a line for each span with its dataset. Keeps nothing.

use std::io::{Read, Write, stdout};

use anyhow::{Context, Result};
use clap::Args;
use flate2::read::GzDecoder;
use hyper::body::Bytes;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, StatusCode};
use otlp::response::{code_of, failure, success};
use otlp::{Bounds, Encoding, Resource, Span};
use serde_json::json;
use settings::Listen;
use tokio::net::TcpListener;

use crate::form::line;
use crate::lifetime::stop_signal;
use crate::stand_in::{self, Answered, MAX_BODY, Refusal, json_response, response, text, too_large, unreadable};

/// A resource's attributes suffice to find `service.name`.
const BOUNDS: Bounds = Bounds { attributes: 128, events: 0, links: 0, inner_attributes: 0 };

const TEAM: &str = "x-honeycomb-team";
const DATASET: &str = "x-honeycomb-dataset";

#[derive(Args)]
pub(crate) struct Honeycomb {
    /// The address to listen on; port 0 picks a free port
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8126")]
    listen: Listen,
    /// The key that senders must have
    #[arg(long, default_value = "hcaik_stand_in")]
    key: String,
}

/// Prints the variables that send here, then each span, until a signal.
///
/// # Errors
/// It cannot listen on the address, or standard output is closed.
pub(crate) async fn run(options: Honeycomb) -> Result<()> {
    let Listen(address) = options.listen;
    let stop = stop_signal()?;
    let listener = TcpListener::bind(address).await;
    let listener =
        listener.with_context(|| format!("cannot listen on {address}; give another address with --listen"))?;
    let address = listener.local_addr()?;
    writeln!(stdout(), "export HONEYCOMB_API_KEY={} HONEYCOMB_API_ENDPOINT=http://{address}", options.key)?;
    stand_in::serve(listener, stop, move |head, body| respond(head, body, &options.key)).await;
    Ok(())
}

fn respond(head: &Parts, body: Result<Bytes, Refusal>, key: &str) -> Answered {
    let authorized = authorize(&head.headers, key);
    match (&head.method, head.uri.path()) {
        (&Method::GET, "/1/auth") => match authorized {
            Ok(()) => json_response(StatusCode::OK, &identity()),
            Err(Refusal(status, why)) => json_response(status, &json!({ "error": why })),
        },
        (&Method::POST, path @ ("/v1/traces" | "/v1/logs")) => {
            let Some(encoding) = Encoding::of_content_type(text(head, CONTENT_TYPE.as_str())) else {
                return json_response(
                    StatusCode::UNSUPPORTED_MEDIA_TYPE,
                    &json!({"error": "unsupported content type"}),
                );
            };
            let received = authorized.and_then(|()| with_dataset(&head.headers, key)).and(body);
            let received = received.and_then(|body| unpack(head, body)).and_then(|body| match path {
                "/v1/traces" => print_spans(encoding, &body, &head.headers, key),
                _ => print_logs(&body),
            });
            export_response(encoding, received)
        }
        _ => json_response(StatusCode::NOT_FOUND, &json!({"error": "not found"})),
    }
}

fn authorize(headers: &HeaderMap, key: &str) -> Result<(), Refusal> {
    let refuse = |why: &str| Err(Refusal(StatusCode::UNAUTHORIZED, why.to_owned()));
    match headers.get(TEAM).map(|own| own.as_bytes()) {
        None => refuse("missing 'x-honeycomb-team' header"),
        Some(own) if own != key.as_bytes() => refuse("unknown API key - check your credentials"),
        Some(_) => Ok(()),
    }
}

/// A classic key belongs to no environment, and its spans must name their dataset.
fn with_dataset(headers: &HeaderMap, key: &str) -> Result<(), Refusal> {
    if is_classic(key) && !headers.contains_key(DATASET) {
        return Err(Refusal(StatusCode::UNAUTHORIZED, "missing 'x-honeycomb-dataset' header".to_owned()));
    }
    Ok(())
}

fn is_classic(key: &str) -> bool {
    let is_hex = key.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (key.len() == 32 && is_hex) || (key.len() == 64 && key.starts_with("hc") && key.get(3..6) == Some("ic_"))
}

fn unpack(head: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
    match text(head, CONTENT_ENCODING.as_str()) {
        "" | "identity" => Ok(body),
        "gzip" => {
            let mut unpacked = Vec::new();
            let limit = u64::try_from(MAX_BODY).unwrap_or(u64::MAX).saturating_add(1);
            GzDecoder::new(&*body).take(limit).read_to_end(&mut unpacked).map_err(|_| unreadable())?;
            if unpacked.len() > MAX_BODY { Err(too_large()) } else { Ok(unpacked.into()) }
        }
        _ => Err(unreadable()),
    }
}

/// Prints the spans of a message once all of it has been read. Returns how many were rejected, and why.
fn print_spans(encoding: Encoding, body: &[u8], headers: &HeaderMap, key: &str) -> Result<(u64, String), Refusal> {
    let classic = headers.get(DATASET).and_then(|dataset| dataset.to_str().ok()).filter(|_| is_classic(key));
    let (mut lines, mut rejected, mut why) = (Vec::new(), 0, String::new());
    let read = otlp::spans(encoding, body, &BOUNDS, |resource, _, span| match span {
        Ok(span) => lines.push(span_line(classic, resource, &span)),
        Err(fault) => {
            rejected += 1;
            why = fault.to_string();
        }
    });
    read.map_err(|error| Refusal(StatusCode::BAD_REQUEST, error.to_string()))?;
    let mut out = stdout().lock();
    // Standard output may be closed.
    lines.iter().for_each(|span| drop(line(&mut out, format_args!("{span}"))));
    Ok((rejected, why))
}

fn span_line(classic: Option<&str>, resource: &Resource<'_>, span: &Span<'_>) -> String {
    let service = resource.service().map(str::trim).filter(|service| !service.is_empty());
    let dataset = match (classic, service) {
        (Some(dataset), _) => dataset,
        (None, Some(service)) if !service.starts_with("unknown_service") => service,
        (None, _) => "unknown_service",
    };
    let (service, trace) = (service.unwrap_or("unknown_service"), u128::from_be_bytes(span.trace_id));
    format!("dataset={dataset} service={service} trace={trace:032x} span={}", span.name)
}

/// Accepts log records unread.
fn print_logs(body: &[u8]) -> Result<(u64, String), Refusal> {
    drop(writeln!(stdout(), "log records: {} bytes", body.len()));
    Ok((0, String::new()))
}

/// The response to `GET /1/auth`, which describes the key.
fn identity() -> serde_json::Value {
    json!({
        "id": "stand-in",
        "type": "ingest",
        "api_key_access": {"events": true, "createDatasets": true},
        "environment": {"name": "stand-in", "slug": "stand-in"},
        "team": {"name": "stand-in", "slug": "stand-in"},
    })
}

fn export_response(encoding: Encoding, received: Result<(u64, String), Refusal>) -> Answered {
    let (status, body) = match received {
        Ok((rejected, why)) => (StatusCode::OK, success(encoding, rejected, &why)),
        Err(Refusal(status, why)) => (status, failure(encoding, code_of(status.as_u16()), &why)),
    };
    response(status, encoding.content_type(), body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_in_the_dataset_of_its_service_or_of_a_classic_keys_header() {
        let of = |classic: Option<&str>, service: Option<&str>| {
            let mut lines = Vec::new();
            let attributes = match service {
                Some(service) => json!([{"key": "service.name", "value": {"stringValue": service}}]),
                None => json!([]),
            };
            let span =
                json!({"traceId": "6b02f03a54f4980499a5c1872558fcbf", "spanId": "46422517bae0bb00", "name": "GET /"});
            let message =
                json!({"resourceSpans": [{"resource": {"attributes": attributes}, "scopeSpans": [{"spans": [span]}]}]});
            otlp::spans(Encoding::Json, message.to_string().as_bytes(), &BOUNDS, |resource, _, span| {
                lines.push(span_line(classic, resource, &span.unwrap()));
            })
            .unwrap();
            lines.concat().replace(" trace=6b02f03a54f4980499a5c1872558fcbf span=GET /", "")
        };
        assert_eq!(of(None, Some("backend")), "dataset=backend service=backend");
        assert_eq!(of(None, Some("unknown_service:ruby")), "dataset=unknown_service service=unknown_service:ruby");
        assert_eq!(of(None, None), "dataset=unknown_service service=unknown_service");
        assert_eq!(of(Some("lesson"), Some("backend")), "dataset=lesson service=backend");
    }

    #[test]
    fn a_classic_key_is_recognised_by_its_form() {
        assert!(is_classic("0123456789abcdef0123456789abcdef") && is_classic(&format!("hcaic_{}", "0".repeat(58))));
        assert!(!is_classic("hcaik_stand_in") && !is_classic("0123456789ABCDEF0123456789ABCDEF"));
    }
}
