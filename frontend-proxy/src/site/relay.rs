//! Relays the page's spans to the destinations of the proxy's own spans: `POST /v1/traces`, OTLP/HTTP as JSON or protobuf.
//! Accepts them only from pages of this origin, within rate limits, and only for traces that the proxy served: each span has
//! the [`token`](crate::site::token) of its trace. Adds no header and no key: accepted spans go through the proxy's own queues.
//! Remembers only how often each client sent.

#[cfg(test)]
mod tests;

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use flate2::read::MultiGzDecoder;
use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use http_body_util::BodyExt;
use telemetry::forwarded::Client;
use telemetry::prometheus::{Family, MetricKind};
use telemetry::relay::{Encoding, Rejection, refusal};
use tokio::sync::Semaphore;

use crate::answer::body::Outgoing;
use crate::answer::respond::plain;
use crate::inbound::received::{BodyError, RequestBody};
use crate::site::limit::{Rate, RateLimit};
use crate::site::token::Tokens;

/// The largest message as sent, and the largest after decompression, in bytes.
const SENT: u64 = 512 * 1024;
const INFLATED: u64 = 2 * 1024 * 1024;
/// How long a message may take to arrive.
const DURATION: Duration = Duration::from_secs(10);
/// Concurrent messages.
const AT_ONCE: usize = 64;
/// The rates of messages: a page in use sends one every two seconds. Many pages may share one address.
const EACH: Rate = Rate { burst: 60.0, per_second: 20.0 };
const ALL: Rate = Rate { burst: 500.0, per_second: 200.0 };
/// The rates of spans: the page's must not push the proxy's own out of the queues.
const EACH_SPANS: Rate = Rate { burst: 2_048.0, per_second: 200.0 };
const ALL_SPANS: Rate = Rate { burst: 8_192.0, per_second: 2_000.0 };
/// How many addresses are remembered.
const CLIENTS: usize = 4_096;

/// The order of rejections in the metrics.
const REJECTIONS: [Rejection; 5] =
    [Rejection::Service, Rejection::Invalid, Rejection::Time, Rejection::Token, Rejection::TooMany];

/// Receives the page's spans.
pub(crate) struct Relay {
    reader: telemetry::relay::Relay,
    tokens: Arc<Tokens>,
    messages: RateLimit,
    spans: RateLimit,
    permits: Semaphore,
    accepted: AtomicU64,
    rejected: [AtomicU64; REJECTIONS.len()],
}

/// Why a message is refused.
struct MessageRefusal {
    status: StatusCode,
    why: String,
    /// An additional header.
    header: Option<(header::HeaderName, HeaderValue)>,
}

impl Relay {
    /// Accepts spans of these services, with these tokens.
    pub(crate) fn new(services: &[String], tokens: Arc<Tokens>) -> Self {
        let now = Instant::now();
        Self {
            reader: telemetry::relay::Relay::new(services.iter().map(String::as_str)),
            tokens,
            messages: RateLimit::new(EACH, ALL, CLIENTS, now),
            spans: RateLimit::new(EACH_SPANS, ALL_SPANS, CLIENTS, now),
            permits: Semaphore::new(AT_ONCE),
            accepted: AtomicU64::new(0),
            rejected: Default::default(),
        }
    }

    pub(crate) async fn answer(&self, request: &Parts, body: RequestBody, client: &Client<'_>) -> Response<Outgoing> {
        let encoding = encoding(&request.headers);
        match self.take(request, body, client, encoding).await {
            Ok(body) => typed(StatusCode::OK, encoding.unwrap_or(Encoding::Json), body),
            Err(MessageRefusal { status, why, header }) => {
                let encoding = encoding.unwrap_or(Encoding::Json);
                let mut response = typed(status, encoding, refusal(encoding, code(status), &why));
                response.headers_mut().extend(header);
                response
            }
        }
    }

    async fn take(
        &self,
        request: &Parts,
        body: RequestBody,
        client: &Client<'_>,
        encoding: Option<Encoding>,
    ) -> Result<Vec<u8>, MessageRefusal> {
        if request.method != Method::POST {
            let allow = (header::ALLOW, HeaderValue::from_static("POST"));
            return Err(MessageRefusal::new(StatusCode::METHOD_NOT_ALLOWED, "only POST is allowed here").with(allow));
        }
        if !is_same_origin(&request.headers, client) {
            return Err(MessageRefusal::new(StatusCode::FORBIDDEN, "only pages of this origin may send spans here"));
        }
        self.messages.take(client.address, 1.0, Instant::now()).map_err(later)?;
        let Some(encoding) = encoding else {
            let why = "the content type must be application/json or application/x-protobuf";
            return Err(MessageRefusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, why));
        };
        let is_packed = is_packed(&request.headers)?;
        let _permit = self.permits.try_acquire().map_err(|_| later(Duration::from_secs(1)))?;
        let body = whole(body.limited(SENT, DURATION)?).await?;
        let message = if is_packed { inflated(&body)? } else { body };
        let (now, tokens) = (SystemTime::now(), &self.tokens);
        let batch = self.reader.read(encoding, &message, now, |trace, token| tokens.admit(trace, token, now));
        let batch = batch.map_err(|why| {
            MessageRefusal::new(StatusCode::BAD_REQUEST, format!("the message is not valid OTLP: {why}"))
        })?;
        let count = u32::try_from(batch.accepted()).unwrap_or(u32::MAX);
        self.spans.take(client.address, count.into(), Instant::now()).map_err(later)?;
        batch.deliver();
        self.accepted.fetch_add(count.into(), Ordering::Relaxed);
        for (why, counter) in REJECTIONS.iter().zip(&self.rejected) {
            counter.fetch_add(batch.rejected.get(why).copied().unwrap_or_default(), Ordering::Relaxed);
        }
        Ok(batch.response(encoding))
    }

    /// Writes, for Prometheus, how many spans of pages were accepted and rejected.
    pub(crate) fn prometheus(&self, text: &mut String) {
        let help = "Spans from pages, accepted or rejected by reason.";
        let mut family = Family::begin(text, "frontend_proxy_relay_spans_total", MetricKind::Counter, help);
        family.sample(&[("outcome", "accepted")], self.accepted.load(Ordering::Relaxed));
        for (why, counter) in REJECTIONS.iter().zip(&self.rejected) {
            let labels = [("outcome", "rejected"), ("reason", &*why.to_string())];
            family.sample(&labels, counter.load(Ordering::Relaxed));
        }
    }
}

