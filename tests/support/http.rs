//! HTTP for tests: an error status is not an `Err`, and headers and JSON are easy to reach.

use std::time::Duration;

use serde_json::Value;
use ureq::http::{HeaderMap, Response};

use super::DEADLINE;

/// A request's headers.
pub(crate) type Headers<'a> = &'a [(&'a str, &'a str)];

pub(crate) const JSON: (&str, &str) = ("content-type", "application/json");

/// A response, read to its end.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| {
            panic!("not JSON ({error}): {} {}", self.status, String::from_utf8_lossy(&self.body))
        })
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The trace id of the span that served this, from `Server-Timing`.
    pub(crate) fn trace_id(&self) -> String {
        let timing = self.header("server-timing");
        let context = timing.strip_prefix("traceparent;desc=\"").unwrap_or_else(|| panic!("no trace in {timing:?}"));
        context.split('-').nth(1).unwrap().to_owned()
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_global(Some(DEADLINE))
        .timeout_connect(Some(Duration::from_secs(5)))
        .build()
        .new_agent()
}

/// The bound on a response's body, in bytes; no response is larger.
const MOST: u64 = 256 * 1024 * 1024;

fn read(response: Response<ureq::Body>) -> Result<Answer, ureq::Error> {
    let (parts, body) = response.into_parts();
    let body = body.into_with_config().limit(MOST).read_to_vec()?;
    Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
}

/// The status, or an error if no server responds.
pub(crate) fn try_get(url: &str) -> Result<u16, ureq::Error> {
    agent().get(url).call().map(|response| response.status().as_u16())
}

pub(crate) fn get(url: &str) -> Answer {
    request("GET", url, &[])
}

/// A request without a body.
pub(crate) fn request(method: &str, url: &str, headers: Headers<'_>) -> Answer {
    let builder =
        headers.iter().fold(ureq::http::Request::builder().method(method).uri(url), |builder, (name, value)| {
            builder.header(*name, *value)
        });
    let response = agent().run(builder.body(()).unwrap());
    response.and_then(read).unwrap_or_else(|error| panic!("{method} {url}: {error}"))
}

/// A request with a body.
pub(crate) fn send(url: &str, headers: Headers<'_>, body: &[u8]) -> Answer {
    send_by("POST", url, headers, body)
}

/// A request with a body, by another method.
pub(crate) fn send_by(method: &str, url: &str, headers: Headers<'_>, body: &[u8]) -> Answer {
    try_send(method, url, headers, body).unwrap_or_else(|error| panic!("{method} {url}: {error}"))
}

/// A request with a body, or an error if no server responds.
pub(crate) fn try_send(method: &str, url: &str, headers: Headers<'_>, body: &[u8]) -> Result<Answer, ureq::Error> {
    let request = headers.iter().fold(ureq::http::Request::builder().method(method).uri(url), |request, header| {
        request.header(header.0, header.1)
    });
    agent().run(request.body(body).unwrap()).and_then(read)
}

pub(crate) fn post(url: &str, body: &Value) -> Answer {
    send(url, &[JSON], body.to_string().as_bytes())
}
