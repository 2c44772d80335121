//! Passes a request to the sampler before its span starts: the sampler decides when the span is made, and then sees fields but
//! no request. Costs a look at one flag if no sampler wants it.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};

use xray::Request;

use crate::http::Served;
use crate::limits::bounded;

/// Whether a sampler of this process decides by requests.
static WANTED: AtomicBool = AtomicBool::new(false);

thread_local! {
    static ASKED: RefCell<Option<Asked>> = const { RefCell::new(None) };
}

/// A request whose span is about to start. The length of its texts is bounded, and so is the cost of matching them with a
/// pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    method: Box<str>,
    host: Option<Box<str>>,
    path: Box<str>,
}

/// Declares that a sampler of this process needs requests.
pub(crate) fn want() {
    WANTED.store(true, Ordering::Relaxed);
}

/// Keeps the request for the next span of this thread.
pub(crate) fn tell(request: &Served<'_>) {
    if WANTED.load(Ordering::Relaxed) {
        let own = |text| Box::from(bounded(text));
        let asked = Asked { method: own(request.method), host: request.host.map(own), path: own(request.path) };
        ASKED.replace(Some(asked));
    }
}

/// The request whose span starts now.
pub(crate) fn take() -> Option<Asked> {
    // A thread that ends may make a span after its thread-local values are gone.
    if WANTED.load(Ordering::Relaxed) { ASKED.try_with(RefCell::take).unwrap_or_default() } else { None }
}

impl Asked {
    /// The request as rules see it.
    pub(crate) fn of<'a>(&'a self, service: &'a str, service_type: &'a str) -> Request<'a> {
        let Self { method, host, path } = self;
        Request { service, service_type, method: Some(method), host: host.as_deref(), path: Some(path) }
    }
}
