//! Requests of [`reqwest`](https://docs.rs/reqwest), through [`reqwest_middleware`]: each has a CLIENT span below the current span, and the headers that
//! carry it. The span ends with the last byte of the response's body, or when the response is dropped. The response keeps its URL and address.
//!
//! ```no_run
//! use reqwest_middleware::ClientBuilder;
//! use reqwest_middleware::reqwest::Client;
//! use telemetry::reqwest::ClientMiddleware;
//!
//! # async fn example() -> Result<(), reqwest_middleware::Error> {
//! let client = ClientBuilder::new(Client::new()).with(ClientMiddleware).build();
//! let stock = client.get("http://stock.example/7").send().await?.text().await?;
//! # drop(stock);
//! # Ok(())
//! # }
//! ```
//!
//! A response of 400 or more is an error by its status. Without a response the error is `timeout`, `connect` or `no_response`; `body` if the response
//! breaks off. Redirects that reqwest follows are within one span, which has the first URL. Add this middleware last: then each attempt of one that
//! retries has a span.

#[cfg(test)]
mod tests;

use std::pin::Pin;

use ::http::{Extensions, HeaderName, HeaderValue};
use reqwest_middleware::reqwest::{Body, Request, Response, ResponseBuilderExt};
use reqwest_middleware::{Error, Middleware, Next};
use tracing::{Instrument, Span};

use crate::http::{Side, client_span, record_error, record_response, record_status, without_user};
use crate::propagation::inject;
use crate::span::OwnedSpan;
use crate::tower::{TracedBody, version};

/// Gives each request a CLIENT span.
#[derive(Debug, Clone, Copy, Default)]
pub struct ClientMiddleware;

type Answer<'f> = Pin<Box<dyn Future<Output = Result<Response, Error>> + Send + 'f>>;

impl Middleware for ClientMiddleware {
    // What `#[async_trait]` makes of the trait's method.
    fn handle<'a, 'b, 'c, 'f>(
        &'a self,
        mut request: Request,
        extensions: &'b mut Extensions,
        next: Next<'c>,
    ) -> Answer<'f>
    where
        'a: 'f,
        'b: 'f,
        'c: 'f,
        Self: 'f,
    {
        Box::pin(async move {
            let span = start(&mut request);
            match next.run(request, extensions).instrument((*span).clone()).await {
                Ok(response) => Ok(record(response, span)),
                Err(error) => {
                    record_error(&span, kind(&error));
                    Err(error)
                }
            }
        })
    }
}

fn start(request: &mut Request) -> OwnedSpan {
    let url = request.url();
    let authority = without_user(url.authority());
    let span = client_span(&Span::current(), request.method().as_str(), url.scheme(), authority, url.path());
    inject(&span, |name, value| {
        if let Ok(value) = HeaderValue::from_str(value) {
            request.headers_mut().insert(HeaderName::from_static(name), value);
        }
    });
    OwnedSpan::of(span)
}

/// The same response, whose body ends the span.
fn record(response: Response, span: OwnedSpan) -> Response {
    let status = response.status().as_u16();
    match version(response.version()) {
        Some(version) => record_response(&span, status, response.remote_addr(), version),
        None => record_status(&span, Side::Client, status),
    }
    // `Response::from` finds the URL in an extension that only this builder can make.
    let named = ::http::Response::builder().url(response.url().clone()).body(());
    let (mut head, body) = ::http::Response::<Body>::from(response).into_parts();
    head.extensions.extend(named.unwrap_or_default().into_parts().0.extensions);
    ::http::Response::from_parts(head, Body::wrap(TracedBody::new(body, Some(span)))).into()
}

fn kind(error: &Error) -> &'static str {
    if error.is_timeout() {
        "timeout"
    } else if error.is_connect() {
        "connect"
    } else {
        "no_response"
    }
}
