//! Response bodies. A forwarded one keeps the spans of its request open until its last byte has passed or the client has gone.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use telemetry::http::record_error;
use tracing::Span;

/// A body of our own, or one that streams through.
pub(crate) type Outgoing = Either<Full<Bytes>, Forwarded>;

/// An upstream's body on its way to the client.
pub(crate) struct Forwarded {
    body: Incoming,
    /// SERVER and CLIENT, where the request is traced.
    spans: Option<(Span, Span)>,
    ended: bool,
}

impl Forwarded {
    pub(crate) fn new(body: Incoming, spans: Option<(Span, Span)>) -> Self {
        let ended = body.is_end_stream();
        Self { body, spans, ended }
    }

    fn fail(&mut self, kind: &str) {
        if let Some((server, client)) = &self.spans {
            record_error(server, kind);
            record_error(client, kind);
        }
    }
}

impl Body for Forwarded {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Err(_))) => {
                self.ended = true;
                self.fail("upstream_body");
            }
            Poll::Ready(None) => self.ended = true,
            _ => self.ended = self.body.is_end_stream(),
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A body that is dropped before its end was not wanted any more.
impl Drop for Forwarded {
    fn drop(&mut self) {
        if !self.ended {
            self.fail("client_disconnected");
        }
    }
}
