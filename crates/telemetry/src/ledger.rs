//! The ledger: what became of each span. At any moment, for each destination,
//! `created = delivered + queued + dropped`, exactly. Counts nothing itself: the pipeline does, under one lock.

use std::collections::BTreeMap;
use std::fmt;

/// The account of one destination. All figures are spans since the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// `honeycomb`, `otlp` or `xray`.
    pub name: &'static str,
    /// Where it is.
    pub endpoint: String,
    /// Spans handed to this destination.
    pub created: u64,
    /// Spans it has taken. For X-Ray's UDP that means handed to the network: it cannot tell more.
    pub delivered: u64,
    /// Spans that wait or are on their way.
    pub queued: u64,
    /// Spans that will not arrive, by reason.
    pub dropped: BTreeMap<Reason, u64>,
    /// What the destination said last when it did not take spans.
    pub last_error: Option<String>,
}

/// Why a span will not arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The queue was at its bound.
    QueueFull,
    /// The destination answered, and refused it.
    Refused,
    /// The destination did not answer.
    Unreachable,
    /// It is larger than the destination takes.
    TooLarge,
    /// The exporter panicked.
    Panicked,
    /// Time ran out at shutdown, or the span ended after it.
    Shutdown,
}

impl Account {
    /// Spans that will not arrive, for whatever reason.
    pub fn total_dropped(&self) -> u64 {
        self.dropped.values().sum()
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} spans created = {} delivered + {} queued + {} dropped",
            self.name,
            self.created,
            self.delivered,
            self.queued,
            self.total_dropped()
        )?;
        let reasons: Vec<String> = self.dropped.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        if !reasons.is_empty() {
            write!(f, " ({})", reasons.join(", "))?;
        }
        match &self.last_error {
            Some(error) => write!(f, "; last error: {error}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::QueueFull => "queue_full",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::TooLarge => "too_large",
            Self::Panicked => "panicked",
            Self::Shutdown => "shutdown",
        })
    }
}
