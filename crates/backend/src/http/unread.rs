//! Ends a connection whose request was answered before its body was read. actix does so itself for a body of known length. One
//! in chunks it reads to its end, without a bound or a deadline; and if it had stopped reading because its buffers were full,
//! nothing wakes it again (actix-http 3.20), and the connection never carries another answer. If the body is still held when
//! the answer has been sent, actix closes the connection instead. So an early answer holds it.

use std::cell::RefCell;
use std::mem;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_web::HttpMessage;
use actix_web::body::{BodySize, BoxBody, EitherBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::middleware::Next;
use bytes::Bytes;
use futures_util::Stream;

/// A request's body; nothing once it has been read to its end.
#[derive(Clone)]
struct Shared(Rc<RefCell<Payload>>);

/// An answer, and the body that it did not wait for.
pub(super) struct Early {
    answer: BoxBody,
    _unread: Shared,
}

/// To be wrapped around everything that answers.
pub(super) async fn end<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B, Early>>, actix_web::Error> {
    let payload = request.take_payload();
    if matches!(payload, Payload::None) {
        return next.call(request).await.map(ServiceResponse::map_into_left_body);
    }
    let shared = Shared(Rc::new(RefCell::new(payload)));
    request.set_payload(Payload::Stream { payload: Box::pin(shared.clone()) });
    let response = next.call(request).await?;
    if matches!(*shared.0.borrow(), Payload::None) {
        return Ok(response.map_into_left_body());
    }
    Ok(response.map_body(|_, body| EitherBody::right(Early { answer: body.boxed(), _unread: shared })))
}

impl Stream for Shared {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut payload = self.0.borrow_mut();
        let piece = ready!(Pin::new(&mut *payload).poll_next(cx));
        if piece.is_none() {
            drop(mem::replace(&mut *payload, Payload::None));
        }
        Poll::Ready(piece)
    }
}

impl MessageBody for Early {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.answer.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.answer).poll_next(cx)
    }
}
