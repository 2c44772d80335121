//! The sink's OTLP over gRPC: accepts the export of each call, whichever signal it is of. It is never a faulty collector.

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::net::TcpStream;

use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};

/// The first bytes of HTTP/2, which are no method of HTTP/1.
const PREFACE: &[u8; 3] = b"PRI";
/// How many bytes precede a message: the first is 1 if it is compressed, the others are its length.
const PREFIX: usize = 5;

/// Whether the client speaks HTTP/2. Waits for its first bytes, and leaves them to be read.
pub(crate) fn speaks(stream: &TcpStream) -> bool {
    let mut first = [0; PREFACE.len()];
    stream.peek(&mut first).is_ok() && first == *PREFACE
}

/// Serves a connection until the client closes it. `receive` gets each message, and whether gzip has compressed it; if it returns
/// `None`, the call fails.
pub(crate) fn serve<F>(stream: TcpStream, receive: F) -> io::Result<()>
where
    F: Fn(&[u8], bool) -> Option<()> + Copy + Send + 'static,
{
    stream.set_nonblocking(true)?;
    tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
        let stream = TokioIo::new(tokio::net::TcpStream::from_std(stream)?);
        let service = service_fn(move |request| export(request, receive));
        http2::Builder::new(TokioExecutor::new()).serve_connection(stream, service).await.map_err(io::Error::other)
    })
}

async fn export(
    request: Request<Incoming>,
    receive: impl Fn(&[u8], bool) -> Option<()>,
) -> Result<Response<impl Body<Data = Bytes, Error = Infallible>>, Box<dyn Error + Send + Sync>> {
    let body = request.into_body().collect().await?.to_bytes();
    let (prefix, message) = body.split_first_chunk::<PREFIX>().ok_or("a call without a message")?;
    receive(message, prefix[0] == 1).ok_or("a message that cannot be decoded")?;
    let trailers = HeaderMap::from_iter([(HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"))]);
    // An `Export…ServiceResponse` without a field is empty.
    let empty = Full::new(Bytes::from_static(&[0; PREFIX]));
    let mut response = Response::new(empty.with_trailers(async { Some(Ok(trailers)) }));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    Ok(response)
}
