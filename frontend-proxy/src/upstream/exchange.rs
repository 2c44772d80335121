//! A request and its response on one connection: how the request is written while its response is awaited, and how an attempt
//! can fail. Does not decide what happens after a failure.

use std::future::poll_fn;
use std::io::Write as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, Method, StatusCode};
use hyper::body::Body;
use tokio::time::Instant;

use super::answer::Head;
use super::connection::{Output, UpstreamConnection};
use super::trailers::Malformed;
use crate::inbound::received::{BodyError, RequestBody};
use crate::upstream::field;

/// How long a client that waits for a 100 (Continue) may wait for an upstream that sends nothing.
const PATIENCE: Duration = Duration::from_secs(1);
/// Most informational responses before the final one.
const INFORMATIONAL: usize = 16;

/// Why an attempt failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AttemptError {
    #[error(transparent)]
    Request(BodyError),
    #[error("the upstream cannot be reached")]
    Connect,
    #[error("the upstream did not accept the connection in time")]
    ConnectTimeout,
    /// The connection closed before the first byte of a response.
    #[error("the upstream closed the connection without a response")]
    Unanswered,
    #[error("the upstream cut off its response")]
    Cut,
    #[error("the upstream's response is not valid HTTP")]
    Malformed(#[from] Malformed),
    #[error("the upstream did not respond in time")]
    Timeout,
}

/// A request's body while it is sent.
pub(crate) struct Upload {
    body: RequestBody,
    framing: UploadFraming,
    /// The body has been polled: it cannot be sent again.
    pub(crate) touched: bool,
    /// The client waits for a 100 (Continue), at most until this time.
    withheld: Option<Instant>,
    /// All bytes received so far are written, and the client has not sent more.
    starved: bool,
}

/// How a request's body is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UploadFraming {
    /// The request has no framing headers.
    None,
    /// How many bytes are left.
    Length(u64),
    Chunked,
    /// The whole body has been handed over.
    Ended,
}

impl Upload {
    /// `framed` if the request itself states that it has a body, even an empty one.
    pub(crate) fn new(body: RequestBody, framed: bool, waits: bool) -> Self {
        let framing = match body.size_hint().exact() {
            Some(0) if !framed => UploadFraming::None,
            Some(length) => UploadFraming::Length(length),
            None => UploadFraming::Chunked,
        };
        let withheld = (waits && !body.is_end_stream()).then(|| Instant::now() + PATIENCE);
        Self { body, framing, touched: false, withheld, starved: false }
    }

    pub(crate) fn framing(&self) -> UploadFraming {
        self.framing
    }

    pub(crate) fn waits(&self) -> bool {
        self.withheld.is_some()
    }

    /// Hands over the body as it arrives, until all has been written.
    pub(crate) fn poll(
        &mut self,
        connection: &mut UpstreamConnection,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), UploadError>> {
        self.starved = false;
        loop {
            let mut waits = self.withheld.is_some();
            if !waits && connection.output.data.is_empty() && connection.output.tail.is_empty() {
                waits = self.prepare(connection, cx)?;
            }
            ready!(connection.poll_flush(cx)).map_err(|_| UploadError::Connection)?;
            if matches!(self.framing, UploadFraming::None | UploadFraming::Length(0) | UploadFraming::Ended) {
                return Poll::Ready(Ok(()));
            }
            if waits {
                self.starved = self.withheld.is_none();
                return Poll::Pending;
            }
        }
    }

    /// Sends the body before the client gets the response that has arrived already: after that, the body can no longer
    /// be requested. Returns whether the whole body was sent. Sent or not, the client gets its response after a second.
    async fn send_late(&mut self, connection: &mut UpstreamConnection) -> bool {
        connection.set_deadline(Instant::now() + PATIENCE);
        let poll = |cx: &mut Context<'_>| match self.poll(connection, cx) {
            Poll::Ready(sent) => Poll::Ready(sent.is_ok()),
            Poll::Pending => connection.poll_deadline(cx).map(|()| false),
        };
        poll_fn(poll).await
    }

    /// Takes the next piece of the body; returns whether that piece is still to come.
    fn prepare(&mut self, connection: &mut UpstreamConnection, cx: &mut Context<'_>) -> Result<bool, UploadError> {
        if matches!(self.framing, UploadFraming::None | UploadFraming::Length(0) | UploadFraming::Ended) {
            return Ok(false);
        }
        self.touched = true;
        let frame = match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Pending => return Ok(true),
            Poll::Ready(frame) => frame.transpose().map_err(UploadError::Request)?,
        };
        let output = &mut connection.output;
        match frame.map(hyper::body::Frame::into_data) {
            Some(Ok(data)) => self.data(data, output)?,
            Some(Err(frame)) => {
                if self.framing == UploadFraming::Chunked {
                    output.head.extend_from_slice(b"0\r\n");
                    // HTTP/2 allows names that a head here must not have.
                    let passes = |name: &HeaderName| field::is_trailer(name) && !name.as_str().contains('_');
                    for (name, value) in frame.trailers_ref().into_iter().flatten().filter(|(name, _)| passes(name)) {
                        field::write(&mut output.head, name.as_str(), value.as_bytes());
                    }
                    output.head.extend_from_slice(b"\r\n");
                }
                self.framing = UploadFraming::Ended;
            }
            None => {
                match self.framing {
                    UploadFraming::Chunked => output.head.extend_from_slice(b"0\r\n\r\n"),
                    // Fewer bytes arrived than the request's length.
                    _ => return Err(UploadError::Request(BodyError::Broken)),
                }
                self.framing = UploadFraming::Ended;
            }
        }
        Ok(false)
    }

    fn data(&mut self, data: Bytes, output: &mut Output) -> Result<(), UploadError> {
        match &mut self.framing {
            UploadFraming::Length(left) => {
                let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
                *left = left.checked_sub(length).ok_or(UploadError::Request(BodyError::Broken))?;
            }
            // An empty chunk would end the body.
            _ if data.is_empty() => return Ok(()),
            _ => {
                // Writing to a Vec does not fail.
                let _: std::io::Result<()> = write!(output.head, "{:x}\r\n", data.len());
                output.tail = b"\r\n";
            }
        }
        output.data = data;
        Ok(())
    }
}

