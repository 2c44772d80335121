//! Writes why a span failed: its flags, and its exceptions with their stacks. Parses the text that Rust's `Backtrace` prints
//! and the `caused by:` lines of this crate. Any other line is recorded only in the metadata. Total on any text.

use std::borrow::Cow;

use opentelemetry::trace::SpanId;
use opentelemetry_semantic_conventions::attribute::{
    ERROR_TYPE, EXCEPTION_MESSAGE, EXCEPTION_STACKTRACE, EXCEPTION_TYPE,
};

use super::fields::Fields;
use super::json::{Json, key};
use super::part::Detail;
use crate::span::reading::{Attribute, Event, Reading, Scalar, Text};

/// The name of an event that X-Ray has a field for.
const EXCEPTION: &str = "exception";
/// The most exceptions of one document, and of the chain of one exception.
const EXCEPTIONS: usize = 32;
/// The most frames of one stack.
const FRAMES: usize = 50;
/// The start of a cause's line.
const CAUSE: &str = "caused by: ";

/// One step of a stack.
#[derive(Debug, PartialEq)]
struct Frame<'a> {
    label: &'a str,
    path: Option<&'a str>,
    line: Option<u32>,
}

/// The parsed text of a stack.
#[derive(Debug, Default, PartialEq)]
struct Stack<'a> {
    frames: Vec<Frame<'a>>,
    /// The causes of the exception, nearest first.
    causes: Vec<Cow<'a, str>>,
    /// Whether a line was not understood.
    has_more: bool,
}

/// Writes the flags (the HTTP status takes precedence) and the exceptions. Each exception has a separate id: `id`, the span's,
/// plus its position. Returns how many of the span's exceptions were written with all their causes; these are always the first.
pub(super) fn write(
    json: &mut Json<'_>,
    id: SpanId,
    span: &Reading<'_>,
    fields: &Fields<'_>,
    remote: bool,
    detail: Detail,
) -> usize {
    let has_exception = span.events.iter().any(is_exception);
    if fields.status.is_some_and(|status| (400..500).contains(&status)) {
        json.flag(key!("error"));
        if fields.status == Some(429) {
            json.flag(key!("throttle"));
        }
    } else if fields.status.is_some_and(|status| status >= 500) || has_exception || span.failed {
        json.flag(key!("fault"));
    }
    if !has_exception && span.description.is_empty() {
        return 0;
    }
    let base = u64::from_be_bytes(id.to_bytes());
    let mut exceptions = Exceptions { json, remote, detail, base, place: 0 };
    exceptions.json.open_at(key!("cause"));
    exceptions.json.open_list_at(key!("exceptions"));
    let mut recorded = 0;
    for event in span.events.iter().filter(|event| is_exception(event)) {
        let is_whole = exceptions.write_chain(
            attribute(event, EXCEPTION_TYPE),
            attribute(event, EXCEPTION_MESSAGE),
            &Stack::parse(attribute(event, EXCEPTION_STACKTRACE).unwrap_or_default().as_str()),
        );
        recorded += usize::from(is_whole);
    }
    if !has_exception {
        let kind = text_at(&span.attributes, ERROR_TYPE);
        exceptions.write_chain(kind, Some(span.description), &Stack::default());
    }
    exceptions.json.close_list();
    exceptions.json.close();
    recorded
}

/// Whether an event is recorded as an exception of the document.
pub(super) fn is_exception(event: &Event<'_>) -> bool {
    event.name == *EXCEPTION
}

/// Whether an attribute of an exception is recorded in full by its field.
pub(super) fn has_field(key: Text<'_>, value: Scalar<'_>) -> bool {
    let Scalar::Text(text) = value else { return false };
    if key == *EXCEPTION_STACKTRACE {
        let stack = Stack::parse(text.as_str());
        return !stack.has_more && stack.frames.len() <= FRAMES;
    }
    key == *EXCEPTION_TYPE || key == *EXCEPTION_MESSAGE
}

struct Exceptions<'j, 'o> {
    json: &'j mut Json<'o>,
    remote: bool,
    detail: Detail,
    base: u64,
    /// The position of the last exception.
    place: u64,
}

impl Exceptions<'_, '_> {
    /// Writes an exception, followed by its causes. Returns whether all of them fit.
    fn write_chain(&mut self, kind: Option<Text<'_>>, message: Option<Text<'_>>, stack: &Stack<'_>) -> bool {
        let mut is_whole = self.write(kind, message, stack, !stack.causes.is_empty());
        for (index, message) in stack.causes.iter().enumerate() {
            is_whole &=
                self.write(None, Some(Text::from(&**message)), &Stack::default(), index + 1 < stack.causes.len());
        }
        is_whole
    }

