//! OTLP/HTTP, protobuf or JSON, to Honeycomb or any collector. Runs on a blocking client on the worker's own thread. Follows no
//! redirects (they would leak the key), uses no proxy of the environment, and reports a refusal in the destination's own words.
//!
//! The exporter of `opentelemetry-otlp` is not used. It reads `OTEL_EXPORTER_OTLP_HEADERS` on its own, so that with two
//! destinations the key of one is sent to both. It also drops the body of a refusal, which says why.

use std::io::{self, Read};
use std::time::{Duration, SystemTime};

use flate2::read::MultiGzDecoder;
use flate2::{Compress, Compression, FlushCompress, Status};
use opentelemetry_semantic_conventions::SCHEMA_URL;
use otlp::wire::{bytes, field_len, head};
use secrecy::{ExposeSecret, SecretString};
use ureq::http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode};

use super::answer::{receipt, said};
use super::endpoint::{Endpoint, Protocol};
use super::json;
use crate::client::agent;
use crate::explain::explain;
use crate::ledger::Reason;
use crate::pipeline::{Exporter, Outcome, Record};

pub(crate) use super::answer::told;

const CONNECT: Duration = Duration::from_secs(2);
/// The most that is read of a response; the remaining bytes are not needed to understand it.
const ANSWER: u64 = 64 * 1024;

/// The size of gzip's window, the largest: 32 KiB.
const WINDOW: u8 = 15;

/// The name that the specification requires of an exporter, followed by the product's own name.
const AGENT: &str =
    concat!("OTel-OTLP-Exporter-Rust/", env!("CARGO_PKG_VERSION"), " cruddur-telemetry/", env!("CARGO_PKG_VERSION"));

/// How long nothing is sent after a key was refused: an administrator may have allowed the key meanwhile.
const CLOSED: Duration = Duration::from_secs(60);

/// Sends batches of one signal to one OTLP/HTTP endpoint.
pub(crate) struct Otlp {
    agent: ureq::Agent,
    endpoint: Endpoint,
    signal: Signal,
    /// The resource, encoded as field 1 of `ResourceSpans` and `ResourceLogs`.
    resource: Vec<u8>,
    /// The scope, encoded as field 1 of `ScopeSpans` and `ScopeLogs`.
    scope: Vec<u8>,
    /// The encodings in which a response confirms a batch.
    responses: Vec<Protocol>,
    /// The version of the conventions that our spans follow, encoded as field 3 of both.
    schema: Vec<u8>,
    /// Compresses, if the endpoint wants it.
    gzip: Option<Compress>,
    /// The message of one export at a time, and the same compressed.
    message: Vec<u8>,
    packed: Vec<u8>,
}

/// The signal that is sent. The messages of both signals have the same shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    Traces,
    Logs,
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

/// What one attempt carries besides the endpoint's own headers.
#[derive(Default)]
pub(crate) struct Signature {
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// Secrets that the endpoint may repeat, and this crate must not.
    pub(crate) secrets: Vec<SecretString>,
}

/// The endpoint's response, as much of it as is read.
struct Answer {
    status: StatusCode,
    kind: Option<HeaderValue>,
    /// AWS's name for the error, from a separate header.
    error: Option<HeaderValue>,
    retry_after: Option<Duration>,
    body: Vec<u8>,
}

impl Otlp {
    /// Sends `signal` to `endpoint` for the process that `resource`, an encoded message, describes.
    pub(crate) fn new(endpoint: Endpoint, signal: Signal, resource: &[u8]) -> Self {
        let agent = agent(CONNECT, endpoint.timeout, &endpoint.tls);
        let mut scope = Vec::new();
        bytes(&mut scope, 1, env!("CARGO_PKG_NAME").as_bytes());
        bytes(&mut scope, 2, env!("CARGO_PKG_VERSION").as_bytes());
        let mut schema = Vec::new();
        bytes(&mut schema, 3, SCHEMA_URL.as_bytes());
        Self {
            agent,
            responses: vec![endpoint.protocol],
            gzip: endpoint.gzip.then(|| Compress::new_gzip(Compression::fast(), WINDOW)),
            endpoint,
            signal,
            resource: as_field(resource),
            scope: as_field(&scope),
            schema,
            message: Vec::new(),
            packed: Vec::new(),
        }
    }

    /// Accepts a response in JSON too, whatever the request's encoding: AWS's APIs respond in JSON.
    #[cfg_attr(not(feature = "xray-otlp"), expect(dead_code, reason = "AWS alone needs it"))]
    pub(crate) fn or_json(mut self) -> Self {
        self.responses.push(Protocol::Json);
        self
    }

