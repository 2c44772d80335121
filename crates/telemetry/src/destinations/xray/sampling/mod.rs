//! Polls the daemon for sampling rules and targets, on a separate thread that exports no spans of its own. No other thread
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
        started: Instant::now(),
        requested: 0.0,
        has_warned: false,
    };
    let run = move || {
        suppress();
        while let Some(rules) = poll.rules.upgrade() {
            match poll.schedule.due(poll.started.elapsed()) {
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
    started: Instant,
    /// When rules were last requested, in seconds since 1970.
    requested: f64,
    /// Whether a failure has been logged since rules last arrived.
    has_warned: bool,
}

impl Poll {
    fn poll_rules(&mut self, rules: &RuleSampler) {
        let requested = SystemTime::now();
        match self.client.rules() {
            Ok(found) => {
                self.requested = requested.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
                self.schedule.rules_arrived(self.started.elapsed(), rand::random());
                let endpoint = self.client.endpoint();
                if rules.learn(&found, SystemTime::now()) {
                    tracing::info!("received {} sampling rules from {endpoint}", found.iter().count());
                    for skipped in found.skipped() {
                        tracing::warn!("skipped a sampling rule: {skipped}");
                    }
                }
                self.has_warned = false;
            }
            Err(problem) => {
                self.schedule.rules_failed(self.started.elapsed());
                self.warn(&format!(
                    "no sampling rules: {problem}; using rules received within the last hour, or local ones"
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
                Ok(response) => {
                    let lost = |one: &&Statistics| {
                        response.unprocessed_statistics.iter().any(|unprocessed| unprocessed.rule_name == one.rule_name)
                    };
                    rules.give_back(part.iter().filter(lost));
                    response.sampling_target_documents.iter().for_each(|target| rules.aim(target));
                    let intervals = response.sampling_target_documents.iter().filter_map(|target| target.interval);
                    interval = intervals.chain(interval).min();
                    modified = response.last_rule_modification.or(modified);
                }
                Err(problem) => {
                    rules.give_back(part.iter().chain(parts.flatten()));
                    self.schedule.targets_failed(self.started.elapsed());
                    return self.warn(&format!("no sampling targets: {problem}; quotas will expire"));
                }
            }
        }
        self.schedule.targets_arrived(self.started.elapsed(), interval, modified, self.requested);
    }

    /// Logs a problem, but only the first one until rules arrive again.
    fn warn(&mut self, problem: &str) {
        if !std::mem::replace(&mut self.has_warned, true) {
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
    fn each_client_has_a_different_id() {
        let (one, other) = (client_id(), client_id());
        assert_ne!(one, other);
        assert!(one.len() == 24 && one.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}
