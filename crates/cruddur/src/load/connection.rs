//! HTTP/1.1 to one address: one connection, kept alive, one request at a time. Follows no redirects, ignores the environment's
//! proxy, and sends no `traceparent`, so that the server starts the traces. Every exchange and every body has a bound.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Bytes};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The time from connecting to the last byte of the response.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// The largest response body accepted. Cruddur's own are below 1 MiB.
const MAX_BODY: u64 = 8 * 1024 * 1024;

/// A connection, opened on first use and reopened after a failure.
pub(super) struct Connection {
    address: SocketAddr,
    authority: String,
    sender: Option<SendRequest<Full<Bytes>>>,
}

/// A response, read to its end.
pub(super) struct Response {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Why a request has no response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Failure {
    /// No connection could be opened.
    Connect,
    /// The connection ended before the response did.
    Closed,
    Timeout,
    /// The response is larger than any of Cruddur's.
    TooLarge,
    NotHttp,
    /// A successful response whose body is not the expected JSON.
    NotJson,
}

/// A request to send.
pub(super) struct Message<'a> {
    pub(super) method: Method,
    pub(super) path: &'a str,
    pub(super) body: Option<&'a Value>,
    /// `Bearer` and a session's token.
    pub(super) authorization: Option<&'a HeaderValue>,
    pub(super) idempotency_key: Option<String>,
}

impl<'a> Message<'a> {
    pub(super) fn get(path: &'a str) -> Self {
        Self { method: Method::GET, path, body: None, authorization: None, idempotency_key: None }
    }

    pub(super) fn post(path: &'a str, body: &'a Value) -> Self {
        Self { method: Method::POST, body: Some(body), ..Self::get(path) }
    }
}

impl Connection {
    /// A connection to `address`, with `authority` as its `Host`. Does not connect yet.
    pub(super) fn new(address: SocketAddr, authority: String) -> Self {
        Self { address, authority, sender: None }
    }

    /// Sends a message and reads its response.
    ///
    /// # Errors
    /// There is no response. The next message uses a new connection.
    pub(super) async fn send(&mut self, message: &Message<'_>) -> Result<Response, Failure> {
        let exchanged = timeout(PATIENCE, self.exchange(message)).await.unwrap_or(Err(Failure::Timeout));
        if exchanged.is_err() {
            self.sender = None;
        }
        exchanged
    }

    async fn exchange(&mut self, message: &Message<'_>) -> Result<Response, Failure> {
        let mut request = self.request(message)?;
        let response = loop {
            let (sender, is_new) = self.open().await?;
            match sender.try_send_request(request).await {
                Ok(response) => break response,
                Err(mut error) => match error.take_message() {
                    // The server closed an idle connection; nothing of the message was sent.
                    Some(unsent) if !is_new => {
                        self.sender = None;
                        request = unsent;
                    }
                    _ => return Err(Failure::of(error.error())),
                },
            }
        };
        let (head, body) = response.into_parts();
        // If the declared size is too large, do not read the body.
        if body.size_hint().lower() > MAX_BODY {
            return Err(Failure::TooLarge);
        }
        let body =
            Limited::new(body, usize::try_from(MAX_BODY).unwrap_or(usize::MAX)).collect().await.map_err(|error| {
                let is_large = error.is::<LengthLimitError>();
                if is_large { Failure::TooLarge } else { error.downcast_ref().map_or(Failure::Closed, Failure::of) }
            })?;
        Ok(Response { status: head.status, headers: head.headers, body: body.to_bytes() })
    }

    /// A connection that is ready for a request, and whether it is new.
    async fn open(&mut self) -> Result<(&mut SendRequest<Full<Bytes>>, bool), Failure> {
        let ready = match &mut self.sender {
            Some(sender) => sender.ready().await.is_ok(),
            None => false,
        };
        if !ready {
            let stream = TcpStream::connect(self.address).await.map_err(|_| Failure::Connect)?;
            // Without this, a request waits until the previous one is acknowledged.
            stream.set_nodelay(true).map_err(|_| Failure::Connect)?;
            let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|_| Failure::Connect)?;
            // The task ends with the sender, which gets its errors.
            tokio::spawn(async move { drop(connection.await) });
            self.sender = Some(sender);
        }
        self.sender.as_mut().map(|sender| (sender, !ready)).ok_or(Failure::Connect)
    }

    fn request(&self, message: &Message<'_>) -> Result<Request<Full<Bytes>>, Failure> {
        let mut request = Request::builder()
            .method(&message.method)
            .uri(message.path)
            .header(HOST, &self.authority)
            .header(USER_AGENT, concat!("cruddur-load/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, "application/json");
        if let Some(authorization) = message.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        if let Some(key) = &message.idempotency_key {
            request = request.header("idempotency-key", key);
        }
        let body = match message.body {
            None => Full::default(),
            Some(body) => {
                request = request.header(CONTENT_TYPE, "application/json");
                Full::from(body.to_string())
            }
        };
        // The path contains values from an earlier response. If it is invalid, that response was not the expected JSON.
        request.body(body).map_err(|_| Failure::NotJson)
    }
}

impl Response {
    /// The body, if it is JSON.
    pub(super) fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The start of the body, for a person to read.
    pub(super) fn excerpt(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect()
    }
}

impl Failure {
    fn of(error: &hyper::Error) -> Self {
        if error.is_parse() { Self::NotHttp } else { Self::Closed }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Connect => "no connection",
            Self::Closed => "closed",
            Self::Timeout => "timeout",
            Self::TooLarge => "too large",
            Self::NotHttp => "not HTTP",
            Self::NotJson => "not JSON",
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A server that sends a fixed number of responses on each connection, then closes it, and counts the connections.
    async fn server(answers: &'static [&'static str]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                for answer in answers {
                    let mut head = [0; 4096];
                    let length = stream.read(&mut head).await.unwrap();
                    assert!(!String::from_utf8_lossy(&head[..length]).contains("traceparent"));
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            }
        });
        address
    }

    fn connection(address: SocketAddr) -> Connection {
        Connection::new(address, address.to_string())
    }

    #[tokio::test]
    async fn a_connection_is_kept_and_reopened_once_closed() {
        let mut connection = connection(server(&["HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"; 3]).await);
        for _ in 0..10 {
            let answer = connection.send(&Message::get("/")).await.unwrap();
            assert_eq!((answer.status, answer.json()), (StatusCode::OK, Some(serde_json::json!({}))));
            // The server closes after the third response; let the client notice that before it sends the next request.
            tokio::task::yield_now().await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn a_failed_exchange_has_its_reason() {
        for (answer, failure) in [
            ("SSH-2.0-OpenSSH\r\n\r\n", Failure::NotHttp),
            ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}", Failure::Closed),
            ("HTTP/1.1 200 OK\r\ncontent-length: 999999999\r\n\r\n{}", Failure::TooLarge),
            ("", Failure::Closed),
        ] {
            let answers: &'static [&'static str] = vec![answer].leak();
            let failed = connection(server(answers).await).send(&Message::get("/")).await.err();
            assert_eq!(failed, Some(failure), "{answer}");
        }
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        assert_eq!(connection(closed).send(&Message::get("/")).await.err(), Some(Failure::Connect));
    }
}
