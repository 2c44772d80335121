//! A visitor: one connection, a memory of what it has seen, and its own choices. Each request waits for its turn. Its latency
//! counts from its due time to the last byte of the response.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::HeaderMap;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::Value;

use super::account::Account;
use super::connection::{Connection, Failure, Message};
use super::memory::Memory;
use super::pace::{Ended, Turns};
use super::record::{Record, Sample};
use super::route::Request;
use super::trace::Trace;

/// The pause after a failed request, so that a failing server does not get a thousand requests a second.
const PAUSE: Duration = Duration::from_millis(100);

/// What all visitors share.
pub(super) struct Run {
    pub(super) address: SocketAddr,
    pub(super) authority: String,
    pub(super) accounts: Vec<Account>,
    pub(super) in_flight: AtomicUsize,
    record: Mutex<Record>,
}

/// A simulated user.
pub(super) struct Visitor {
    pub(super) run: Arc<Run>,
    pub(super) memory: Memory,
    pub(super) random: StdRng,
    /// The visit's account, an index into [`Run::accounts`]; `None` if the visitor is not signed in.
    pub(super) account: Option<usize>,
    connection: Connection,
    turns: Turns,
}

/// A successful response.
pub(super) struct JsonResponse {
    pub(super) headers: HeaderMap,
    pub(super) json: Value,
}

impl Run {
    pub(super) fn new(address: SocketAddr, authority: String, accounts: Vec<Account>) -> Self {
        Self { address, authority, accounts, in_flight: AtomicUsize::new(0), record: Mutex::default() }
    }

    /// The measurements so far. Each lock is held only while counting.
    pub(super) fn record(&self) -> MutexGuard<'_, Record> {
        // Counts stay consistent even if a thread panics.
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Visitor {
    pub(super) fn new(run: Arc<Run>, turns: Turns, seed: u64) -> Self {
        let connection = Connection::new(run.address, run.authority.clone());
        let random = StdRng::seed_from_u64(seed);
        Self { run, memory: Memory::default(), random, account: None, connection, turns }
    }

    /// Waits for its turn, sends the request and counts it. `None` if there is no response, or no successful one.
    ///
    /// # Errors
    /// The run has ended.
    pub(super) async fn send(&mut self, request: &Request) -> Result<Option<JsonResponse>, Ended> {
        let due = self.turns.next().await?;
        let authorization = self.account.and_then(|account| self.run.accounts.get(account));
        let message = Message {
            method: request.route.method(),
            path: &request.path,
            body: request.body.as_ref(),
            authorization: authorization.map(|account| &account.authorization),
            // As a page does, so that a repeated request does not post twice.
            idempotency_key: request.body.as_ref().map(|_| format!("{:032x}", rand::random::<u128>())),
        };
        self.run.in_flight.fetch_add(1, Relaxed);
        let sent = self.connection.send(&message).await;
        let took = due.elapsed();
        self.run.in_flight.fetch_sub(1, Relaxed);
        let trace = sent.as_ref().ok().and_then(|response| Trace::of(&response.headers));
        let (outcome, response) = match sent {
            Err(failure) => (Err(failure), None),
            Ok(response) if !response.status.is_success() => (Ok(response.status), None),
            Ok(response) => match response.json() {
                Some(json) => (Ok(response.status), Some(JsonResponse { headers: response.headers, json })),
                None => (Err(Failure::NotJson), None),
            },
        };
        self.run.record().add(Sample { route: request.route, took, outcome, trace });
        if outcome.is_err() {
            tokio::time::sleep(PAUSE).await;
        }
        Ok(response)
    }
}
