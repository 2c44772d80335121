//! The HTTP client for a container's or an instance's metadata. All requests of one client together take at most two seconds. A
//! response of more than 64 KiB, or a redirect, is an error. Uses no proxy, because these addresses exist only on this machine.

use std::time::{Duration, Instant};

use serde_json::Value as Json;
use ureq::RequestExt;
use ureq::http::Request;

use crate::address::Url;
use crate::client::agent;
use crate::tls::Tls;

const CONNECT: Duration = Duration::from_secs(1);
/// The most time that all requests of one client may take.
pub(super) const TOTAL: Duration = Duration::from_secs(2);
/// The most bytes of one response.
const LONGEST: u64 = 64 * 1024;

/// A text member of an object; empty if it is missing or not a text.
pub(crate) fn text(json: &Json, name: &str) -> String {
    json.get(name).and_then(Json::as_str).unwrap_or_default().to_owned()
}

/// Queries the metadata of one platform, with one time limit for several requests.
pub(crate) struct MetadataClient {
    agent: ureq::Agent,
    deadline: Instant,
}

impl MetadataClient {
    pub(crate) fn new() -> Self {
        let agent = agent(CONNECT, TOTAL, &Tls::default());
        Self { agent, deadline: Instant::now() + TOTAL }
    }

    /// Requests the token for reading an instance's metadata.
    pub(crate) fn token(&self, endpoint: &Url) -> Result<String, String> {
        let request = Request::put(endpoint.join("/latest/api/token").as_str());
        let request = request.header("x-aws-ec2-metadata-token-ttl-seconds", "60");
        // Without this header the empty body would be chunked, which some emulators of this service cannot read.
        let token = self.request(request.header("content-length", "0"))?;
        String::from_utf8(token).map_err(|_| "the token is not text".to_owned())
    }

    pub(crate) fn json(&self, endpoint: &Url, path: &str, token: Option<&str>) -> Result<Json, String> {
        let request = Request::get(endpoint.join(path).as_str());
        let request = match token {
            Some(token) => request.header("x-aws-ec2-metadata-token", token.trim()),
            None => request,
        };
        let response = self.request(request)?;
        serde_json::from_slice(&response).map_err(|error| format!("the response is not JSON: {error}"))
    }

    /// Returns the response's body. Errors do not contain the address, because any program that knows ECS's can query it.
    pub(crate) fn request(&self, request: ureq::http::request::Builder) -> Result<Vec<u8>, String> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let request = request.body(()).map_err(|error| error.to_string())?;
        let request = request.with_agent(&self.agent).configure().timeout_global(Some(left)).build();
        let mut response = request.run().map_err(|error| format!("the metadata endpoint did not respond: {error}"))?;
        let status = response.status();
        if !status.is_success() {
            return Err(format!("the metadata endpoint responded {status}"));
        }
        let body = response.body_mut().with_config().limit(LONGEST).read_to_vec();
        body.map_err(|error| format!("cannot read the metadata endpoint's response: {error}"))
    }
}
