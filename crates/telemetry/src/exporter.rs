//! A destination of the caller's own: an [`Exporter`] gets batches of ended spans. Queue, retries, time limits and ledger are
//! those of the built-in destinations. Each worker has a thread and an exporter of its own, so an exporter may block.
//!
//! ```
//! use std::fmt::Write as _;
//! use std::fs::{File, OpenOptions};
//! use std::io::Write as _;
//! use std::time::Duration;
//!
//! use telemetry::exporter::{CustomDestination, Exporter, Outcome, Record};
//! use telemetry::ledger::Reason;
//!
//! /// Appends a line for each span to a file.
//! struct Lines(String);
//!
//! impl Exporter for Lines {
//!     fn export(&mut self, batch: &[Record]) -> Outcome {
//!         let mut lines = String::new();
//!         for record in batch {
//!             let span = record.span();
//!             let _ = writeln!(lines, "{} {} {:?}", span.trace_id(), span.name(), span.duration());
//!         }
//!         let file = OpenOptions::new().append(true).create(true).open(&self.0);
//!         match file.and_then(|mut file: File| file.write_all(lines.as_bytes())) {
//!             Ok(()) => Outcome::delivered(),
//!             Err(error) => Outcome::dropped(batch.len(), Reason::Unreachable, format!("cannot write spans: {error}"))
//!                 .retry_after(Duration::ZERO),
//!         }
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let path = std::env::temp_dir().join(format!("spans-{}.txt", std::process::id())).display().to_string();
//! # let path = path.as_str();
//! let own = path.to_owned();
//! let lines = CustomDestination::new("lines", move |_| Lines(own.clone())).at(path).workers(1);
//! let telemetry = telemetry::Config::from_env()?.destination(lines).install("orders")?;
//! tracing::info_span!("work").in_scope(|| { /* … */ });
//! telemetry.flush(Duration::from_secs(5))?;
//! assert!(std::fs::read_to_string(path)?.contains(" work "));
//! # std::fs::remove_file(path)?;
//! # Ok(())
//! # }
//! ```

pub use crate::destinations::custom::CustomDestination;
pub use crate::pipeline::{Exporter, Outcome, Record};
pub use crate::resource::Resource;
