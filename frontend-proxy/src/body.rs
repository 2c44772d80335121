//! Response bodies, and what becomes of spans whose client goes away. A forwarded body keeps the spans of its request open
//! until its last byte has passed.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use telemetry::http::record_error;
use tracing::Span;

/// A body of our own, or one that streams through.
pub(crate) type Outgoing = Either<Full<Bytes>, Forwarded>;

/// A span whose work is under way. Dropped before it is over, the work was given up, because the client has gone.
pub(crate) struct UnderWay(Option<Span>);

impl UnderWay {
    pub(crate) fn new(span: &Span) -> Self {
        Self(Some(span.clone()))
    }

    /// Ends well, or in a way that is recorded already.
    pub(crate) fn over(&mut self) {
        self.0 = None;
    }

    fn fail(&mut self, kind: &str) {
        if let Some(span) = self.0.take() {
            record_error(&span, kind);
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.fail("client_disconnected");
    }
}

/// An upstream's body on its way to the client.
pub(crate) struct Forwarded {
    body: Incoming,
    /// SERVER and CLIENT, where the request is traced. Held also when over: a span ends when nobody holds it.
    spans: Vec<(Span, UnderWay)>,
}

impl Forwarded {
    pub(crate) fn new(body: Incoming, spans: impl IntoIterator<Item = Span>) -> Self {
        let ended = body.is_end_stream();
        let spans = spans.into_iter().map(|span| (span.clone(), UnderWay::new(&span))).collect();
        let mut forwarded = Self { body, spans };
        if ended {
            forwarded.over();
        }
        forwarded
    }

    fn over(&mut self) {
        self.spans.iter_mut().for_each(|(_, under_way)| under_way.over());
    }
}

impl Body for Forwarded {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Err(_))) => {
                self.spans.iter_mut().for_each(|(_, under_way)| under_way.fail("upstream_body"))
            }
            Poll::Ready(None) => self.over(),
            Poll::Ready(Some(Ok(_))) if self.body.is_end_stream() => self.over(),
            _ => {}
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
