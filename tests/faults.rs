//! Telemetry in trouble: whatever a collector does, requests are answered, every span is accounted for at every moment, the key
//! goes nowhere else, memory is bounded and the process ends on request.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::support::cruddur::{Cruddur, Ended};
use crate::support::honeycomb::{Honeycomb, Trouble};
use crate::support::{Folder, eventually, http};

pub(crate) const KEY: &str = "hcaik_canary_of_a_key_that_must_not_be_seen";
pub(crate) const REQUESTS: usize = 60;
/// Each request makes a SERVER span, the lesson's span and at least one of SQL; the start of the service makes some more.
const SPANS: u64 = 3 * REQUESTS as u64;

/// A backend that sends to a troubled Honeycomb and to a healthy collector.
pub(crate) struct SendingBackend {
    backend: Cruddur,
    _data: Folder,
}

impl SendingBackend {
    pub(crate) fn start(honeycomb: &Honeycomb, collector: &Honeycomb, more: &[(&str, &str)]) -> Self {
        let data = Folder::new();
        let variables = [
            ("CRUDDUR_DATA", data.path().to_str().unwrap()),
            ("HONEYCOMB_API_KEY", KEY),
            ("HONEYCOMB_API_ENDPOINT", &honeycomb.url),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url),
            // The collector has its own key header.
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-collector=1"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "1000"),
            ("OTEL_BSP_SCHEDULE_DELAY", "50"),
        ];
        let variables: Vec<_> = variables.iter().chain(more).copied().collect();
        Self { backend: Cruddur::service("backend", &variables), _data: data }
    }

    pub(crate) fn request(&self) {
        request(&self.backend.backend);
    }

    pub(crate) fn account(&self) -> Value {
        account(&self.backend.backend)
    }

    /// Sends requests while the ledger is checked continuously, then waits until `done` accepts the counts, which it returns.
    fn watch(&self, done: impl Fn(&Value) -> bool) -> Value {
        let over = AtomicBool::new(false);
        let backend = self.backend.backend.as_str();
        thread::scope(|scope| {
            let watcher = scope.spawn(|| {
                let mut looks = 0;
                while !over.load(Relaxed) {
                    account(backend);
                    looks += 1;
                }
                looks
            });
            request(backend);
            over.store(true, Relaxed);
            assert!(watcher.join().unwrap() > 0);
        });
        eventually("the expected ledger", || Some(self.account()).filter(&done))
    }

    pub(crate) fn stop(self) -> Ended {
        let ended = self.backend.stop();
        assert!(ended.status.success(), "{}", ended.errors);
        assert!(!ended.errors.contains(KEY), "{}", ended.errors);
        for line in ended.errors.lines().filter(|line| line.contains(" created = ")) {
            println!("{line}");
        }
        ended
    }
}

/// Sends requests one after another; each must succeed.
fn request(backend: &str) {
    for _ in 0..REQUESTS {
        assert_eq!(http::get(&format!("{backend}/api/activities/home")).status, 200);
    }
}

/// Honeycomb's counts, after checking that every destination's are exact.
fn account(backend: &str) -> Value {
    let ledger = http::get(&format!("{backend}/health/telemetry")).json();
    for account in ledger["destinations"].as_array().unwrap() {
        assert_exact(account);
    }
    ledger["destinations"][0].clone()
}

pub(crate) fn number(account: &Value, name: &str) -> u64 {
    account[name].as_u64().unwrap()
}

fn dropped(account: &Value) -> BTreeMap<String, u64> {
    let dropped = account["dropped"].as_object().unwrap();
    dropped.iter().map(|(reason, count)| (reason.clone(), count.as_u64().unwrap())).collect()
}

pub(crate) fn assert_exact(account: &Value) {
    let lost: u64 = dropped(account).values().sum();
    let total = number(account, "delivered") + number(account, "queued") + lost;
    assert_eq!(number(account, "created"), total, "{account}");
}

/// Runs a backend through `trouble` until `done` accepts Honeycomb's counts, which it returns with the ended process.
fn through(trouble: &Trouble, done: impl Fn(&Value) -> bool) -> (Value, Ended) {
    let honeycomb = Honeycomb::troubled(KEY, trouble.clone());
    // A fake with an empty key requires none: a collector accepts spans without a Honeycomb key.
    let collector = Honeycomb::start("");
    let run = SendingBackend::start(&honeycomb, &collector, &[]);
    let account = run.watch(done);
    let ended = run.stop();
    // The line of the ledger, for a developer to read: `-- faults --nocapture`.
    println!("{trouble:?}: {account}");
    assert!(!collector.heads().is_empty(), "the other destination still receives");
    assert!(collector.heads().iter().all(|head| !head.contains(KEY)));
    (account, ended)
}

fn all_delivered(account: &Value) -> bool {
    number(account, "created") >= SPANS && account["delivered"] == account["created"]
}

fn all_dropped(reason: &'static str) -> impl Fn(&Value) -> bool {
    move |account| {
        number(account, "created") >= SPANS && dropped(account).get(reason) == account["created"].as_u64().as_ref()
    }
}

#[test]
fn refusals_are_counted_and_logged_in_honeycombs_words() {
    for (status, reason) in [(400, "refused"), (401, "refused"), (403, "refused"), (413, "too_large"), (415, "refused")]
    {
        let (account, _) = through(&Trouble::Refuses(status), all_dropped(reason));
        let error = account["last_error"].as_str().unwrap();
        assert!(error.contains(&status.to_string()) && error.ends_with(": this is what it says"), "{error}");
    }
}

#[test]
fn a_busy_destination_eventually_gets_everything() {
    for status in [429, 502, 503, 504] {
        let (account, _) = through(&Trouble::Busy(status, 3), all_delivered);
        assert_eq!(dropped(&account), BTreeMap::new());
    }
}

