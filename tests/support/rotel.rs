//! Rotel, an OpenTelemetry collector that is not ours, from PyPI.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{cannot_run, eventually, free_port, python};

const FOLDER: &str = "import os, rotel; print(os.path.dirname(rotel.__file__))";

/// A collector that passes on what it receives. It ends when it is dropped.
pub(crate) struct Rotel {
    process: Child,
    /// Its address for OTLP over HTTP.
    pub(crate) http: String,
    /// Its address for OTLP over gRPC.
    pub(crate) grpc: String,
}

impl Rotel {
    /// Sends spans to one address, and log records and metrics to another with `header`, over HTTP. `None` if it cannot be had.
    pub(crate) fn start(traces: &str, others: &str, header: &str) -> Option<Self> {
        let Some(program) = program() else {
            cannot_run("pypi", "rotel cannot be installed from PyPI");
            return None;
        };
        let [http, grpc] = [free_port(), free_port()].map(|port| format!("127.0.0.1:{port}"));
        let mut command = Command::new(program);
        command.args(["start", "--exporter", "otlp", "--otlp-exporter-protocol", "http", "--batch-timeout", "100ms"]);
        command.args(["--otlp-exporter-custom-headers", header]);
        command.args(["--otlp-http-endpoint", &http, "--otlp-grpc-endpoint", &grpc]);
        for (signal, to) in [("traces", traces), ("logs", others), ("metrics", others)] {
            command.arg(format!("--otlp-exporter-{signal}-endpoint={to}/v1/{signal}"));
        }
        let process = command.env_clear().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let rotel = Self { process, http, grpc };
        eventually("rotel", || {
            [&rotel.http, &rotel.grpc].iter().all(|at| TcpStream::connect(at).is_ok()).then_some(())
        });
        Some(rotel)
    }
}

impl Drop for Rotel {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn program() -> Option<PathBuf> {
    let python = python::with(&["rotel"], "rotel")?;
    let output = Command::new(python).args(["-c", FOLDER]).output().unwrap();
    Some(Path::new(String::from_utf8(output.stdout).unwrap().trim()).join("rotel-agent"))
}
