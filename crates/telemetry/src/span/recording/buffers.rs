//! Keeps the buffers of ended spans, for reuse by the next spans of their thread.

use std::cell::RefCell;

use opentelemetry::trace::SpanKind;

use super::{Code, Recording};
use crate::limits::Limits;

thread_local! {
    /// Ended spans whose buffers the next spans of this thread reuse.
    #[expect(clippy::vec_box, reason = "each moves into an open span and back")]
    static SPARE: RefCell<Vec<Box<Recording>>> = const { RefCell::new(Vec::new()) };
}

/// As many as a thread that serves many requests at once has open spans.
const SPARES: usize = 64;
const BUFFER: usize = 1_024;

impl Recording {
    /// An empty recording, with the buffers of an ended one if there are any.
    pub(super) fn spare() -> Box<Self> {
        // An ending thread may create a span after its buffers are gone.
        let spare = SPARE.try_with(|spare| spare.try_borrow_mut().ok()?.pop()).ok().flatten();
        spare.map_or_else(Self::new, |mut span| {
            span.forget();
            span
        })
    }

    fn new() -> Box<Self> {
        Box::new(Self {
            name: String::new(),
            kind: SpanKind::Internal,
            status: Code::Unset,
            description: String::new(),
            start: 0,
            limits: Limits::default(),
            encoding: Vec::with_capacity(BUFFER),
            attributes_at: 0,
            attributes: 0,
            lengths: 0,
            dropped_attributes: 0,
            more: Vec::new(),
            events: 0,
            failure: None,
            began_unwinding: false,
            is_unwound: false,
            dropped_events: 0,
            links: 0,
            dropped_links: 0,
        })
    }

    /// Clears the content but keeps the buffers. Works in place, because a recording is large and this runs for each span.
    fn forget(&mut self) {
        // Lists every field, so that a new one cannot be overlooked.
        let Self {
            name,
            kind,
            status,
            description,
            start: _,
            limits: _,
            encoding,
            attributes_at: _,
            attributes,
            lengths,
            dropped_attributes,
            more,
            events,
            failure,
            began_unwinding: _,
            is_unwound,
            dropped_events,
            links,
            dropped_links,
        } = self;
        name.clear();
        description.clear();
        encoding.clear();
        more.clear();
        (*kind, *status, *lengths) = (SpanKind::Internal, Code::Unset, 0);
        (*failure, *is_unwound) = (None, false);
        for count in [attributes, dropped_attributes, events, dropped_events, links, dropped_links] {
            *count = 0;
        }
    }

    /// Keeps the buffers for the next span of this thread, unless they are large.
    pub(super) fn leave(self: Box<Self>) {
        let Self { encoding, more, name, description, .. } = &*self;
        let texts = name.capacity() + description.capacity();
        if encoding.capacity() + more.capacity() + texts <= 8 * BUFFER {
            let _: Result<(), _> = SPARE.try_with(|spare| {
                if let Ok(mut spare) = spare.try_borrow_mut()
                    && spare.len() < SPARES
                {
                    spare.push(self);
                }
            });
        }
    }
}
