//! Requests of [`awc`](https://docs.rs/awc), the client of actix: each has a CLIENT span below the current span, and the headers that carry it. The
//! span ends with the last byte of the response's body, or when the response is dropped; that of a WebSocket with the head of its response.
//!
//! ```
//! use awc::Client;
//! use telemetry::awc::ClientTransform;
//!
//! let client = Client::builder().wrap(ClientTransform).finish();
//! # drop(client);
//! ```
//!
//! A response of 400 or more is an error by its status. Without a response the error is `timeout` or `connect` if there was no connection, else
//! `no_response`; `body` if the response breaks off. Each redirect that awc follows has a span of its own. awc's time limit on a response drops the
//! request, and so its span ends without an error.

// Their server is traced too.
#[cfg(test)]
#[cfg(feature = "tower")]
mod tests;

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ::awc::error::{ConnectError, SendRequestError};
use ::awc::middleware::Transform;
use ::awc::{ConnectRequest, ConnectResponse};
use actix_http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_http::{Payload, RequestHead, RequestHeadType};
use actix_service::Service;
use futures_core::Stream;
use tracing::{Instrument, Span};

use crate::http::{Side, client_span, record_error, record_status, without_user};
use crate::propagation::inject;
use crate::span::OwnedSpan;

/// Gives each request a CLIENT span.
#[derive(Debug, Clone, Copy, Default)]
pub struct ClientTransform;

/// A connector with CLIENT spans.
#[derive(Debug, Clone)]
pub struct TracedConnector<S>(S);

impl<S> Transform<S, ConnectRequest> for ClientTransform
where
    TracedConnector<S>: Service<ConnectRequest>,
{
    type Transform = TracedConnector<S>;

    fn new_transform(self, service: S) -> TracedConnector<S> {
        TracedConnector(service)
    }
}

impl<S> Service<ConnectRequest> for TracedConnector<S>
where
    S: Service<ConnectRequest, Response = ConnectResponse, Error = SendRequestError>,
    S::Future: 'static,
{
    type Response = ConnectResponse;
    type Error = SendRequestError;
    type Future = Pin<Box<dyn Future<Output = Result<ConnectResponse, SendRequestError>>>>;

    fn poll_ready(&self, context: &mut Context<'_>) -> Poll<Result<(), SendRequestError>> {
        self.0.poll_ready(context)
    }

    fn call(&self, mut request: ConnectRequest) -> Self::Future {
        let span = start(&mut request);
        let response = span.in_scope(|| self.0.call(request));
        Box::pin(async move {
            match response.instrument((*span).clone()).await {
                Ok(response) => Ok(record(response, span)),
                Err(error) => {
                    record_error(&span, kind(&error));
                    Err(error)
                }
            }
        })
    }
}

fn start(request: &mut ConnectRequest) -> OwnedSpan {
    let head: &RequestHead = match &*request {
        ConnectRequest::Client(head, ..) => head.as_ref(),
        ConnectRequest::Tunnel(head, _) => head,
    };
    let (uri, method) = (&head.uri, head.method.as_str());
    let authority = uri.authority().map(|authority| without_user(authority.as_str())).unwrap_or_default();
    let span = client_span(&Span::current(), method, uri.scheme_str().unwrap_or("http"), authority, uri.path());
    let headers: &mut HeaderMap = match request {
        ConnectRequest::Client(RequestHeadType::Owned(head), ..) | ConnectRequest::Tunnel(head, _) => &mut head.headers,
        // These are sent instead of the head's own.
        ConnectRequest::Client(RequestHeadType::Rc(_, extra), ..) => extra.get_or_insert_default(),
    };
    inject(&span, |name, value| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    });
    OwnedSpan::of(span)
}

/// The same response, whose body ends the span.
fn record(response: ConnectResponse, span: OwnedSpan) -> ConnectResponse {
    let status = match &response {
        ConnectResponse::Client(response) => response.status(),
        ConnectResponse::Tunnel(head, _) => head.status,
    };
    record_status(&span, Side::Client, status.as_u16());
    match response {
        ConnectResponse::Client(response) => {
            ConnectResponse::Client(response.map_body(|_, payload| traced(payload, span)))
        }
        tunnel => tunnel,
    }
}

fn traced(payload: Payload, span: OwnedSpan) -> Payload {
    match payload {
        Payload::None => Payload::None,
        payload => Payload::Stream { payload: Box::pin(TracedPayload { payload, span: Some(span) }) },
    }
}

fn kind(error: &SendRequestError) -> &'static str {
    match error {
        SendRequestError::Connect(ConnectError::Timeout) => "timeout",
        SendRequestError::Connect(_) => "connect",
        _ => "no_response",
    }
}

/// A response's body that ends the span of its request.
struct TracedPayload {
    payload: Payload,
    span: Option<OwnedSpan>,
}

impl Stream for TracedPayload {
    type Item = <Payload as Stream>::Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let part = ready!(Pin::new(&mut self.payload).poll_next(context));
        if !matches!(part, Some(Ok(_)))
            && let Some(span) = self.span.take()
            && part.is_some()
        {
            record_error(&span, "body");
        }
        Poll::Ready(part)
    }
}
