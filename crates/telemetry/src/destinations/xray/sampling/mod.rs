//! Requests sampling rules and targets from the daemon, on a separate thread that exports no spans of its own. No other thread
//! waits for it, and it ends when no sampler uses the rules any more. Rule statistics that fail to arrive are resent.

mod client;
mod schedule;

use std::io;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use xray::rules::{MAX_STATISTICS, Statistics};

use self::schedule::{Due, Schedule};
use crate::sampling::Central;
use crate::span::rules::RuleSampler;
use crate::suppression::suppress;

pub(crate) use client::RulesClient;

/// Starts the thread that polls the daemon.
///
/// # Errors
/// The thread cannot be started.
pub(crate) fn start(rules: &Arc<RuleSampler>, central: Central) -> io::Result<()> {
    let mut poll = Poll {
        rules: Arc::downgrade(rules),
        client: RulesClient::new(central.endpoint),
        client_id: client_id(),
        schedule: Schedule::new(central.polling),
        begun: Instant::now(),
        asked: 0.0,
        complained: false,
    };
    let run = move || {
        suppress();
        while let Some(rules) = poll.rules.upgrade() {
            match poll.schedule.due(poll.begun.elapsed()) {
                Due::Rules => poll.poll_rules(&rules),
                Due::Targets => poll.poll_targets(&rules),
                Due::Nothing(left) => {
                    drop(rules);
                    thread::sleep(left);
                }
            }
        }
    };
    thread::Builder::new().name("xray-sampling".to_owned()).spawn(run).map(drop)
}

struct Poll {
    rules: Weak<RuleSampler>,
    client: RulesClient,
    client_id: String,
    schedule: Schedule,
    begun: Instant,
    /// When rules were last requested, in seconds since 1970.
    asked: f64,
    /// Whether the last failure has been logged.
    complained: bool,
}

impl Poll {
    fn poll_rules(&mut self, rules: &RuleSampler) {
        let asked = SystemTime::now();
        match self.client.rules() {
            Ok(found) => {
                self.asked = asked.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
                self.schedule.rules_came(self.begun.elapsed(), rand::random());
                let endpoint = self.client.endpoint();
                if rules.learn(&found, SystemTime::now()) {
                    tracing::info!("{} sampling rules came from {endpoint}", found.iter().count());
                    for skipped in found.skipped() {
                        tracing::warn!("a sampling rule is skipped: {skipped}");
                    }
                }
                self.complained = false;
            }
            Err(problem) => {
                self.schedule.rules_failed(self.begun.elapsed());
                self.complain(&format!(
                    "no sampling rules: {problem}; local ones hold, or those that came within an hour"
                ));
            }
        }
    }

    fn poll_targets(&mut self, rules: &RuleSampler) {
        let statistics = rules.report(&self.client_id, SystemTime::now());
        let mut interval = None;
        let mut modified = None;
        let mut parts = statistics.chunks(MAX_STATISTICS);
        while let Some(part) = parts.next() {
            match self.client.targets(part) {
                Ok(answer) => {
                    let lost = |one: &&Statistics| {
                        answer.unprocessed_statistics.iter().any(|unprocessed| unprocessed.rule_name == one.rule_name)
                    };
                    rules.give_back(part.iter().filter(lost));
                    answer.sampling_target_documents.iter().for_each(|target| rules.aim(target));
                    let intervals = answer.sampling_target_documents.iter().filter_map(|target| target.interval);
                    interval = intervals.chain(interval).min();
                    modified = answer.last_rule_modification.or(modified);
                }
                Err(problem) => {
                    rules.give_back(part.iter().chain(parts.flatten()));
                    self.schedule.targets_failed(self.begun.elapsed());
                    return self.complain(&format!("no sampling targets: {problem}; quotas expire"));
                }
            }
        }
        self.schedule.targets_came(self.begun.elapsed(), interval, modified, self.asked);
    }

    /// Logs a problem once, until rules arrive again.
    fn complain(&mut self, problem: &str) {
        if !std::mem::replace(&mut self.complained, true) {
            tracing::warn!("{problem}");
        }
    }
}

/// 24 random hex digits, different for each process.
fn client_id() -> String {
    let random: u128 = rand::random();
    format!("{:024x}", random >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_an_id_of_its_own() {
        let (one, other) = (client_id(), client_id());
        assert_ne!(one, other);
        assert!(one.len() == 24 && one.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}
