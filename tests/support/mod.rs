//! Shared parts of the tests: processes of the binary under test, HTTP, databases, a browser, and fakes of unavailable services.

pub(crate) mod aws;
pub(crate) mod browser;
pub(crate) mod certificate;
pub(crate) mod clock;
pub(crate) mod cluster;
pub(crate) mod cruddur;
pub(crate) mod daemon;
pub(crate) mod engines;
mod fake;
pub(crate) mod grpc_collector;
pub(crate) mod h2;
pub(crate) mod h2_server;
pub(crate) mod honeycomb;
pub(crate) mod http;
pub(crate) mod issuer;
pub(crate) mod owner;
pub(crate) mod person;
pub(crate) mod pgbouncer;
pub(crate) mod postgres;
pub(crate) mod postgres_server;
pub(crate) mod python;
pub(crate) mod raw;
pub(crate) mod recorder;
pub(crate) mod refusal;
pub(crate) mod rotel;
pub(crate) mod routes_file;
pub(crate) mod sampling;
pub(crate) mod slow_wire;
pub(crate) mod small_disk;
pub(crate) mod sources;
pub(crate) mod upstream;
pub(crate) mod witness;
pub(crate) mod writer;

use std::fmt::Display;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a test waits for anything before it gives up.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Repeats `poll` until it returns a value; panics at the deadline with `what`.
pub(crate) fn eventually<T>(what: impl Display, mut poll: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(answer) = poll() {
            return answer;
        }
        assert!(Instant::now() < deadline, "timed out after {} s waiting for {what}", DEADLINE.as_secs());
        sleep(Duration::from_millis(20));
    }
}

/// In lower case, as ids are written.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Records that the current test cannot run without `what`, a name for `TESTS_WITHOUT`, in the file that `TESTS_SKIPPED` names, from
/// which `tests/run` prints it.
///
/// # Panics
/// `CI` is set, and `TESTS_WITHOUT` does not name it.
pub(crate) fn cannot_run(what: &str, why: &str) {
    let mut settings = settings::Settings::from_env();
    let expected = settings.text("TESTS_WITHOUT").is_some_and(|without| without.split(',').any(|one| one == what));
    assert!(expected || settings.text("CI").is_none(), "cannot run in CI: {why}");
    let test = std::thread::current().name().unwrap_or("a thread without a name").to_owned();
    println!("skipped: {why}");
    if let Some(path) = settings.text("TESTS_SKIPPED") {
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
        // One write, so that lines of simultaneous tests do not mix.
        file.write_all(format!("{test}\t{}\n", why.replace('\n', " ")).as_bytes()).unwrap();
    }
}

/// Sets its flag when dropped, so that other threads end even if the test panics.
pub(crate) struct StopOnDrop<'a>(pub(crate) &'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// A port for a program that does not accept port 0.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// This test's own folder, removed at its end.
pub(crate) struct Folder(std::path::PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("cruddur-test-{}", uuid::Uuid::now_v7().simple()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &std::path::Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}
