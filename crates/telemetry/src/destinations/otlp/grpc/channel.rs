//! A channel that checks the head of each response before `tonic` reads the body as messages of gRPC: a proxy before the collector
//! may answer with a page of its own.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use ::http::header::CONTENT_TYPE;
use ::http::{Request, Response, StatusCode};
use thiserror::Error;
use tonic::body::Body;
use tonic::transport::Channel;
use tower_service::Service;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// See the module.
#[derive(Clone)]
pub(super) struct CheckedChannel(pub(super) Channel);

/// A success that is not one of gRPC.
#[derive(Debug, Error)]
#[error("what is no response of gRPC")]
pub(super) struct NotGrpc;

impl Service<Request<Body>> for CheckedChannel {
    type Response = Response<Body>;
    type Error = AnyError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, AnyError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), AnyError>> {
        self.0.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let answered = self.0.call(request);
        Box::pin(async move { Ok(check(answered.await?)?) })
    }
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
    use super::*;

    fn checked(status: u16, kind: Option<&str>) -> Result<Response<Body>, NotGrpc> {
        let mut response = Response::builder().status(status);
        if let Some(kind) = kind {
            response = response.header(CONTENT_TYPE, kind);
        }
        check(response.body(Body::new("<html>".to_owned())).unwrap())
    }

    #[test]
    fn only_a_success_of_grpc_keeps_its_body() {
        use http_body::Body as _;
        for kind in ["application/grpc", "application/grpc+proto", "application/grpc;charset=utf-8"] {
            assert!(!checked(200, Some(kind)).unwrap().body().is_end_stream(), "{kind}");
        }
        for kind in [None, Some("text/html"), Some("application/grpc-web"), Some("application/json")] {
            assert!(checked(200, kind).is_err(), "{kind:?}");
            for status in [400, 401, 429, 502, 503, 504] {
                let response = checked(status, kind).unwrap();
                assert_eq!((response.status().as_u16(), response.body().is_end_stream()), (status, true));
            }
        }
    }
}
