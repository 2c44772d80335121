//! Serves an actix-web application over HTTP/1.1, with a deadline for everything that a client can do slowly.
//!
//! actix-web itself limits only the first head on a connection and the idle time between requests. [`serve`] limits every head,
//! every request body and the idle time. It closes a connection whose client stops reading, or stops in the middle of a body for
//! which the response did not wait. It accepts heads of up to 128 header fields, of which actix-http accepts only 96. Knows no
//! routes and reads no bodies; the application must limit the size of a body.

mod bounds;
mod connection;
mod heads;
mod payload;
#[cfg(test)]
mod tests;

use std::fmt;
use std::future::Future;
use std::io;
use std::net::TcpListener;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_http::body::{BodySize, MessageBody};
use actix_http::{HttpService, KeepAlive, Protocol, Request, Response};
use actix_service::{
    IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt, apply_fn_factory, fn_service, map_config,
};
use actix_web::dev::{AppConfig, Server};
use bytes::Bytes;

pub use crate::bounds::{Bounds, TAKEN};
use crate::connection::{Busy, Connection, Watch};
use crate::payload::Shared;
pub use crate::payload::is_late;

/// After a response that did not wait for the request's body: how long the client has to read the response, while the body is
/// discarded.
const LINGER: Duration = Duration::from_secs(1);

/// Serves an application until the returned server is stopped. `app` is called once for each worker.
///
/// # Errors
/// The listener is not usable.
pub fn serve<F, A, S, B>(listener: TcpListener, bounds: Bounds, app: F) -> io::Result<Server>
where
    F: Fn() -> A + Send + Clone + 'static,
    A: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::Service: 'static,
    <S::Service as Service<Request>>::Future: 'static,
    S::Response: Into<Response<B>> + 'static,
    S::Error: Into<actix_web::Error> + 'static,
    S::InitError: fmt::Debug,
    B: MessageBody + 'static,
{
    let mut builder = Server::build()
        .max_concurrent_connections(bounds.connections)
        .shutdown_timeout(bounds.drain_seconds)
        .disable_signals();
    if let Some(workers) = bounds.workers {
        builder = builder.workers(workers);
    }
    let stopping = builder.graceful_shutdown_signal();
    let factory = move || {
        let stopping = stopping.clone();
        let app = app().into_factory().map_err(|error: S::Error| error.into().error_response());
        let app = map_config(app, |()| AppConfig::default());
        let app = apply_fn_factory(app, move |request: Request, app: &_| exchange(request, app, bounds.body));
        let http = HttpService::build()
            // Closes idle connections at shutdown. actix-http's documentation hides this method, but actix-web's own server
            // uses it.
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            // The connection itself closes when it is idle: actix-http would set a timer after each response.
            .keep_alive(KeepAlive::Os)
            .client_request_timeout(bounds.head)
            .client_disconnect_timeout(LINGER)
            .on_connect_ext(|connection: &Connection, data| {
                data.insert(connection.watch());
            })
            .finish(app);
        fn_service(move |io| async move {
            let connection = Connection::new(io, bounds);
            let peer = connection.peer();
            Ok((connection, Protocol::Http1, peer))
        })
        .and_then(http)
    };
    Ok(builder.listen("http", listener, factory)?.run())
}

/// One request and its response, during which its connection is busy.
fn exchange<S, B>(
    mut request: Request,
    app: &S,
    body: Duration,
) -> impl Future<Output = Result<Response<ResponseBody<B>>, S::Error>> + use<S, B>
where
    S: Service<Request>,
    S::Response: Into<Response<B>>,
    B: MessageBody + 'static,
{
    let watch = request.conn_data::<Watch>().cloned();
    for (name, value) in watch.iter().flat_map(Watch::surplus) {
        request.headers_mut().append(name, value);
    }
    let busy = watch.as_ref().map(Watch::begin);
    let (payload, mut unread) = payload::limited(request.take_payload(), body);
    *request.payload() = payload;
    let response = app.call(request);
    async move {
        let response: Response<B> = response.await?.into();
        if let Some(body) = &mut unread
            && !body.is_unread().await
        {
            unread = None;
        }
        Ok(response.map_body(|_, body| ResponseBody { body, _busy: busy, _unread: unread }))
    }
}

pin_project_lite::pin_project! {
    /// A response's body. When it is dropped, the connection is no longer busy.
    struct ResponseBody<B> {
        #[pin]
        body: B,
        _busy: Option<Busy>,
        // The request's body, if the response did not wait for it.
        _unread: Option<Shared>,
    }
}

impl<B: MessageBody> MessageBody for ResponseBody<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        self.project().body.poll_next(cx)
    }
}
