//! Brings traces from the disk into memory: the newest and the most worthy at the start, and each that a client opens.

use std::collections::HashMap;
use std::sync::Arc;

use super::Store;
use super::trace::SpanKey;
use super::traces::Age;
use crate::disk::{Plan, SavedItems};
use crate::model::{Document, Span, SpanId, TraceId};

/// The share of the memory that the traces of an earlier time take after a start: half, and of these half for the most worthy.
const SHARE: usize = 2;
/// The longest list of traces shows as many.
const FIRST: usize = 200;

impl Store {
    /// Loads the traces that a list shows, before anybody asks for one. Blocks.
    pub(crate) fn load_first(&self, plan: &Plan) {
        for trace in plan.newest.iter().take(FIRST) {
            self.load(*trace, 0, Age::Oldest);
        }
    }

    /// Loads further traces, while others are being added: those that are kept longer, then the newest. Each is older
    /// than those before it. Blocks.
    pub(crate) fn load_more(&self, plan: &Plan) {
        let share = self.memory / SHARE;
        for (traces, limit) in [(&plan.worthy[..], share / 2), (&plan.newest, share)] {
            for trace in traces {
                if self.counts().bytes > limit {
                    break;
                }
                if self.lock().get(*trace).is_none_or(|trace| !trace.is_whole) {
                    self.load(*trace, 0, Age::Oldest);
                }
            }
        }
    }

    /// Loads what the disk has of a trace that a client requests, unless memory has all of it.
    pub(crate) async fn recall(self: &Arc<Self>, id: TraceId) {
        let Some(disk) = &self.disk else { return };
        let known = match self.lock().get(id) {
            Some(trace) if trace.is_whole => return,
            Some(trace) => trace.spans().len() + trace.documents().len(),
            None => 0,
        };
        let turn = disk.turn().await;
        let store = Arc::clone(self);
        // A failure is a panic, which has been reported.
        let loaded = tokio::task::spawn_blocking(move || store.load(id, known, Age::Newest)).await.unwrap_or(false);
        drop(turn);
        if loaded && self.lock().open(id) {
            disk.mark_opened(id);
        }
    }

    /// Returns whether the disk had more than `known` items of the trace.
    fn load(&self, id: TraceId, known: usize, age: Age) -> bool {
        let Some(disk) = &self.disk else { return false };
        let items = disk.read(id, known, self.trace_limit());
        let is_more = !items.spans.is_empty();
        let is_opened = items.is_opened;
        let (spans, documents) = latest(items);
        let mut traces = self.lock();
        traces.load(id, age, spans, documents);
        if is_opened {
            traces.open(id);
        }
        is_more
    }
}

/// Of each span and document, the latest version: one that has ended, and otherwise the last.
fn latest(items: SavedItems) -> (Vec<Arc<Span>>, Vec<Arc<Document>>) {
    let mut spans: Vec<Arc<Span>> = Vec::with_capacity(items.spans.len());
    let mut known: HashMap<SpanKey, usize> = HashMap::new();
    for span in items.spans {
        let at = *known.entry(SpanKey::of(&span)).or_insert(spans.len());
        match spans.get_mut(at) {
            Some(earlier) if span.end.is_some() || earlier.end.is_none() => *earlier = Arc::new(span),
            Some(_) => {}
            None => spans.push(Arc::new(span)),
        }
    }
    let mut documents: HashMap<SpanId, Document> = HashMap::new();
    for document in items.documents {
        let is_later = documents.get(&document.id).is_none_or(|earlier| earlier.received <= document.received);
        if is_later {
            documents.insert(document.id, document);
        }
    }
    (spans, documents.into_values().map(Arc::new).collect())
}
