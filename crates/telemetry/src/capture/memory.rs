//! A destination that keeps spans in memory.

use std::sync::{Arc, Mutex, PoisonError};

use super::span::CapturedSpan;
use super::spans::CapturedSpans;
use crate::destinations::custom::CustomDestination;
use crate::ledger::Reason;
use crate::pipeline::{Exporter, Outcome, Record};

/// The most spans that a memory keeps.
const MOST: usize = 100_000;

/// A destination that keeps at most 100,000 spans in memory, and refuses further ones. Clones share the spans.
///
/// ```
/// use std::time::Duration;
/// use telemetry::capture::Memory;
/// use tracing_subscriber::layer::SubscriberExt;
///
/// let memory = Memory::default();
/// let (layer, telemetry) = telemetry::Config::from_env()?.destination(memory.destination()).layer("orders")?;
/// tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || drop(tracing::info_span!("work")));
/// telemetry.flush(Duration::from_secs(5))?;
/// memory.spans().one("work").assert_root();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Memory(Arc<Mutex<Vec<CapturedSpan>>>);

impl Memory {
    /// The destination, for [`Config::destination`](crate::Config::destination).
    pub fn destination(&self) -> CustomDestination {
        let memory = self.clone();
        CustomDestination::new("memory", move |_| memory.clone()).workers(1)
    }

    /// The spans that have arrived, in the order in which they ended.
    pub fn spans(&self) -> CapturedSpans {
        CapturedSpans::new(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Forgets the spans that have arrived.
    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Exporter for Memory {
    fn export(&mut self, batch: &[Record]) -> Outcome {
        let mut spans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = batch.len().min(MOST.saturating_sub(spans.len()));
        spans.extend(batch.iter().take(kept).cloned().map(CapturedSpan::new));
        match batch.len() - kept {
            0 => Outcome::delivered(),
            left => Outcome::dropped(left, Reason::Refused, format!("the memory has {MOST} spans")),
        }
    }
}
