//! The page's files, which are part of the binary.

use actix_web::HttpResponse;
use actix_web::web::Path;

use super::problem::problem;

/// The page.
pub(super) async fn file(name: Path<String>) -> HttpResponse {
    let (kind, content) = match name.as_str() {
        "" => ("text/html; charset=utf-8", include_str!("../../static/index.html")),
        "viewer.css" => ("text/css; charset=utf-8", include_str!("../../static/viewer.css")),
        "trace.css" => ("text/css; charset=utf-8", include_str!("../../static/trace.css")),
        "viewer.js" => ("text/javascript; charset=utf-8", include_str!("../../static/viewer.js")),
        "list.js" => ("text/javascript; charset=utf-8", include_str!("../../static/list.js")),
        "treegrid.js" => ("text/javascript; charset=utf-8", include_str!("../../static/treegrid.js")),
        "operations.js" => ("text/javascript; charset=utf-8", include_str!("../../static/operations.js")),
        "twin.js" => ("text/javascript; charset=utf-8", include_str!("../../static/twin.js")),
        "waterfall.js" => ("text/javascript; charset=utf-8", include_str!("../../static/waterfall.js")),
        "xray.js" => ("text/javascript; charset=utf-8", include_str!("../../static/xray.js")),
        "json.js" => ("text/javascript; charset=utf-8", include_str!("../../static/json.js")),
        "format.js" => ("text/javascript; charset=utf-8", include_str!("../../static/format.js")),
        "favicon.svg" => ("image/svg+xml", include_str!("../../static/favicon.svg")),
        _ => return problem(404, "no such page"),
    };
    HttpResponse::Ok().content_type(kind).body(content)
}
