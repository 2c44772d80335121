//! Sends OTLP/HTTP, in protobuf or JSON, to Honeycomb or any collector. Uses a blocking client on the worker's own thread.
//! Follows no redirects (they would leak the key), uses no proxy from the environment, and reports a refusal in the
//! destination's own words.
//!
//! The exporter of `opentelemetry-otlp` sends nothing here: it reads `OTEL_EXPORTER_OTLP_HEADERS` itself, so with two destinations
//! it would send the key of one to both. It also drops the body of a refusal, which contains the reason. It encodes metrics.

use std::io::{self, Read};
use std::time::Duration;

use otlp::response::Receipt;
use secrecy::{ExposeSecret, SecretString};
use ureq::http::{HeaderName, HeaderValue, Request, StatusCode};

use super::endpoint::{AGENT, CLOSED, CONNECT, Endpoint, Endpoints, Protocol, Signal};
use super::grpc;
use super::message::MessageWriter;
use super::redact::redacted;
use super::response::{LONGEST, OtlpResponse, receipt, refusal, retry_after, unpacked};
use super::settings::Collector;
use super::variables::{OTLP, Owner};
use crate::client::agent;
use crate::destinations::destination::{Queues, Start};
use crate::explain::explain;
use crate::ledger::{Reason, RecordKind};
use crate::pipeline::{DestinationLabel, Exporter, Outcome, Pace, Queue, Record};

/// Starts the exporters of a collector.
pub(super) fn start(collector: &Collector, start: &Start<'_>) -> io::Result<Queues> {
    start_all(OTLP, &collector.endpoints, start)
}

/// Starts the exporters of spans, of log records and of metrics of `owner`.
pub(crate) fn start_all(owner: Owner, to: &Endpoints, start: &Start<'_>) -> io::Result<Queues> {
    let queue = |name: &str, signal, endpoint: &Option<Endpoint>, pace| {
        let Some(endpoint) = endpoint.clone() else { return Ok(None) };
        let (label, resource) = (label(name, signal, &endpoint), start.resource.encoding().to_vec());
        Queue::start(label, pace, move || exporter(endpoint.clone(), signal, &resource)).map(Some)
    };
    Ok(Queues {
        spans: queue(owner.name, Signal::Traces, &to.traces, start.pace)?,
        logs: queue(&owner.logs(), Signal::Logs, &to.logs, start.log_pace)?,
        metrics: queue(&owner.metrics(), Signal::Metrics, &to.metrics, Pace::METRICS)?,
    })
}

/// The ledger's entry for an endpoint.
pub(crate) fn label(name: &str, signal: Signal, endpoint: &Endpoint) -> DestinationLabel {
    let kind = if endpoint.protocol == Protocol::Grpc { "otlp_grpc" } else { "otlp_http" };
    let records = match signal {
        Signal::Traces => RecordKind::Span,
        Signal::Logs => RecordKind::LogRecord,
        Signal::Metrics => RecordKind::MetricPoint,
    };
    DestinationLabel { name: name.to_owned(), kind, records, endpoint: endpoint.url.to_string() }
}

/// What sends `signal` to `endpoint`, by its protocol, for the process that `resource`, an encoded message, describes.
pub(super) fn exporter(endpoint: Endpoint, signal: Signal, resource: &[u8]) -> Box<dyn Exporter> {
    let by_grpc = grpc::exporter(&endpoint, signal, resource);
    by_grpc.unwrap_or_else(|| Box::new(OtlpExporter::new(endpoint.over_http(), signal, resource)))
}

/// Sends batches of one signal to one OTLP/HTTP endpoint.
pub(crate) struct OtlpExporter {
    agent: ureq::Agent,
    endpoint: Endpoint,
    /// The encodings in which a response confirms a batch.
    responses: Vec<Protocol>,
    message: MessageWriter,
}

/// A request that is about to be sent, for its signer.
pub(crate) struct Unsigned<'a> {
    pub(crate) method: &'a str,
    pub(crate) url: &'a str,
    /// Headers that describe the body.
    pub(crate) headers: &'a [(&'a str, &'a str)],
    /// The body as it is sent: compressed, if it is.
    pub(crate) body: &'a [u8],
}

/// What the signer adds to one attempt besides the endpoint's own headers.
#[derive(Default)]
pub(crate) struct Signature {
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// Secrets to remove from the endpoint's responses, which may repeat them.
    pub(crate) secrets: Vec<SecretString>,
}

impl OtlpExporter {
    /// Sends `signal` to `endpoint` for the process that `resource`, an encoded message, describes.
    pub(crate) fn new(endpoint: Endpoint, signal: Signal, resource: &[u8]) -> Self {
        let agent = agent(CONNECT, endpoint.timeout, &endpoint.tls);
        let message = MessageWriter::new(&endpoint, signal, resource);
        Self { agent, responses: vec![endpoint.protocol], endpoint, message }
    }

    /// Accepts a response in JSON too, whatever the request's encoding: AWS's APIs respond in JSON.
    #[cfg_attr(not(feature = "xray-otlp"), expect(dead_code, reason = "AWS alone needs it"))]
    pub(crate) fn or_json(mut self) -> Self {
        self.responses.push(Protocol::Json);
        self
    }

