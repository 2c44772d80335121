//! One of the proxy's own errors, sent to a person as a page and to a program as `application/problem+json`,
//! [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457). It contains what went wrong, how to fix it if that is known, and the
//! trace in which it happened. The page is self-contained: it needs no further file, and runs no script.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::{Either, Full};
use sha2::{Digest, Sha256};
use telemetry::propagation;
use tracing::Span;

use crate::answer::body::Outgoing;
use crate::answer::respond::typed;

const STYLE: &str = include_str!("../../static/error.css");

/// The policy allows the page's one style by its hash.
static CONTENT_SECURITY_POLICY: LazyLock<Option<HeaderValue>> = LazyLock::new(|| {
    let hash = BASE64_STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::from_str(&policy).ok()
});

/// The content of an error. A response keeps it among its extensions until its format is chosen.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    status: StatusCode,
    detail: String,
    trace: Option<Trace>,
}

/// A trace, and whether it is recorded.
#[derive(Debug, Clone)]
pub(crate) struct Trace {
    pub(crate) id: String,
    pub(crate) is_sampled: bool,
}

impl Trace {
    pub(crate) fn of(span: &Span) -> Option<Self> {
        let context = propagation::traceparent(span)?;
        let mut parts = context.split('-').skip(1);
        let (id, flags) = (parts.next()?.to_owned(), parts.nth(1)?);
        let is_sampled = u8::from_str_radix(flags, 16).is_ok_and(|flags| flags & 1 == 1);
        Some(Self { id, is_sampled })
    }
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: &str, span: &Span) -> Self {
        Self { status, detail: detail.to_owned(), trace: Trace::of(span) }
    }

    /// The error for a program.
    pub(crate) fn json(&self) -> Response<Outgoing> {
        let mut body = serde_json::json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or_default(),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        if let Some(trace) = &self.trace {
            body["trace_id"] = trace.id.as_str().into();
        }
        typed(self.status, "application/problem+json", body.to_string().into())
    }

    /// The error for a person. Links to the trace if there is a trace viewer.
    fn html(&self, has_viewer: bool) -> Bytes {
        let status = self.status.as_u16();
        let title = self.status.canonical_reason().unwrap_or("Error");
        let detail = sentence(&self.detail);
        let advice = advice(self.status);
        let trace = self.trace.as_ref().map(|Trace { id, is_sampled }| match has_viewer && *is_sampled {
            true => format!("<small>Trace <code><a href=\"/traces/#{id}\">{id}</a></code></small>\n"),
            false => format!("<small>Trace <code>{id}</code></small>\n"),
        });
        let trace = trace.unwrap_or_default();
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{status} {title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n\
             <h1><b>{status}</b> {title}</h1>\n<p>{detail}</p>\n<p>{advice}</p>\n\
             {trace}</main>\n</body>\n</html>\n"
        )
        .into()
    }
}

/// What the person can do.
fn advice(status: StatusCode) -> &'static str {
    match status.as_u16() {
        404 => "Check the address, or go to the <a href=\"/\">start page</a>.",
        405 => "Go to the <a href=\"/\">start page</a>.",
        408 | 504 => "Try again in a moment.",
        413 => "Send a smaller request.",
        429 => "Wait a moment, then try again.",
        431 => "Delete this site's cookies, then try again.",
        502 | 503 => "The server may be starting or busy: try again in a moment.",
        400..500 => "Check the request, then try again.",
        _ => "Try again in a moment; if the error persists, give the operator the trace id.",
    }
}

/// A detail as a sentence of a page, with all markup escaped.
fn sentence(detail: &str) -> String {
    let mut text = String::with_capacity(detail.len() + 8);
    for (index, char) in detail.char_indices() {
        match char {
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '"' => text.push_str("&quot;"),
            '\'' => text.push_str("&#39;"),
            _ if index == 0 => text.extend(char.to_uppercase()),
            _ => text.push(char),
        }
    }
    text.push('.');
    text
}

/// An error, with the trace in which it happened; as JSON, unless [`finish`](super::finish) finds that the client prefers HTML.
pub(crate) fn problem(status: StatusCode, detail: &str, span: &Span) -> Response<Outgoing> {
    let problem = Problem::new(status, detail, span);
    let mut response = problem.json();
    response.extensions_mut().insert(problem);
    response
}

/// The response to a method that changes something, if the resource is read-only.
pub(crate) fn read_only(span: &Span) -> Response<Outgoing> {
    let mut response = problem(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are allowed here", span);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

/// Whether this is one of the proxy's own errors.
pub(crate) fn is_problem(response: &Response<Outgoing>) -> bool {
    response.extensions().get::<Problem>().is_some()
}

/// Turns a response with a problem into a page.
pub(crate) fn as_page(mut response: Response<Outgoing>, has_viewer: bool) -> Response<Outgoing> {
    let Some(page) = response.extensions().get::<Problem>().map(|problem| problem.html(has_viewer)) else {
        return response;
    };
    *response.body_mut() = Either::Left(Full::new(page));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    if let Some(policy) = CONTENT_SECURITY_POLICY.clone() {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detail_is_a_sentence_and_never_markup() {
        assert_eq!(sentence("the path <b>'&\" is wrong"), "The path &lt;b&gt;&#39;&amp;&quot; is wrong.");
        let page = Problem::new(StatusCode::NOT_FOUND, "<script>", &Span::none()).html(true);
        let page = String::from_utf8_lossy(&page);
        assert!(page.contains("&lt;script&gt;.") && !page.contains("<script") && !page.contains("Trace"), "{page}");
    }
}
