//! The file of rules, and each process's share of a rule's reservoir.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use xray::rules::{MAX_FILE_BYTES, Statistics, Target};
use xray::{Rule, Rules};

use crate::body::Bodies;

/// The most bytes of a request's body.
pub(super) const MAX_BODY: usize = 256 * 1024;
/// How long a process counts after it has reported, and how long its quota is valid, in seconds.
const LIVES: u64 = 30;
/// The interval after which a process must report again, in seconds.
const INTERVAL: u64 = 10;
/// The most pairs of a process and a rule that it reports on.
const CLIENTS: usize = 1_000;

/// The source of the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RulesSource {
    /// The file.
    pub path: PathBuf,
    /// Whether the path was configured: then a missing file is an error.
    pub is_configured: bool,
}

/// The rules, and the processes that sample by them.
pub(crate) struct Sampling {
    pub(super) bodies: Bodies,
    source: RulesSource,
    inner: Mutex<SamplingState>,
}

pub(super) struct SamplingState {
    /// The bytes from which the rules were read, or why the file could not be read; `None` if there is no file.
    file: Option<Result<Vec<u8>, ErrorKind>>,
    pub(super) rules: Rules,
    /// When the rules last changed, in seconds since 1970.
    pub(super) changed: u64,
    /// When each process last reported on each rule.
    clients: BTreeMap<(String, String), u64>,
}

impl Sampling {
    /// Reads the file.
    ///
    /// # Errors
    /// The file is invalid, or it is configured and missing.
    pub(crate) fn open(source: RulesSource) -> Result<Self, String> {
        let inner = SamplingState { file: None, rules: Rules::default(), changed: now(), clients: BTreeMap::new() };
        let sampling = Self { bodies: Bodies::new(MAX_BODY), source, inner: Mutex::new(inner) };
        sampling.lock().read(&sampling.source, now())?;
        Ok(sampling)
    }

