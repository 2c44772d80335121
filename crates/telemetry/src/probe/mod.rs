//! Checks whether a destination would accept our data now: for a doctor, not for a service. Each check blocks, for at most the
//! endpoint's timeout, and returns what was found, or what is wrong and its fix. Sends no span and no log record, so a check
//! leaves no trace.

mod speaker;

use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
#[cfg(feature = "xray-otlp")]
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use secrecy::ExposeSecret;
use serde::Deserialize;

use crate::address::{DaemonAddress, Url};
use crate::client::agent;
#[cfg(feature = "xray-otlp")]
use crate::config::XrayOtlp;
#[cfg(feature = "xray")]
use crate::config::{Config, Sampling};
use crate::config::{Endpoint, Otlp};
use crate::destinations::otlp::exporter::{self as otlp, Signal};
use crate::explain::explain;
use crate::ledger::Reason;
use crate::pipeline::Exporter;
use crate::resource::Resource;
use crate::tls::Tls;

const CONNECT: Duration = Duration::from_secs(2);
const TOTAL: Duration = Duration::from_secs(10);
/// The most that is read of a response, in bytes.
const ANSWER: u64 = 64 * 1024;
/// A clock that is wrong by more puts spans where users do not look.
const SKEW: Duration = Duration::from_secs(30);

/// What Honeycomb reports of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The team's name.
    pub team: String,
    /// The environment's name; empty for a classic key.
    pub environment: String,
    /// Whether the key may send events.
    pub sends: bool,
    /// How far this machine's clock is ahead or behind, if the response has a `Date`.
    pub clock: Option<Clock>,
}

/// How this machine's clock compares to another's, to the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// The difference.
    pub skew: Duration,
    /// Whether this machine is ahead.
    pub ahead: bool,
}

impl Clock {
    /// Whether the clock is right enough to find spans at their time.
    pub fn is_right(self) -> bool {
        self.skew <= SKEW
    }

    fn against(date: &str) -> Option<Self> {
        let theirs = httpdate::parse_http_date(date).ok()?;
        let now = SystemTime::now();
        Some(match now.duration_since(theirs) {
            Ok(skew) => Self { skew, ahead: true },
            Err(behind) => Self { skew: behind.duration(), ahead: false },
        })
    }
}

/// The addresses of a host's name.
///
/// # Errors
/// The name is unknown.
pub fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    let host = host.trim_matches(['[', ']']);
    match (host, port).to_socket_addrs() {
        Ok(addresses) => Ok(addresses.collect()),
        Err(error) => Err(format!("{host} is not known ({error}); check its spelling and this machine's DNS")),
    }
}

/// Connects to one of a host's addresses, within two seconds each.
///
/// # Errors
/// No address accepts the connection.
pub fn connect(host: &str, port: u16) -> Result<SocketAddr, String> {
    let mut problem = format!("{host} has no address");
    for address in resolve(host, port)? {
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(_) => return Ok(address),
            Err(error) => {
                problem = format!(
                    "{address} does not take a connection ({error}); is it running, and does a firewall stand between?"
                );
            }
        }
    }
    Err(problem)
}

/// The TCP side of an X-Ray daemon. Its UDP side, which receives segments, cannot be checked: a datagram never gets a response.
///
/// # Errors
/// No connection is accepted there.
pub fn daemon(address: &DaemonAddress) -> Result<SocketAddr, String> {
    let (host, port) = address.tcp.rsplit_once(':').unwrap_or((&address.tcp, ""));
    connect(host, port.parse().unwrap_or(0))
}

/// How many sampling rules the server in `config` returns, and its address; `None` if `config` has no server.
#[cfg(feature = "xray")]
pub fn rules(config: &Config) -> Option<Result<(usize, Url), String>> {
    let Sampling::Xray(rules) = &config.sampling else { return None };
    let client = crate::destinations::xray::sampling::Client::new(rules.central.as_ref()?.endpoint.clone());
    Some(client.rules().map(|rules| (rules.iter().count(), client.endpoint().clone())))
}

/// The status of the response to a GET of an unencrypted URL.
///
/// # Errors
/// No server responds.
pub fn get(url: &Url) -> Result<u16, String> {
    agent(CONNECT, TOTAL, &Tls::default())
        .get(url.as_str())
        .call()
        .map(|answer| answer.status().as_u16())
        .map_err(|error| format!("{url} did not answer: {}", explain(&error)))
}

