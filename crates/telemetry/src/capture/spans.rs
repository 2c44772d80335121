//! Captured spans: found by their names, and shown as trees.

use std::fmt;
use std::ops::Deref;

use super::span::CapturedSpan;

/// The captured spans, in the order in which they ended. `Display` shows them as trees, with everything that they hold.
#[derive(Clone)]
pub struct CapturedSpans(Vec<CapturedSpan>);

impl CapturedSpans {
    pub(super) fn new(spans: Vec<CapturedSpan>) -> Self {
        Self(spans)
    }

    /// The one span with this name.
    ///
    /// # Panics
    /// No span has this name, or several have.
    #[track_caller]
    pub fn one(&self, name: &str) -> &CapturedSpan {
        match self.named(name).as_slice() {
            [span] => span,
            found => panic!("{} spans are named {name:?}; the spans are\n{self}", found.len()),
        }
    }

    /// All spans with this name.
    pub fn named(&self, name: &str) -> Vec<&CapturedSpan> {
        self.iter().filter(|span| span.name() == name).collect()
    }

    /// The spans whose parent is `span`, in the order in which they started.
    pub fn children(&self, span: &CapturedSpan) -> Vec<&CapturedSpan> {
        let (trace, id) = (span.view().trace_id(), span.view().span_id());
        self.started(|one| one.view().parent_id() == Some(id) && one.view().trace_id() == trace)
    }

    /// The spans whose parent is not among the spans, in the order in which they started.
    pub fn roots(&self) -> Vec<&CapturedSpan> {
        let has_parent = |span: &CapturedSpan| {
            let span = span.view();
            self.iter()
                .any(|one| Some(one.view().span_id()) == span.parent_id() && one.view().trace_id() == span.trace_id())
        };
        self.started(|span| !has_parent(span))
    }

    /// The names of the spans, a line each, below their parents and indented by two spaces for each.
    pub fn tree(&self) -> String {
        self.trees(&|span: &CapturedSpan| span.name().to_owned())
    }

    fn started(&self, chosen: impl Fn(&CapturedSpan) -> bool) -> Vec<&CapturedSpan> {
        let mut spans: Vec<_> = self.iter().filter(|span| chosen(span)).collect();
        spans.sort_by_key(|span| span.view().start());
        spans
    }

    fn trees(&self, show: &impl Fn(&CapturedSpan) -> String) -> String {
        let mut text = String::new();
        let mut left: Vec<(usize, &CapturedSpan)> = self.roots().into_iter().rev().map(|root| (0, root)).collect();
        while let Some((depth, span)) = left.pop() {
            text += &format!("{}{}\n", "  ".repeat(depth), show(span));
            left.extend(self.children(span).into_iter().rev().map(|child| (depth + 1, child)));
        }
        text
    }
}

impl Deref for CapturedSpans {
    type Target = [CapturedSpan];

    fn deref(&self) -> &[CapturedSpan] {
        &self.0
    }
}

impl fmt::Display for CapturedSpans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.trees(&CapturedSpan::to_string))
    }
}

impl fmt::Debug for CapturedSpans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