    /// The file's current rules. If the file has become invalid, the earlier rules stay active, and that is logged once.
    pub(super) fn current(&self, now: u64) -> MutexGuard<'_, SamplingState> {
        let mut inner = self.lock();
        if let Err(problem) = inner.read(&self.source, now) {
            tracing::warn!("keeping the old sampling rules: {problem}");
        }
        inner
    }

    /// No method leaves the rules half changed, so they are valid even after a panic.
    fn lock(&self) -> MutexGuard<'_, SamplingState> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SamplingState {
    /// Applies the file's rules if the file has changed since the last time.
    fn read(&mut self, source: &RulesSource, now: u64) -> Result<(), String> {
        let path = source.path.display();
        let file = match settings::read_file(&source.path, MAX_FILE_BYTES) {
            Ok(bytes) => Some(Ok(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound && !source.is_configured => None,
            Err(error) if self.file == Some(Err(error.kind())) => return Ok(()),
            Err(error) => {
                self.file = Some(Err(error.kind()));
                return Err(format!("cannot read {path}: {error}"));
            }
        };
        if file == self.file {
            return Ok(());
        }
        self.file = file;
        let rules = match &self.file {
            Some(Ok(bytes)) => Rules::parse(bytes).map_err(|error| format!("{path} is invalid: {error}"))?,
            _ => Rules::default(),
        };
        for skipped in rules.skipped() {
            tracing::warn!("{path}: a sampling rule is skipped: {skipped}");
        }
        (self.rules, self.changed) = (rules, now);
        Ok(())
    }

    /// How much a process may sample by a rule on which it has just reported.
    pub(super) fn target(&mut self, statistics: &Statistics, now: u64) -> Option<Target> {
        let Statistics { rule_name: name, client_id: client, .. } = statistics;
        let rule = self.rules.iter().find(|rule| rule.name() == name)?;
        let quota = share(&mut self.clients, rule, client, now);
        Some(Target {
            rule_name: name.clone(),
            fixed_rate: Some(rule.rate()),
            reservoir_quota: Some(quota),
            reservoir_quota_ttl: Some(seconds(now + LIVES)),
            interval: Some(INTERVAL),
        })
    }
}

/// A process's share of a rule's reservoir. The remainder goes to the first processes, in order of their ids.
fn share(clients: &mut BTreeMap<(String, String), u64>, rule: &Rule, client: &str, now: u64) -> u32 {
    clients.retain(|_, seen| now <= *seen + LIVES);
    let own = (rule.name().to_owned(), client.to_owned());
    if clients.len() < CLIENTS || clients.contains_key(&own) {
        clients.insert(own, now);
    }
    let of_rule = || clients.keys().filter(|(name, _)| name == rule.name()).map(|(_, client)| client.as_str());
    let all = u32::try_from(of_rule().count()).unwrap_or(u32::MAX).max(1);
    // A process that does not fit in the map gets nothing.
    let Some(place) = of_rule().position(|one| one == client) else { return 0 };
    let place = u32::try_from(place).unwrap_or(u32::MAX);
    let size = rule.reservoir();
    size / all + u32::from(place < size % all)
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[expect(clippy::cast_precision_loss, reason = "exact until the year 285 million")]
pub(super) fn seconds(time: u64) -> f64 {
    time as f64
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rules(reservoir: u32) -> Rules {
        let rule = json!({"RuleName": "x", "Priority": 1, "FixedRate": 0.5, "ReservoirSize": reservoir});
        Rules::central(&[rule])
    }

    fn shares(clients: &mut BTreeMap<(String, String), u64>, reservoir: u32, ids: &[&str], now: u64) -> Vec<u32> {
        let rules = rules(reservoir);
        let rule = rules.iter().next().unwrap();
        ids.iter().map(|id| share(clients, rule, id, now)).collect()
    }

    #[test]
    fn a_reservoir_is_divided_among_recent_reporters() {
        let mut clients = BTreeMap::new();
        assert_eq!(shares(&mut clients, 7, &["a", "b", "c"], 100), [7, 3, 2], "each by what is known at the time");
        assert_eq!(shares(&mut clients, 7, &["a", "b", "c"], 110), [3, 2, 2], "together the reservoir");
        assert_eq!(shares(&mut clients, 7, &["a"], 141), [7], "the others have expired");
    }

    #[test]
    fn the_number_of_remembered_processes_is_bounded() {
        let mut clients = BTreeMap::new();
        let ids: Vec<String> = (0..CLIENTS + 5).map(|id| format!("{id:05}")).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let shares = shares(&mut clients, 5_000, &ids, 100);
        assert_eq!((clients.len(), shares.last()), (CLIENTS, Some(&0)));
    }

    #[test]
    fn a_file_is_reread_and_an_invalid_one_changes_nothing() {
        let path = std::env::temp_dir().join(format!("cruddur-sampling-{}.json", std::process::id()));
        let source = RulesSource { path: path.clone(), is_configured: false };
        let sampling = Sampling::open(source.clone()).unwrap();
        let seen = |now| {
            let inner = sampling.current(now);
            (inner.rules.iter().map(|rule| rule.name().to_owned()).collect::<Vec<_>>(), inner.changed)
        };
        assert_eq!(seen(1).0, ["Default"], "without a file, AWS's own rule");
        let own = json!({"SamplingRuleRecords": [rules(1).iter().next().unwrap().record(0.0)]});
        std::fs::write(&path, own.to_string()).unwrap();
        let new = (vec!["x".to_owned(), "Default".to_owned()], 2);
        assert_eq!((seen(2), seen(3)), (new.clone(), new.clone()));
        std::fs::write(&path, "{").unwrap();
        assert_eq!(seen(4), new);
        assert!(
            Sampling::open(source.clone()).is_err_and(|problem| problem.contains("is invalid: the sampling rules"))
        );
        std::fs::remove_file(&path).unwrap();
        assert_eq!(seen(5), (vec!["Default".to_owned()], 5));
        assert!(Sampling::open(RulesSource { is_configured: true, ..source }).is_err());
    }
}
