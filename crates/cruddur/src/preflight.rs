//! What can be known to fail before anything is started: every variable, every port, the data folder. All of it is reported at
//! once. Leaves nothing behind but the data folder.

use std::io::{ErrorKind, Write, stderr};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;
use backend::{Database, Faults};
use settings::Settings;

/// How long a port may still belong to an earlier run that is just stopping.
const PATIENCE: Duration = Duration::from_secs(3);

/// What `up` needs to know of the services' settings.
pub(crate) struct Plan {
    pub(crate) database: Database,
    pub(crate) telemetry: telemetry::Config,
    pub(crate) faults: Faults,
    /// What week 2 mode permits, if it is on.
    pub(crate) week2: Option<String>,
    /// `CRUDDUR_UPSTREAM` is set: the proxy goes there.
    pub(crate) own_upstream: bool,
    /// `CRUDDUR_VIEWER` is set: `/traces/` goes there.
    pub(crate) own_viewer: bool,
    /// `CRUDDUR_XRAY_RULES` is set: the viewer gives those.
    pub(crate) own_rules: bool,
}

/// Reads and checks everything.
///
/// # Errors
/// All that is wrong, as [`settings::Faults`].
pub(crate) fn check() -> Result<Plan> {
    Ok(settings::from_env(plan)?)
}

fn plan(settings: &mut Settings) -> Plan {
    let backend = backend::Config::read(settings);
    let proxy = frontend_proxy::Config::read(settings, frontend_proxy::CommandLine::default());
    let viewer = trace_viewer::Config::read(settings);
    let telemetry = telemetry::Config::read(settings);
    check_ports(settings, &ports(&backend, &proxy, &viewer));
    if let Err(error) = backend.database.prepare() {
        settings.fault("CRUDDUR_DATA", error.to_string());
    }
    let own_upstream = settings.text("CRUDDUR_UPSTREAM").is_some();
    let own_viewer = settings.text("CRUDDUR_VIEWER").is_some();
    let own_rules = settings.text("CRUDDUR_XRAY_RULES").is_some();
    let week2 = backend.week2_notice();
    let (database, faults) = (backend.database, backend.faults);
    Plan { database, telemetry, faults, week2, own_upstream, own_viewer, own_rules }
}

/// Every address that a service listens on, and its variable.
pub(crate) fn ports(
    backend: &backend::Config,
    proxy: &frontend_proxy::Config,
    viewer: &trace_viewer::Config,
) -> [(&'static str, Port); 4] {
    [
        ("CRUDDUR_PROXY_LISTEN", Port::Tcp(proxy.listen)),
        ("CRUDDUR_BACKEND_LISTEN", Port::Tcp(backend.listen)),
        ("CRUDDUR_VIEWER_LISTEN", Port::Tcp(viewer.listen)),
        ("CRUDDUR_XRAY_LISTEN", Port::Daemon(viewer.xray)),
    ]
}

/// An address that a service listens on.
#[derive(Clone, Copy)]
pub(crate) enum Port {
    Tcp(SocketAddr),
    /// UDP and TCP.
    Daemon(SocketAddr),
}

/// Holds all ports at the same time, so that two services with one port are found out too.
fn check_ports(settings: &mut Settings, ports: &[(&str, Port)]) {
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
                        // Nobody may be there to read it.
                        drop(writeln!(stderr(), "waiting for {} to become free ({variable})", port.address()));
                    }
                    sleep(Duration::from_millis(100));
                    continue;
                }
                Err(error) => {
                    let mend = match error.kind() {
                        ErrorKind::AddrInUse => "stop what listens there, or set another port (0 takes a free one)",
                        ErrorKind::PermissionDenied => "set a port from 1024",
                        _ => "set an address of this machine",
                    };
                    settings.fault(*variable, format!("{} cannot be listened on ({error}); {mend}", port.address()));
                }
            }
            break;
        }
    }
}

impl Port {
    pub(crate) fn address(self) -> SocketAddr {
        match self {
            Self::Tcp(address) | Self::Daemon(address) => address,
        }
    }

    pub(crate) fn bind(self) -> std::io::Result<Held> {
        match self {
            Self::Tcp(address) => TcpListener::bind(address).map(Held::Tcp),
            Self::Daemon(address) => Ok(Held::Daemon(UdpSocket::bind(address)?, TcpListener::bind(address)?)),
        }
    }
}

#[expect(dead_code, reason = "held, so that the port is taken while the others are tried")]
pub(crate) enum Held {
    Tcp(TcpListener),
    Daemon(UdpSocket, TcpListener),
}
