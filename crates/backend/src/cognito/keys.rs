//! The issuer's keys, kept. They are asked for by the first token, by a token of a key that is not among them, and after an
//! hour, and stay as they are while the issuer does not answer. However many tokens come, forged or not, one request to the
//! issuer is under way at a time, one in thirty seconds is made for an unknown key, and one in two seconds while none is known.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use telemetry::http::{Side, client_span, record_error, record_status};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::task::{JoinHandle, spawn_blocking};
use tracing::Span;

use super::Refused;
use super::jwks::{self, Key, NoKeys};

/// After a request that was made for an unknown key, until the next may be.
const REFRESH: Duration = Duration::from_secs(30);
/// After a request that failed while no key is known; what `Retry-After` says is as long.
const RETRY: Duration = Duration::from_secs(2);
/// The age at which they are asked for again: a key that the issuer has withdrawn is good no longer.
const OLD: Duration = Duration::from_secs(3_600);
/// Between two lines about an issuer that does not answer.
const QUIET: Duration = Duration::from_secs(60);

/// An issuer's keys.
pub(super) struct Keys {
    url: String,
    agent: ureq::Agent,
    known: RwLock<Known>,
    /// Who has it may ask the issuer.
    turn: Arc<Mutex<Turn>>,
}

#[derive(Default)]
struct Known {
    keys: Vec<Arc<Key>>,
    since: Option<Instant>,
}

/// When what may be done next.
#[derive(Debug, Default)]
struct Turn {
    ask: Option<Instant>,
    say: Option<Instant>,
}

impl Keys {
    pub(super) fn at(url: String) -> Self {
        Self { url, agent: jwks::agent(), known: RwLock::default(), turn: Arc::default() }
    }

    /// The key of this name. Waits for the issuer only where it is not among those that are known.
    pub(super) async fn find(self: &Arc<Self>, kid: &str) -> Result<Arc<Key>, Refused> {
        if let Some(key) = self.known(kid) {
            self.keep_fresh();
            return Ok(key);
        }
        let turn = Arc::clone(&self.turn).lock_owned().await;
        // Whoever had the turn before may have got it.
        if let Some(key) = self.known(kid) {
            return Ok(key);
        }
        if turn.may_ask(Instant::now()) && self.ask(turn).await.is_err() {
            tracing::error!("asking the issuer of accounts for its keys was interrupted");
        }
        match self.known(kid) {
            Some(key) => Ok(key),
            None if self.since().is_none() => Err(Refused::Away),
            None => Err(Refused::UnknownKey),
        }
    }

    fn known(&self, kid: &str) -> Option<Arc<Key>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.keys.iter().find(|key| key.kid == kid).map(Arc::clone)
    }

    fn since(&self) -> Option<Instant> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).since
    }

    /// Nobody waits for what this asks.
    fn keep_fresh(self: &Arc<Self>) {
        let now = Instant::now();
        let is_old = self.since().is_some_and(|since| now.saturating_duration_since(since) >= OLD);
        if is_old
            && let Ok(turn) = Arc::clone(&self.turn).try_lock_owned()
            && turn.may_ask(now)
        {
            drop(self.ask(turn));
        }
    }

    /// Asks the issuer, off the runtime. Holds the turn to the end, whether or not the request that began it is still there.
    fn ask(self: &Arc<Self>, mut turn: OwnedMutexGuard<Turn>) -> JoinHandle<()> {
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
                        turn.ask = None;
                    }
                }
                Err(error) => {
                    match &error {
                        NoKeys::Status(_, status) => record_status(&span, Side::Client, *status),
                        other => record_error(&span, other.kind()),
                    }
                    let now = Instant::now();
                    if !refreshes {
                        turn.ask = Some(now + RETRY);
                    }
                    if turn.may_say(now) {
                        let meanwhile =
                            if refreshes { "those that are known stay good" } else { "nobody is signed in" };
                        let error: &dyn std::error::Error = &error;
                        tracing::warn!(error, "the keys of the issuer of accounts cannot be had; {meanwhile}");
                    }
                }
            }
        })
    }
}

impl Turn {
    fn may_ask(&self, now: Instant) -> bool {
        self.ask.is_none_or(|from| now >= from)
    }

    /// Holds if nothing else is said of it, as where the one who asks does not come back.
    fn begin(&mut self, now: Instant) {
        self.ask = Some(now + REFRESH);
    }

    fn may_say(&mut self, now: Instant) -> bool {
        let may = self.say.is_none_or(|from| now >= from);
        if may {
            self.say = Some(now + QUIET);
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_issuer_is_asked_and_complained_of_once_in_a_while() {
        let begun = Instant::now();
        let mut turn = Turn::default();
        assert!(turn.may_ask(begun));
        turn.begin(begun);
        assert!(!turn.may_ask(begun + REFRESH - Duration::from_millis(1)) && turn.may_ask(begun + REFRESH));
        assert!(turn.may_say(begun) && !turn.may_say(begun + QUIET - Duration::from_millis(1)));
        assert!(turn.may_say(begun + QUIET) && !turn.may_say(begun + QUIET));
    }
}