    /// Sends a batch, with what `sign` adds to this attempt. If signing fails, the batch is not sent.
    pub(crate) fn send(
        &mut self,
        batch: &[Record],
        sign: impl FnOnce(&Unsigned<'_>) -> Result<Signature, String>,
    ) -> Outcome {
        let written = self.message.write(batch).map(drop).map_err(ureq::Error::from);
        let (url, body, headers) = (self.endpoint.url.as_str(), self.message.body(), self.headers());
        let request = Unsigned { method: "POST", url, headers: &headers, body };
        let signature = match sign(&request) {
            Ok(signature) => signature,
            Err(why) => {
                let mut outcome = Outcome::default();
                outcome.lose(
                    Record::total(batch),
                    Reason::Refused,
                    format!("cannot send to {}: {why}", self.endpoint.url),
                );
                return outcome;
            }
        };
        let sent = written.and_then(|()| self.post(&request, &signature));
        self.judge(Record::total(batch), sent, &signature)
    }

    /// The headers that describe the body.
    fn headers(&self) -> Vec<(&'static str, &'static str)> {
        let kind = self.endpoint.protocol.encoding().content_type();
        let encoding = self.endpoint.gzip.then_some(("content-encoding", "gzip"));
        encoding.into_iter().chain([("content-type", kind)]).collect()
    }

    fn post(&self, unsigned: &Unsigned<'_>, signature: &Signature) -> Result<OtlpResponse, ureq::Error> {
        let mut request = Request::builder().method(unsigned.method).uri(unsigned.url);
        for (name, value) in &self.endpoint.headers {
            request = request.header(name, value.expose_secret());
        }
        for (name, value) in unsigned.headers {
            request = request.header(*name, *value);
        }
        for (name, value) in [("user-agent", AGENT), ("accept-encoding", "gzip")] {
            if self.endpoint.header(name).is_none() {
                request = request.header(name, value);
            }
        }
        for (name, value) in &signature.headers {
            request = request.header(name, value);
        }
        let mut response = self.agent.run(request.body(unsigned.body)?)?;
        let header = |name| response.headers().get(name).cloned();
        let (kind, error) = (header("content-type"), header("x-amzn-errortype"));
        let retry_after = header("retry-after").and_then(|after| retry_after(after.to_str().ok()?.trim()));
        let mut body = Vec::new();
        let read = response.body_mut().as_reader().take(LONGEST).read_to_end(&mut body);
        let status = response.status();
        // A truncated refusal still gives the reason. A success may report that only some records were accepted, so its body
        // must be complete.
        if status.is_success() {
            read?;
        }
        let body = unpacked(response.headers(), body);
        Ok(OtlpResponse { status, kind, error, retry_after, body })
    }

    /// The outcome of a batch that counts as `size`.
    fn judge(&self, size: usize, sent: Result<OtlpResponse, ureq::Error>, signature: &Signature) -> Outcome {
        let mut outcome = Outcome::default();
        let url = &self.endpoint.url;
        let redacted = |message: &str| redacted(self.endpoint.secrets().chain(&signature.secrets), message);
        match sent {
            Err(error) => {
                outcome.lose(size, Reason::Unreachable, format!("{url} did not respond: {}", explain(&error)));
                outcome.again_after = Some(Duration::ZERO);
            }
            Ok(OtlpResponse { status, kind, body, .. }) if status.is_success() => {
                match receipt(&self.responses, kind.as_ref(), &body) {
                    Ok(Receipt { rejected, message }) if rejected > 0 => {
                        let rejected = usize::try_from(rejected).unwrap_or(size).min(size);
                        outcome.lose(
                            rejected,
                            Reason::Refused,
                            format!("{url} rejected {rejected} of {size}{}", redacted(&message)),
                        );
                    }
                    Ok(Receipt { message, .. }) if !message.is_empty() => {
                        outcome.warning =
                            Some(format!("{url} accepted the batch with a warning{}", redacted(&message)));
                    }
                    Ok(_) => {}
                    Err(what) => {
                        let what = redacted(&what);
                        let what = what.trim_start_matches(": ");
                        let why = format!(
                            "{url} responded {status} with {what}, which is not an OTLP response; is it the address of an OTLP/HTTP endpoint?"
                        );
                        outcome.lose(size, Reason::Unconfirmed, why);
                    }
                }
            }
            Ok(OtlpResponse { status, kind, error, retry_after, body }) => {
                let words = refusal(kind.as_ref(), error.as_ref(), &body);
                let reason = if status == StatusCode::PAYLOAD_TOO_LARGE { Reason::TooLarge } else { Reason::Refused };
                outcome.lose(size, reason, format!("{url} responded {status}{}", redacted(&words)));
                // The statuses that OTLP calls retryable: https://opentelemetry.io/docs/specs/otlp/#retryable-response-codes
                // AWS also uses 400 for this, and names the error.
                if matches!(status.as_u16(), 429 | 502 | 503 | 504) || words.starts_with("Throttl") {
                    outcome.again_after = Some(retry_after.unwrap_or_default());
                }
                if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
                    outcome.closed_for = Some(CLOSED);
                }
            }
        }
        outcome
    }
}

impl Exporter for OtlpExporter {
    fn export(&mut self, batch: &[Record]) -> Outcome {
        self.send(batch, |_| Ok(Signature::default()))
    }
}
