//! Checks whether everything that these settings configure would work now.

use super::Config;
use crate::destinations::destination::Switch;
use crate::probe::{Check, Report, Status};

impl Config {
    /// Checks whether each destination would accept spans, log records and metrics now, and whether the server of sampling rules has any
    /// rules. Blocks for a bounded time. Sends none of them.
    pub fn check(&self) -> Vec<Check> {
        let mut report = Report::default();
        for to in &self.destinations {
            match &to.switch {
                Switch::On(destination, _) => destination.probe(&mut report),
                Switch::Off(why) => report.add(to.name(), Status::Off, why),
            }
        }
        rules(self, &mut report);
        report.0
    }
}

#[cfg(feature = "xray")]
fn rules(config: &Config, report: &mut Report) {
    use crate::destinations::xray::sampling::RulesClient;
    use crate::sampling::Sampling;

    let Sampling::Xray(rules) = &config.sampling else { return };
    let Some(central) = &rules.central else { return };
    let client = RulesClient::new(central.endpoint.clone());
    match client.rules() {
        Ok(rules) => report.add("xray rules", Status::Ok, format!("{} at {}", rules.iter().count(), client.endpoint())),
        Err(problem) => {
            let detail = format!("local rules apply: {problem}; under `cargo run` the viewer serves its own");
            report.add("xray rules", Status::Note, detail);
        }
    }
}

#[cfg(not(feature = "xray"))]
fn rules(_: &Config, _: &mut Report) {}
