//! A trace's X-Ray documents: the list of all with their sizes, or the text of one.

use std::io;
use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use serde::Serialize;
use serde_json::value::RawValue;
use xray::datagram::MAX_DOCUMENT_BYTES;

use super::list::{Evicted, Items, PartWriter};
use super::problem::{NO_SUCH_TRACE, NOT_A_TRACE_ID, problem};
use super::state::State;
use crate::model::{Document, Kind, Nanos, SpanId, TraceId};
use crate::store::Store;

/// A document in the API's format.
#[derive(Serialize)]
struct ShownDocument<'a> {
    id: SpanId,
    name: &'a str,
    #[serde(rename = "type")]
    kind: Kind,
    parent_id: Option<SpanId>,
    start: Nanos,
    bytes: usize,
    /// The largest `bytes` with which a document can be sent.
    limit: usize,
    subsegments: usize,
    in_progress: bool,
    received: Nanos,
    document: &'a RawValue,
}

impl<'a> ShownDocument<'a> {
    fn of(document: &'a Document) -> Self {
        Self {
            id: document.id,
            name: &document.name,
            kind: document.kind,
            parent_id: document.parent,
            start: document.start,
            bytes: document.text.get().len(),
            limit: MAX_DOCUMENT_BYTES,
            subsegments: document.subsegments,
            in_progress: document.in_progress,
            received: document.received,
            document: &document.text,
        }
    }
}

/// The documents of a trace that is being read.
struct DocumentItems {
    store: Arc<Store>,
    trace_id: TraceId,
    ids: Vec<SpanId>,
}

impl Items for DocumentItems {
    type Item = Document;

    fn count(&self) -> usize {
        self.ids.len()
    }

    fn find(&self, index: usize) -> Result<Option<Arc<Document>>, Evicted> {
        let id = self.ids.get(index).ok_or(Evicted)?;
        self.store.document(self.trace_id, *id).map(Some).ok_or(Evicted)
    }

    fn write(&self, _: usize, document: &Document, to: PartWriter<'_>) -> io::Result<()> {
        Ok(serde_json::to_writer(to, &ShownDocument::of(document))?)
    }
}

/// `GET /api/traces/{trace_id}/xray`
pub(super) async fn list(state: Data<State>, trace_id: Path<String>) -> HttpResponse {
    let Some(trace_id) = TraceId::parse(&trace_id) else {
        return problem(400, NOT_A_TRACE_ID);
    };
    state.store.recall(trace_id).await;
    let Some(documents) = state.store.documents(trace_id) else {
        return problem(404, NO_SUCH_TRACE);
    };
    let ids = documents.iter().map(|document| document.id).collect();
    let before = format!("{{\"trace_id\":\"{trace_id}\",\"documents\":[");
    state.responses.list(before.into_bytes(), DocumentItems { store: Arc::clone(&state.store), trace_id, ids }, "]}")
}

/// `GET /api/traces/{trace_id}/xray/{id}`: the document as it was sent.
pub(super) async fn text(state: Data<State>, ids: Path<(String, String)>) -> HttpResponse {
    let Some(trace_id) = TraceId::parse(&ids.0) else {
        return problem(400, NOT_A_TRACE_ID);
    };
    let Some(id) = SpanId::parse(&ids.1) else {
        return problem(400, "the id of a document is 16 hex digits");
    };
    state.store.recall(trace_id).await;
    match state.store.document(trace_id, id) {
        Some(document) => state.responses.text(document.text.get().to_owned().into()),
        None => problem(404, "no such document; it has not arrived, did not fit, or was evicted"),
    }
}
