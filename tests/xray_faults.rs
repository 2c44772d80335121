//! The X-Ray daemon in trouble: it goes away under load and comes back, or never reads. Requests are answered, and every span
//! is delivered or counted, according to the ids that arrived.

use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use serde_json::Value;

use crate::support::cruddur::Cruddur;
use crate::support::daemon::{self, Daemon};
use crate::support::{Folder, StopOnDrop, eventually, http};

/// A backend that sends to the daemon alone.
fn backend(data: &Folder, daemon: &str) -> Cruddur {
    let variables = [
        ("CRUDDUR_DATA", data.path().to_str().unwrap()),
        ("AWS_XRAY_DAEMON_ADDRESS", daemon),
        ("OTEL_BSP_SCHEDULE_DELAY", "20"),
    ];
    Cruddur::service("backend", &variables)
}

/// The daemon's counts, which are exact at every moment.
fn account(backend: &str) -> Value {
    let account = http::get(&format!("{backend}/health/telemetry")).json()["destinations"][0].clone();
    assert_eq!(account["name"], "xray");
    let known = number(&account, "delivered") + number(&account, "queued") + dropped(&account);
    assert_eq!(number(&account, "created"), known, "{account}");
    account
}

fn number(account: &Value, name: &str) -> u64 {
    account[name].as_u64().unwrap()
}

fn dropped(account: &Value) -> u64 {
    account["dropped"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum()
}

/// Sends requests in two threads while `meanwhile` runs; every request is answered.
fn under_load<T>(backend: &str, meanwhile: impl FnOnce() -> T) -> T {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !over.load(Relaxed) {
                    assert_eq!(http::get(&format!("{backend}/api/activities/home")).status, 200);
                }
            });
        }
        // Ends the load after `meanwhile`, even if that panics.
        let _over = StopOnDrop(&over);
        meanwhile()
    })
}

fn settled(backend: &str) -> Value {
    eventually("nothing queued", || Some(account(backend)).filter(|account| number(account, "queued") == 0))
}

#[test]
fn a_daemon_that_disappears_under_load_loses_only_counted_spans() {
    let data = Folder::new();
    let first = Daemon::start();
    let cruddur = backend(&data, &first.address.to_string());
    let backend = cruddur.backend.as_str();
    let mut received = BTreeSet::new();
    let last = under_load(backend, || {
        let mut daemon = first;
        for _ in 0..3 {
            eventually("a delivery", || (daemon.datagrams().len() > 50).then_some(()));
            let (address, lost) = (daemon.address, dropped(&account(backend)));
            received.extend(daemon.stop());
            eventually("a loss", || (dropped(&account(backend)) > lost + 20).then_some(()));
            daemon = Daemon::at(address);
        }
        eventually("a delivery", || (daemon.datagrams().len() > 50).then_some(()));
        daemon
    });
    let account = settled(backend);
    received.extend(last.stop());
    println!("{account}, received {}", received.len());
    assert_eq!(received.len() as u64, number(&account, "delivered"), "{account}");
    assert!(account["dropped"]["unreachable"].as_u64().is_some(), "{account}");
    assert!(account["last_error"].as_str().unwrap().contains("cannot send to"), "{account}");
    assert!(cruddur.stop().status.success());
}

#[test]
fn a_daemon_that_never_reads_delays_no_request_and_no_exit() {
    let data = Folder::new();
    let hung = UdpSocket::bind("127.0.0.1:0").unwrap();
    let cruddur = backend(&data, &hung.local_addr().unwrap().to_string());
    let backend = cruddur.backend.as_str();
    under_load(backend, || eventually("a loss", || (dropped(&account(backend)) > 100).then_some(())));
    let account = settled(backend);
    assert!(account["last_error"].as_str().unwrap().contains("does not read"), "{account}");
    assert!(cruddur.stop().status.success());
    // Everything counted as delivered waits in the socket's buffer, and nothing else does.
    hung.set_nonblocking(true).unwrap();
    let (mut buffer, mut waiting) = (vec![0; 65_536], BTreeSet::new());
    while let Ok(length) = hung.recv(&mut buffer) {
        waiting.extend(daemon::ids(&buffer[..length]));
    }
    assert_eq!(waiting.len() as u64, number(&account, "delivered"), "{account}");
}
