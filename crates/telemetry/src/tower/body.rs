//! A response on its way: its span is current while it is polled, records the status, and ends with the body.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ::http::{HeaderName, HeaderValue, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::http::{Side, record_error, record_status};
use crate::propagation::decision;
use crate::span::OwnedSpan;

pin_project! {
    /// The response to come of a traced request.
    #[derive(Debug)]
    pub struct TracedResponse<F> {
        #[pin]
        response: F,
        span: Option<OwnedSpan>,
        side: Side,
    }
}

pin_project! {
    /// A body whose last byte ends the span of its request.
    #[derive(Debug)]
    pub struct TracedBody<B> {
        #[pin]
        body: B,
        span: Option<OwnedSpan>,
    }
}

impl<F> TracedResponse<F> {
    pub(super) fn new(response: F, span: OwnedSpan, side: Side) -> Self {
        Self { response, span: Some(span), side }
    }
}

impl<B> TracedBody<B> {
    pub(crate) fn new(body: B, span: Option<OwnedSpan>) -> Self {
        Self { body, span }
    }
}

impl<F, R, E> Future for TracedResponse<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<TracedBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = match this.span.as_deref() {
            Some(span) => ready!(span.in_scope(|| this.response.poll(context))),
            None => ready!(this.response.poll(context)),
        };
        let span = this.span.take();
        match response {
            Ok(response) => {
                let (mut head, body) = response.into_parts();
                if let Some(span) = &span {
                    record_status(span, *this.side, head.status.as_u16());
                    if *this.side == Side::Server
                        && let Some((name, value)) = decision(span)
                        && let Ok(value) = HeaderValue::from_str(&value)
                    {
                        head.headers.insert(HeaderName::from_static(name), value);
                    }
                }
                Poll::Ready(Ok(Response::from_parts(head, TracedBody::new(body, span))))
            }
            Err(error) => {
                if let Some(span) = &span {
                    record_error(span, "no_response");
                }
                Poll::Ready(Err(error))
            }
        }
    }
}

impl<B: Body> Body for TracedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let frame = match this.span.as_deref() {
            Some(span) => ready!(span.in_scope(|| this.body.poll_frame(context))),
            None => ready!(this.body.poll_frame(context)),
        };
        match &frame {
            Some(Ok(_)) => {}
            Some(Err(_)) => {
                if let Some(span) = this.span.take() {
                    record_error(&span, "body");
                }
            }
            None => drop(this.span.take()),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
