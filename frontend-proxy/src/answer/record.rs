//! The record of each request, from its head to the last byte of its response: timed if no span times it, and written to the
//! access log if that is on. Knows paths only by their route's template, and no query string.

use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::{Buf, Bytes};
use http::request::Parts;
use http::{Response, Version};
use hyper::body::{Body, Frame, SizeHint};
use telemetry::metrics::Timer;

use crate::inbound::received::ClientConnection;
use crate::inbound::span::version;

/// A request that has not ended.
pub(crate) struct RequestRecord {
    /// Times the request if it has no span.
    timer: Option<Timer>,
    method: &'static str,
    scheme: &'static str,
    version: Version,
    /// 0 until there is a response.
    status: u16,
    began: Instant,
    entry: Option<Box<LogEntry>>,
}

/// Further values for the access log.
struct LogEntry {
    route: String,
    peer: IpAddr,
    /// The peer, until the client that it speaks for is known.
    client: IpAddr,
    trace_id: String,
    bytes: u64,
}

/// A response's body, which closes the record when the body ends or is abandoned.
pub(crate) struct RecordedBody<B> {
    body: B,
    record: RequestRecord,
}

impl RequestRecord {
    pub(crate) fn open(request: &Parts, connection: ClientConnection) -> Self {
        let method = telemetry::http::known(request.method.as_str());
        let scheme = if connection.secure { "https" } else { "http" };
        Self { timer: None, method, scheme, version: request.version, status: 0, began: Instant::now(), entry: None }
    }

    /// Has the request written to the log when it ends.
    pub(crate) fn log(&mut self, peer: IpAddr) {
        let (route, peer) = ("other".to_owned(), peer.to_canonical());
        self.entry = Some(Box::new(LogEntry { route, peer, client: peer, trace_id: String::new(), bytes: 0 }));
    }

    /// Records the client that the peer speaks for.
    pub(crate) fn client(&mut self, client: IpAddr) {
        if let Some(entry) = &mut self.entry {
            entry.client = client;
        }
    }

    /// Excludes the request from the log.
    pub(crate) fn unlogged(&mut self) {
        self.entry = None;
    }

    pub(crate) fn route(&mut self, template: &str) {
        if let Some(entry) = &mut self.entry {
            template.clone_into(&mut entry.route);
        }
    }

    /// Times a request that has no span, of this route if there is one.
    pub(crate) fn untraced(&mut self, template: Option<&str>) {
        self.timer = Some(Timer::server(self.method, self.scheme, template, Some(version(self.version))));
        if let Some(template) = template {
            self.route(template);
        }
    }

    /// Records the request's trace; calls `id` only if there is a log.
    pub(crate) fn trace(&mut self, id: impl FnOnce() -> Option<String>) {
        if let Some(entry) = &mut self.entry {
            entry.trace_id = id().unwrap_or_default();
        }
    }

    /// The response, whose body keeps the record open.
    pub(crate) fn answer<B>(mut self, response: Response<B>) -> Response<RecordedBody<B>> {
        self.status = response.status().as_u16();
        response.map(|body| RecordedBody { body, record: self })
    }
}

impl Drop for RequestRecord {
    fn drop(&mut self) {
        if let Some(timer) = self.timer.as_mut().filter(|_| self.status != 0) {
            timer.status(self.status);
        }
        let duration = self.began.elapsed();
        let Some(entry) = &self.entry else { return };
        // Not an event of a span: each trace would repeat it.
        tracing::info!(
            target: "frontend_proxy::access",
            parent: None,
            trace_id = entry.trace_id,
            http.request.method = self.method,
            http.route = entry.route,
            http.response.status_code = self.status,
            http.response.body.size = entry.bytes,
            client.address = %entry.client,
            network.peer.address = %entry.peer,
            duration_us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX),
            "request"
        );
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for RecordedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let (Some(entry), Some(data)) = (&mut self.record.entry, frame.data_ref())
        {
            entry.bytes += u64::try_from(data.remaining()).unwrap_or_default();
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
