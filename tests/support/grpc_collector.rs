//! A collector of OTLP over gRPC that no one here wrote: Python's grpcio with opentelemetry-proto.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use serde_json::Value;

use super::{cannot_run, python};

const SCRIPT: &str = include_str!("grpc_collector.py");
const PACKAGES: [&str; 3] = ["opentelemetry-proto", "grpcio", "grpcio-status"];

pub(crate) struct GrpcCollector {
    child: Child,
    pub(crate) port: u64,
    exports: Arc<Mutex<Vec<Value>>>,
    reader: Option<JoinHandle<()>>,
}

impl GrpcCollector {
    /// Answers the first exports of each signal with these statuses. `None` if the packages cannot be had.
    pub(crate) fn start(statuses: &[&str]) -> Option<Self> {
        Self::run([""; 3], statuses)
    }

    /// Encrypted, with a certificate, its key, and the CA of clients if they must show a certificate.
    pub(crate) fn run(tls: [&str; 3], statuses: &[&str]) -> Option<Self> {
        let Some(python) = python::with(&PACKAGES, "grpc_status.rpc_status") else {
            cannot_run("pypi", "python3 with venv, and grpcio and opentelemetry-proto from PyPI, cannot be had");
            return None;
        };
        let mut command = Command::new(python);
        command.args(["-c", SCRIPT]).args(tls).args(statuses);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(|line| line.unwrap());
        let parsed = |line: String| serde_json::from_str::<Value>(&line).unwrap();
        let port = parsed(lines.next().expect("the collector prints its port"))["port"].as_u64().unwrap();
        let exports: Arc<Mutex<Vec<Value>>> = Arc::default();
        let received = Arc::clone(&exports);
        let reader = thread::spawn(move || {
            lines.for_each(|line| received.lock().unwrap_or_else(PoisonError::into_inner).push(parsed(line)));
        });
        Some(Self { child, port, exports, reader: Some(reader) })
    }

    /// Ends the collector, and returns everything that has arrived, with the status that it got.
    pub(crate) fn finish(mut self) -> Vec<Value> {
        drop(self.child.stdin.take());
        self.reader.take().unwrap().join().unwrap();
        self.exports()
    }

    /// What has arrived so far, with the status that it got.
    pub(crate) fn exports(&self) -> Vec<Value> {
        self.exports.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for GrpcCollector {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
