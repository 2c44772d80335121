//! Checks whether destinations would accept our data now; for a diagnostic command, not for a service. Each check blocks for a
//! bounded time. Sends no span and no log record, so a check leaves no data behind. Each destination defines its own checks.

#[cfg(any(feature = "honeycomb", feature = "xray"))]
pub(crate) mod connection;
#[cfg(any(feature = "honeycomb", feature = "xray"))]
pub(crate) mod speaker;

#[cfg(any(feature = "honeycomb", feature = "xray"))]
pub use connection::get;

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was checked, such as `honeycomb DNS`.
    pub name: String,
    /// Whether it works.
    pub status: Status,
    /// The result, or the problem and its fix.
    pub detail: String,
}

/// The status of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Works.
    Ok,
    /// Not configured.
    Off,
    /// Works, but may not be what the operator intends.
    Note,
    /// Will not work.
    Wrong,
}

/// The checks so far.
#[derive(Debug, Default)]
pub(crate) struct Report(pub(crate) Vec<Check>);

impl Report {
    pub(crate) fn add(&mut self, name: impl Into<String>, status: Status, detail: impl Into<String>) {
        self.0.push(Check { name: name.into(), status, detail: detail.into() });
    }

    /// Adds the result of a check: `describe`'s text of the value that was found, or the problem.
    pub(crate) fn found<T>(
        &mut self,
        name: &str,
        found: Result<T, String>,
        describe: impl FnOnce(&T) -> String,
    ) -> Option<T> {
        match found {
            Ok(found) => {
                self.add(name, Status::Ok, describe(&found));
                Some(found)
            }
            Err(problem) => {
                self.add(name, Status::Wrong, problem);
                None
            }
        }
    }
}