/// Requests from Honeycomb, by `GET /1/auth`, what its key is for.
///
/// # Errors
/// Honeycomb does not respond, or does not know the key.
pub fn auth(honeycomb: &Otlp) -> Result<Identity, String> {
    let endpoint = honeycomb.traces.as_ref().or(honeycomb.logs.as_ref()).ok_or("it has no endpoint")?;
    let url = endpoint.url.base().join("/1/auth");
    let mut request = agent(CONNECT, TOTAL, &endpoint.tls).get(url.as_str());
    for (name, value) in &endpoint.headers {
        request = request.header(name, value.expose_secret());
    }
    let mut answer = request.call().map_err(|error| format!("{url} did not answer: {}", explain(&error)))?;
    let clock = answer.headers().get("date").and_then(|date| date.to_str().ok()).and_then(Clock::against);
    let status = answer.status();
    let body = answer.body_mut().with_config().limit(ANSWER).read_to_vec().unwrap_or_default();
    let body = otlp::unpacked(answer.headers(), body);
    if !status.is_success() {
        let said = serde_json::from_slice::<Refused>(&body).map(|refused| refused.error).unwrap_or_default();
        let said = otlp::told(endpoint.secrets(), &said);
        return Err(format!("{url} answered {status}{said}; make an ingest key in Honeycomb's environment settings"));
    }
    let told: Told =
        serde_json::from_slice(&body).map_err(|error| format!("{url} answered what is no identity ({error})"))?;
    let sends = told.api_key_access.events;
    Ok(Identity { team: told.team.name, environment: told.environment.name, sends, clock })
}

#[derive(Deserialize)]
struct Refused {
    error: String,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Told {
    team: Named,
    environment: Named,
    api_key_access: Access,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Named {
    name: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Access {
    events: bool,
}

/// Sends an export request without spans.
///
/// # Errors
/// The request was not accepted, in the destination's own words; or the protocol that is there instead of OTLP over HTTP.
pub fn traces(endpoint: &Endpoint) -> Result<(), String> {
    ask(endpoint, |resource| otlp::Otlp::new(endpoint.clone(), Signal::Traces, resource))
}

/// Sends an export request without log records.
///
/// # Errors
/// As for [`traces`].
pub fn logs(endpoint: &Endpoint) -> Result<(), String> {
    ask(endpoint, |resource| otlp::Otlp::new(endpoint.clone(), Signal::Logs, resource))
}

/// Sends a signed export request without spans to X-Ray.
///
/// # Errors
/// As for [`traces`], or there are no credentials.
#[cfg(feature = "xray-otlp")]
pub fn signed_traces(to: &XrayOtlp) -> Result<(), String> {
    let signer = Arc::new(crate::destinations::xray_otlp::exporter::Signer::new(to));
    ask(&to.endpoint, |resource| {
        crate::destinations::xray_otlp::exporter::XrayOtlp::new(to.endpoint.clone(), signer, resource)
    })
}

/// Connects by TLS, with the endpoint's certificates.
///
/// # Errors
/// There is no connection, or the protocol that is there instead.
pub fn tls(endpoint: &Endpoint) -> Result<(), String> {
    let url = &endpoint.url;
    match agent(CONNECT, TOTAL, &endpoint.tls).get(url.as_str()).call() {
        Ok(_) => Ok(()),
        Err(error) => Err(named(url, false, format!("{url} did not answer: {}", explain(&error)))),
    }
}

/// Requests credentials that are valid now from their source, and returns the last four characters of their key's id.
///
/// # Errors
/// Why there are none.
#[cfg(feature = "xray-otlp")]
pub fn credentials(to: &XrayOtlp) -> Result<String, String> {
    crate::destinations::xray_otlp::exporter::Signer::new(to).credentials()
}

/// Sends an empty export.
fn ask<E: Exporter>(endpoint: &Endpoint, make: impl FnOnce(&[u8]) -> E) -> Result<(), String> {
    let resource = Resource::new("cruddur-doctor", None, &[]);
    let outcome = make(resource.encoding()).export(&[]);
    let is_http = !outcome.dropped.contains_key(&Reason::Unreachable);
    outcome.error.map_or(Ok(()), |problem| Err(named(&endpoint.url, is_http, problem)))
}

/// `problem`, after the protocol that is at `url` if that explains it.
fn named(url: &Url, is_http: bool, problem: String) -> String {
    let address = connect(&url.host(), url.port()).ok();
    match address.and_then(|address| speaker::mistake(url, address, is_http)) {
        Some(mistake) => format!("{mistake} ({problem})"),
        None => problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_compared_to_the_second() {
        let date = |time: SystemTime| httpdate::fmt_http_date(time);
        let now = SystemTime::now();
        assert!(Clock::against(&date(now)).unwrap().is_right());
        let behind = Clock::against(&date(now + Duration::from_secs(3_600))).unwrap();
        assert!(!behind.is_right() && !behind.ahead);
        let ahead = Clock::against(&date(now - Duration::from_secs(3_600))).unwrap();
        assert!(!ahead.is_right() && ahead.ahead);
        assert_eq!(Clock::against("yesterday"), None);
    }

    #[test]
    fn what_is_not_there_is_told_with_its_mend() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let problem = connect("127.0.0.1", closed.port()).unwrap_err();
        assert!(problem.contains("does not take a connection") && problem.contains("is it running"), "{problem}");
        assert!(resolve("no-such-host.invalid", 1).unwrap_err().contains("is not known"));
    }
}
