//! Which requests are recorded: X-Ray's sampling rules, from a service's own file or from X-Ray, and the rule that a request
//! matches. A rule samples a number of requests each second ([`Reservoir`]) and a share of the others. Does no I/O, reads no
//! clock and draws no random number.
//!
//! ```
//! let rules = xray::Rules::parse(br#"{"version": 2, "default": {"fixed_target": 1, "rate": 0.05}, "rules": [
//!     {"host": "*", "http_method": "GET", "url_path": "/health*", "fixed_target": 0, "rate": 0}]}"#)?;
//! let request = xray::Request { method: Some("GET"), path: Some("/health/live"), ..xray::Request::of("backend") };
//! assert_eq!(rules.find(&request).rate(), 0.0);
//! # Ok::<(), xray::Error>(())
//! ```
//!
//! Source: [Configuring sampling rules](https://docs.aws.amazon.com/xray/latest/devguide/xray-console-sampling.html).

mod central;
mod local;
mod model;
mod pattern;
mod reservoir;
#[cfg(test)]
mod tests;

use serde_json::Value;

use crate::Error;

pub use central::{MAX_STATISTICS, RulesPage, Statistics, Target, TargetsRequest, TargetsResponse, Unprocessed};
pub use model::{Difference, Request, Rule, Rules, Skipped};
pub use pattern::Pattern;
pub use reservoir::{Reservoir, Taken};

/// The most bytes that may be read from a file of rules.
pub const MAX_FILE_BYTES: u64 = 1024 * 1024;

impl Rules {
    /// Reads a file of one of these forms: `{"version": 1 or 2, …}` as AWS's SDKs read it; the output of
    /// `aws xray get-sampling-rules`; a single rule, as `aws xray create-sampling-rule` reads or prints it; or a list of such
    /// rules.
    ///
    /// # Errors
    /// [`Error::Rules`] if it has none of these forms; [`Error::Rule`] if one of its rules is invalid. Both include the fix.
    pub fn parse(file: &[u8]) -> Result<Self, Error> {
        let file: Value =
            serde_json::from_slice(file).map_err(|error| Error::Rules(format!("are not JSON: {error}")))?;
        match &file {
            Value::Object(fields) => match fields.get("SamplingRuleRecords") {
                Some(Value::Array(records)) => Self::central_file(records),
                Some(_) => Err(Error::Rules("need a list as \"SamplingRuleRecords\"".to_owned())),
                None if central::is_rule(&file) => Self::central_file(std::slice::from_ref(&file)),
                None => Self::local(fields),
            },
            Value::Array(records) if !records.is_empty() => Self::central_file(records),
            _ => Err(Error::Rules(format!("need an object or a list: {}", local::FORMS))),
        }
    }
}
