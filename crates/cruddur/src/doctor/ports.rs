//! The doctor's checks of the addresses that services listen on. It sends a running Cruddur only requests that are not traced.

use std::io::ErrorKind;

use telemetry::{Url, probe};

use super::report::{Report, Status};
use super::scope::Scope;
use crate::preflight::Port;

impl Report {
    pub(super) fn ports(&mut self, scope: Scope, ports: &[(&'static str, Port)]) {
        for (variable, port) in ports.iter().filter(|(variable, _)| scope.has(owner(variable))) {
            let address = port.address();
            match port.bind() {
                Ok(_) => self.add(*variable, Status::Ok, format!("{address} is free")),
                Err(error) if error.kind() == ErrorKind::AddrInUse && is_ours(variable, *port) => {
                    self.add(*variable, Status::Ok, format!("{address} is in use by a running Cruddur"));
                }
                Err(error) => {
                    let problem = format!(
                        "cannot listen on {address}: {error}; stop what listens there, or set another port (0 takes a free one)"
                    );
                    self.add(*variable, Status::Wrong, problem);
                }
            }
        }
    }
}

/// The service that listens there.
fn owner(variable: &str) -> Scope {
    match variable {
        "CRUDDUR_PROXY_LISTEN" => Scope::Proxy,
        "CRUDDUR_BACKEND_LISTEN" => Scope::Backend,
        _ => Scope::Viewer,
    }
}

/// Whether the listener responds as that service does, at a path that is never traced.
fn is_ours(variable: &str, port: Port) -> bool {
    let (path, status) = match variable {
        "CRUDDUR_VIEWER_LISTEN" => ("/api/traces", 200),
        // The X-Ray daemon's side supports no operation by GET.
        "CRUDDUR_XRAY_LISTEN" => ("/GetSamplingRules", 404),
        _ => ("/health/telemetry", 200),
    };
    let url = format!("http://{}{path}", port.address()).parse::<Url>();
    url.is_ok_and(|url| probe::get(&url) == Ok(status))
}
