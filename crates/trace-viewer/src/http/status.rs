//! What is kept, the limits, and the addresses.

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde::Serialize;

use super::state::State;
use crate::disk::DiskStatus;
use crate::store::Counts;

/// `GET /api/status`
pub(super) async fn status(state: Data<State>) -> HttpResponse {
    #[derive(Serialize)]
    struct ShownStatus {
        #[serde(flatten)]
        counts: Counts,
        /// Always null: only bytes are bounded.
        traces_max: Option<usize>,
        bytes_max: usize,
        trace_bytes_max: usize,
        /// Null without a folder for traces.
        disk: Option<DiskStatus>,
        otlp: String,
        xray: String,
    }
    HttpResponse::Ok().json(ShownStatus {
        counts: state.store.counts(),
        traces_max: None,
        bytes_max: state.store.memory(),
        trace_bytes_max: state.store.trace_limit(),
        disk: state.store.disk_status(),
        otlp: format!("http://{}", state.otlp),
        xray: state.xray.to_string(),
    })
}