/// Why a body cannot be sent further.
pub(crate) enum UploadError {
    Request(BodyError),
    Connection,
}

/// Writes the contents of `connection` and then `upload`, until the head of the response has arrived. Also returns whether the
/// whole upload has been written.
///
/// A connection whose response came before the end of its request carries no further request: the upstream may never read the
/// remaining bytes, or may take them for the next request.
pub(crate) async fn exchange(
    connection: &mut UpstreamConnection,
    upload: &mut Upload,
    method: &Method,
    deadline: Instant,
) -> Result<(Head, bool), AttemptError> {
    let (mut head, mut sent) = first_head(connection, upload, method, deadline).await?;
    let refuses_body = matches!(
        head.status,
        StatusCode::REQUEST_TIMEOUT
            | StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::UNSUPPORTED_MEDIA_TYPE
            | StatusCode::EXPECTATION_FAILED
    );
    if !sent || refuses_body && upload.touched {
        head.wait = None;
    }
    // The upstream has responded without asking for the body. After a success it still reads the body, so the client is asked
    // for it now. After any other status the client decides whether to send it.
    if upload.withheld.take().is_some() && head.status.is_success() {
        sent = upload.send_late(connection).await;
    }
    Ok((head, sent))
}

/// Time spent waiting for the client does not count against the upstream: it moves the `deadline`.
async fn first_head(
    connection: &mut UpstreamConnection,
    upload: &mut Upload,
    method: &Method,
    mut deadline: Instant,
) -> Result<(Head, bool), AttemptError> {
    connection.set_deadline(upload.withheld.map_or(deadline, |until| until.min(deadline)));
    let mut starved = None;
    let (mut sent, mut stuck, mut answered, mut informational) = (false, false, false, 0);
    let poll = |cx: &mut Context<'_>| loop {
        if !sent && !stuck {
            match upload.poll(connection, cx) {
                Poll::Ready(Ok(())) => sent = true,
                Poll::Ready(Err(UploadError::Request(fault))) => return Poll::Ready(Err(AttemptError::Request(fault))),
                // The upstream may have responded before it closed.
                Poll::Ready(Err(UploadError::Connection)) => stuck = true,
                Poll::Pending => {}
            }
        }
        match connection.poll_fill(cx) {
            Poll::Ready(Ok(length)) if length > 0 => answered = true,
            Poll::Ready(_) => {
                return Poll::Ready(Err(if answered { AttemptError::Cut } else { AttemptError::Unanswered }));
            }
            Poll::Pending if upload.starved => {
                starved.get_or_insert_with(Instant::now);
                return Poll::Pending;
            }
            Poll::Pending => {
                if let Some(since) = starved.take() {
                    deadline += since.elapsed();
                    connection.set_deadline(deadline);
                }
                ready!(connection.poll_deadline(cx));
                if upload.withheld.take().is_none() {
                    return Poll::Ready(Err(AttemptError::Timeout));
                }
                connection.set_deadline(deadline);
                continue;
            }
        }
        if let Some(head) = final_head(connection, upload, method, deadline, &mut informational)? {
            return Poll::Ready(Ok((head, sent)));
        }
    };
    poll_fn(poll).await
}

/// Takes the final head from the input, if it has arrived. Skips informational ones; a 100 (Continue) requests the body.
fn final_head(
    connection: &mut UpstreamConnection,
    upload: &mut Upload,
    method: &Method,
    deadline: Instant,
    informational: &mut usize,
) -> Result<Option<Head>, Malformed> {
    while let Some(head) = Head::take(&mut connection.input, method)? {
        if !head.status.is_informational() || head.status == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(Some(head));
        }
        *informational += 1;
        if *informational > INFORMATIONAL {
            return Err(Malformed("it has too many informational responses"));
        }
        if head.status == StatusCode::CONTINUE && upload.withheld.take().is_some() {
            connection.set_deadline(deadline);
        }
    }
    Ok(None)
}
