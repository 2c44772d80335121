//! Responses that may be large, such as a trace: each is written part by part as its client reads it. A response holds one part and the keys of the remaining
//! items; the items stay in the store. All responses together hold bounded memory, and one that does not fit is refused.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use actix_web::HttpResponse;
use actix_web::body::{BodySize, MessageBody};
use actix_web::web::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::list::{Evicted, Items, ListJson, PART, PartWriter};
use super::problem::problem;

/// The memory of all responses together, in KiB.
const BUDGET_KIB: u32 = 128 * 1024;

/// Memory for responses.
#[derive(Clone)]
pub(crate) struct ResponseBudget(Arc<Semaphore>);

impl ResponseBudget {
    pub(crate) fn new() -> Self {
        // On every supported machine a word has at least 32 bits.
        Self(Arc::new(Semaphore::new(usize::try_from(BUDGET_KIB).unwrap_or(usize::MAX))))
    }

    /// 200 with the JSON `before`, the items, and `after`; or 404, or 503.
    pub(super) fn list<I: Items + 'static>(&self, before: Vec<u8>, items: I, after: &'static str) -> HttpResponse {
        let held = PART + items.count() * size_of::<(usize, Arc<I::Item>, usize)>();
        self.respond(held, ListJson::new(before, items, after))
    }

    /// 200 with JSON, or 503.
    pub(super) fn text(&self, json: Vec<u8>) -> HttpResponse {
        self.list(json, NoItems, "")
    }

    fn respond<I: Items + 'static>(&self, held: usize, mut json: ListJson<I>) -> HttpResponse {
        let size = u32::try_from(held / 1024).unwrap_or(BUDGET_KIB).clamp(1, BUDGET_KIB);
        let Ok(permit) = Arc::clone(&self.0).try_acquire_many_owned(size) else {
            return problem(503, "too many responses are being read; try again later");
        };
        match json.next() {
            Ok(part) => HttpResponse::Ok().content_type("application/json").body(ListBody {
                part,
                json,
                has_written: false,
                _permit: permit,
            }),
            Err(error) => problem(404, &error.to_string()),
        }
    }
}

struct NoItems;

impl Items for NoItems {
    type Item = ();

    fn count(&self) -> usize {
        0
    }

    fn find(&self, _: usize) -> Result<Option<Arc<()>>, Evicted> {
        Ok(None)
    }

    fn write(&self, _: usize, (): &(), _: PartWriter<'_>) -> io::Result<()> {
        Ok(())
    }
}

/// A response's body, and the memory reserved for it.
struct ListBody<I: Items> {
    part: Bytes,
    json: ListJson<I>,
    /// Whether a part has just been handed out.
    has_written: bool,
    _permit: OwnedSemaphorePermit,
}

impl<I: Items> Unpin for ListBody<I> {}

impl<I: Items> MessageBody for ListBody<I> {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        match self.json.is_whole() {
            true => BodySize::Sized(self.part.len().try_into().unwrap_or(u64::MAX)),
            false => BodySize::Stream,
        }
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        // Otherwise a response with a fast client would keep its worker's other responses waiting.
        if std::mem::replace(&mut self.has_written, false) && !self.json.is_whole() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.has_written = true;
        let mut part = std::mem::take(&mut self.part);
        if part.is_empty() {
            part = match self.json.next() {
                Ok(next) => next,
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            };
        }
        Poll::Ready((!part.is_empty()).then_some(Ok(part)))
    }
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;

    use super::*;
    use crate::http::list::tests::Texts;

    fn texts(texts: Vec<Option<String>>) -> Texts {
        Texts(texts.into_iter().map(|text| text.map(Arc::new)).collect())
    }

    #[test]
    fn the_documented_limit_is_that_of_the_code() {
        let limit = format!("; {} MiB for all responses", BUDGET_KIB / 1024);
        assert!(include_str!("../../../../docs/src/architecture.md").contains(&limit), "{limit}");
    }

    #[test]
    fn a_short_response_has_a_length_and_a_long_one_is_chunked() {
        let budget = ResponseBudget::new();
        let short = budget.list(b"[".to_vec(), texts(vec![Some("x".to_owned())]), "]");
        assert_eq!(short.body().size(), BodySize::Sized(5));
        let long = budget.list(b"[".to_vec(), texts(vec![Some("x".repeat(2 * PART))]), "]");
        assert_eq!(long.body().size(), BodySize::Stream);
        let length = actix_web::rt::System::new().block_on(to_bytes(long.into_body())).unwrap().len();
        assert_eq!(length, 2 * PART + 4);
    }

    #[test]
    fn unread_responses_leave_memory_for_a_hundred_others() {
        let budget = ResponseBudget::new();
        let long = Arc::new("x".repeat(4 * PART));
        let response = || budget.list(Vec::new(), Texts(vec![Some(Arc::clone(&long))]), "]");
        let held: Vec<_> = (0..1_000).map(|_| response()).take_while(|response| response.status() == 200).collect();
        assert!((100..1_000).contains(&held.len()), "{}", held.len());
        assert_eq!(response().status(), 503);
        drop(held);
        assert_eq!(budget.text(b"1".to_vec()).status(), 200);
    }
}
