//! `cruddur xray rules test`: which rule of a file decides for a request, and why the others do not. Reads only the file,
//! and queries no daemon.

use std::io::{Write, stdout};
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;
use settings::Settings;
use xray::rules::MAX_FILE_BYTES;
use xray::{Request, Rule, Rules};

use crate::form::{Form, line};

/// The names of our services' segments.
const SERVICES: [&str; 2] = ["backend", "frontend-proxy"];

#[derive(Args)]
pub(crate) struct RulesTest {
    /// The output of `aws xray get-sampling-rules`, or a local file as AWS's SDKs read it (version 1 or 2)
    #[arg(long)]
    pub(crate) rules: PathBuf,
    /// A method and a URL, or a path alone: 'GET http://localhost:3000/api/activities/home'
    #[arg(long)]
    pub(crate) request: RequestLine,
    /// The service that receives the request, by its segment's name
    #[arg(long, default_value = "frontend-proxy")]
    pub(crate) service: String,
    /// Where the service runs, such as AWS::ECS::Container, for rules that compare it
    #[arg(long, default_value = "")]
    pub(crate) service_type: String,
    #[command(flatten)]
    pub(crate) form: Form,
}

/// A request as a person writes it: `GET http://localhost:3000/api/activities/home`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestLine {
    method: String,
    /// Absent if only a path is given.
    host: Option<String>,
    path: String,
}

/// A text that is not a valid request.
#[derive(Debug, thiserror::Error)]
#[error(
    "give a method and a URL, such as 'GET http://localhost:3000/api/activities/home', or a path instead of the URL"
)]
pub(crate) struct NotARequestLine;

impl FromStr for RequestLine {
    type Err = NotARequestLine;

    fn from_str(text: &str) -> Result<Self, NotARequestLine> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let [method, url] = words.as_slice() else { return Err(NotARequestLine) };
        let url = url.split(['?', '#']).next().unwrap_or_default();
        let is_method = method.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-');
        let (host, path) = match ["http://", "https://"].into_iter().find_map(|scheme| url.strip_prefix(scheme)) {
            Some(rest) => {
                let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                (Some(host).filter(|host| !host.is_empty()).ok_or(NotARequestLine).map(Some)?, path)
            }
            None if url.starts_with('/') => (None, url),
            None => return Err(NotARequestLine),
        };
        let path = if path.is_empty() { "/" } else { path };
        let line = Self { method: (*method).to_owned(), host: host.map(str::to_owned), path: path.to_owned() };
        is_method.then_some(line).ok_or(NotARequestLine)
    }
}

impl RequestLine {
    /// The request as rules match it at this service.
    fn of<'a>(&'a self, service: &'a str) -> Request<'a> {
        let Self { method, host, path } = self;
        Request { method: Some(method), host: host.as_deref(), path: Some(path), ..Request::of(service) }
    }
}

/// The report for a file and a request.
#[derive(Serialize)]
struct RulesReport<'a> {
    service: &'a str,
    method: &'a str,
    host: Option<&'a str>,
    path: &'a str,
    rules: Vec<RuleReport<'a>>,
    decides: Decision<'a>,
    skipped: Vec<String>,
    notes: Vec<String>,
}

#[derive(Serialize)]
struct RuleReport<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    priority: u32,
    matches: bool,
    /// Why the rule does not decide.
    differences: Vec<String>,
}

#[derive(Serialize)]
struct Decision<'a> {
    rule: &'a str,
    /// Requests a second.
    reservoir: u32,
    /// The fraction of the remaining requests, from 0 to 1.
    rate: f64,
}

/// Prints which rule of the file decides for the request.
///
/// # Errors
/// The file is unreadable or invalid.
pub(crate) fn test(test: &RulesTest) -> Result<()> {
    let shown = test.rules.display();
    let file = settings::read_file(&test.rules, MAX_FILE_BYTES).with_context(|| format!("cannot read {shown}"))?;
    let rules = Rules::parse(&file).with_context(|| format!("{shown} is invalid"))?;
    let named = telemetry::config::service_name(&mut Settings::from_env()).unwrap_or_default();
    // Segments are named this way.
    let service = xray::name(&test.service);
    let named = Some(xray::name(&named)).filter(|_| !named.is_empty());
    let services: Vec<&str> = SERVICES.into_iter().chain([&*service]).chain(named.as_deref()).collect();
    let request = Request { service_type: &test.service_type, ..test.request.of(&service) };
    let report = report(&rules, &request, &services);
    let mut out = stdout().lock();
    if test.form.json {
        Ok(writeln!(out, "{:#}", serde_json::to_value(&report)?)?)
    } else {
        Ok(print(&report, &mut out)?)
    }
}

