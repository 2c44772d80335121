//! An HTTP/2 connection: each of its requests takes a permit. A head that HTTP/1 would refuse is refused here.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{Method, Request, header};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::watch;

use super::ConnectionServer;
use crate::inbound::framing::{FIELDS, HEAD, Refusal};
use crate::inbound::permits::Share;
use crate::inbound::received::{ClientConnection, RequestBody};
use crate::inbound::state::ConnectionState;
use crate::inbound::streams;
use crate::inbound::transport::Transport;
use crate::inbound::wire::Wire;

/// HTTP/2's limits: concurrent requests, and bytes of them that may wait here.
pub(super) const STREAMS: u32 = 100;
pub(crate) const STREAM_WINDOW: u32 = 64 * 1024;
pub(crate) const WINDOW: u32 = 256 * 1024;
/// Bytes of a request's header list that h2 accepts. A list larger than a head may be is refused by [`refusal`] with a reason;
/// h2 refuses one larger than this with a bare 431.
const LIST: u32 = 128 * 1024;
/// Bytes that HTTP/2 adds to the size of each field, <https://www.rfc-editor.org/rfc/rfc9113#section-6.5.2>.
const FIELD: usize = 32;
/// Bytes of one response that may wait for its client.
pub(crate) const SEND: usize = 64 * 1024;
/// How many streams may be reset before they are accepted, and how many the server itself may reset.
const RESETS: usize = 100;
const PING: Duration = Duration::from_secs(30);
const PONG: Duration = Duration::from_secs(10);

impl ConnectionServer {
    pub(super) async fn http2(
        &self,
        wire: Wire<Transport>,
        connection: ClientConnection,
        state: Arc<ConnectionState>,
        share: Result<Share, Refusal>,
        draining: watch::Receiver<bool>,
    ) -> hyper::Result<()> {
        let (service, shared) = (Arc::clone(&self.service), Arc::clone(&state));
        let answer = service_fn(move |request: Request<Incoming>| {
            let (service, state) = (Arc::clone(&service), Arc::clone(&shared));
            let permit = share.as_ref().map_err(|refusal| *refusal).and_then(Share::take);
            async move {
                let (permit, full) = match permit {
                    Ok(permit) => (Some(permit), None),
                    Err(refusal) => (None, Some(refusal)),
                };
                let mut active = state.begin(permit);
                let (mut request, body) = request.into_parts();
                let is_head = request.method == Method::HEAD;
                let response = if let Some(refusal) = full.or_else(|| refusal(&request)) {
                    service.refuse(refusal, &request, connection)
                } else {
                    service.answer(&mut request, RequestBody::new(body), connection).await
                };
                if is_head {
                    active.finish();
                }
                let progress = streams::progress();
                Ok::<_, Infallible>(response.map(|body| active.answer(body, progress)))
            }
        });
        let executor = self.streams.executor(self.limits.deadlines.write);
        let served = http2::Builder::new(executor)
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(LIST)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_send_buf_size(SEND)
            .max_pending_accept_reset_streams(RESETS)
            .max_local_error_reset_streams(RESETS)
            .keep_alive_interval(PING)
            .keep_alive_timeout(PONG)
            .serve_connection(TokioIo::new(wire), answer);
        let mut served = pin!(served);
        let abused = state.abused();
        self.watch(served.as_mut(), |served| served.graceful_shutdown(), &state, abused, draining).await
    }
}

/// Applies HTTP/1's limits to an HTTP/2 head. HTTP/2 itself ensures the framing.
fn refusal(request: &Parts) -> Option<Refusal> {
    let headers = &request.headers;
    let target = request.uri.path_and_query().map_or(0, |target| target.as_str().len());
    let list = headers.iter().fold(target, |list, (name, value)| list + name.as_str().len() + value.len() + FIELD);
    if list > HEAD {
        return Some(Refusal::TooLarge);
    }
    // HTTP/2 may send cookies one by one: https://www.rfc-editor.org/rfc/rfc9113#section-8.2.3
    let further_cookies = headers.get_all(header::COOKIE).iter().count().saturating_sub(1);
    if headers.len() - further_cookies > FIELDS {
        return Some(Refusal::TooMany);
    }
    headers.keys().any(|name| name.as_str().contains('_')).then_some(Refusal::Underscore)
}
