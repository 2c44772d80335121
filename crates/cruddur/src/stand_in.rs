//! A small HTTP/1.1 server for the stand-ins: reads each request to its end, within bounds, and lets a function respond.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

/// The largest body.
pub(crate) const MAX_BODY: usize = 15 * 1024 * 1024;
/// Connections at a time; more wait in the kernel's queue.
const CONNECTIONS: usize = 64;
/// For a request's head, and for its body.
const PATIENCE: Duration = Duration::from_secs(30);
/// After a connection that could not be accepted.
const PAUSE: Duration = Duration::from_millis(100);

/// Why a request is refused: the status and a message.
pub(crate) struct Refusal(pub(crate) StatusCode, pub(crate) String);

pub(crate) type Answered = Response<Full<Bytes>>;

/// Serves until `stop` completes. `respond` gets each request's head, and its body or why that could not be read.
pub(crate) async fn serve<F>(listener: TcpListener, stop: impl Future<Output = ()>, respond: F)
where
    F: Fn(&Parts, Result<Bytes, Refusal>) -> Answered + Send + Sync + 'static,
{
    let (respond, permits) = (Arc::new(respond), Arc::new(Semaphore::new(CONNECTIONS)));
    let mut stop = pin!(stop);
    loop {
        let accept = async {
            let permit = Arc::clone(&permits).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, stream) = tokio::select! {
            accepted = accept => accepted,
            () = &mut stop => return,
        };
        let Ok((stream, _)) = stream else {
            sleep(PAUSE).await;
            continue;
        };
        let respond = Arc::clone(&respond);
        tokio::spawn(async move {
            exchange(stream, respond).await;
            drop(permit);
        });
    }
}

async fn exchange<F>(stream: TcpStream, respond: Arc<F>)
where
    F: Fn(&Parts, Result<Bytes, Refusal>) -> Answered + Send + Sync + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let respond = Arc::clone(&respond);
        async move {
            let (head, body) = request.into_parts();
            let body = collect(body).await;
            Ok::<_, Infallible>(respond(&head, body))
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(stream), service);
    // A client may disconnect at any time.
    drop(connection.await);
}

async fn collect(body: Incoming) -> Result<Bytes, Refusal> {
    match timeout(PATIENCE, Limited::new(body, MAX_BODY).collect()).await {
        Err(_) => Err(Refusal(StatusCode::REQUEST_TIMEOUT, "the body is late".to_owned())),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(unreadable()),
        Ok(Ok(body)) => Ok(body.to_bytes()),
    }
}

pub(crate) fn too_large() -> Refusal {
    Refusal(StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than 15 MiB".to_owned())
}

pub(crate) fn unreadable() -> Refusal {
    Refusal(StatusCode::BAD_REQUEST, "the body cannot be read".to_owned())
}

pub(crate) fn json_response(status: StatusCode, body: &Value) -> Answered {
    response(status, "application/json", body.to_string().into_bytes())
}

pub(crate) fn response(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Answered {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// A header's text; empty if it is missing or not text.
pub(crate) fn text<'h>(head: &'h Parts, name: &str) -> &'h str {
    head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
