//! Spans in memory, for tests: what the code under test exports, with assertions on spans and on the edges between them.
//!
//! [`start`] makes telemetry the thread's own for as long as the [`Capture`] lives, so that tests can run in parallel; with
//! [`layer`] a test composes a subscriber itself. Either way no variable is read, nothing is sent or printed, every trace is
//! recorded, and spans go through the same queue and ledger as in production.
//!
//! ```
//! use telemetry::span::{SpanExt, SpanKind};
//!
//! fn roll(sides: u16) -> u16 {
//!     let span = tracing::info_span!("roll", dice.sides = sides);
//!     span.in_scope(|| tracing::info_span!("random", otel.kind = "client").in_scope(|| tracing::info!("requested")));
//!     span.set("dice.rolled", 4);
//!     4
//! }
//!
//! let capture = telemetry::capture::start();
//! roll(6);
//! let spans = capture.spans();
//! let roll = spans.one("roll");
//! roll.assert_root().assert_attribute("dice.sides", 6).assert_attribute("dice.rolled", 4).assert_not_failed();
//! spans.one("random").assert_child_of(roll).assert_kind(SpanKind::Client).assert_event("requested");
//! assert_eq!(spans.tree(), "roll\n  random\n");
//! ```
//!
//! Code on other threads, such as a runtime with several, needs the subscriber there too: build a `current_thread` runtime, or
//! put the subscriber on the future (`tracing::instrument::WithSubscriber`).

mod memory;
mod span;
mod spans;

use std::time::Duration;

use settings::Settings;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::Registry;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::Config;
use crate::install::Telemetry;
use crate::ledger::Ledger;
use crate::span::layer::Layer;

pub use memory::Memory;
pub use span::CapturedSpan;
pub use spans::CapturedSpans;

/// How long a span may take from its end to the memory, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Captures spans until it is dropped.
#[must_use = "spans are captured until this is dropped"]
pub struct Capture {
    /// First, so that no span ends later.
    _default: Option<DefaultGuard>,
    telemetry: Telemetry,
    memory: Memory,
}

/// Captures the spans that the calling thread makes from now on.
///
/// # Panics
/// A thread cannot be started.
#[track_caller]
pub fn start() -> Capture {
    let (layer, capture) = layer();
    Capture { _default: Some(Registry::default().with(layer).set_default()), ..capture }
}

/// A layer whose spans are captured, for a subscriber of the test's own.
///
/// ```
/// use tracing_subscriber::layer::SubscriberExt;
/// use tracing_subscriber::util::SubscriberInitExt;
///
/// let (layer, capture) = telemetry::capture::layer();
/// let _default = tracing_subscriber::registry().with(tracing_subscriber::fmt::layer()).with(layer).set_default();
/// tracing::info_span!("work").in_scope(|| {});
/// capture.spans().one("work");
/// ```
///
/// # Panics
/// A thread cannot be started.
#[track_caller]
pub fn layer() -> (Layer, Capture) {
    of(Config::read(&mut Settings::from_pairs(&[])))
}

/// A layer with the settings of `config`, whose spans are captured too.
///
/// # Panics
/// A thread cannot be started.
#[track_caller]
pub fn of(config: Config) -> (Layer, Capture) {
    let memory = Memory::default();
    match config.destination(memory.destination()).quiet().layer("test") {
        Ok((layer, telemetry)) => (layer, Capture { _default: None, telemetry, memory }),
        Err(error) => panic!("{error}"),
    }
}

impl Capture {
    /// The spans that have ended so far.
    ///
    /// # Panics
    /// A span was dropped, or does not arrive within a minute.
    #[track_caller]
    pub fn spans(&self) -> CapturedSpans {
        if let Err(left) = self.telemetry.flush(PATIENCE) {
            panic!("{left}: {}", self.ledger());
        }
        self.memory.spans()
    }

    /// The ledger now.
    pub fn ledger(&self) -> Ledger {
        self.telemetry.ledger()
    }
}
