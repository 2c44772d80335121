//! Cruddur's page: files inside the binary, compressed and tagged once, at start. The page itself differs in each response,
//! because its head names the span that served it. It has no tag and is not stored, so that no cached page names a trace that
//! has ended.

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use sha2::{Digest, Sha256};

use crate::answer::accept;
use crate::answer::body::Outgoing;
use crate::answer::respond::{plain, typed};
use crate::site::gzip;

/// Where the page's head names the span that served it.
const PLACE: &str = "<!-- traceparent -->";

/// As strict as the page allows. Scripts may not even turn text into markup: the page never does.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
    trusted-types 'none'";
const PERMISSIONS_POLICY: &str = "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()";

/// All files that can be read here, by path.
pub(crate) struct Pages {
    home: Home,
    files: Vec<File>,
}

/// A file of the page.
pub(crate) struct File {
    path: &'static str,
    content_type: &'static str,
    content: Variant,
    packed: Option<Variant>,
}

/// One encoding of a file.
struct Variant {
    content: Bytes,
    tag: HeaderValue,
}

/// The page, except for one line.
struct Home {
    before: &'static str,
    after: &'static str,
    packed: Option<[gzip::Part; 2]>,
}

impl Pages {
    pub(crate) fn new() -> Self {
        const CSS: &str = "text/css; charset=utf-8";
        const SCRIPT: &str = "text/javascript; charset=utf-8";
        let files = [
            ("/cruddur.css", CSS, include_str!("../../static/cruddur.css")),
            ("/feed.css", CSS, include_str!("../../static/feed.css")),
            ("/cruddur.js", SCRIPT, include_str!("../../static/cruddur.js")),
            ("/feed.js", SCRIPT, include_str!("../../static/feed.js")),
            ("/views.js", SCRIPT, include_str!("../../static/views.js")),
            ("/cruds.js", SCRIPT, include_str!("../../static/cruds.js")),
            ("/actions.js", SCRIPT, include_str!("../../static/actions.js")),
            ("/messages.js", SCRIPT, include_str!("../../static/messages.js")),
            ("/profile.js", SCRIPT, include_str!("../../static/profile.js")),
            ("/extras.js", SCRIPT, include_str!("../../static/extras.js")),
            ("/forms.js", SCRIPT, include_str!("../../static/forms.js")),
            ("/sign-in.js", SCRIPT, include_str!("../../static/sign-in.js")),
            ("/session.js", SCRIPT, include_str!("../../static/session.js")),
            ("/api.js", SCRIPT, include_str!("../../static/api.js")),
            ("/latest.js", SCRIPT, include_str!("../../static/latest.js")),
            ("/page.js", SCRIPT, include_str!("../../static/page.js")),
            ("/trace.js", SCRIPT, include_str!("../../static/trace.js")),
            ("/favicon.svg", "image/svg+xml", include_str!("../../static/favicon.svg")),
        ];
        let files = files.map(|(path, content_type, content)| File::new(path, content_type, content.as_bytes()));
        Self { home: Home::new(include_str!("../../static/index.html")), files: files.into() }
    }

    /// The file at this path.
    pub(crate) fn find(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// The page, with `meta` in its head: names and contents of `meta` elements, which must not need escaping.
    pub(crate) fn home(&self, request: &HeaderMap, meta: &[(&str, &str)]) -> Response<Outgoing> {
        let line: String =
            meta.iter().map(|(name, content)| format!("<meta name=\"{name}\" content=\"{content}\">")).collect();
        let packed = self.home.packed.as_ref().filter(|_| accept::accepts_gzip(request));
        let packed = packed.and_then(|[before, after]| gzip::joined(before, line.as_bytes(), after));
        let is_packed = packed.is_some();
        let content = packed.unwrap_or_else(|| [self.home.before, &line, self.home.after].concat().into_bytes());
        let mut response = typed(StatusCode::OK, "text/html; charset=utf-8", content.into());
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if is_packed {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        for (name, value) in [
            (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
            (HeaderName::from_static("permissions-policy"), PERMISSIONS_POLICY),
            (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

impl File {
    fn new(path: &'static str, content_type: &'static str, content: &'static [u8]) -> Self {
        let digest = Sha256::digest(content);
        let digits: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let tag = |suffix| HeaderValue::from_str(&format!("\"{digits}{suffix}\"")).ok();
        let packed = gzip::whole(content).zip(tag("-gzip"));
        Self {
            path,
            content_type,
            // Hex digits are a valid header value.
            content: Variant {
                content: Bytes::from_static(content),
                tag: tag("").unwrap_or(HeaderValue::from_static("")),
            },
            packed: packed.map(|(content, tag)| Variant { content: content.into(), tag }),
        }
    }

    /// The file, or a 304 if the client has it. Its name contains no version, so the client checks each time.
    pub(crate) fn answer(&self, request: &HeaderMap) -> Response<Outgoing> {
        let packed = self.packed.as_ref().filter(|_| accept::accepts_gzip(request));
        let variant = packed.unwrap_or(&self.content);
        let mut response = if accept::has(request, variant.tag.to_str().unwrap_or_default()) {
            plain(StatusCode::NOT_MODIFIED, Bytes::new())
        } else {
            let mut response = typed(StatusCode::OK, self.content_type, variant.content.clone());
            if packed.is_some() {
                response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
            response
        };
        let headers = response.headers_mut();
        headers.insert(header::ETAG, variant.tag.clone());
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        response
    }
}

impl Home {
    fn new(page: &'static str) -> Self {
        let (before, after) = page.split_once(PLACE).unwrap_or((page, ""));
        let packed = gzip::Part::new(before.as_bytes(), false).zip(gzip::Part::new(after.as_bytes(), true));
        Self { before, after, packed: packed.map(Into::into) }
    }
}