fn report<'a>(rules: &'a Rules, request: &Request<'a>, services: &[&str]) -> RulesReport<'a> {
    let explain = |rule: &'a Rule| {
        let differences: Vec<String> = rule.differences(request).map(|difference| difference.to_string()).collect();
        let matches = differences.is_empty();
        RuleReport {
            name: rule.name(),
            description: rule.description(),
            priority: rule.priority(),
            matches,
            differences,
        }
    };
    let decides = rules.find(request);
    RulesReport {
        service: request.service,
        method: request.method.unwrap_or_default(),
        host: request.host,
        path: request.path.unwrap_or_default(),
        rules: rules.iter().map(explain).collect(),
        decides: Decision { rule: decides.name(), reservoir: decides.reservoir(), rate: decides.rate() },
        skipped: rules.skipped().iter().map(ToString::to_string).collect(),
        notes: rules.iter().filter_map(|rule| note(rule, services)).chain(decided_elsewhere(request.service)).collect(),
    }
}

/// Which service makes the sampling decision, if it is another one: rules apply where a trace starts.
fn decided_elsewhere(service: &str) -> Option<String> {
    (service == "backend").then(|| {
        "backend follows frontend-proxy's decision; rules for backend apply only to its own work and to direct callers".to_owned()
    })
}

/// Warns of a likely mistake: a rule that matches none of our services, or that uses a service's name as a host's.
fn note(rule: &Rule, services: &[&str]) -> Option<String> {
    let is_service = |pattern: &xray::rules::Pattern| services.iter().any(|service| pattern.matches(service));
    let (name, service, host) = (rule.name(), rule.service(), rule.host());
    if !is_service(service) {
        let mut ours = services.to_vec();
        ours.sort_unstable();
        ours.dedup();
        let ours = ours.join(", ");
        Some(format!("{name}: no service here has the ServiceName \"{service}\"; use the name of a segment ({ours})"))
    } else if host.as_str() != "*" && is_service(host) {
        Some(format!(
            "{name}: the Host \"{host}\" is a service's name, but is compared with the Host header (as service_name is in a file of version 1)"
        ))
    } else {
        None
    }
}

fn print(report: &RulesReport<'_>, out: &mut impl Write) -> std::io::Result<()> {
    let RulesReport { service, method, host, path, .. } = report;
    line(out, format_args!("{method} {path} at {}, received by {service}:", host.unwrap_or("any host")))?;
    let width = report.rules.iter().map(|rule| rule.name.len()).max().unwrap_or(0);
    for rule in &report.rules {
        let verdict = match (rule.name == report.decides.rule, rule.matches) {
            (true, _) => "decides".to_owned(),
            (false, true) => "also matches, but comes later".to_owned(),
            (false, false) => format!("no: {}", rule.differences.join("; ")),
        };
        let description = rule.description.map(|description| format!(" ({description})")).unwrap_or_default();
        line(out, format_args!("  {:>5}  {:<width$}{description}  {verdict}", rule.priority, rule.name))?;
    }
    for skipped in &report.skipped {
        line(out, format_args!("skipped: {skipped}"))?;
    }
    for note in &report.notes {
        line(out, format_args!("note: {note}"))?;
    }
    let Decision { rule, reservoir, rate } = report.decides;
    let percent = (rate * 1e6).round() / 1e4;
    line(out, format_args!("{rule} decides: it records {reservoir} a second, and {percent} % of the others"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_a_method_and_a_url_or_a_path() {
        let line = |method: &str, host: Option<&str>, path: &str| {
            Ok(RequestLine { method: method.to_owned(), host: host.map(str::to_owned), path: path.to_owned() })
        };
        let read = |text: &str| text.parse::<RequestLine>().map_err(drop);
        assert_eq!(read("GET http://localhost:3000/a/b?c=d "), line("GET", Some("localhost:3000"), "/a/b"));
        assert_eq!(read("post https://h#x"), line("post", Some("h"), "/"));
        assert_eq!(read("DELETE /a"), line("DELETE", None, "/a"));
        for text in ["", "GET", "GET x", "GET http://", "GET http:///x", "G=T /x", "GET /a /b"] {
            assert_eq!(read(text), Err(()), "{text}");
        }
    }
}
