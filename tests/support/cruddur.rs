//! Processes of the binary under test, each on free ports and with its own environment: none of the developer's
//! variables reach it.

use std::cell::RefCell;
use std::fmt;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;

use serde_json::Value;

use super::http::{self, Answer};
use super::person::Person;
use super::{DEADLINE, Folder, eventually};

/// A running `cruddur`, killed when dropped.
pub(crate) struct Cruddur {
    child: Child,
    lines: Receiver<String>,
    errors: Option<thread::JoinHandle<String>>,
    /// Standard error so far.
    stderr: Arc<Mutex<String>>,
    pub(crate) page: String,
    /// The target of `up`'s one-time link.
    pub(crate) sign_in: String,
    pub(crate) backend: String,
    pub(crate) viewer: String,
    pub(crate) xray: String,
}

/// How a process ended, and its output.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) errors: String,
}

/// Every listener on a free port.
const FREE_PORTS: [(&str, &str); 4] = [
    ("CRUDDUR_PROXY_LISTEN", "127.0.0.1:0"),
    ("CRUDDUR_BACKEND_LISTEN", "127.0.0.1:0"),
    ("CRUDDUR_VIEWER_LISTEN", "127.0.0.1:0"),
    ("CRUDDUR_XRAY_LISTEN", "127.0.0.1:0"),
];

/// The binary, built if it is missing: `cargo test` builds only the test's own dependencies.
fn binary() -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "-q", "-p", "cruddur", "--manifest-path", manifest]);
        // `cargo test` sets variables for the tests' package, which `ring`'s build script would take for changes. It, and all that depends
        // on it, would be rebuilt, and once more by the next `cargo test`.
        for variable in ["MANIFEST_DIR", "MANIFEST_LINKS", "PKG_NAME"] {
            build.env_remove(format!("CARGO_{variable}"));
        }
        for part in ["MAJOR", "MINOR", "PATCH", "PRE"] {
            build.env_remove(format!("CARGO_PKG_VERSION_{part}"));
        }
        assert!(build.status().unwrap().success(), "cruddur does not build");
    });
    let test = std::env::current_exe().unwrap();
    test.parent().unwrap().parent().unwrap().join("cruddur")
}

/// A command whose only variables are those given.
pub(crate) fn command(arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(binary());
    command.args(arguments).env_clear().envs(variables.iter().copied());
    command
}

/// The command, run by another program with its `own` arguments.
pub(crate) fn under(program: &str, own: &[&str], arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(program);
    let variables = FREE_PORTS.iter().chain(variables).copied();
    command.args(own).arg(binary()).args(arguments).env_clear().envs(variables);
    command
}

/// Runs a command until it exits.
pub(crate) fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
    let output = command(arguments, variables).stdin(Stdio::null()).output().unwrap();
    Ended { status: output.status, errors: String::from_utf8(output.stderr).unwrap() }
}

impl Cruddur {
    /// `cruddur up` on free ports, its database in `data`; `variables` override the defaults.
    pub(crate) fn up(data: &Folder, variables: &[(&str, &str)]) -> Self {
        let data = data.path().to_str().unwrap();
        let variables: Vec<_> = FREE_PORTS.iter().chain(&[("CRUDDUR_DATA", data)]).chain(variables).copied().collect();
        Self::spawn(&[], &variables).once_ready("up")
    }

    /// One service alone, on free ports.
    pub(crate) fn service(name: &str, variables: &[(&str, &str)]) -> Self {
        Self::service_with(name, &[], variables)
    }

    /// One service alone, with additional arguments.
    pub(crate) fn service_with(name: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let variables: Vec<_> = FREE_PORTS.iter().chain(variables).copied().collect();
        Self::service_of(name, &mut command(&[&[name], arguments].concat(), &variables))
    }

    /// The service that a command runs.
    pub(crate) fn service_of(name: &str, command: &mut Command) -> Self {
        Self::start(command).once_ready(name)
    }

    /// A backend that may not be ready yet.
    pub(crate) fn starting_backend(variables: &[(&str, &str)]) -> Self {
        Self::spawn(&["backend"], &[&FREE_PORTS[1..2], variables].concat())
    }

    /// Waits for the `ready` line of a service, or of `up`.
    pub(crate) fn once_ready(mut self, name: &str) -> Self {
        let line = self.line_after_progress();
        let cruddur = &mut self;
        for word in line.split_whitespace() {
            match (name, word.split_once('=')) {
                ("backend", Some(("http", address))) => cruddur.backend = address.to_owned(),
                ("frontend-proxy", Some(("http", address))) => cruddur.page = address.to_owned(),
                ("trace-viewer", Some(("http", address))) => cruddur.viewer = address.to_owned(),
                ("trace-viewer" | "up", Some(("xray", address))) => cruddur.xray = address.to_owned(),
                ("up", Some(("http", address))) => cruddur.page = address.to_owned(),
                ("up", Some(("backend", address))) => cruddur.backend = address.to_owned(),
                ("up", Some(("viewer", address))) => cruddur.viewer = address.to_owned(),
                ("up", Some(("sign-in", link))) => cruddur.sign_in = link.to_owned(),
                _ => {}
            }
        }
        self
    }

    pub(crate) fn spawn(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::start(&mut command(arguments, variables))
    }

    fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut errors = child.stderr.take().unwrap();
        let (sender, lines) = sync_channel(1_000);
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let stderr = Arc::new(Mutex::new(String::new()));
        let shared = Arc::clone(&stderr);
        let errors = thread::spawn(move || {
            let mut errors = BufReader::new(&mut errors);
            let mut line = String::new();
            while errors.read_line(&mut line).unwrap() > 0 {
                shared.lock().unwrap().push_str(&std::mem::take(&mut line));
            }
            shared.lock().unwrap().clone()
        });
        let none = String::new;
        Self {
            child,
            lines,
            errors: Some(errors),
            stderr,
            page: none(),
            sign_in: none(),
            backend: none(),
            viewer: none(),
            xray: none(),
        }
    }

    /// The next line of standard output. If the process reports progress on standard error, waits up to ten times the deadline.
    fn line_after_progress(&mut self) -> String {
        for _ in 0..9 {
            let before = self.stderr().len();
            match self.lines.recv_timeout(DEADLINE) {
                Ok(line) => return line,
                Err(_) if self.stderr().len() > before => {}
                Err(_) => break,
            }
        }
        self.line()
    }

    /// The next line of standard output.
    pub(crate) fn line(&mut self) -> String {
        match self.lines.recv_timeout(DEADLINE) {
            Ok(line) => line,
            Err(_) => {
                self.kill();
                let errors = self.errors.take().unwrap().join().unwrap();
                panic!("no further line on standard output; standard error:\n{errors}")
            }
        }
    }

    /// The lines that `up` prints for people, after its `ready` line.
    pub(crate) fn announced(&mut self) -> Vec<String> {
        std::iter::from_fn(|| Some(self.line()).filter(|line| !line.starts_with("Post a crud"))).collect()
    }

    /// Standard error so far.
    pub(crate) fn stderr(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// Waits for a line on standard error that contains `text`.
    pub(crate) fn wait_for_log(&self, text: &str) -> String {
        eventually(format!("{text:?} on standard error"), || {
            self.stderr.lock().unwrap().lines().find(|line| line.contains(text)).map(str::to_owned)
        })
    }

    /// Sends SIGTERM, and returns how the process ended.
    pub(crate) fn stop(mut self) -> Ended {
        self.signal("TERM");
        self.wait()
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(&self.child.id().to_string(), name);
    }

    /// Signals the child process that runs this service.
    pub(crate) fn signal_child(&self, service: &str, name: &str) {
        signal(&self.child_id(service), name);
    }

    /// The environment of the child process that runs this service, as name and value.
    pub(crate) fn child_environment(&self, service: &str) -> Vec<String> {
        let environment = std::fs::read(format!("/proc/{}/environ", self.child_id(service))).unwrap();
        let variables = environment.split(|byte| *byte == 0).filter(|variable| !variable.is_empty());
        variables.map(|variable| String::from_utf8_lossy(variable).into_owned()).collect()
    }

    fn child_id(&self, service: &str) -> String {
        // Linux lists a child under the thread that started it.
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap().flatten();
        let children = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
        children
            .flat_map(|children| children.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
            .find(|pid| {
                let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                line.split(|byte| *byte == 0).any(|word| word == service.as_bytes())
            })
            .unwrap_or_else(|| panic!("no child runs {service}"))
    }

    /// The peak memory of this process, in KiB.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    pub(crate) fn wait(&mut self) -> Ended {
        let status = eventually("the end of cruddur", || self.child.try_wait().unwrap());
        Ended { status, errors: self.errors.take().unwrap().join().unwrap() }
    }

    /// Sends SIGKILL, which leaves it no time to clean up.
    pub(crate) fn kill(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        http::get(&format!("{}{path}", self.page))
    }

    /// A new user, signed in at the page's address, or at the backend's if it runs alone.
    pub(crate) fn person(&self) -> Person {
        Person::sign_up(if self.page.is_empty() { &self.backend } else { &self.page })
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        http::post(&format!("{}{path}", self.page), body)
    }

    /// The spans of a trace, once the viewer has `count` of each protocol; checks that each X-Ray document is valid.
    pub(crate) fn spans(&self, trace_id: &str, count: usize) -> Vec<Value> {
        let url = format!("{}/api/traces/{trace_id}", self.viewer);
        let last = RefCell::new(Vec::new());
        let what = fmt::from_fn(|f| {
            let ledgers = [&self.backend, &self.page].map(|at| http::get(&format!("{at}/health/telemetry")).body);
            let [backend, page] = ledgers.map(|ledger| String::from_utf8_lossy(&ledger).into_owned());
            let last = String::from_utf8_lossy(&last.borrow()).into_owned();
            write!(f, "{count} spans of {trace_id} of each protocol (last {last}, ledgers {backend} and {page})")
        });
        let spans = eventually(what, || {
            let answer = http::get(&url);
            last.replace(answer.body.clone());
            let trace = (answer.status == 200).then(|| answer.json())?;
            let whole = |source: &str| trace["sources"][source].as_u64() >= u64::try_from(count).ok();
            (whole("otlp") && whole("xray")).then(|| trace["spans"].as_array().unwrap().clone())
        });
        for document in http::get(&format!("{url}/xray")).json()["documents"].as_array().unwrap() {
            xray_schema::document(&http::get(&format!("{url}/xray/{}", document["id"].as_str().unwrap())).body);
        }
        spans
    }
}

fn signal(pid: &str, name: &str) {
    assert!(Command::new("kill").args(["-s", name, pid]).status().unwrap().success());
}

impl Drop for Cruddur {
    fn drop(&mut self) {
        self.kill();
    }
}
