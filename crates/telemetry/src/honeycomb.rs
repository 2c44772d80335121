//! OTLP/HTTP: protobuf, gzip, to Honeycomb or any collector. Runs on a blocking client on the worker's own thread, follows no
//! redirect (the key would go along), uses no proxy of the environment, and tells the destination's own words when it
//! refuses.
//!
//! The wire types are `opentelemetry-proto`'s; the exporter of `opentelemetry-otlp` is not used, because it reads
//! `OTEL_EXPORTER_OTLP_HEADERS` by itself, so that with two destinations the key of one is sent to both, and because it
//! drops the body of a refusal, which says why.

use std::fmt;
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanData;
use prost::Message;
use secrecy::ExposeSecret;
use ureq::http::{HeaderValue, StatusCode};

use crate::address::Endpoint;
use crate::ledger::Reason;
use crate::pipeline::{Exporter, Outcome};

const CONNECT: Duration = Duration::from_secs(2);
const TOTAL: Duration = Duration::from_secs(10);
/// What is read of an answer; the rest is not needed to know what it says.
const ANSWER: u64 = 64 * 1024;

/// After a key was refused, until the next batch is sent with it: someone may have allowed it meanwhile.
const CLOSED: Duration = Duration::from_secs(60);

/// Sends batches of spans to one OTLP/HTTP endpoint.
pub(crate) struct Otlp {
    agent: ureq::Agent,
    endpoint: Endpoint,
    resource: ResourceAttributesWithSchema,
}

/// What the endpoint answered, as much of it as is read.
struct Answer {
    status: StatusCode,
    kind: Option<HeaderValue>,
    /// In its form of seconds; a date counts as none.
    retry_after: Option<Duration>,
    body: Vec<u8>,
}

/// The body of a refusal: `google.rpc.Status`, of which we read the message.
#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

impl Otlp {
    pub(crate) fn new(endpoint: Endpoint, resource: &Resource) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .timeout_connect(Some(CONNECT))
            .timeout_global(Some(TOTAL))
            .user_agent(concat!("cruddur-telemetry/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        Self { agent, endpoint, resource: resource.into() }
    }

    fn body(&self, batch: &[Arc<SpanData>]) -> std::io::Result<Vec<u8>> {
        let spans = batch.iter().map(|span| SpanData::clone(span)).collect();
        let resource_spans = group_spans_by_resource_and_scope(spans, &self.resource);
        let message = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
        let mut gzip = GzEncoder::new(Vec::with_capacity(message.len() / 4), Compression::fast());
        gzip.write_all(&message)?;
        gzip.finish()
    }

    /// What a destination says may repeat the key that it was sent.
    fn without_keys(&self, text: String) -> String {
        let keys = self.endpoint.headers().iter().map(|(_, value)| value.expose_secret());
        keys.fold(text, |text, key| text.replace(key, "***"))
    }

    fn post(&self, body: &[u8]) -> Result<Answer, ureq::Error> {
        let mut request = self.agent.post(self.endpoint.traces());
        for (name, value) in self.endpoint.headers() {
            request = request.header(name, value.expose_secret());
        }
        let request = request.header("content-type", "application/x-protobuf").header("content-encoding", "gzip");
        let mut response = request.send(body)?;
        let header = |name| response.headers().get(name).cloned();
        let kind = header("content-type");
        let retry_after = header("retry-after").and_then(|after| after.to_str().ok()?.trim().parse().ok());
        let mut body = Vec::new();
        response.body_mut().as_reader().take(ANSWER).read_to_end(&mut body)?;
        Ok(Answer { status: response.status(), kind, retry_after: retry_after.map(Duration::from_secs), body })
    }
}

impl Exporter for Otlp {
    fn export(&mut self, batch: &[Arc<SpanData>]) -> Outcome {
        let mut outcome = Outcome::default();
        match self.body(batch).map_err(ureq::Error::from).and_then(|body| self.post(&body)) {
            Err(error) => {
                let error = format!("{} did not answer: {error}", self.endpoint);
                outcome.lose(batch.len(), Reason::Unreachable, error);
                outcome.again_after = Some(Duration::ZERO);
            }
            Ok(Answer { status, body: answer, .. }) if status.is_success() => {
                let answer = ExportTraceServiceResponse::decode(answer.as_slice()).unwrap_or_default();
                let partial = answer.partial_success.unwrap_or_default();
                let rejected = usize::try_from(partial.rejected_spans).unwrap_or(0).min(batch.len());
                if rejected > 0 {
                    let error = format!("{} took a part: {}", self.endpoint, partial.error_message);
                    outcome.lose(rejected, Reason::Refused, self.without_keys(error));
                }
            }
            Ok(Answer { status, kind, retry_after, body: answer }) => {
                let said = Said(kind.as_ref(), &answer);
                let error = format!("{} answered {status}{said}", self.endpoint);
                let reason = if status == StatusCode::PAYLOAD_TOO_LARGE { Reason::TooLarge } else { Reason::Refused };
                outcome.lose(batch.len(), reason, self.without_keys(error));
                // Those that OTLP calls retryable: https://opentelemetry.io/docs/specs/otlp/#retryable-response-codes
                if matches!(status.as_u16(), 429 | 502 | 503 | 504) {
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

/// What a refusal's body says, if it says anything readable.
struct Said<'a>(Option<&'a HeaderValue>, &'a [u8]);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(kind, body) = self;
        let protobuf = kind.and_then(|kind| kind.to_str().ok()).is_some_and(|kind| kind.contains("protobuf"));
        let message = if protobuf {
            Status::decode(*body).map(|status| status.message).unwrap_or_default()
        } else {
            String::from_utf8_lossy(body).into_owned()
        };
        let message: String = message.trim().chars().filter(|c| !c.is_control()).take(300).collect();
        if message.is_empty() { Ok(()) } else { write!(f, ": {message}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_said_back_is_not_repeated() {
        let mut endpoint: Endpoint = "https://example.org".parse().unwrap();
        endpoint.headers.push((::http::HeaderName::from_static("x-honeycomb-team"), "canary".to_owned().into()));
        let otlp = Otlp::new(endpoint, &Resource::builder_empty().build());
        assert_eq!(otlp.without_keys("no such key: canary".to_owned()), "no such key: ***");
    }

    #[test]
    fn a_refusal_is_told_in_its_own_words() {
        let protobuf = HeaderValue::from_static("application/x-protobuf");
        let status = Status { code: 16, message: "unknown API key".to_owned() }.encode_to_vec();
        assert_eq!(Said(Some(&protobuf), &status).to_string(), ": unknown API key");
        assert_eq!(Said(None, b"{\"error\":\"slow\r\ndown\"}").to_string(), ": {\"error\":\"slowdown\"}");
        assert_eq!(Said(Some(&protobuf), b"\xff\xff").to_string(), "");
        assert_eq!(Said(None, "x".repeat(1_000).as_bytes()).to_string().len(), 302);
    }
}
