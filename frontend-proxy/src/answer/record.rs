//! The record of each request, from its head to the last byte of its response: counted in the
//! [metrics](crate::answer::metrics), and written to the access log if that is on. Knows paths only by their route's template,
//! and no query string.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::{Buf, Bytes};
use http::{Method, Response};
use hyper::body::{Body, Frame, SizeHint};

use crate::answer::metrics::{Metrics, RouteId};

/// A request that has not ended.
pub(crate) struct RequestRecord {
    metrics: Arc<Metrics>,
    route: RouteId,
    /// 0 until there is a response.
    status: u16,
    began: Instant,
    entry: Option<Box<LogEntry>>,
}

/// Further values for the access log.
struct LogEntry {
    method: &'static str,
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
    pub(crate) fn open(metrics: &Arc<Metrics>) -> Self {
        metrics.begin();
        let metrics = Arc::clone(metrics);
        Self { metrics, route: RouteId::OTHER, status: 0, began: Instant::now(), entry: None }
    }

    /// Has the request written to the log when it ends.
    pub(crate) fn log(&mut self, method: &Method, peer: IpAddr) {
        let (method, peer) = (telemetry::http::known(method.as_str()), peer.to_canonical());
        self.entry = Some(Box::new(LogEntry { method, peer, client: peer, trace_id: String::new(), bytes: 0 }));
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
        self.route = self.metrics.route(template);
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
        let duration = self.began.elapsed();
        self.metrics.end(self.route, self.status, duration);
        let Some(entry) = &self.entry else { return };
        // Not an event of a span: each trace would repeat it.
        tracing::info!(
            target: "frontend_proxy::access",
            parent: None,
            trace_id = entry.trace_id,
            http.request.method = entry.method,
            http.route = self.metrics.template(self.route),
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
