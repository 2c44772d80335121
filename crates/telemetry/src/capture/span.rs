//! A captured span, with assertions. Each returns the span, so that they can be chained, and panics with the whole span.

use std::fmt;

use crate::pipeline::Record;
use crate::span::{AttributeValue, EndedSpan, SpanEvent, SpanKind, SpanStatus};
use crate::value::IntoValue;

/// A span that has ended.
#[derive(Clone)]
pub struct CapturedSpan(Record);

impl CapturedSpan {
    pub(super) fn new(record: Record) -> Self {
        Self(record)
    }

    /// Everything about the span.
    pub fn view(&self) -> EndedSpan<'_> {
        self.0.span()
    }

    /// The name.
    pub fn name(&self) -> &str {
        self.view().name()
    }

    /// Asserts which side of an exchange the span is.
    ///
    /// # Panics
    /// It is another one.
    #[track_caller]
    #[expect(clippy::needless_pass_by_value, reason = "given as it is when it is recorded")]
    pub fn assert_kind(&self, kind: SpanKind) -> &Self {
        self.expect(self.view().kind() == kind, format_args!("is not {kind:?}"))
    }

    /// Asserts that the span has an attribute with this value.
    ///
    /// # Panics
    /// It has another value, or no such attribute.
    #[track_caller]
    pub fn assert_attribute(&self, key: &str, value: impl IntoValue + fmt::Debug) -> &Self {
        let problem = format!("does not have {key} = {value:?}");
        let found = self.view().attribute(key).is_some_and(|found| found.equals(value));
        self.expect(found, format_args!("{problem}"))
    }

    /// Asserts that the span has no attribute with this key.
    ///
    /// # Panics
    /// It has one.
    #[track_caller]
    pub fn assert_no_attribute(&self, key: &str) -> &Self {
        self.expect(self.view().attribute(key).is_none(), format_args!("has {key}"))
    }

    /// Asserts that the span is the first of its trace.
    ///
    /// # Panics
    /// It has a parent.
    #[track_caller]
    pub fn assert_root(&self) -> &Self {
        self.expect(self.view().parent_id().is_none(), format_args!("has a parent"))
    }

    /// Asserts that `parent` is the span's parent, in the same trace.
    ///
    /// # Panics
    /// It is not.
    #[track_caller]
    pub fn assert_child_of(&self, parent: &Self) -> &Self {
        let (own, above) = (self.view(), parent.view());
        let is_child = own.parent_id() == Some(above.span_id()) && own.trace_id() == above.trace_id();
        self.expect(is_child, format_args!("is no child of {parent}"))
    }

    /// Asserts that the span is linked to `other`.
    ///
    /// # Panics
    /// It is not.
    #[track_caller]
    pub fn assert_linked_to(&self, other: &Self) -> &Self {
        let to = other.view();
        let is_linked = self.view().links().any(|link| link == (to.trace_id(), to.span_id()));
        self.expect(is_linked, format_args!("is not linked to {other}"))
    }

    /// Asserts that the span has an event of this name.
    ///
    /// # Panics
    /// It has none.
    #[track_caller]
    pub fn assert_event(&self, name: &str) -> &Self {
        self.expect(self.view().events().any(|event| event.name() == name), format_args!("has no event {name:?}"))
    }

    /// Asserts that the span has an exception with this message.
    ///
    /// # Panics
    /// It has none.
    #[track_caller]
    pub fn assert_exception(&self, message: &str) -> &Self {
        let has_message =
            |event: &SpanEvent<'_>| event.attribute("exception.message") == Some(AttributeValue::Text(message));
        let found = self.view().events().any(|event| event.name() == "exception" && has_message(&event));
        self.expect(found, format_args!("has no exception {message:?}"))
    }

    /// Asserts that the span failed, and that its status has this description; it is empty unless an ERROR event or the
    /// application has given one.
    ///
    /// # Panics
    /// It did not fail, or has another description.
    #[track_caller]
    pub fn assert_failed(&self, description: &str) -> &Self {
        let failed = self.view().status() == SpanStatus::Error(description);
        self.expect(failed, format_args!("has not failed with the description {description:?}"))
    }

    /// Asserts that the span did not fail.
    ///
    /// # Panics
    /// It failed.
    #[track_caller]
    pub fn assert_not_failed(&self) -> &Self {
        self.expect(!matches!(self.view().status(), SpanStatus::Error(_)), format_args!("has failed"))
    }

    #[track_caller]
    fn expect(&self, holds: bool, problem: fmt::Arguments<'_>) -> &Self {
        assert!(holds, "the span {problem}\n{self}");
        self
    }
}

fn attributes<'a>(
    f: &mut fmt::Formatter<'_>,
    attributes: impl Iterator<Item = (&'a str, AttributeValue<'a>)>,
) -> fmt::Result {
    let pairs: Vec<String> = attributes.map(|(key, value)| format!("{key}={value}")).collect();
    if pairs.is_empty() { Ok(()) } else { write!(f, " {{{}}}", pairs.join(", ")) }
}

/// `GET /rolls SERVER failed "no die" {http.route="/rolls"} [exception {exception.message="no die"}]`
impl fmt::Display for CapturedSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = self.view();
        write!(f, "{} {}", span.name(), format!("{:?}", span.kind()).to_uppercase())?;
        match span.status() {
            SpanStatus::Unset => {}
            SpanStatus::Ok => f.write_str(" ok")?,
            SpanStatus::Error("") => f.write_str(" failed")?,
            SpanStatus::Error(description) => write!(f, " failed {description:?}")?,
        }
        attributes(f, span.attributes())?;
        for event in span.events() {
            write!(f, " [{}", event.name())?;
            attributes(f, event.attributes())?;
            f.write_str("]")?;
        }
        Ok(())
    }
}

impl fmt::Debug for CapturedSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
