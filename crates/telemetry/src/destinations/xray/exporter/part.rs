//! How a span's part of a document is written: its place, its detail, and the result.

/// The position of a span's part in a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A separate document, for a local root.
    Segment,
    /// A separate document, for any other span.
    Alone,
    /// Within another document.
    Nested,
}

/// How much of a span is written. If a document would be too large, the next of these levels is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Detail {
    Whole,
    NoMetadata,
    NoStacks,
    /// No SQL, and at most 250 characters of every other text.
    Short,
    /// One exception, no annotation, no link.
    Bare,
}

/// How a span was written into a document.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Written {
    /// Whether a field was shortened or stripped.
    pub(super) is_cut: bool,
    pub(super) annotations: usize,
}
