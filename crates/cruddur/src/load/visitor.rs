//! A visitor: one connection, a memory of what it has seen, and its own choices. Each request waits for its turn, and is counted
//! from when it was due until the last byte of its answer has come.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::Value;

use super::account::Account;
use super::connection::{Answer, Connection, Failure, Message};
use super::memory::Memory;
use super::pace::{Over, Turns};
use super::record::{Record, Sample};
use super::route::Request;
use super::trace::Trace;
use super::visit;

/// How long a visitor who got no answer waits: a server that is gone is not asked a thousand times a second.
const REST: Duration = Duration::from_millis(100);

/// What all visitors share.
pub(super) struct Run {
    pub(super) address: SocketAddr,
    pub(super) authority: String,
    pub(super) accounts: Vec<Account>,
    pub(super) in_flight: AtomicUsize,
    record: Mutex<Record>,
}

/// One who visits.
pub(super) struct Visitor {
    pub(super) run: Arc<Run>,
    pub(super) memory: Memory,
    pub(super) random: StdRng,
    /// Whose visit it is, of [`Run::accounts`]; nobody's who is signed in, else.
    pub(super) account: Option<usize>,
    connection: Connection,
    turns: Turns,
}

/// A success, and what it said.
pub(super) struct Told {
    pub(super) answer: Answer,
    pub(super) json: Value,
}

impl Run {
    pub(super) fn new(address: SocketAddr, authority: String, accounts: Vec<Account>) -> Self {
        Self { address, authority, accounts, in_flight: AtomicUsize::new(0), record: Mutex::default() }
    }

    /// What was measured so far. Nobody holds it for longer than it takes to count.
    pub(super) fn record(&self) -> MutexGuard<'_, Record> {
        // Counts are whole whenever somebody panics.
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Visitor {
    pub(super) fn new(run: Arc<Run>, turns: Turns, seed: u64) -> Self {
        let connection = Connection::new(run.address, run.authority.clone());
        let random = StdRng::seed_from_u64(seed);
        Self { run, memory: Memory::default(), random, account: None, connection, turns }
    }

    /// One visit after the other, until the run is over.
    pub(super) async fn stay(mut self) {
        while visit::one(&mut self).await != Err(Over) {}
    }

    /// Waits for its turn, asks, counts. `None` where the answer is no success, or there is none.
    ///
    /// # Errors
    /// The run is over.
    pub(super) async fn ask(&mut self, request: &Request) -> Result<Option<Told>, Over> {
        let due = self.turns.next().await?;
        let authorization = self.account.and_then(|account| self.run.accounts.get(account));
        let message = Message {
            method: request.route.method(),
            path: &request.path,
            body: request.body.as_ref(),
            authorization: authorization.map(|account| &account.authorization),
            // A post that a page sends again is not to be there twice.
            idempotency_key: request.body.as_ref().map(|_| format!("{:032x}", rand::random::<u128>())),
        };
        self.run.in_flight.fetch_add(1, Relaxed);
        let sent = self.connection.send(&message).await;
        let took = due.elapsed();
        self.run.in_flight.fetch_sub(1, Relaxed);
        let trace = sent.as_ref().ok().and_then(|answer| Trace::of(&answer.headers));
        let (outcome, told) = match sent {
            Err(failure) => (Err(failure), None),
            Ok(answer) if !answer.status.is_success() => (Ok(answer.status), None),
            Ok(answer) => match answer.json() {
                Some(json) => (Ok(answer.status), Some(Told { answer, json })),
                None => (Err(Failure::NotJson), None),
            },
        };
        self.run.record().add(Sample { route: request.route, took, outcome, trace });
        if outcome.is_err() {
            tokio::time::sleep(REST).await;
        }
        Ok(told)
    }
}