    /// Makes the request's message and packs it as the endpoint wants it. The records of each maker are in one scope within one
    /// resource.
    pub(crate) fn body(&mut self, batch: &[Record]) -> io::Result<&[u8]> {
        self.message.clear();
        let (message, scope) = (&mut self.message, &self.scope);
        let makers = Record::makers(batch);
        if makers.is_empty() || batch.iter().any(|record| record.is_of(None)) {
            part(message, &self.resource, scope, &self.schema, batch.iter().filter(|record| record.is_of(None)));
        }
        for maker in &makers {
            let of_maker = batch.iter().filter(|record| record.is_of(Some(maker)));
            // The conventions that another maker follows are not known.
            part(message, &as_field(maker.encoding()), scope, &[], of_maker);
        }
        if self.endpoint.protocol == Protocol::Json {
            self.message = json::of(self.signal, &self.message);
        }
        let Some(gzip) = &mut self.gzip else { return Ok(&self.message) };
        gzip.reset();
        self.packed.clear();
        // Data that cannot be compressed grows by five bytes in each 16 KiB, and by gzip's head and tail.
        self.packed.reserve(self.message.len() + self.message.len() / 1_000 + 64);
        match gzip.compress_vec(&self.message, &mut self.packed, FlushCompress::Finish)? {
            Status::StreamEnd => Ok(&self.packed),
            Status::Ok | Status::BufError => Err(io::Error::other("gzip did not come to its end")),
        }
    }

