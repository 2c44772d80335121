//! Pages of lists: which one a request wants, and where the next one begins.

use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};

use super::problem::Problem;
use crate::domain::Page;

/// The page that a query requests.
pub(super) fn page(limit: Option<&str>, cursor: Option<&str>) -> Result<Page, Problem> {
    let limit = limit.map(str::parse).transpose()?.unwrap_or_default();
    let first = Page::first(limit);
    Ok(match cursor {
        Some(cursor) => Page { before: cursor.parse()?, ..first },
        None => first,
    })
}

/// A list, with the start of the next page in its `Link` header.
pub(super) fn list(request: &HttpRequest, next: Option<Page>, body: impl serde::Serialize) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    if let Some(link) = link(request, next) {
        response.insert_header((header::LINK, link));
    }
    response.json(body)
}

/// The address of this request, for another page.
pub(super) fn link(request: &HttpRequest, next: Option<Page>) -> Option<HeaderValue> {
    let next = next?;
    let kept = request
        .query_string()
        .split('&')
        .filter(|pair| !pair.is_empty() && !pair.starts_with("cursor=") && !pair.starts_with("limit="));
    let own = [format!("limit={}", next.limit.get()), format!("cursor={}", next.before)];
    let query: Vec<String> = kept.map(str::to_owned).chain(own).collect();
    HeaderValue::from_str(&format!("<{}?{}>; rel=\"next\"", request.path(), query.join("&"))).ok()
}
