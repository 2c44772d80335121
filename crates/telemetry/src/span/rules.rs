//! Samples by X-Ray's rules: the central ones for an hour after they arrive, otherwise the local ones. Counts the requests of
//! each central rule until the counts are reported; unreported counts are lost at exit. Each decision briefly holds one lock,
//! that of the matching rule. Sends no requests; the poller passes in responses.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use xray::rules::{Reservoir, Statistics, Taken, Target};
use xray::{Request, Rule, Rules};

use super::threshold::Threshold;
use crate::context::PendingRequest;
use crate::limits::bounded;

/// How long central rules are valid, in seconds.
const LIFETIME: u64 = 3_600;

/// Samples by the rules of a service, and counts each rule's requests.
#[derive(Debug)]
pub(crate) struct RuleSampler {
    /// The name of the service's segments, which a rule's `ServiceName` must match.
    service: String,
    service_type: &'static str,
    /// A description of the rules for the line that is printed at start.
    shown: String,
    local: RuleTable,
    central: RwLock<Option<Arc<RuleTable>>>,
}

/// Rules in order of priority; the last one applies to requests that match no other.
#[derive(Debug)]
struct RuleTable {
    entries: Vec<RuleEntry>,
    /// The last second in which the rules are valid.
    until: u64,
}

#[derive(Debug)]
struct RuleEntry {
    rule: Rule,
    name: Arc<str>,
    /// Outlives the rule: a new rule of the same name continues its counts.
    state: Arc<Mutex<RuleState>>,
}

#[derive(Debug)]
struct RuleState {
    reservoir: Reservoir,
    /// The rate for requests beyond the reservoir.
    rate: Threshold,
    counts: RuleCounts,
    /// Whether any request has matched the rule, so that its statistics must be reported.
    matched: bool,
}

/// Requests since the last report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct RuleCounts {
    requests: u64,
    sampled: u64,
    borrowed: u64,
}

/// The decision of the rules for a trace.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RuleDecision {
    pub(crate) sampled: bool,
    /// The threshold that decided if the reservoir did not.
    pub(crate) by_rate: Option<Threshold>,
    pub(crate) rule: Option<Arc<str>>,
}

impl RuleSampler {
    /// A sampler for the service of this name and X-Ray type, with `local` rules until central ones arrive.
    pub(crate) fn new(service: String, service_type: &'static str, local: &Rules, shown: String) -> Self {
        let entry = |rule: &Rule| RuleEntry::new(rule, Reservoir::local(rule.reservoir()));
        let local = RuleTable { entries: local.iter().map(entry).collect(), until: u64::MAX };
        Self { service, service_type, shown, local, central: RwLock::new(None) }
    }

    /// Decides for a trace with these 56 random bits that starts `now`, by its request if it starts with one.
    pub(crate) fn decide(&self, now: SystemTime, random: u64, request: Option<&PendingRequest<'_>>) -> RuleDecision {
        // Texts are bounded, because their length determines the cost of matching a pattern.
        let request = Request {
            service: &self.service,
            service_type: self.service_type,
            method: request.map(|request| bounded(request.method)),
            host: request.and_then(|request| request.host).map(bounded),
            path: request.map(|request| bounded(request.path)),
        };
        let second = epoch(now);
        match self.central().filter(|table| second <= table.until) {
            Some(table) => table.decide(second, random, &request),
            None => self.local.decide(second, random, &request),
        }
    }

