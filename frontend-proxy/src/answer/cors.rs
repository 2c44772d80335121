//! Lets pages of the configured origins read the proxy's own errors, as the backend does for its responses. Without these
//! headers a browser hides the error, and blames CORS.

use http::header::{self, HeaderMap, HeaderValue};
use settings::origin::{EXPOSED_HEADERS, Origin};

/// The origins whose pages may read errors.
pub(crate) struct Cors {
    origins: Vec<Origin>,
    exposed: Option<HeaderValue>,
}

impl Cors {
    pub(crate) fn new(origins: Vec<Origin>) -> Self {
        Self { origins, exposed: HeaderValue::from_str(&EXPOSED_HEADERS.join(", ")).ok() }
    }

    /// Adds to an error those headers that a page of `origin` needs. A cache must not serve it to a page of another origin.
    pub(crate) fn allow(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        if self.origins.is_empty() {
            return;
        }
        headers.append(header::VARY, HeaderValue::from_static("origin"));
        let Some(origin) = origin.filter(|origin| self.origins.iter().any(|own| own.as_str() == **origin)) else {
            return;
        };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        if let Some(exposed) = &self.exposed {
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed.clone());
        }
    }
}
