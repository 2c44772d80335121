//! A fake of the TCP side of AWS's X-Ray daemon, which needs AWS credentials to respond. The part of the real contract that it
//! covers: `POST /GetSamplingRules` returns rules, `POST /SamplingTargets` accepts statistics and returns quotas. It returns no
//! rules until it is opened, and refuses the first two statistics.

use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::fake::{self, Request};

/// How many statistics are refused before any are accepted.
const REFUSED: usize = 2;

/// A running fake.
pub(crate) struct RulesServer {
    pub(crate) address: String,
    state: Arc<Mutex<RulesState>>,
}

#[derive(Default)]
struct RulesState {
    rules: Value,
    open: bool,
    /// The rule, requests a second, and when the quota ends.
    quota: Option<(String, u64, u64)>,
    refused: usize,
    received: Vec<Value>,
}

/// The sum of all statistics of a rule.
#[derive(Default)]
pub(crate) struct Statistics {
    pub(crate) requests: u64,
    pub(crate) sampled: u64,
    pub(crate) borrowed: u64,
    /// Statistics that were refused.
    pub(crate) refused: usize,
    /// The clients that sent statistics.
    pub(crate) clients: Vec<String>,
}

impl RulesServer {
    pub(crate) fn start(rules: Value) -> Self {
        let state = Arc::new(Mutex::new(RulesState { rules, ..RulesState::default() }));
        let address = fake::listen(&state, |stream, state| serve(&stream, state)).to_string();
        Self { address, state }
    }

    /// Returns rules from now on.
    pub(crate) fn open(&self) {
        self.state.lock().unwrap().open = true;
    }

    /// Sets this quota of a rule, until this second since 1970.
    pub(crate) fn give(&self, rule: &str, quota: u64, until: u64) {
        self.state.lock().unwrap().quota = Some((rule.to_owned(), quota, until));
    }

    /// The statistics of a rule so far.
    pub(crate) fn statistics(&self, rule: &str) -> Statistics {
        let state = self.state.lock().unwrap();
        let mut sum = Statistics { refused: state.refused, ..Statistics::default() };
        for one in state.received.iter().filter(|one| one["RuleName"] == rule) {
            sum.requests += one["RequestCount"].as_u64().unwrap();
            sum.sampled += one["SampledCount"].as_u64().unwrap();
            sum.borrowed += one["BorrowCount"].as_u64().unwrap();
            let client = one["ClientID"].as_str().unwrap().to_owned();
            if !sum.clients.contains(&client) {
                sum.clients.push(client);
            }
        }
        sum
    }
}

fn serve(mut stream: &TcpStream, state: &Mutex<RulesState>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let request = Request::read(&mut reader)?;
        let (status, body) = answer(&request, &mut state.lock().unwrap());
        let body = body.to_string();
        let head =
            format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all((head + &body).as_bytes())?;
    }
}

fn answer(request: &Request, state: &mut RulesState) -> (&'static str, Value) {
    match request.lines[0].as_str() {
        "POST /GetSamplingRules HTTP/1.1" if state.open => ("200 OK", json!({"SamplingRuleRecords": state.rules})),
        "POST /SamplingTargets HTTP/1.1" if state.refused < REFUSED => {
            state.refused += 1;
            ("503 Service Unavailable", json!({"message": "come back later"}))
        }
        "POST /SamplingTargets HTTP/1.1" => {
            let report: Value = serde_json::from_slice(&request.body).unwrap();
            state.received.extend(report["SamplingStatisticsDocuments"].as_array().unwrap().iter().cloned());
            let target = |(rule, quota, until): &(String, u64, u64)| json!({"RuleName": rule, "FixedRate": 0.0, "ReservoirQuota": quota, "ReservoirQuotaTTL": until, "Interval": 1});
            let targets: Vec<Value> = state.quota.iter().map(target).collect();
            ("200 OK", json!({"SamplingTargetDocuments": targets, "LastRuleModification": 0}))
        }
        _ => ("503 Service Unavailable", json!({"message": "not yet"})),
    }
}
