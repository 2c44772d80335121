//! The addresses that services listen on, and whether a running Cruddur has one.

use std::net::{SocketAddr, TcpListener, UdpSocket};

use telemetry::{Url, probe};

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

/// Whether the listener at a variable's address responds as Cruddur's service does, at a path that is never traced.
pub(crate) fn is_cruddur(variable: &str, port: Port) -> bool {
    let (path, status) = match variable {
        "CRUDDUR_VIEWER_LISTEN" => ("/api/traces", 200),
        // The X-Ray daemon's side supports no operation by GET.
        "CRUDDUR_XRAY_LISTEN" => ("/GetSamplingRules", 404),
        _ => ("/health/telemetry", 200),
    };
    let url = format!("http://{}{path}", port.address()).parse::<Url>();
    url.is_ok_and(|url| probe::get(&url) == Ok(status))
}
