//! The home page's list, which everyone reads and which is the same for everyone. Whoever asks for a stretch of it shares a query with all
//! others who ask before that query begins: under load a few queries answer many requests, and yet nobody is told anything older than
//! their request. Keeps nothing once it is answered.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use telemetry::span::{SpanContext, SpanExt};
use tokio::sync::{Mutex as Turn, OnceCell};
use tracing::Span;

use super::json;
use crate::domain::Page;
use crate::store::{self, Store, now};

/// Stretches that may be asked for at the same time before those that nobody asks for any more are cleared away.
const LANES: usize = 64;

/// Who is being answered now.
#[derive(Default)]
pub(super) struct Feed {
    lanes: Mutex<HashMap<Page, Weak<Lane>>>,
}

/// What was answered to everyone who shared a query.
pub(super) struct Answer {
    pub(super) body: Bytes,
    pub(super) next: Option<Page>,
    pub(super) length: usize,
    pub(super) now: DateTime<Utc>,
    /// The span in which the query ran.
    pub(super) span: Option<SpanContext>,
}

/// Those who ask for one stretch. Its queries come one after the other.
#[derive(Default)]
struct Lane {
    turn: Turn<()>,
    /// The query that has not begun, if somebody waits for it.
    boarding: Mutex<Option<Arc<Flight>>>,
}

type Outcome = Result<Arc<Answer>, Arc<store::Error>>;
type Flight = OnceCell<Outcome>;

impl Feed {
    /// Who goes away does not take the others' query along: another of them makes it.
    pub(super) async fn home(&self, store: &Store, page: Page) -> Outcome {
        let lane = self.lane(page);
        let flight = Arc::clone(lock(&lane.boarding).get_or_insert_default());
        let fly = || async {
            let _turn = lane.turn.lock().await;
            // Whoever asks from here on asks for something newer.
            lock(&lane.boarding).take_if(|boarding| Arc::ptr_eq(boarding, &flight));
            fetch(store, page).await.map(Arc::new).map_err(Arc::new)
        };
        flight.get_or_init(fly).await.clone()
    }

    fn lane(&self, page: Page) -> Arc<Lane> {
        let mut lanes = lock(&self.lanes);
        if let Some(lane) = lanes.get(&page).and_then(Weak::upgrade) {
            return lane;
        }
        if lanes.len() >= LANES {
            lanes.retain(|_, lane| lane.strong_count() > 0);
        }
        let lane = Arc::default();
        lanes.insert(page, Arc::downgrade(&lane));
        lane
    }
}

async fn fetch(store: &Store, page: Page) -> Result<Answer, store::Error> {
    let now = now();
    let threads = store.home(now, page).await?;
    let (next, length) = (page.after(&threads), threads.len());
    let list: Vec<json::Activity> = json::all(threads);
    let body = serde_json::to_vec(&list).map_err(|error| store::Error::Statement(sqlx::Error::Encode(error.into())))?;
    Ok(Answer { body: body.into(), next, length, now, span: Span::current().context() })
}

/// Nobody panics while they hold it; a list that somebody left is still right.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
