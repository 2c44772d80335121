//! Why bytes from a file or from the network are invalid.

/// Why bytes are invalid.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An id does not have the required form.
    #[error("{0:?} is not a trace id (1-<8 hex>-<24 hex>) or segment id (16 hex)")]
    Id(String),
    /// A trace header has no valid `Root`, or has `Root`, `Parent` or `Sampled` twice.
    #[error("the trace header does not have exactly one valid Root=1-<8 hex>-<24 hex>, or has Parent or Sampled twice")]
    Header,
    /// A datagram does not begin with the daemon's header line.
    #[error("the datagram does not begin with {{\"format\":\"json\",\"version\":1}} and a newline")]
    Framing,
    /// A document is not JSON of the expected shape.
    #[error("the document is not a segment: {0}")]
    Json(#[from] serde_json::Error),
    /// A document lacks a required field.
    #[error("the document has no {0}")]
    Missing(&'static str),
    /// A file of sampling rules is invalid.
    #[error("the sampling rules {0}")]
    Rules(String),
    /// A sampling rule is invalid.
    #[error("sampling rule {rule}: {problem}")]
    Rule {
        /// Its name, or its place in the file.
        rule: String,
        /// The problem and its fix.
        problem: String,
    },
}