    /// Sends a batch, with what `sign` adds to this attempt. Without a signature the batch is not sent.
    pub(crate) fn send(
        &mut self,
        batch: &[Record],
        sign: impl FnOnce(&Unsigned<'_>) -> Result<Signature, String>,
    ) -> Outcome {
        let made = self.body(batch).map(drop).map_err(ureq::Error::from);
        let body = if self.gzip.is_some() { &self.packed } else { &self.message };
        let headers = self.headers();
        let request = Unsigned { method: "POST", url: self.endpoint.url.as_str(), headers: &headers, body };
        let signature = match sign(&request) {
            Ok(signature) => signature,
            Err(why) => {
                let mut outcome = Outcome::default();
                outcome.lose(batch.len(), Reason::Refused, format!("{} is sent nothing: {why}", self.endpoint.url));
                return outcome;
            }
        };
        let sent = made.and_then(|()| self.post(&request, &signature));
        self.judge(batch.len(), sent, &signature)
    }

    /// The headers that describe the body.
    fn headers(&self) -> Vec<(&'static str, &'static str)> {
        let kind = match self.endpoint.protocol {
            Protocol::Protobuf => "application/x-protobuf",
            Protocol::Json => "application/json",
        };
        let encoding = self.gzip.is_some().then_some(("content-encoding", "gzip"));
        encoding.into_iter().chain([("content-type", kind)]).collect()
    }

    fn post(&self, unsigned: &Unsigned<'_>, signature: &Signature) -> Result<Answer, ureq::Error> {
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
        let retry_after = header("retry-after").and_then(|after| pause(after.to_str().ok()?.trim()));
        let mut body = Vec::new();
        let read = response.body_mut().as_reader().take(ANSWER).read_to_end(&mut body);
        let status = response.status();
        // Even a part of a refusal's body says why. A success may report that only a part was accepted, so its body must be whole.
        if status.is_success() {
            read?;
        }
        let body = unpacked(response.headers(), body);
        Ok(Answer { status, kind, error, retry_after, body })
    }

    /// The outcome of a batch of this size.
    fn judge(&self, size: usize, sent: Result<Answer, ureq::Error>, signature: &Signature) -> Outcome {
        let mut outcome = Outcome::default();
        let url = &self.endpoint.url;
        let told = |message: &str| told(self.endpoint.secrets().chain(&signature.secrets), message);
        match sent {
            Err(error) => {
                outcome.lose(size, Reason::Unreachable, format!("{url} did not answer: {}", explain(&error)));
                outcome.again_after = Some(Duration::ZERO);
            }
            Ok(Answer { status, kind, body: answer, .. }) if status.is_success() => {
                match receipt(&self.responses, kind.as_ref(), &answer) {
                    Ok((rejected, message)) if rejected > 0 => {
                        let rejected = rejected.min(size);
                        outcome.lose(rejected, Reason::Refused, format!("{url} took a part{}", told(&message)));
                    }
                    Ok((_, message)) if !message.is_empty() => {
                        outcome.warning = Some(format!("{url} took all, with a warning{}", told(&message)));
                    }
                    Ok(_) => {}
                    Err(what) => {
                        let what = told(&what);
                        let what = what.trim_start_matches(": ");
                        let why = format!(
                            "{url} answered {status} with {what}, which is no response of OTLP; is it the address of an OTLP/HTTP endpoint?"
                        );
                        outcome.lose(size, Reason::Unconfirmed, why);
                    }
                }
            }
            Ok(Answer { status, kind, error, retry_after, body: answer }) => {
                let words = said(kind.as_ref(), error.as_ref(), &answer);
                let reason = if status == StatusCode::PAYLOAD_TOO_LARGE { Reason::TooLarge } else { Reason::Refused };
                outcome.lose(size, reason, format!("{url} answered {status}{}", told(&words)));
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

/// The body of a response, without the gzip that its headers name. It is unchanged if they name none, or if it is not packed
/// after all.
pub(crate) fn unpacked(headers: &HeaderMap, body: Vec<u8>) -> Vec<u8> {
    let coding = headers.get("content-encoding").and_then(|coding| coding.to_str().ok()).unwrap_or_default();
    if !["gzip", "x-gzip"].iter().any(|gzip| coding.eq_ignore_ascii_case(gzip)) {
        return body;
    }
    let mut plain = Vec::new();
    match MultiGzDecoder::new(body.as_slice()).take(ANSWER).read_to_end(&mut plain) {
        Ok(_) => plain,
        Err(_) => body,
    }
}

/// `Retry-After`: seconds or a date, [RFC 9110 §10.2.3](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3).
fn pause(after: &str) -> Option<Duration> {
    let until = |date| httpdate::parse_http_date(date).ok().map(|until| until.duration_since(SystemTime::now()));
    after.parse().map(Duration::from_secs).ok().or_else(|| until(after).map(Result::unwrap_or_default))
}

/// Appends `records` within one scope within one resource, both with the same `schema`.
fn part<'a>(
    message: &mut Vec<u8>,
    resource: &[u8],
    scope: &[u8],
    schema: &[u8],
    records: impl Iterator<Item = &'a Record> + Clone,
) {
    let records_length: usize = records.clone().map(|record| field_len(record.len())).sum();
    let length = scope.len() + records_length + schema.len();
    head(message, 1, resource.len() + field_len(length) + schema.len());
    message.extend_from_slice(resource);
    head(message, 2, length);
    message.extend_from_slice(scope);
    for record in records {
        bytes(message, 2, record);
    }
    message.extend_from_slice(schema);
    message.extend_from_slice(schema);
}

/// `payload` as field 1, which is the field of a resource and of a scope in the message around them.
fn as_field(payload: &[u8]) -> Vec<u8> {
    let mut field = Vec::new();
    bytes(&mut field, 1, payload);
    field
}

impl Exporter for Otlp {
    fn export(&mut self, batch: &[Record]) -> Outcome {
        self.send(batch, |_| Ok(Signature::default()))
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
    use prost::Message;

    use super::*;
    use crate::address::Url;
    use crate::testing;

    fn otlp(protocol: Protocol, gzip: bool, resource: &[u8]) -> Otlp {
        let url = Url::of("https://example.org/v1/traces");
        Otlp::new(Endpoint::plain(url, gzip, protocol), Signal::Traces, resource)
    }

    #[test]
    fn a_batch_is_one_message_in_both_encodings() {
        let mut resource = Vec::new();
        crate::attribute::attribute(&mut resource, 1, "service.name", "backend".into(), 100);
        let batch = [testing::span("one"), testing::span("two")].map(testing::Made::record);
        let [protobuf, json] = [Protocol::Protobuf, Protocol::Json].map(|protocol| {
            let plain = otlp(protocol, false, &resource).body(&batch).unwrap().to_vec();
            let mut otlp = otlp(protocol, true, &resource);
            // The second message is packed by the same state as the first.
            for _ in 0..2 {
                let mut unpacked = Vec::new();
                flate2::read::GzDecoder::new(otlp.body(&batch).unwrap()).read_to_end(&mut unpacked).unwrap();
                assert_eq!(unpacked, plain);
            }
            plain
        });
        let message = ExportTraceServiceRequest::decode(protobuf.as_slice()).unwrap();
        assert_eq!(serde_json::from_slice::<ExportTraceServiceRequest>(&json).unwrap(), message);
        let of_resource = &message.resource_spans[0];
        let name = &of_resource.resource.as_ref().unwrap().attributes[0];
        assert_eq!(name.value.as_ref().unwrap().value, Some(Any::StringValue("backend".to_owned())));
        let scope = &of_resource.scope_spans[0];
        assert_eq!(scope.scope.as_ref().unwrap().name, "telemetry");
        assert_eq!([&of_resource.schema_url, &scope.schema_url], [SCHEMA_URL; 2]);
        assert_eq!(scope.spans.iter().map(|span| span.name.as_str()).collect::<Vec<_>>(), ["one", "two"]);
    }

    /// Every field of a span, and texts and numbers of every kind.
    #[test]
    fn a_span_with_all_it_can_have_is_the_same_in_json() {
        let own = opentelemetry::trace::SpanContext::new(
            opentelemetry::trace::TraceId::from_bytes([0xab; 16]),
            opentelemetry::trace::SpanId::from_bytes([0xcd; 8]),
            opentelemetry::trace::TraceFlags::SAMPLED,
            true,
            opentelemetry::trace::TraceState::NONE,
        );
        let full = testing::child(true).with(|span| {
            for (key, value) in [("a", "\"\u{1}é\n"), ("", "")] {
                span.set(key, value);
            }
            span.set("least", i64::MIN);
            span.set("zero", 0);
            span.set("no", false);
            span.set("float", 0.1);
            span.exception("E", "m", "s");
            span.link(&own, Some("a=1"));
            span.exception("E", "m", "s");
            span.fail("timeout");
            span.describe("too late");
            span.drop_more(1, 2, 3);
        });
        let batch = [full.record()];
        let [protobuf, json] = [Protocol::Protobuf, Protocol::Json]
            .map(|protocol| otlp(protocol, false, &[]).body(&batch).unwrap().to_vec());
        let message = ExportTraceServiceRequest::decode(protobuf.as_slice()).unwrap();
        assert_eq!(serde_json::from_slice::<ExportTraceServiceRequest>(&json).unwrap(), message);
    }

    #[test]
    fn a_log_record_is_the_same_in_json() {
        let recorded = testing::recorded(Default::default(), Default::default(), true, || {
            tracing::info_span!("work").in_scope(|| tracing::info!(n = 1.5, "it happened"));
        });
        let batch = [Record::from(recorded.logs[0].encode_to_vec())];
        let bodies = [Protocol::Protobuf, Protocol::Json].map(|protocol| {
            let mut otlp = Otlp { signal: Signal::Logs, ..otlp(protocol, false, &[]) };
            otlp.body(&batch).unwrap().to_vec()
        });
        let message = ExportLogsServiceRequest::decode(bodies[0].as_slice()).unwrap();
        assert_eq!(serde_json::from_slice::<ExportLogsServiceRequest>(&bodies[1]).unwrap(), message);
    }

    #[test]
    fn a_double_that_json_does_not_have_is_a_text() {
        let record = testing::span("floats").with(|span| {
            for (key, float) in [("a", f64::NAN), ("b", f64::INFINITY), ("c", f64::NEG_INFINITY), ("d", 1e300)] {
                span.set(key, float);
            }
        });
        let json = otlp(Protocol::Json, false, &[]).body(&[record.record()]).unwrap().to_vec();
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        let attributes = &json["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["attributes"];
        let values = [0, 1, 2, 3].map(|index| attributes[index]["value"]["doubleValue"].clone());
        assert_eq!(values, ["NaN".into(), "Infinity".into(), "-Infinity".into(), serde_json::json!(1e300)]);
    }

    #[test]
    fn a_pause_is_asked_for_in_seconds_or_by_a_date() {
        assert_eq!(pause("120"), Some(Duration::from_secs(120)));
        let soon = pause(&httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(60))).unwrap();
        assert!((30..=60).contains(&soon.as_secs()), "{soon:?}");
        assert_eq!(pause("Thu, 01 Jan 1970 00:00:00 GMT"), Some(Duration::ZERO), "it is over");
        assert_eq!(pause("soon"), None);
    }

    #[test]
    fn what_another_made_is_in_a_resource_of_its_own() {
        let mut otlp = otlp(Protocol::Protobuf, false, &[]);
        let page = std::sync::Arc::new(crate::resource::Resource::named("page"));
        let [own, its] = [testing::span("own").record(), testing::span("its").record().made_by(&page)];
        let names = |message: &[u8]| -> Vec<(usize, Vec<String>)> {
            let message = ExportTraceServiceRequest::decode(message).unwrap();
            let of = |part: &opentelemetry_proto::tonic::trace::v1::ResourceSpans| {
                let spans = part.scope_spans.iter().flat_map(|scope| &scope.spans).map(|span| span.name.clone());
                (part.resource.as_ref().unwrap().attributes.len(), spans.collect())
            };
            message.resource_spans.iter().map(of).collect()
        };
        let (own_name, its_name) = (vec!["own".to_owned()], vec!["its".to_owned(), "its".to_owned()]);
        let mixed = otlp.body(&[its.clone(), own, its.clone()]).unwrap();
        assert_eq!(names(mixed), [(0, own_name), (1, its_name.clone())]);
        assert_eq!(names(otlp.body(&[its.clone(), its]).unwrap()), [(1, its_name)]);
    }
}
