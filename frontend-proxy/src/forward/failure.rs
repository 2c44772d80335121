//! The response and the `error.type` for an attempt that failed.

use http::StatusCode;

use crate::upstream::exchange::AttemptError;

impl AttemptError {
    /// 502 if the upstream cannot be reached or does not speak HTTP; 504 if it takes too long, including to connect.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Request(fault) => fault.status(),
            Self::Connect | Self::Unanswered | Self::Cut | Self::Malformed(_) => StatusCode::BAD_GATEWAY,
            Self::ConnectTimeout | Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// The `error.type` of the CLIENT span.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Request(_) => "request_body",
            Self::Connect => "connect",
            Self::ConnectTimeout => "connect_timeout",
            Self::Unanswered | Self::Cut => "upstream",
            Self::Malformed(_) => "upstream_malformed",
            Self::Timeout => "timeout",
        }
    }

    /// Whether the fault is the upstream's rather than the client's.
    pub(super) fn is_upstream(&self) -> bool {
        !matches!(self, Self::Request(_))
    }
}