#[test]
fn a_partial_rejection_is_counted() {
    let (account, _) = through(&Trouble::TakesAPart, |account| number(account, "queued") == 0);
    assert!(number(&account, "delivered") > 0 && dropped(&account)["refused"] > 0, "{account}");
    let error = account["last_error"].as_str().unwrap();
    assert!(error.contains(" rejected ") && error.ends_with(": one is too old"), "{error}");
}

#[test]
fn a_hanging_resetting_or_dripping_collector_delays_no_request_and_no_exit() {
    for trouble in [Trouble::Hangs, Trouble::Resets, Trouble::Drips] {
        let (account, ended) = through(&trouble, |account| account["last_error"].is_string());
        assert_eq!(number(&account, "delivered"), 0, "{trouble:?}");
        let other = ended.errors.lines().find(|line| line.starts_with("backend: otlp: ")).unwrap();
        assert!(other.ends_with(" delivered + 0 queued + 0 dropped"), "{other}");
    }
}

#[test]
fn a_slow_collector_gets_everything() {
    let slow = Trouble::Slow(Duration::from_millis(200));
    let (account, _) = through(&slow, all_delivered);
    assert_eq!(dropped(&account), BTreeMap::new());
}

#[test]
fn a_redirect_is_not_followed_with_the_key() {
    let elsewhere = Honeycomb::start("any");
    through(&Trouble::Redirects(format!("{}/v1/traces", elsewhere.url)), all_dropped("refused"));
    assert!(elsewhere.heads().is_empty(), "{:?}", elsewhere.heads());
}

#[test]
fn a_recovered_collector_gets_spans_again() {
    let (honeycomb, collector) = (Honeycomb::troubled(KEY, Trouble::Resets), Honeycomb::start(""));
    let run = SendingBackend::start(&honeycomb, &collector, &[]);
    run.watch(|account| account["last_error"].is_string());
    honeycomb.get_into(Trouble::None);
    run.watch(|account| number(account, "delivered") >= SPANS);
    run.stop();
}

#[test]
fn a_full_queue_keeps_its_bound_and_drops_the_remaining_spans() {
    let (honeycomb, collector) = (Honeycomb::troubled(KEY, Trouble::Hangs), Honeycomb::start(""));
    let small = [("OTEL_BSP_MAX_QUEUE_SIZE", "50"), ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "10")];
    let run = SendingBackend::start(&honeycomb, &collector, &small);
    let account = run.watch(|account| dropped(account).contains_key("queue_full"));
    assert!(number(&account, "queued") <= 50, "{account}");
    run.stop();
}

#[test]
fn memory_stays_within_the_printed_bound_with_a_full_queue() {
    let (honeycomb, collector) = (Honeycomb::troubled(KEY, Trouble::Hangs), Honeycomb::start(""));
    let run = SendingBackend::start(&honeycomb, &collector, &[]);
    run.request();
    let before = run.backend.peak_memory();
    let backend = run.backend.backend.as_str();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !dropped(&account(backend)).contains_key("queue_full") {
                    request(backend);
                }
            });
        }
    });
    let account = run.account();
    let grown = run.backend.peak_memory() - before;
    assert!(grown < 32 * 1024, "{grown} KiB for {account}");
    run.stop();
}

/// SIGTERM under load: accepted requests are answered, and the process ends although the collector never responds.
#[test]
fn a_stop_under_load_with_a_hung_collector_fails_no_request() {
    let (honeycomb, collector) = (Honeycomb::troubled(KEY, Trouble::Hangs), Honeycomb::start(""));
    let run = SendingBackend::start(&honeycomb, &collector, &[]);
    let url = format!("{}/api/activities/home", run.backend.backend);
    let ended = stopped_under_load(&url, || run.stop());
    let account = ended.errors.lines().find(|line| line.starts_with("backend: honeycomb: ")).unwrap();
    assert!(account.contains(" = 0 delivered + 0 queued + "), "dropped, and counted: {account}");
}

/// SIGTERM to the proxy under load, before a healthy backend: accepted requests are answered.
#[test]
fn a_stop_of_the_proxy_under_load_with_a_hung_collector_fails_no_request() {
    let honeycomb = Honeycomb::troubled(KEY, Trouble::Hangs);
    let data = Folder::new();
    let backend = Cruddur::service("backend", &[("CRUDDUR_DATA", data.path().to_str().unwrap())]);
    let variables = [
        ("HONEYCOMB_API_KEY", KEY),
        ("HONEYCOMB_API_ENDPOINT", honeycomb.url.as_str()),
        ("CRUDDUR_UPSTREAM", &backend.backend),
    ];
    let proxy = Cruddur::service("frontend-proxy", &variables);
    let url = format!("{}/api/activities/home", proxy.page);
    let ended = stopped_under_load(&url, || proxy.stop());
    assert!(ended.status.success(), "{}", ended.errors);
    let account = ended.errors.lines().find(|line| line.starts_with("frontend-proxy: honeycomb: ")).unwrap();
    assert!(account.contains(" = 0 delivered + 0 queued + "), "dropped, and counted: {account}");
}

/// Stops the server at `url` under continuous requests; every accepted request must get a 200.
fn stopped_under_load(url: &str, stop: impl FnOnce() -> Ended) -> Ended {
    let (sent, answered) = (AtomicBool::new(false), AtomicBool::new(true));
    let ended = thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                // After the stop, connections are refused.
                while let Ok(status) = http::try_get(url) {
                    sent.store(true, Relaxed);
                    answered.fetch_and(status == 200, Relaxed);
                }
            });
        }
        eventually("load", || sent.load(Relaxed).then_some(()));
        stop()
    });
    assert!(answered.load(Relaxed));
    ended
}
