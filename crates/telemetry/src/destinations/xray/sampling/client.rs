//! A client for the daemon's TCP port, in plain HTTP. The daemon signs requests with its own credentials and forwards them to
//! AWS. Follows no redirects, uses no proxy from the environment, and reads bounded responses.

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
const LONGEST: u64 = 1024 * 1024;
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
        Err(format!("{} sends more than {PAGES} pages of rules", self.endpoint))
    }

    /// Reports at most [`MAX_STATISTICS`] rules, and returns their targets.
    ///
    /// # Errors
    /// The daemon does not respond, or its response does not contain targets.
    pub(super) fn targets(&self, statistics: &[Statistics]) -> Result<TargetsResponse, String> {
        let reported = statistics.get(..MAX_STATISTICS).unwrap_or(statistics);
        self.post("/SamplingTargets", &TargetsRequest { sampling_statistics_documents: reported.to_vec() })
    }

    fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, String> {
        let url = self.endpoint.join(path);
        let body = serde_json::to_vec(body).map_err(|error| error.to_string())?;
        let request = self.agent.post(url.as_str()).header("content-type", "application/json");
        let mut response = request.send(&body).map_err(|error| format!("{url} did not respond: {error}"))?;
        let status = response.status();
        let body = response.body_mut().with_config().limit(LONGEST).read_to_vec();
        let body = body.map_err(|error| format!("cannot read the response of {url}: {error}"))?;
        if !status.is_success() {
            return Err(format!("{url} responded {status}{}", message(&body)));
        }
        serde_json::from_slice(&body).map_err(|error| format!("{url} sent an invalid response: {error}"))
    }
}

/// The message of an error response, whose key AWS's APIs spell in two ways.
fn message(body: &[u8]) -> String {
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
        assert_eq!(message(br#"{"message":"no\nrights"}"#), ": norights");
        assert_eq!(message(br#"{"__type":"x","Message":"no"}"#), ": no");
        for nothing in [b"".as_slice(), b"[]", b"{\"message\":5}", b"\xff"] {
            assert_eq!(message(nothing), "");
        }
    }
}
