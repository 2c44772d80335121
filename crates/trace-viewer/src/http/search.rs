//! The handlers that search: suggestions for a query, and the routes and the map of the traces that it accepts.

use std::sync::Arc;

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use super::parameters::Parameters;
use super::problem::SearchError;
use super::state::State;
use crate::model::Nanos;
use crate::search::map::map;
use crate::search::routes::routes;
use crate::search::run::{Found, search};
use crate::search::suggest::suggest;
use crate::search::syntax::Query;
use crate::store::Store;

/// The traces of the list: what a query finds.
pub(super) async fn find(state: &State, query: Query, limit: usize) -> Result<Found, SearchError> {
    let store = Arc::clone(&state.store);
    state.searches.run(move || search(&store, &query, limit, Nanos::now())).await
}

/// Adds how much was searched to a list's headers.
pub(super) fn describe(found: &Found, response: &mut HttpResponse) {
    let headers = response.headers_mut();
    headers.insert(HeaderName::from_static("search-traces"), HeaderValue::from(found.scanned.traces));
    headers.insert(HeaderName::from_static("search-matches"), HeaderValue::from(found.matches));
    if found.scanned.is_cut {
        headers.insert(HeaderName::from_static("search-cut"), HeaderValue::from_static("time"));
    }
}

/// `GET /api/suggest`
pub(super) async fn suggestions(state: Data<State>, request: HttpRequest) -> HttpResponse {
    let suggested = async {
        let parameters = Parameters::read(request.query_string(), &["q", "cursor"])?;
        let cursor = parameters.cursor()?;
        let (store, text) = (Arc::clone(&state.store), parameters.q.unwrap_or_default());
        let suggestions = state.searches.run(move || suggest(&store, &text, cursor)).await?;
        Ok(state.responses.text(serde_json::to_vec(&suggestions).unwrap_or_default()))
    };
    suggested.await.unwrap_or_else(|error: SearchError| error.response())
}

/// `GET /api/routes`
pub(super) async fn route_table(state: Data<State>, request: HttpRequest) -> HttpResponse {
    summarise(&state, &request, routes).await
}

/// `GET /api/map`
pub(super) async fn service_map(state: Data<State>, request: HttpRequest) -> HttpResponse {
    summarise(&state, &request, map).await
}

async fn summarise<T: Serialize + Send + 'static>(
    state: &State,
    request: &HttpRequest,
    summarise: fn(&Store, &Query, Nanos) -> T,
) -> HttpResponse {
    let summarised = async {
        let query = Parameters::read(request.query_string(), &["q"])?.query()?;
        let store = Arc::clone(&state.store);
        let summary = state.searches.run(move || summarise(&store, &query, Nanos::now())).await?;
        Ok(state.responses.text(serde_json::to_vec(&summary).unwrap_or_default()))
    };
    summarised.await.unwrap_or_else(|error: SearchError| error.response())
}