impl MessageRefusal {
    fn new(status: StatusCode, why: impl Into<String>) -> Self {
        Self { status, why: why.into(), header: None }
    }

    fn with(self, header: (header::HeaderName, HeaderValue)) -> Self {
        Self { header: Some(header), ..self }
    }
}

impl From<BodyError> for MessageRefusal {
    fn from(fault: BodyError) -> Self {
        Self::new(fault.status(), fault.to_string())
    }
}

fn later(after: Duration) -> MessageRefusal {
    let seconds = after.as_secs_f64().ceil().clamp(1.0, 60.0);
    let after = HeaderValue::from_str(&format!("{seconds:.0}")).unwrap_or(HeaderValue::from_static("60"));
    MessageRefusal::new(StatusCode::TOO_MANY_REQUESTS, "too many messages; send fewer, with more spans each")
        .with((header::RETRY_AFTER, after))
}

/// Decided by `Sec-Fetch-Site`, or by `Origin` if the browser does not send that.
fn is_same_origin(headers: &HeaderMap, client: &Client<'_>) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match (text("sec-fetch-site"), text("origin")) {
        (Some(site), _) => site == "same-origin",
        (None, Some(origin)) => {
            // Without TLS here, an untrusted balancer may have ended it.
            let secured = Client { scheme: "https", ..client.clone() };
            client.is_origin(origin) || secured.is_origin(origin)
        }
        _ => false,
    }
}

fn encoding(headers: &HeaderMap) -> Option<Encoding> {
    let kind = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let kind = kind.split(';').next().unwrap_or_default().trim();
    match kind {
        _ if kind.eq_ignore_ascii_case("application/json") => Some(Encoding::Json),
        _ if kind.eq_ignore_ascii_case("application/x-protobuf") => Some(Encoding::Protobuf),
        _ => None,
    }
}

/// `Content-Encoding` is a list, which may be spread over several header lines.
fn is_packed(headers: &HeaderMap) -> Result<bool, MessageRefusal> {
    let unsupported = || {
        let accepted = (header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        MessageRefusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the content encoding must be gzip or none")
            .with(accepted)
    };
    let mut is_packed = false;
    for value in headers.get_all(header::CONTENT_ENCODING) {
        let value = value.to_str().map_err(|_| unsupported())?;
        for coding in value.split(',').map(str::trim) {
            match coding {
                _ if coding.is_empty() || coding.eq_ignore_ascii_case("identity") => {}
                _ if is_packed => return Err(unsupported()),
                _ if coding.eq_ignore_ascii_case("gzip") || coding.eq_ignore_ascii_case("x-gzip") => is_packed = true,
                _ => return Err(unsupported()),
            }
        }
    }
    Ok(is_packed)
}

/// The whole body in one piece: it may arrive in many small pieces.
async fn whole(mut body: RequestBody) -> Result<Vec<u8>, BodyError> {
    let mut message = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Some(data) = frame?.data_ref() {
            message.extend_from_slice(data);
        }
    }
    Ok(message)
}

fn inflated(body: &[u8]) -> Result<Vec<u8>, MessageRefusal> {
    let mut message = Vec::new();
    let read = MultiGzDecoder::new(body).take(INFLATED + 1).read_to_end(&mut message);
    read.map_err(|_| MessageRefusal::new(StatusCode::BAD_REQUEST, "the message is not valid gzip"))?;
    if u64::try_from(message.len()).is_ok_and(|length| length <= INFLATED) {
        Ok(message)
    } else {
        Err(MessageRefusal::new(StatusCode::PAYLOAD_TOO_LARGE, "the message is larger than 2 MiB"))
    }
}

/// The nearest of [gRPC's codes](https://grpc.github.io/grpc/core/md_doc_statuscodes.html).
fn code(status: StatusCode) -> u8 {
    match status {
        StatusCode::FORBIDDEN => 7,
        StatusCode::TOO_MANY_REQUESTS => 8,
        StatusCode::METHOD_NOT_ALLOWED => 12,
        StatusCode::REQUEST_TIMEOUT => 4,
        _ => 3,
    }
}

fn typed(status: StatusCode, encoding: Encoding, body: Vec<u8>) -> Response<Outgoing> {
    let mut response = plain(status, body.into());
    let kind = match encoding {
        Encoding::Json => "application/json",
        Encoding::Protobuf => "application/x-protobuf",
    };
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
