//! `cruddur xray daemon`: a stand-in for the X-Ray daemon, to see segments without AWS. Receives documents by UDP and prints each,
//! and serves sampling rules by TCP on the same port. Every process may use a rule's whole reservoir. Keeps nothing.

use std::io::{StdoutLock, Write, stdout};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use clap::Args;
use hyper::body::Bytes;
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use settings::{Listen, read_file};
use tokio::net::{TcpListener, UdpSocket};
use xray::rules::{MAX_FILE_BYTES, Target, TargetsRequest, TargetsResponse, Unprocessed};
use xray::{Document, Rules, datagram};

use crate::form::line;
use crate::lifetime::stop_signal;
use crate::stand_in::{self, Answered, Refusal, json_response};

/// The largest datagram of UDP.
const MAX_DATAGRAM: usize = 65_535;
/// The seconds for which a quota is valid, and those until a process must request it again.
const VALID: u64 = 60;
const INTERVAL: u64 = 10;

#[derive(Args)]
pub(crate) struct Daemon {
    /// The address to listen on, by UDP and TCP; port 0 picks a free port
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:2000")]
    listen: Listen,
    /// The sampling rules to serve: the output of `aws xray get-sampling-rules`, or a local file [default: AWS's default rule]
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
}

/// Prints the variable that sends here, then each document, until a signal.
///
/// # Errors
/// It cannot listen on the address, the rules are invalid, or standard output is closed.
pub(crate) async fn run(options: Daemon) -> Result<()> {
    let rules = options.rules.as_deref().map_or_else(
        || Ok(Rules::default()),
        |file| {
            let bytes = read_file(file, MAX_FILE_BYTES).with_context(|| format!("cannot read {}", file.display()))?;
            Rules::parse(&bytes).with_context(|| format!("{} is invalid", file.display()))
        },
    )?;
    let Listen(address) = options.listen;
    let stop = stop_signal()?;
    let cannot = || format!("cannot listen on {address}; give another address with --listen");
    let listener = TcpListener::bind(address).await.with_context(cannot)?;
    let address = listener.local_addr()?;
    let socket = UdpSocket::bind(address).await.with_context(cannot)?;
    writeln!(stdout(), "export AWS_XRAY_DAEMON_ADDRESS={address}")?;
    let started = now();
    tokio::select! {
        () = stand_in::serve(listener, stop, move |head, body| respond(head, body, &rules, started)) => Ok(()),
        received = receive(&socket) => Ok(received?),
    }
}

/// Prints what arrives. Returns only if the socket fails.
async fn receive(socket: &UdpSocket) -> std::io::Result<()> {
    let mut buffer = vec![0; MAX_DATAGRAM];
    loop {
        let (length, _) = socket.recv_from(&mut buffer).await?;
        let mut out = stdout().lock();
        // Standard output may be closed.
        drop(match datagram::parse(buffer.get(..length).unwrap_or_default()) {
            Ok(document) => print(&mut out, &document, 0),
            Err(error) => line(&mut out, format_args!("invalid datagram: {error}")),
        });
    }
}

/// Prints a line for the document, and one for each document in it, indented by its depth.
fn print(out: &mut StdoutLock<'_>, document: &Document, depth: usize) -> std::io::Result<()> {
    let kind = if depth > 0 || document.kind == Some(xray::Kind::Subsegment) { "subsegment" } else { "segment" };
    let trace = document.trace_id.map(|trace| format!(" trace={trace}")).unwrap_or_default();
    let parent = document.parent_id.map(|parent| format!(" parent={parent}")).unwrap_or_default();
    let (name, id, indent) = (&document.name, document.id, 2 * depth);
    line(out, format_args!("{:indent$}{kind} name={name} id={id}{parent}{trace}", ""))?;
    document.subsegments.iter().try_for_each(|inner| print(out, inner, depth + 1))
}

fn respond(head: &Parts, body: Result<Bytes, Refusal>, rules: &Rules, started: u64) -> Answered {
    let body = match body {
        Ok(body) => body,
        Err(Refusal(status, why)) => return problem(status, "InvalidRequestException", &why),
    };
    match (&head.method, head.uri.path()) {
        (&Method::POST, "/GetSamplingRules") => {
            let records: Vec<Value> = rules.iter().map(|rule| rule.record(seconds(started))).collect();
            json_response(StatusCode::OK, &json!({"SamplingRuleRecords": records, "NextToken": null}))
        }
        (&Method::POST, "/SamplingTargets") => match serde_json::from_slice(&body) {
            Ok(request) => json_response(StatusCode::OK, &json!(targets(rules, request, started))),
            Err(error) => problem(StatusCode::BAD_REQUEST, "InvalidRequestException", &error.to_string()),
        },
        _ => problem(StatusCode::NOT_FOUND, "UnknownOperationException", "POST /GetSamplingRules or /SamplingTargets"),
    }
}

fn targets(rules: &Rules, request: TargetsRequest, started: u64) -> TargetsResponse {
    let mut response = TargetsResponse { last_rule_modification: Some(seconds(started)), ..TargetsResponse::default() };
    for statistics in request.sampling_statistics_documents {
        match rules.iter().find(|rule| rule.name() == statistics.rule_name) {
            Some(rule) => response.sampling_target_documents.push(Target {
                rule_name: statistics.rule_name,
                fixed_rate: Some(rule.rate()),
                reservoir_quota: Some(rule.reservoir()),
                reservoir_quota_ttl: Some(seconds(now() + VALID)),
                interval: Some(INTERVAL),
            }),
            None => response.unprocessed_statistics.push(Unprocessed {
                rule_name: statistics.rule_name,
                error_code: "ResourceNotFoundException".to_owned(),
                message: "no rule has this name".to_owned(),
            }),
        }
    }
    response
}

/// An error in the form of AWS's JSON APIs.
fn problem(status: StatusCode, kind: &str, message: &str) -> Answered {
    json_response(status, &json!({"__type": kind, "Message": message}))
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn seconds(time: u64) -> f64 {
    f64::from(u32::try_from(time).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_gets_the_whole_reservoir_of_a_known_rule() {
        let statistics = |name: &str| json!({"RuleName": name, "ClientID": "0".repeat(24)});
        let request = json!({"SamplingStatisticsDocuments": [statistics("Default"), statistics("other")]});
        let response = targets(&Rules::default(), serde_json::from_value(request).unwrap(), 7);
        let [target] = response.sampling_target_documents.as_slice() else { panic!("{response:?}") };
        assert_eq!((target.reservoir_quota, target.fixed_rate, target.interval), (Some(1), Some(0.05), Some(INTERVAL)));
        assert_eq!(response.unprocessed_statistics[0].rule_name, "other");
        assert_eq!(response.last_rule_modification, Some(7.0));
    }
}