    /// Replaces the central rules with those that arrived `now`. Returns whether they differ from the earlier ones.
    pub(crate) fn learn(&self, rules: &Rules, now: SystemTime) -> bool {
        let before = self.central();
        let mut states: HashMap<&str, &Arc<Mutex<RuleState>>> = HashMap::new();
        for entry in before.iter().flat_map(|table| &table.entries) {
            states.insert(&entry.name, &entry.state);
        }
        let entry = |rule: &Rule| match states.get(rule.name()) {
            None => RuleEntry::new(rule, Reservoir::central(rule.reservoir())),
            Some(state) => {
                let mut known = lock(state);
                known.reservoir.resize(rule.reservoir());
                known.rate = Threshold::of(rule.rate());
                RuleEntry { rule: rule.clone(), name: rule.name().into(), state: Arc::clone(state) }
            }
        };
        let table =
            RuleTable { entries: rules.iter().map(entry).collect(), until: epoch(now).saturating_add(LIFETIME) };
        let rules = |table: &RuleTable| table.entries.iter().map(|entry| entry.rule.clone()).collect::<Vec<_>>();
        let others = before.as_deref().map(rules) != Some(rules(&table));
        *self.central.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(table));
        others
    }

    /// The counts since the last report, for each central rule that has ever matched. The counts restart at zero.
    pub(crate) fn report(&self, client_id: &str, now: SystemTime) -> Vec<Statistics> {
        let table = self.central();
        let mut statistics = Vec::new();
        for entry in table.iter().flat_map(|table| &table.entries) {
            let mut state = lock(&entry.state);
            if state.matched {
                let RuleCounts { requests, sampled, borrowed } = std::mem::take(&mut state.counts);
                statistics.push(Statistics {
                    rule_name: entry.name.to_string(),
                    client_id: client_id.to_owned(),
                    timestamp: now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64().floor(),
                    request_count: requests,
                    sampled_count: sampled,
                    borrow_count: borrowed,
                });
            }
        }
        statistics
    }

    /// Adds back the counts of a failed report. Counts of a rule that no longer exists are lost.
    pub(crate) fn give_back<'a>(&self, statistics: impl IntoIterator<Item = &'a Statistics>) {
        let table = self.central();
        for failed in statistics {
            if let Some(entry) = table.as_ref().and_then(|table| table.named(&failed.rule_name)) {
                let counts = &mut lock(&entry.state).counts;
                counts.requests += failed.request_count;
                counts.sampled += failed.sampled_count;
                counts.borrowed += failed.borrow_count;
            }
        }
    }

    /// Sets a rule's rate and quota.
    pub(crate) fn aim(&self, target: &Target) {
        let table = self.central();
        let Some(entry) = table.as_ref().and_then(|table| table.named(&target.rule_name)) else { return };
        let mut state = lock(&entry.state);
        if let Some(rate) = target.fixed_rate.filter(|rate| (0.0..=1.0).contains(rate)) {
            state.rate = Threshold::of(rate);
        }
        if let (Some(quota), Some(until)) = (target.reservoir_quota, target.reservoir_quota_ttl) {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
            state.reservoir.grant(quota, until as u64);
        }
    }

    fn central(&self) -> Option<Arc<RuleTable>> {
        self.central.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl RuleTable {
    fn decide(&self, second: u64, random: u64, request: &Request<'_>) -> RuleDecision {
        let found = self.entries.iter().find(|entry| entry.rule.matches(request)).or(self.entries.last());
        let Some(entry) = found else { return RuleDecision { sampled: false, by_rate: None, rule: None } };
        let mut state = lock(&entry.state);
        state.matched = true;
        state.counts.requests += 1;
        let taken = state.reservoir.take(second);
        let by_rate = taken.is_none().then_some(state.rate);
        let sampled = by_rate.is_none_or(|rate| rate.samples(random));
        // As in AWS's SDKs, borrowed requests are not among the sampled ones.
        let count = if taken == Some(Taken::Borrowed) { &mut state.counts.borrowed } else { &mut state.counts.sampled };
        *count += u64::from(sampled);
        RuleDecision { sampled, by_rate, rule: Some(Arc::clone(&entry.name)) }
    }

    fn named(&self, name: &str) -> Option<&RuleEntry> {
        self.entries.iter().find(|entry| &*entry.name == name)
    }
}

impl RuleEntry {
    fn new(rule: &Rule, reservoir: Reservoir) -> Self {
        let state =
            RuleState { reservoir, rate: Threshold::of(rule.rate()), counts: RuleCounts::default(), matched: false };
        Self { rule: rule.clone(), name: rule.name().into(), state: Arc::new(Mutex::new(state)) }
    }
}

impl std::fmt::Display for RuleSampler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown)
    }
}

/// Ignores poisoning: no change can be interrupted halfway, so a state is valid even after a panic.
fn lock(state: &Mutex<RuleState>) -> MutexGuard<'_, RuleState> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Seconds since 1970.
fn epoch(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
