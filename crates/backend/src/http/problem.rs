//! Error responses: the original's list of codes for an invalid input (422), and `application/problem+json` ([RFC
//! 9457](https://www.rfc-editor.org/rfc/rfc9457)) with the trace id for everything else. A 5xx is logged here, once, and its cause is never sent to the caller.

use std::fmt;
use std::sync::Arc;

use actix_web::error::{JsonPayloadError, QueryPayloadError};
use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, Responder, ResponseError};
use serde::Serialize;
use telemetry::span::SpanExt;
use tracing::Span;
use utoipa::ToSchema;

use crate::cognito::TokenError;
use crate::domain::{Invalid, NotAPage};
use crate::store;

/// A request that failed or was refused.
#[derive(Debug)]
pub(super) enum Problem {
    /// All codes that apply.
    Invalid(Vec<Invalid>),
    Other(StatusCode, String),
    /// The methods that the route accepts.
    MethodNotAllowed(String),
    /// The body has a content encoding.
    Encoded,
    /// Too many attempts; the next one is allowed after this many seconds.
    TooMany {
        seconds: u64,
    },
    Store(Arc<store::Error>),
    /// A fault configured in `CRUDDUR_FAULTS`.
    Injected,
}

/// [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct ProblemDocument<'a> {
    /// `about:blank`: the status describes the problem
    r#type: &'static str,
    title: &'a str,
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    #[serde(skip_serializing_if = "str::is_empty")]
    #[schema(required = false)]
    detail: &'a str,
    /// The id of the request's trace, in hex
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, pattern = "^[0-9a-f]{32}$")]
    trace_id: Option<String>,
}

impl Problem {
    pub(super) fn not_found(detail: &str) -> Self {
        Self::Other(StatusCode::NOT_FOUND, detail.to_owned())
    }

    pub(super) fn forbidden(detail: &str) -> Self {
        Self::Other(StatusCode::FORBIDDEN, detail.to_owned())
    }

    pub(super) fn conflict(detail: &str) -> Self {
        Self::Other(StatusCode::CONFLICT, detail.to_owned())
    }

    pub(super) fn unauthorized() -> Self {
        Self::unauthorized_because("sign in first")
    }

    pub(super) fn unauthorized_because(detail: &str) -> Self {
        Self::Other(StatusCode::UNAUTHORIZED, detail.to_owned())
    }

    pub(super) fn unavailable(detail: &str) -> Self {
        Self::Other(StatusCode::SERVICE_UNAVAILABLE, detail.to_owned())
    }

    pub(super) fn media_type() -> Self {
        let detail = "send the body as content-type: application/json";
        Self::Other(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail.to_owned())
    }

    pub(super) fn bad_request(detail: String) -> Self {
        Self::Other(StatusCode::BAD_REQUEST, detail)
    }

    fn detail(&self) -> &str {
        match self {
            Self::Invalid(_) | Self::Store(_) | Self::Injected => "",
            Self::TooMany { .. } => "too many attempts; try again later",
            Self::MethodNotAllowed(_) => "this route does not accept this method",
            Self::Encoded => "send the body without a content-encoding",
            Self::Other(_, detail) => detail,
        }
    }
}

pub(super) fn no_such_crud() -> Problem {
    Problem::not_found("no such crud, or it has expired")
}

pub(super) fn no_such_user() -> Problem {
    Problem::not_found("no such user")
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(codes) => f.debug_list().entries(codes.iter().map(ToString::to_string)).finish(),
            Self::Other(status, detail) => write!(f, "{status}: {detail}"),
            Self::MethodNotAllowed(allowed) => write!(f, "this route accepts {allowed}"),
            Self::Encoded => f.write_str("the body has a content encoding"),
            Self::TooMany { seconds } => write!(f, "too many attempts for the next {seconds} s"),
            Self::Store(error) => error.fmt(f),
            Self::Injected => f.write_str("a fault injected by CRUDDUR_FAULTS"),
        }
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Other(status, _) => *status,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Encoded => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Store(error) if error.is_unavailable() => StatusCode::SERVICE_UNAVAILABLE,
            Self::Store(_) | Self::Injected => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let status = self.status_code();
        let mut response = HttpResponse::build(status);
        if let Self::Invalid(codes) = self {
            return response.json(codes.iter().map(ToString::to_string).collect::<Vec<_>>());
        }
        let span = Span::current();
        let trace_id = telemetry::propagation::trace_id(&span);
        if let Self::Store(error) = self {
            // The database's message may hold values: it goes to the log, and not with the span. A log record names the trace.
            span.exception("backend::store::Error", error.in_short(), "");
            let error: &dyn std::error::Error = &**error;
            tracing::error!(parent: None, trace_id, error, "the store failed");
        }
        if let Self::Injected = self {
            span.exception("backend::Fault", "injected by CRUDDUR_FAULTS", "");
        }
        let header = match self {
            Self::MethodNotAllowed(allowed) => Some((header::ALLOW, allowed.clone())),
            Self::Encoded => Some((header::ACCEPT_ENCODING, "identity".to_owned())),
            Self::TooMany { seconds } => Some((header::RETRY_AFTER, seconds.to_string())),
            _ if status == StatusCode::SERVICE_UNAVAILABLE => Some((header::RETRY_AFTER, "2".to_owned())),
            _ if status == StatusCode::UNAUTHORIZED => {
                Some((header::WWW_AUTHENTICATE, "Bearer realm=\"cruddur\"".to_owned()))
            }
            _ => None,
        };
        if let Some(header) = header {
            response.insert_header(header);
        }
        let body = ProblemDocument {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or_default(),
            status: status.as_u16(),
            detail: self.detail(),
            trace_id,
        };
        // Not `HttpResponse::json`, which would name the content type `application/json`.
        match serde_json::to_vec(&body) {
            Ok(body) => response.content_type("application/problem+json").body(body),
            Err(_) => response.finish(),
        }
    }
}

impl Responder for Problem {
    type Body = actix_web::body::BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        HttpResponse::from_error(self)
    }
}

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Self {
        Self::Store(Arc::new(error))
    }
}

impl From<Arc<store::Error>> for Problem {
    fn from(error: Arc<store::Error>) -> Self {
        Self::Store(error)
    }
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        let status = match error {
            TokenError::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::UNAUTHORIZED,
        };
        Self::Other(status, error.to_string())
    }
}

impl From<Invalid> for Problem {
    fn from(code: Invalid) -> Self {
        Self::Invalid(vec![code])
    }
}

impl From<NotAPage> for Problem {
    fn from(error: NotAPage) -> Self {
        Self::bad_request(error.to_string())
    }
}

impl From<&QueryPayloadError> for Problem {
    fn from(error: &QueryPayloadError) -> Self {
        Self::bad_request(format!("the query is invalid: {error}"))
    }
}

impl From<&JsonPayloadError> for Problem {
    fn from(error: &JsonPayloadError) -> Self {
        let (status, detail) = match error {
            JsonPayloadError::Overflow { .. } | JsonPayloadError::OverflowKnownLength { .. } => {
                (StatusCode::PAYLOAD_TOO_LARGE, "the body must have at most 64 KiB".to_owned())
            }
            JsonPayloadError::Payload(error) if listener::is_late(error) => {
                (StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time".to_owned())
            }
            JsonPayloadError::ContentType => return Self::media_type(),
            JsonPayloadError::Deserialize(error) => (StatusCode::BAD_REQUEST, format!("the body is invalid: {error}")),
            _ => (StatusCode::BAD_REQUEST, "cannot read the body".to_owned()),
        };
        Self::Other(status, detail)
    }
}
