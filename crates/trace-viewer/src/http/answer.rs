//! Answers that may be large, such as a trace: all that are on their way take bounded memory together, however slowly they are
//! read. One that finds no room is refused.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use actix_web::HttpResponse;
use actix_web::body::{BodySize, MessageBody};
use actix_web::web::Bytes;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem;

/// Of all answers together, in KiB; one that is larger by itself waits until it is alone.
const ROOM: u32 = 128 * 1024;
/// A part of an answer: the server asks for the next when this one is nearly sent.
const PART: usize = 64 * 1024;

/// Room for answers.
#[derive(Clone)]
pub(crate) struct Room(Arc<Semaphore>);

impl Room {
    pub(crate) fn new() -> Self {
        // A number of 32 bits is one of a machine's words.
        Self(Arc::new(Semaphore::new(usize::try_from(ROOM).unwrap_or(usize::MAX))))
    }

    /// 200 with a value as JSON, or 503.
    pub(super) fn json(&self, value: &impl Serialize) -> HttpResponse {
        match serde_json::to_vec(value) {
            Ok(json) => self.answer(json.into()),
            Err(error) => problem(500, &error.to_string()),
        }
    }

    /// 200 with JSON, or 503.
    pub(super) fn answer(&self, json: Bytes) -> HttpResponse {
        let size = u32::try_from(json.len() / 1024).unwrap_or(ROOM).clamp(1, ROOM);
        match Arc::clone(&self.0).try_acquire_many_owned(size) {
            Ok(room) => HttpResponse::Ok().content_type("application/json").body(Answer { json, room: Some(room) }),
            Err(_) => problem(503, "too much is being read from this viewer; ask again when others are done"),
        }
    }
}

/// What is left to be sent, and the room that it takes.
struct Answer {
    json: Bytes,
    room: Option<OwnedSemaphorePermit>,
}

impl MessageBody for Answer {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.json.len().try_into().unwrap_or(u64::MAX))
    }

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        if self.json.is_empty() {
            drop(self.room.take());
            return Poll::Ready(None);
        }
        let length = self.json.len().min(PART);
        Poll::Ready(Some(Ok(self.json.split_to(length))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_that_nobody_reads_leave_no_room_for_more() {
        let room = Room::new();
        let large = || room.answer(vec![b' '; 50 * 1024 * 1024].into());
        let held = [large(), large()];
        assert_eq!((held[0].status().as_u16(), large().status().as_u16()), (200, 503));
        assert_eq!(room.json(&1).status(), 200);
        drop(held);
        assert_eq!(large().status(), 200);
    }
}
