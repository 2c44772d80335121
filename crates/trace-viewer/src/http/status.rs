//! What is kept, the limits, and the addresses.

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde::Serialize;

use super::state::State;
use crate::store::Counts;

/// `GET /api/status`
pub(super) async fn status(state: Data<State>) -> HttpResponse {
    #[derive(Serialize)]
    struct ShownStatus {
        #[serde(flatten)]
        counts: Counts,
        traces_max: usize,
        bytes_max: usize,
        otlp: String,
        xray: String,
    }
    let bounds = state.store.bounds();
    HttpResponse::Ok().json(ShownStatus {
        counts: state.store.counts(),
        traces_max: bounds.traces,
        bytes_max: bounds.bytes,
        otlp: format!("http://{}", state.otlp),
        xray: state.xray.to_string(),
    })
}
