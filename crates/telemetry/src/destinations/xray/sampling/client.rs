//! A client for the daemon's TCP side, over plain HTTP: the daemon forwards requests to AWS and signs them with its own
//! credentials. Follows no redirects, uses no proxy from the environment, and reads bounded responses.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use xray::Rules;
use xray::rules::{MAX_STATISTICS, RulesPage, Statistics, TargetsRequest, TargetsResponse};

use crate::address::Url;
use crate::client::agent;
use crate::tls::Tls;

const CONNECT: Duration = Duration::from_secs(2);
const TOTAL: Duration = Duration::from_secs(5);
/// The most bytes of a response.
const ANSWER: u64 = 1024 * 1024;
/// The most pages of rules.
const PAGES: usize = 10;

/// Sends requests to one daemon.
pub(crate) struct RulesClient {
    agent: ureq::Agent,
    endpoint: Url,
}

impl RulesClient {
    pub(crate) fn new(endpoint: Url) -> Self {
        let agent = agent(CONNECT, TOTAL, &Tls::default());
        Self { agent, endpoint }
    }

    pub(crate) fn endpoint(&self) -> &Url {
        &self.endpoint
    }

    /// Requests all rules.
    ///
    /// # Errors
    /// The daemon does not respond, or its response does not contain rules.
    pub(crate) fn rules(&self) -> Result<Rules, String> {
        let (mut records, mut next) = (Vec::new(), None::<String>);
        for _ in 0..PAGES {
            let page: RulesPage =
                self.post("/GetSamplingRules", &next.map_or(json!({}), |next| json!({ "NextToken": next })))?;
            records.extend(page.sampling_rule_records);
            next = page.next_token;
            if next.is_none() {
                return Ok(Rules::central(&records));
            }
        }
        Err(format!("{} has more than {PAGES} pages of rules", self.endpoint))
    }

    /// Reports at most [`MAX_STATISTICS`] rules, and returns their targets.
    ///
    /// # Errors
    /// The daemon does not respond, or its response does not contain targets.
    pub(super) fn targets(&self, statistics: &[Statistics]) -> Result<TargetsResponse, String> {
        let told = statistics.get(..MAX_STATISTICS).unwrap_or(statistics);
        self.post("/SamplingTargets", &TargetsRequest { sampling_statistics_documents: told.to_vec() })
    }

    fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, String> {
        let url = self.endpoint.join(path);
        let body = serde_json::to_vec(body).map_err(|error| error.to_string())?;
        let request = self.agent.post(url.as_str()).header("content-type", "application/json");
        let mut answer = request.send(&body).map_err(|error| format!("{url} did not answer: {error}"))?;
        let status = answer.status();
        let body = answer.body_mut().with_config().limit(ANSWER).read_to_vec();
        let body = body.map_err(|error| format!("what {url} answered cannot be read: {error}"))?;
        if !status.is_success() {
            return Err(format!("{url} answered {status}{}", said(&body)));
        }
        serde_json::from_slice(&body).map_err(|error| format!("{url} answered what is not expected: {error}"))
    }
}

/// The message of an error response, in either spelling of AWS's APIs.
fn said(body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let message = ["message", "Message"].into_iter().find_map(|key| body.get(key)?.as_str()).unwrap_or_default();
    let visible: String = message.chars().filter(|character| !character.is_control()).take(300).collect();
    if visible.is_empty() { visible } else { format!(": {visible}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_response_is_quoted() {
        assert_eq!(said(br#"{"message":"no\nrights"}"#), ": norights");
        assert_eq!(said(br#"{"__type":"x","Message":"no"}"#), ": no");
        for nothing in [b"".as_slice(), b"[]", b"{\"message\":5}", b"\xff"] {
            assert_eq!(said(nothing), "");
        }
    }
}
