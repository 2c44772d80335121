//! Response bodies on their way to the client. A forwarded body drives its upstream connection, and keeps its request's spans
//! open until its last byte has passed. If the client disconnects first, the spans record that. Buffers at most one read.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::{Body, Frame, SizeHint};
use telemetry::http::record_error;
use tokio::time::Instant;
use tracing::Span;

use crate::upstream::Lease;
use crate::upstream::answer::BodyRemaining;
use crate::upstream::chunked::Piece;
use crate::upstream::connection::UpstreamConnection;
use crate::upstream::exchange::Upload;
use crate::upstream::trailers::Malformed;

/// The proxy's own body, or a forwarded one, which is boxed: a response is moved a dozen times before it is written.
pub(crate) type Outgoing = Either<Full<Bytes>, Box<ForwardedBody>>;

/// A span whose work is under way. If it is dropped before the work ends, the client has disconnected.
pub(crate) struct OpenSpan(Option<Span>);

impl OpenSpan {
    pub(crate) fn new(span: &Span) -> Self {
        Self(Some(span.clone()))
    }

    /// Takes over a span: unless others hold it too, it ends when the work ends.
    pub(crate) fn of(span: Span) -> Self {
        Self(Some(span))
    }

    pub(crate) fn span(&self) -> &Span {
        static NONE: Span = Span::none();
        self.0.as_ref().unwrap_or(&NONE)
    }

    /// Ends the work as a success, or after a failure that is already recorded.
    pub(crate) fn end(&mut self) {
        self.0 = None;
    }

    /// Like `end`, but returns the span to a caller that has more to record.
    pub(crate) fn into_span(mut self) -> Span {
        self.0.take().unwrap_or_else(Span::none)
    }

    pub(crate) fn fail(&mut self, kind: &str) {
        if let Some(span) = self.0.take() {
            record_error(&span, kind);
        }
    }
}

impl Drop for OpenSpan {
    fn drop(&mut self) {
        self.fail("client_disconnected");
    }
}

/// Why a body ends early. The client sees its connection break.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ForwardedBodyError {
    #[error("the upstream cut off its response")]
    Cut,
    #[error("the upstream stopped sending its response")]
    Stalled,
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

impl ForwardedBodyError {
    /// The `error.type` of both spans.
    fn kind(&self) -> &'static str {
        match self {
            Self::Cut => "upstream_body",
            Self::Stalled => "upstream_stalled",
            Self::Malformed(_) => "upstream_malformed",
        }
    }
}

/// An upstream's body on its way to the client.
pub(crate) struct ForwardedBody {
    /// Present while the upstream is still needed.
    arriving: Option<ArrivingBody>,
    /// The body, if all of it arrived with the head.
    last: Option<Bytes>,
    /// Why the body ends early. Returned one poll later, so that earlier data can be written.
    error: Option<ForwardedBodyError>,
    server: OpenSpan,
    client: OpenSpan,
}

/// A response that has not arrived completely.
pub(crate) struct ArrivingBody {
    pub(crate) connection: Box<UpstreamConnection>,
    pub(crate) rest: BodyRemaining,
    /// The part of the request that had not been sent when the response started.
    pub(crate) upload: Option<Upload>,
    /// How long the connection may wait for another request afterwards; `None` if it may carry no other.
    pub(crate) wait: Option<Duration>,
    pub(crate) lease: Lease,
    /// How long the upstream may send nothing.
    pub(crate) idle: Duration,
    /// A deadline is set for the next bytes.
    pub(crate) awaited: bool,
}

impl ForwardedBody {
    pub(crate) fn new(mut arriving: ArrivingBody, server: OpenSpan, mut client: OpenSpan) -> Self {
        let all = match arriving.rest {
            BodyRemaining::Length(length) => {
                usize::try_from(length).ok().filter(|length| *length <= arriving.connection.input.len())
            }
            _ => None,
        };
        let Some(length) = all else {
            return Self { arriving: Some(arriving), last: None, error: None, server, client };
        };
        let last = (length > 0).then(|| arriving.connection.input.split_to(length).freeze());
        arriving.end();
        client.end();
        let mut forwarded = Self { arriving: None, last, error: None, server, client };
        if length == 0 {
            forwarded.end_spans();
        }
        forwarded
    }