    fn write(&mut self, kind: Option<Text<'_>>, message: Option<Text<'_>>, stack: &Stack<'_>, caused: bool) -> bool {
        let most = if self.detail >= Detail::Bare { 1 } else { EXCEPTIONS };
        let left = most.saturating_sub(usize::try_from(self.place).unwrap_or(most));
        if left == 0 {
            self.json.cut = true;
            return false;
        }
        self.place += 1;
        let (id, cause) = (self.base.wrapping_add(self.place), self.base.wrapping_add(self.place + 1));
        let json = &mut *self.json;
        json.open();
        json.id(key!("id"), id.to_be_bytes());
        for (key, text) in [(key!("message"), message), (key!("type"), kind)] {
            match text {
                Some(text) if self.detail >= Detail::Short => json.short(key, text),
                Some(text) => json.text(key, text),
                None => {}
            }
        }
        if self.remote {
            json.flag(key!("remote"));
        }
        // The last exception that fits refers to no cause, because its cause is not written.
        if caused && left > 1 {
            json.id(key!("cause"), cause.to_be_bytes());
        }
        let frames = if self.detail >= Detail::NoStacks { 0 } else { FRAMES };
        if !stack.frames.is_empty() {
            json.open_list_at(key!("stack"));
            for frame in stack.frames.iter().take(frames) {
                json.open();
                if let Some(path) = frame.path {
                    json.text(key!("path"), path);
                }
                if let Some(line) = frame.line {
                    json.number(key!("line"), line);
                }
                json.text(key!("label"), frame.label);
                json.close();
            }
            json.close_list();
            if stack.frames.len() > frames {
                json.number(key!("truncated"), stack.frames.len() - frames);
            }
        }
        json.close();
        true
    }
}

impl<'a> Stack<'a> {
    /// Reads `0: label`, optionally followed by a line `at path:line:column`; or `caused by: message`, whose further lines
    /// begin with a tab.
    fn parse(text: &'a str) -> Self {
        let mut stack = Self::default();
        let mut lines = text.split('\n').peekable();
        while let Some(line) = lines.next() {
            if let Some(message) = line.trim_start().strip_prefix(CAUSE) {
                let mut message = Cow::Borrowed(message);
                while let Some(more) = lines.next_if(|line| line.starts_with('\t')) {
                    message.to_mut().push_str(&more.replacen('\t', "\n", 1));
                }
                stack.causes.push(message);
                continue;
            }
            let line = line.trim();
            if line.is_empty() {
                continue;
            }
            if let Some((_, label)) = line.split_once(": ").filter(|(n, _)| n.parse::<u32>().is_ok()) {
                stack.frames.push(Frame { label, path: None, line: None });
            } else if let (Some(place), Some(frame @ Frame { path: None, .. })) =
                (line.strip_prefix("at "), stack.frames.last_mut())
            {
                (frame.path, frame.line) = split_place(place);
            } else {
                stack.has_more = true;
            }
        }
        stack
    }
}

/// Splits `path:line:column` or `path:line`; a text without a line number is all path.
fn split_place(place: &str) -> (Option<&str>, Option<u32>) {
    let number_at_end = |text: &'_ str| -> Option<(usize, u32)> {
        let (path, number) = text.rsplit_once(':')?;
        Some((path.len(), number.parse().ok()?))
    };
    let Some((end, last)) = number_at_end(place) else { return (Some(place), None) };
    let path = place.get(..end).unwrap_or(place);
    match number_at_end(path) {
        Some((end, line)) => (path.get(..end), Some(line)),
        None => (Some(path), Some(last)),
    }
}

fn attribute<'a>(event: &Event<'a>, key: &str) -> Option<Text<'a>> {
    text_at(&event.attributes, key)
}

fn text_at<'a>(attributes: &[Attribute<'a>], key: &str) -> Option<Text<'a>> {
    attributes.iter().find_map(|(own, value)| match value {
        Scalar::Text(text) if *own == *key => Some(*text),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::span::causes;

    #[test]
    fn a_backtrace_is_frames_and_causes() {
        let text = "   0: std::backtrace::Backtrace::create\n             at /rustc/x/library/std/src/backtrace.rs:331:13\n   \
                    1: app::main\n   2: <T as core::ops::FnOnce>::call\n             at C:\\src\\main.rs:5\ncaused by: no disk\n";
        let stack = Stack::parse(text);
        let frame = |label, path, line| Frame { label, path, line };
        assert_eq!(
            stack.frames,
            [
                frame("std::backtrace::Backtrace::create", Some("/rustc/x/library/std/src/backtrace.rs"), Some(331)),
                frame("app::main", None, None),
                frame("<T as core::ops::FnOnce>::call", Some("C:\\src\\main.rs"), Some(5)),
            ]
        );
        assert_eq!((stack.causes.as_slice(), stack.has_more), (["no disk".into()].as_slice(), false));
        assert!(Stack::parse("Traceback (most recent call last)").has_more);
    }

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Because(String, #[source] Option<Box<Because>>);

    proptest! {
        #[test]
        fn any_text_is_a_stack(text in "([0-9]{1,3}: |at |caused by: |[ -~]{0,9}|:[0-9]{0,11}|\n){0,20}") {
            let stack = Stack::parse(&text);
            prop_assert!(stack.frames.len() + stack.causes.len() <= text.lines().count());
        }

        /// With line breaks, empty lines, tabs, and lines that look like frames or causes.
        #[test]
        fn messages_of_causes_are_complete(messages in prop::collection::vec("(a|\n|\r|\t| |0: b|at c|caused by: )*", 1..4)) {
            let because = |source, message: &String| Some(Box::new(Because(message.clone(), source)));
            let error = messages.iter().rev().fold(None, because);
            let text = causes(&Because("it failed".to_owned(), error));
            let stack = Stack::parse(&text);
            prop_assert_eq!((stack.causes, stack.has_more), (messages.into_iter().map(Cow::Owned).collect(), false));
        }
    }
}
