//! Cruddur's page: static files inside the binary.

use bytes::Bytes;

/// A file of the page.
pub(crate) struct File {
    pub(crate) content_type: &'static str,
    pub(crate) content: Bytes,
}

/// The file at this path.
pub(crate) fn find(path: &str) -> Option<File> {
    let (content_type, content) = match path {
        "/" => ("text/html; charset=utf-8", include_str!("../static/index.html")),
        "/cruddur.css" => ("text/css; charset=utf-8", include_str!("../static/cruddur.css")),
        "/cruddur.js" => ("text/javascript; charset=utf-8", include_str!("../static/cruddur.js")),
        "/favicon.svg" => ("image/svg+xml", include_str!("../static/favicon.svg")),
        _ => return None,
    };
    Some(File { content_type, content: Bytes::from_static(content.as_bytes()) })
}
