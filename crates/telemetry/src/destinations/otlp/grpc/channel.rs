//! What `tonic` does between its client and its connection. A request's message is compressed already: `tonic` would use a level
//! that costs several times as much. A response's head is checked before its body is read as messages of gRPC: a proxy before the
//! collector may answer with a page of its own.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use ::http::header::CONTENT_TYPE;
use ::http::{HeaderValue, Request, Response, StatusCode};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use thiserror::Error;
use tonic::body::Body;
use tonic::transport::Channel;
use tower_service::Service;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// See the module.
#[derive(Clone)]
pub(super) struct ExportChannel {
    pub(super) channel: Channel,
    /// Whether messages are compressed.
    pub(super) gzip: bool,
}

/// A success that is not one of gRPC.
#[derive(Debug, Error)]
#[error("what is no response of gRPC")]
pub(super) struct NotGrpc;

impl Service<Request<Body>> for ExportChannel {
    type Response = Response<Body>;
    type Error = AnyError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, AnyError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), AnyError>> {
        self.channel.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let request = if self.gzip { marked(request) } else { request };
        let answered = self.channel.call(request);
        Box::pin(async move { Ok(check(answered.await?)?) })
    }
}

/// Marks the request's message as compressed: in a header, and in the byte before it.
fn marked(request: Request<Body>) -> Request<Body> {
    let (mut head, body) = request.into_parts();
    head.headers.insert("grpc-encoding", HeaderValue::from_static("gzip"));
    let mut is_first = true;
    let body =
        body.map_frame(move |frame| frame.map_data(|data| if mem::take(&mut is_first) { mark(data) } else { data }));
    Request::from_parts(head, Body::new(body))
}

fn mark(data: Bytes) -> Bytes {
    let mut data = BytesMut::from(data);
    if let Some(flag) = data.first_mut() {
        *flag = 1;
    }
    data.freeze()
}

/// Of a response with another status than 200, only the head is kept: from it `tonic` [derives](https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md)
/// gRPC's status.
///
/// # Errors
/// The status is 200, and the content is not gRPC's.
fn check(response: Response<Body>) -> Result<Response<Body>, NotGrpc> {
    let (head, body) = response.into_parts();
    if head.status != StatusCode::OK {
        return Ok(Response::from_parts(head, Body::empty()));
    }
    let kind = head.headers.get(CONTENT_TYPE).map_or(&[][..], |kind| kind.as_bytes());
    let is_grpc =
        kind.strip_prefix(b"application/grpc").is_some_and(|rest| matches!(rest, [] | [b'+' | b';' | b' ', ..]));
    if is_grpc { Ok(Response::from_parts(head, body)) } else { Err(NotGrpc) }
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;

    const PAGE: &str = "<html>";

    fn read(body: Body) -> Bytes {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(body.collect()).unwrap().to_bytes()
    }

    fn checked(status: u16, kind: Option<&str>) -> Result<Response<Body>, NotGrpc> {
        let mut response = Response::builder().status(status);
        if let Some(kind) = kind {
            response = response.header(CONTENT_TYPE, kind);
        }
        check(response.body(Body::new(PAGE.to_owned())).unwrap())
    }

    #[test]
    fn only_the_byte_before_the_message_is_marked() {
        let request = marked(Request::new(Body::new(Full::new(Bytes::from_static(b"\0\0\0\0\x02\0\0")))));
        assert_eq!(request.headers()["grpc-encoding"], "gzip");
        assert_eq!(read(request.into_body()), &b"\x01\0\0\0\x02\0\0"[..]);
    }

    #[test]
    fn only_a_success_of_grpc_keeps_its_body() {
        for kind in ["application/grpc", "application/grpc+proto", "application/grpc;charset=utf-8"] {
            assert_eq!(read(checked(200, Some(kind)).unwrap().into_body()), PAGE, "{kind}");
        }
        for kind in [None, Some("text/html"), Some("application/grpc-web"), Some("application/json")] {
            assert!(checked(200, kind).is_err(), "{kind:?}");
            for status in [400, 401, 429, 502, 503, 504] {
                let response = checked(status, kind).unwrap();
                assert_eq!((response.status().as_u16(), read(response.into_body())), (status, Bytes::new()));
            }
        }
    }
}
