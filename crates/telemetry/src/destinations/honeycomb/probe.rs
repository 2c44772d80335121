//! Checks the purpose of Honeycomb's key with `GET /1/auth`, and this machine's clock against the date of the response. Then
//! checks the endpoints like those of any collector.

use std::time::{Duration, SystemTime};

use secrecy::ExposeSecret;
use serde::Deserialize;

use super::settings::Honeycomb;
use crate::client::agent;
use crate::destinations::otlp::endpoint::Endpoint;
use crate::destinations::otlp::probe::{accepts_logs, accepts_metrics, accepts_spans, reaches};
use crate::destinations::otlp::redact::redacted;
use crate::destinations::otlp::response::unpacked;
use crate::explain::explain;
use crate::probe::connection::{CONNECT, TOTAL};
use crate::probe::{Report, Status};

/// The most bytes that are read of a response.
const LONGEST: u64 = 64 * 1024;
/// With a clock that is wrong by more, spans appear at times where users do not look for them.
const SKEW: Duration = Duration::from_secs(30);

/// Honeycomb's information about a key.
struct Identity {
    auth: AuthResponse,
    /// How far this machine's clock is ahead or behind, if the response has a `Date`.
    clock: Option<Clock>,
}

/// How this machine's clock compares to another's, to the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Clock {
    skew: Duration,
    /// Whether this machine is ahead.
    is_ahead: bool,
}

/// The response to `GET /1/auth`.
#[derive(Deserialize, Default)]
#[serde(default)]
struct AuthResponse {
    team: AuthName,
    /// Has no name for a classic key.
    environment: AuthName,
    api_key_access: ApiKeyAccess,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct AuthName {
    name: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ApiKeyAccess {
    events: bool,
}

#[derive(Deserialize)]
struct AuthError {
    error: String,
}

pub(super) fn probe(honeycomb: &Honeycomb, report: &mut Report) {
    let Honeycomb { endpoints, key, .. } = honeycomb;
    let Some(endpoint) = endpoints.all().next() else { return };
    if !key.kind().sends() {
        // The key's fault has been reported, in more detail than a refusal would give.
        return;
    }
    report.add("honeycomb key", Status::Ok, format!("{key} is {}", key.kind()));
    if !reaches(report, "honeycomb", endpoint) {
        return;
    }
    let identity = report.found("honeycomb auth", auth(endpoint), |Identity { auth, .. }| {
        let environment = &auth.environment.name;
        let environment = if environment.is_empty() { "(classic)" } else { environment };
        format!("team {}, environment {environment}", auth.team.name)
    });
    let Some(Identity { auth, clock }) = identity else { return };
    if !auth.api_key_access.events {
        let problem = "the key may not send events; give it that permission, or use another key";
        report.add("honeycomb auth", Status::Wrong, problem);
    }
    check_clock(report, clock);
    accepts_spans(report, "honeycomb span", endpoints);
    accepts_logs(report, "honeycomb log record", endpoints);
    accepts_metrics(report, "honeycomb metric", endpoints);
}

/// Requests Honeycomb's information about the key.
fn auth(endpoint: &Endpoint) -> Result<Identity, String> {
    let url = endpoint.url.base().join("/1/auth");
    let mut request = agent(CONNECT, TOTAL, &endpoint.tls).get(url.as_str());
    for (name, value) in &endpoint.headers {
        request = request.header(name, value.expose_secret());
    }
    let mut response = request.call().map_err(|error| format!("{url} did not respond: {}", explain(&error)))?;
    let clock = response.headers().get("date").and_then(|date| date.to_str().ok()).and_then(Clock::against);
    let status = response.status();
    let body = response.body_mut().with_config().limit(LONGEST).read_to_vec().unwrap_or_default();
    let body = unpacked(response.headers(), body);
    if !status.is_success() {
        let words = serde_json::from_slice::<AuthError>(&body).map(|refused| refused.error).unwrap_or_default();
        let words = redacted(endpoint.secrets(), &words);
        return Err(format!(
            "{url} responded {status}{words}; create an ingest key in Honeycomb's environment settings"
        ));
    }
    let auth = serde_json::from_slice(&body).map_err(|error| format!("{url} sent an invalid response: {error}"))?;
    Ok(Identity { auth, clock })
}

fn check_clock(report: &mut Report, clock: Option<Clock>) {
    let Some(clock) = clock else {
        return report.add("clock", Status::Note, "not checked: Honeycomb's response has no date");
    };
    let direction = if clock.is_ahead { "ahead of" } else { "behind" };
    let difference = format!("{} s {direction} Honeycomb's", clock.skew.as_secs());
    if clock.is_right() {
        report.add("clock", Status::Ok, difference);
    } else {
        let problem = format!("{difference}, so spans will not be found; set this machine's clock, for example by NTP");
        report.add("clock", Status::Wrong, problem);
    }
}

impl Clock {
    /// Whether the clock is right enough to find spans at their time.
    fn is_right(self) -> bool {
        self.skew <= SKEW
    }

    fn against(date: &str) -> Option<Self> {
        let theirs = httpdate::parse_http_date(date).ok()?;
        Some(match SystemTime::now().duration_since(theirs) {
            Ok(skew) => Self { skew, is_ahead: true },
            Err(behind) => Self { skew: behind.duration(), is_ahead: false },
        })
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
        assert!(!behind.is_right() && !behind.is_ahead);
        let ahead = Clock::against(&date(now - Duration::from_secs(3_600))).unwrap();
        assert!(!ahead.is_right() && ahead.is_ahead);
        assert_eq!(Clock::against("yesterday"), None);
    }
}
