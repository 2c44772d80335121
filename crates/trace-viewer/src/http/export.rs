//! `POST /v1/traces`, [OTLP over HTTP](https://opentelemetry.io/docs/specs/otlp/#otlphttp). Responses have the request's encoding; a
//! failure is a `google.rpc.Status`.

use actix_web::http::StatusCode;
use actix_web::http::header::{ACCEPT_ENCODING, ALLOW, CONTENT_TYPE, HeaderMap, HeaderName, RETRY_AFTER};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use otlp::{Encoding, response};

use super::state::State;
use crate::body;
use crate::ingest::otlp as ingest;

/// Why no span of a request was read.
struct ExportError {
    status: StatusCode,
    message: String,
    header: Option<(HeaderName, &'static str)>,
}

pub(super) async fn export(state: Data<State>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let encoding = encoding(request.headers());
    match read(&state, encoding, request.headers(), payload).await {
        Ok((rejected, message)) => {
            let encoding = encoding.unwrap_or(Encoding::Json);
            let body = response::success(encoding, rejected, &message);
            HttpResponse::Ok().content_type(encoding.content_type()).body(body)
        }
        Err(error) => {
            state.store.reject(1);
            error.response(encoding)
        }
    }
}

/// The response to any other method.
pub(super) async fn refuse(request: HttpRequest) -> HttpResponse {
    let error = ExportError::new(StatusCode::METHOD_NOT_ALLOWED, "send OTLP by POST");
    ExportError { header: Some((ALLOW, "POST")), ..error }.response(encoding(request.headers()))
}

/// Returns the number of rejected spans, and a report of all losses.
async fn read(
    state: &State,
    encoding: Option<Encoding>,
    headers: &HeaderMap,
    payload: Payload,
) -> Result<(u64, String), ExportError> {
    let encoding = encoding.ok_or_else(|| {
        let message = "send OTLP as content-type: application/x-protobuf or application/json";
        ExportError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message)
    })?;
    let body = state.bodies.read(headers, payload).await?;
    let read = ingest::read(encoding, &body)
        .map_err(|error| ExportError::new(StatusCode::BAD_REQUEST, format!("the body is not OTLP: {error}")))?;
    let (invalid, mut message) = (read.rejected(), read.message());
    let surplus = state.store.save(read.spans).await;
    if surplus > 0 {
        let separator = if message.is_empty() { "" } else { "; " };
        message = format!("{message}{separator}spans rejected: {surplus} (their trace is full)");
    }
    let rejected = invalid + u64::try_from(surplus).unwrap_or(u64::MAX);
    state.store.reject(usize::try_from(invalid).unwrap_or(usize::MAX));
    Ok((rejected, message))
}

fn encoding(headers: &HeaderMap) -> Option<Encoding> {
    Encoding::of_content_type(headers.get(CONTENT_TYPE)?.to_str().ok()?)
}

impl ExportError {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), header: None }
    }

    /// The response is JSON if the request's encoding is unknown.
    fn response(self, encoding: Option<Encoding>) -> HttpResponse {
        let Self { status, message, header } = self;
        let encoding = encoding.unwrap_or(Encoding::Json);
        let body = response::failure(encoding, response::code_of(status.as_u16()), &message);
        let mut response = HttpResponse::build(status);
        if let Some(header) = header {
            response.insert_header(header);
        }
        response.content_type(encoding.content_type()).body(body)
    }
}

impl From<body::Refusal> for ExportError {
    fn from(refusal: body::Refusal) -> Self {
        let (status, message, header) = match refusal {
            body::Refusal::Encoding => {
                let message = "send OTLP plain or as content-encoding: gzip";
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, message, Some((ACCEPT_ENCODING, "gzip")))
            }
            body::Refusal::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "a body has at most 4 MiB, decoded", None),
            body::Refusal::TooSlow => (StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time", None),
            body::Refusal::Invalid => (StatusCode::BAD_REQUEST, "the body is incomplete or not gzip", None),
            body::Refusal::NoMemory => {
                let message = "too many bodies are arriving; try again";
                (StatusCode::SERVICE_UNAVAILABLE, message, Some((RETRY_AFTER, "1")))
            }
        };
        Self { header, ..Self::new(status, message) }
    }
}
