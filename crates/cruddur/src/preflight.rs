//! Finds faults before anything is started: in every variable, every port and the data folder. Reports all of them
//! together. Creates nothing but the data folder.

use std::io::{ErrorKind, Write, stderr};
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;
use backend::{Database, Faults};
use settings::Settings;

use crate::configs::Configs;
use crate::ports::{Port, is_cruddur, ports};
use crate::unknown::{note, unknown};

/// How long to wait for a port that an earlier, stopping run may still hold.
const PATIENCE: Duration = Duration::from_secs(3);

/// What `up` needs from the services' settings.
pub(crate) struct Plan {
    pub(crate) database: Database,
    pub(crate) telemetry: telemetry::Config,
    pub(crate) faults: Faults,
    /// What week 2 mode permits, if it is on.
    pub(crate) week2: Option<String>,
    /// `CRUDDUR_UPSTREAM` is set: the proxy forwards to it.
    pub(crate) own_upstream: bool,
    /// `CRUDDUR_VIEWER` is set: `/traces/` is forwarded to it.
    pub(crate) own_viewer: bool,
    /// `CRUDDUR_XRAY_RULES` is set: the viewer serves those rules.
    pub(crate) own_rules: bool,
    /// Where the viewer keeps traces, unless `CRUDDUR_VIEWER_DATA` is set.
    pub(crate) traces: Option<PathBuf>,
}

/// Reads and checks everything. Prints a warning for each variable that is probably misspelt.
///
/// # Errors
/// All faults, as [`settings::Faults`].
pub(crate) fn check() -> Result<Plan> {
    Ok(settings::from_env(plan)?)
}

fn plan(settings: &mut Settings) -> Plan {
    let Configs { backend, proxy, viewer, telemetry } = Configs::read(settings);
    check_ports(settings, &ports(&backend, &proxy, &viewer));
    if let Err(error) = backend::store::prepare(&backend.database) {
        settings.fault("CRUDDUR_DATA", error.to_string());
    }
    let own_upstream = settings.text("CRUDDUR_UPSTREAM").is_some();
    let own_viewer = settings.text("CRUDDUR_VIEWER").is_some();
    let own_rules = settings.text("CRUDDUR_XRAY_RULES").is_some();
    let own_traces = settings.text("CRUDDUR_VIEWER_DATA").is_some();
    let traces = Some(backend::data_folder(settings).join("traces")).filter(|_| !own_traces);
    for name in unknown(settings) {
        // Standard error may be closed.
        drop(writeln!(stderr(), "warning: {}", note(name, settings.nearest(name))));
    }
    let week2 = backend.week2_notice();
    let (database, faults) = (backend.database, backend.faults);
    Plan { database, telemetry, faults, week2, own_upstream, own_viewer, own_rules, traces }
}

/// Binds all ports together, so that two services on one port are also detected.
fn check_ports(settings: &mut Settings, ports: &[(&str, Port)]) {
    if let Some((variable, page)) = ports.first().filter(|(variable, page)| is_running(variable, *page)) {
        let address = page.address();
        let fix =
            "use it, or stop it first, or set the four CRUDDUR_*_LISTEN to start another (port 0 picks a free one)";
        return settings.fault(*variable, format!("Cruddur is already running at http://{address}; {fix}"));
    }
    let deadline = Instant::now() + PATIENCE;
    let mut held = Vec::new();
    for (variable, port) in ports {
        let mut waiting = false;
        loop {
            match port.bind() {
                Ok(socket) => held.push(socket),
                Err(error) if error.kind() == ErrorKind::AddrInUse && Instant::now() < deadline => {
                    if !waiting {
                        waiting = true;
                        // Standard error may be closed.
                        drop(writeln!(stderr(), "waiting for {} to become free ({variable})", port.address()));
                    }
                    sleep(Duration::from_millis(100));
                    continue;
                }
                Err(error) => {
                    let fix = match error.kind() {
                        ErrorKind::AddrInUse => "stop what listens there, or set another port (0 picks a free one)",
                        ErrorKind::PermissionDenied => "set a port from 1024",
                        _ => "set one of this machine's addresses",
                    };
                    settings.fault(*variable, format!("cannot listen on {}: {error}; {fix}", port.address()));
                }
            }
            break;
        }
    }
}

fn is_running(variable: &str, page: Port) -> bool {
    page.bind().is_err_and(|error| error.kind() == ErrorKind::AddrInUse) && is_cruddur(variable, page)
}
