//! Checks whether any server can be reached at an address.

use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use super::speaker::{FailedAttempt, mistake};
use crate::address::Url;
use crate::client::agent;
use crate::explain::explain;
use crate::tls::Tls;

pub(crate) const CONNECT: Duration = Duration::from_secs(2);
pub(crate) const TOTAL: Duration = Duration::from_secs(10);

/// The status of the response to a GET of an unencrypted URL.
///
/// # Errors
/// No server responds.
pub fn get(url: &Url) -> Result<u16, String> {
    agent(CONNECT, TOTAL, &Tls::default())
        .get(url.as_str())
        .call()
        .map(|response| response.status().as_u16())
        .map_err(|error| format!("{url} did not respond: {}", explain(&error)))
}

/// The addresses of a host name.
pub(crate) fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    let host = host.trim_matches(['[', ']']);
    match (host, port).to_socket_addrs() {
        Ok(addresses) => Ok(addresses.collect()),
        Err(error) => Err(format!("cannot resolve {host}: {error}; check its spelling and this machine's DNS")),
    }
}

/// Connects to one of a host's addresses, with two seconds for each.
pub(crate) fn connect(host: &str, port: u16) -> Result<SocketAddr, String> {
    let mut problem = format!("{host} has no address");
    for address in resolve(host, port)? {
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(_) => return Ok(address),
            Err(error) => {
                problem = format!(
                    "cannot connect to {address}: {error}; check that the server is running and that no firewall blocks it"
                );
            }
        }
    }
    Err(problem)
}

/// `problem`, preceded by the protocol at `url` if that explains it.
pub(crate) fn or_mistake(url: &Url, attempt: FailedAttempt, problem: String) -> String {
    let address = connect(&url.host(), url.port()).ok();
    match address.and_then(|address| mistake(url, address, attempt)) {
        Some(mistake) => format!("{mistake} ({problem})"),
        None => problem,
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_problem_names_its_fix() {
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let problem = connect("127.0.0.1", closed.port()).unwrap_err();
        assert!(problem.contains("cannot connect to") && problem.contains("the server is running"), "{problem}");
        assert!(resolve("no-such-host.invalid", 1).unwrap_err().contains("cannot resolve"));
    }
}
