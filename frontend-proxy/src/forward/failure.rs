//! What the client and the CLIENT span are told of an attempt that came to nothing.

use http::StatusCode;

use crate::upstream::exchange::Broken;

impl Broken {
    /// 502 where the upstream cannot be reached or does not speak HTTP, 504 where it takes too long, to connect too.
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

    /// It is the server's fault, not the client's.
    pub(super) fn is_upstream(&self) -> bool {
        !matches!(self, Self::Request(_))
    }
}
