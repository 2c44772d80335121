//! The home page's list, which everyone reads and which is the same for everyone. Requests for the same stretch share a query if they reach the same worker
//! before that query begins. Under load a few queries serve many requests, and yet no response is older than its request. Keeps no result after its responses.
//! Workers share no query, because waking another thread costs more than it saves.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use bytes::Bytes;
use chrono::SecondsFormat;
use telemetry::span::{SpanContext, SpanExt};
use tokio::sync::{Mutex, OnceCell};
use tokio::task::yield_now;
use tracing::Span;

use super::json;
use crate::domain::Page;
use crate::store::{self, Store, now};

/// Stretches that may be requested at the same time before the unused ones are cleared away.
const LANES: usize = 64;

/// The requests that one worker is serving now.
#[derive(Default)]
pub(super) struct Feed {
    lanes: RefCell<HashMap<Page, Weak<Lane>>>,
}

/// The result for every request that shared a query.
pub(super) struct FeedPage {
    pub(super) body: Bytes,
    pub(super) next: Option<Page>,
    pub(super) length: usize,
    /// When the query began, as `app.now` records it.
    pub(super) now: String,
    /// The span in which the query ran.
    pub(super) span: Option<SpanContext>,
}

/// The requests for one stretch. Its queries run one after the other.
#[derive(Default)]
struct Lane {
    turn: Mutex<()>,
    /// The query that has not begun, if a request waits for it.
    boarding: RefCell<Option<Rc<Flight>>>,
}

type FeedResult = Result<Rc<FeedPage>, Arc<store::Error>>;
type Flight = OnceCell<FeedResult>;

impl Feed {
    /// If a waiting client disconnects, another request runs the shared query.
    pub(super) async fn home(&self, store: &Store, page: Page) -> FeedResult {
        let lane = self.lane(page);
        let flight = Rc::clone(lane.boarding.borrow_mut().get_or_insert_default());
        let fly = || async {
            let _turn = lane.turn.lock().await;
            // Requests that have already arrived still join: the runtime finds them during the first yield, and they board during the second.
            yield_now().await;
            yield_now().await;
            // A request that arrives after this point needs a newer result.
            lane.boarding.borrow_mut().take_if(|boarding| Rc::ptr_eq(boarding, &flight));
            fetch(store, page).await.map(Rc::new).map_err(Arc::new)
        };
        // Boxed, so that requests that only join do not hold the large future of a query.
        flight.get_or_init(|| Box::pin(fly())).await.clone()
    }

    fn lane(&self, page: Page) -> Rc<Lane> {
        let mut lanes = self.lanes.borrow_mut();
        if let Some(lane) = lanes.get(&page).and_then(Weak::upgrade) {
            return lane;
        }
        if lanes.len() >= LANES {
            lanes.retain(|_, lane| lane.strong_count() > 0);
        }
        let lane = Rc::default();
        lanes.insert(page, Rc::downgrade(&lane));
        lane
    }
}

async fn fetch(store: &Store, page: Page) -> Result<FeedPage, store::Error> {
    let now = now();
    let threads = store.home(now, page).await?;
    let (next, length) = (page.after(&threads), threads.len());
    let list: Vec<json::ActivityJson> = json::all(threads);
    let body = serde_json::to_vec(&list).map_err(|error| store::Error::Statement(sqlx::Error::Encode(error.into())))?;
    let now = now.to_rfc3339_opts(SecondsFormat::Micros, false);
    Ok(FeedPage { body: body.into(), next, length, now, span: Span::current().span_context() })
}
