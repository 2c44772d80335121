//! Checks the daemon's TCP port. Its UDP port, which receives segments, cannot be checked, because a datagram gets no response.

use super::settings::Xray;
use crate::probe::connection::connect;
use crate::probe::{Report, Status};

pub(super) fn probe(xray: &Xray, report: &mut Report) {
    let tcp = &xray.address.tcp;
    let (host, port) = tcp.rsplit_once(':').unwrap_or((tcp, ""));
    let why = "UDP does not confirm delivery; the TCP port, for sampling rules, ";
    match connect(host, port.parse().unwrap_or(0)) {
        Ok(daemon) => report.add("xray daemon", Status::Ok, format!("{why}accepts connections at {daemon}")),
        Err(problem) => report.add("xray daemon", Status::Wrong, format!("{why}does not respond: {problem}")),
    }
}
