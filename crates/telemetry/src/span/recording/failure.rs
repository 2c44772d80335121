//! Records the failure of a span: its status, and its `exception` events.

use opentelemetry_semantic_conventions::attribute::{
    ERROR_TYPE, EXCEPTION_MESSAGE, EXCEPTION_STACKTRACE, EXCEPTION_TYPE,
};

use super::{Code, EXCEPTION, Recording};
use crate::attribute::{attribute, cut};
use crate::span::panic_hook::{self, PanicMessage};
use crate::value::Value;

/// The type of the exception of a span that a panic ended.
const PANIC: &str = "panic";

impl Recording {
    /// Marks the span as failed; `kind` is a low-cardinality name such as `timeout`, its `error.type`.
    pub fn fail(&mut self, kind: &str) {
        self.set(ERROR_TYPE, kind);
        self.code(Code::Error);
    }

    /// Marks the span as failed by an ERROR event. Returns whether the event is an exception. It is not if the span already has
    /// one for the same failure, because a function may both log and return its error.
    pub(crate) fn fails_anew(&mut self, message: &str) -> bool {
        let message = cut(message, self.limits.value_bytes);
        self.code(Code::Error);
        if self.description.is_empty() {
            self.describe(message);
        }
        let is_known = self.failure.as_deref().is_some_and(|known| {
            !known.is_empty() && !message.is_empty() && (known.contains(message) || message.contains(known))
        });
        if !is_known {
            self.failure = Some(message.to_owned());
        }
        !is_known
    }

    /// Marks the span as failed by a panic, once. Only the process's panic hook knows the panic's message.
    pub(crate) fn unwind(&mut self) {
        if !self.began_unwinding && !std::mem::replace(&mut self.is_unwound, true) {
            self.fail(PANIC);
            match panic_hook::last() {
                Some(PanicMessage { message, place }) => {
                    if self.fails_anew(&message) {
                        self.exception(PANIC, &message, &place);
                    }
                }
                None => self.exception(PANIC, "the thread panicked", ""),
            }
        }
    }

    /// Sets the status by the name of its code. Any other text is ignored.
    pub(crate) fn status(&mut self, code: &str) {
        match code {
            _ if code.eq_ignore_ascii_case("error") => self.code(Code::Error),
            _ if code.eq_ignore_ascii_case("ok") => self.code(Code::Ok),
            _ => {}
        }
    }

    /// Sets the status code. [Ok is final](https://opentelemetry.io/docs/specs/otel/trace/api/#set-status): only the
    /// application sets it.
    fn code(&mut self, code: Code) {
        if self.status != Code::Ok {
            self.status = code;
        }
    }

    pub(crate) fn describe(&mut self, description: &str) {
        self.description.clear();
        self.description.push_str(cut(description, self.limits.value_bytes));
    }

    /// Adds an `exception` event that happens now. Empty texts are omitted.
    pub fn exception(&mut self, kind: &str, message: &str, stacktrace: &str) {
        let texts = [(EXCEPTION_TYPE, kind), (EXCEPTION_MESSAGE, message), (EXCEPTION_STACKTRACE, stacktrace)];
        let mut attributes = Vec::new();
        for (key, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
            attribute(&mut attributes, 3, key, Value::Text(text), self.limits.value_bytes);
        }
        self.failure = Some(message.to_owned());
        self.event(EXCEPTION, &attributes);
    }

    /// Whether the span has an `exception` event.
    pub fn has_exception(&self) -> bool {
        self.failure.is_some()
    }
}
