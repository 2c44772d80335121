//! The doctor's checks of the addresses that services listen on. It sends a running Cruddur only requests that are not traced.

use std::io::ErrorKind;

use super::report::{Report, Status};
use super::scope::Scope;
use crate::ports::{Port, is_cruddur};

impl Report {
    pub(super) fn ports(&mut self, scope: Scope, ports: &[(&'static str, Port)]) {
        for (variable, port) in ports.iter().filter(|(variable, _)| scope.has(owner(variable))) {
            let address = port.address();
            match port.bind() {
                Ok(_) => self.add(*variable, Status::Ok, format!("{address} is free")),
                Err(error) if error.kind() == ErrorKind::AddrInUse && is_cruddur(variable, *port) => {
                    self.add(*variable, Status::Ok, format!("{address} is in use by a running Cruddur"));
                }
                Err(error) => {
                    let problem = format!(
                        "cannot listen on {address}: {error}; stop what listens there, or set another port (0 picks a free one)"
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
