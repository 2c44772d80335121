//! Why a text is not a query.

/// A fault at a character of a query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at character {position}: {message}")]
pub(crate) struct QueryFault {
    /// The character's index, from 0; the number of characters if something is missing at the end.
    pub(crate) position: usize,
    message: String,
}

impl QueryFault {
    pub(super) fn new(position: usize, message: impl Into<String>) -> Self {
        Self { position, message: message.into() }
    }
}
