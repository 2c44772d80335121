//! Keeps the issuer's keys. They are requested for the first token, for a token whose key is unknown, and after an hour, and stay unchanged while the issuer
//! does not respond. However many tokens come, forged or not, at most one request to the issuer is in progress. An unknown key causes at most one request in
//! thirty seconds, or in two seconds while no key is known.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use telemetry::http::{Side, client_span, record_error, record_status};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::task::{JoinHandle, spawn_blocking};
use tracing::Span;

use super::error::TokenError;
use super::jwks::{self, NoKeys, PublicKey};

/// The interval after a request for an unknown key, until the next one is allowed.
const REFRESH: Duration = Duration::from_secs(30);
/// The interval after a request that failed while no key is known; `Retry-After` has the same value.
const RETRY: Duration = Duration::from_secs(2);
/// The age at which the keys are requested again: a key that the issuer has withdrawn is no longer valid.
const OLD: Duration = Duration::from_secs(3_600);
/// The interval between two log lines about an issuer that does not respond.
const QUIET: Duration = Duration::from_secs(60);

/// An issuer's keys.
pub(super) struct Keys {
    url: String,
    agent: ureq::Agent,
    known: RwLock<Known>,
    /// Its holder may send a request to the issuer.
    turn: Arc<Mutex<Schedule>>,
}

#[derive(Default)]
struct Known {
    keys: Vec<Arc<PublicKey>>,
    since: Option<Instant>,
}

/// When the next request and the next log line are allowed.
#[derive(Debug, Default)]
struct Schedule {
    next_request: Option<Instant>,
    next_log: Option<Instant>,
}

impl Keys {
    pub(super) fn at(url: String) -> Self {
        Self { url, agent: jwks::agent(), known: RwLock::default(), turn: Arc::default() }
    }

    /// The key of this name. Waits for the issuer only if the key is not known.
    pub(super) async fn find(self: &Arc<Self>, kid: &str) -> Result<Arc<PublicKey>, TokenError> {
        if let Some(key) = self.known(kid) {
            self.keep_fresh();
            return Ok(key);
        }
        let turn = Arc::clone(&self.turn).lock_owned().await;
        // The previous holder of the turn may have fetched the key.
        if let Some(key) = self.known(kid) {
            return Ok(key);
        }
        if turn.may_request(Instant::now()) && self.request(turn).await.is_err() {
            tracing::error!("the request for the account issuer's keys was interrupted");
        }
        match self.known(kid) {
            Some(key) => Ok(key),
            None if self.since().is_none() => Err(TokenError::Unavailable),
            None => Err(TokenError::UnknownKey),
        }
    }

    fn known(&self, kid: &str) -> Option<Arc<PublicKey>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.keys.iter().find(|key| key.kid == kid).map(Arc::clone)
    }

    fn since(&self) -> Option<Instant> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).since
    }

    /// Requests the keys if they are old, without making a caller wait.
    fn keep_fresh(self: &Arc<Self>) {
        let now = Instant::now();
        let is_old = self.since().is_some_and(|since| now.saturating_duration_since(since) >= OLD);
        if is_old
            && let Ok(turn) = Arc::clone(&self.turn).try_lock_owned()
            && turn.may_request(now)
        {
            drop(self.request(turn));
        }
    }

    /// Requests the keys from the issuer, off the runtime. Holds the turn to the end, even if the request that started it has gone.
    fn request(self: &Arc<Self>, mut turn: OwnedMutexGuard<Schedule>) -> JoinHandle<()> {
        let (keys, parent) = (Arc::clone(self), Span::current());
        spawn_blocking(move || {
            let begun = Instant::now();
            let refreshes = keys.since().is_some();
            turn.begin(begun);
            let (scheme, rest) = keys.url.split_once("://").unwrap_or_default();
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let span = client_span(&parent, "GET", scheme, authority, path);
            let _entered = span.enter();
            match jwks::fetch(&keys.agent, &keys.url) {
                Ok(found) => {
                    record_status(&span, Side::Client, 200);
                    let found = found.into_iter().map(Arc::new).collect();
                    let known = Known { keys: found, since: Some(Instant::now()) };
                    *keys.known.write().unwrap_or_else(PoisonError::into_inner) = known;
                    if !refreshes {
                        turn.next_request = None;
                    }
                }
                Err(error) => {
                    match &error {
                        NoKeys::Status(_, status) => record_status(&span, Side::Client, *status),
                        other => record_error(&span, other.kind()),
                    }
                    let now = Instant::now();
                    if !refreshes {
                        turn.next_request = Some(now + RETRY);
                    }
                    if turn.may_log(now) {
                        let meanwhile = if refreshes { "the known keys stay valid" } else { "no token is accepted" };
                        let error: &dyn std::error::Error = &error;
                        tracing::warn!(error, "cannot fetch the account issuer's keys; {meanwhile}");
                    }
                }
            }
        })
    }
}

impl Schedule {
    fn may_request(&self, now: Instant) -> bool {
        self.next_request.is_none_or(|from| now >= from)
    }

    /// Sets a limit that holds unless a later step changes it, for example if the task that sends the request never returns.
    fn begin(&mut self, now: Instant) {
        self.next_request = Some(now + REFRESH);
    }

    fn may_log(&mut self, now: Instant) -> bool {
        let may = self.next_log.is_none_or(|from| now >= from);
        if may {
            self.next_log = Some(now + QUIET);
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_to_the_issuer_and_warnings_about_it_are_limited() {
        let begun = Instant::now();
        let mut turn = Schedule::default();
        assert!(turn.may_request(begun));
        turn.begin(begun);
        assert!(!turn.may_request(begun + REFRESH - Duration::from_millis(1)) && turn.may_request(begun + REFRESH));
        assert!(turn.may_log(begun) && !turn.may_log(begun + QUIET - Duration::from_millis(1)));
        assert!(turn.may_log(begun + QUIET) && !turn.may_log(begun + QUIET));
    }
}