    fn end_spans(&mut self) {
        self.server.end();
        self.client.end();
    }
}

impl ArrivingBody {
    /// Keeps the connection for the next request, if no bytes are left on it.
    fn end(self) {
        if let Some(wait) = self.wait
            && self.upload.is_none()
            && self.connection.input.is_empty()
        {
            self.lease.keep(self.connection, wait);
        }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ForwardedBodyError>>> {
        loop {
            if let Some(upload) = &mut self.upload {
                match upload.poll(&mut self.connection, cx) {
                    Poll::Ready(Ok(())) => self.upload = None,
                    // The response counts, whatever happens to the request. After a failed upload nothing more is written.
                    Poll::Ready(Err(_)) => (self.upload, self.wait) = (None, None),
                    Poll::Pending => {}
                }
            }
            if let Some(frame) = self.take()? {
                self.awaited = false;
                return Poll::Ready(Some(Ok(frame)));
            }
            if self.rest.is_ended() {
                return Poll::Ready(None);
            }
            match self.connection.poll_fill(cx) {
                Poll::Ready(Ok(length)) if length > 0 => {}
                Poll::Ready(Ok(_)) if matches!(self.rest, BodyRemaining::UntilClose) => return Poll::Ready(None),
                Poll::Ready(_) => return Poll::Ready(Some(Err(ForwardedBodyError::Cut))),
                Poll::Pending => {
                    if !self.awaited {
                        self.awaited = true;
                        self.connection.set_deadline(Instant::now() + self.idle);
                    }
                    ready!(self.connection.poll_deadline(cx));
                    return Poll::Ready(Some(Err(ForwardedBodyError::Stalled)));
                }
            }
        }
    }

    /// Takes the bytes that have arrived already.
    fn take(&mut self) -> Result<Option<Frame<Bytes>>, Malformed> {
        let input = &mut self.connection.input;
        let data = match &mut self.rest {
            BodyRemaining::Chunked(chunked) => match chunked.take(input)? {
                Piece::Data(data) => data,
                Piece::Trailers(trailers) => return Ok(Some(Frame::trailers(trailers))),
                Piece::More | Piece::End => return Ok(None),
            },
            BodyRemaining::Length(left) => {
                let length = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
                *left -= u64::try_from(length).unwrap_or(*left);
                input.split_to(length).freeze()
            }
            BodyRemaining::UntilClose => input.split().freeze(),
        };
        Ok((!data.is_empty()).then(|| Frame::data(data)))
    }
}

impl Body for ForwardedBody {
    type Data = Bytes;
    type Error = ForwardedBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ForwardedBodyError>>> {
        if let Some(error) = self.error.take() {
            return Poll::Ready(Some(Err(error)));
        }
        let Some(arriving) = &mut self.arriving else {
            let last = self.last.take();
            self.end_spans();
            return Poll::Ready(last.map(|last| Ok(Frame::data(last))));
        };
        let polled = ready!(arriving.poll_frame(cx));
        match polled {
            Some(Err(error)) => {
                self.arriving = None;
                self.server.fail(error.kind());
                self.client.fail(error.kind());
                self.error = Some(error);
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Some(Ok(_)) if !arriving.rest.is_ended() => {}
            _ => {
                if let Some(arriving) = self.arriving.take() {
                    arriving.end();
                }
                self.end_spans();
            }
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.arriving.is_none() && self.last.is_none() && self.error.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        if self.error.is_some() {
            return SizeHint::new();
        }
        let last = self.last.as_ref().and_then(|last| u64::try_from(last.len()).ok()).unwrap_or(0);
        match self.arriving.as_ref().map(|arriving| &arriving.rest) {
            None => SizeHint::with_exact(last),
            Some(BodyRemaining::Length(length)) => SizeHint::with_exact(*length),
            Some(_) => SizeHint::new(),
        }
    }
}
