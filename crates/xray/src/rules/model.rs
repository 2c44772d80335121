//! The rules, and the one that a request matches.

use std::fmt;

use serde_json::Value;

use super::pattern::Pattern;

/// The name of the rule for requests that match no other rule.
pub(super) const DEFAULT: &str = "Default";

/// Rules in the order in which they are tried. The last is `Default`, which every request matches.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rules {
    pub(super) rules: Vec<Rule>,
    pub(super) default: Rule,
    pub(super) skipped: Vec<Skipped>,
}

/// Which requests the rule matches, and how many of them are recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) priority: u32,
    pub(super) rate: f64,
    pub(super) reservoir: u32,
    pub(super) service: Pattern,
    pub(super) service_type: Pattern,
    pub(super) host: Pattern,
    pub(super) method: Pattern,
    pub(super) path: Pattern,
}

/// A rule that does not apply here, and the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Its name.
    pub rule: String,
    /// The reason.
    pub why: String,
}

/// The facts about a request that are known before its segment starts. A field that is `None` is not compared: work that no request started
/// matches rules by its service alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// The name of the segment.
    pub service: &'a str,
    /// Where the service runs, such as `AWS::ECS::Container`; otherwise empty, which only `*` matches.
    pub service_type: &'a str,
    /// The HTTP method.
    pub method: Option<&'a str>,
    /// The `Host` header; a pattern matches it with or without its port.
    pub host: Option<&'a str>,
    /// The path without its query.
    pub path: Option<&'a str>,
}

/// A field in which a request does not match a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Difference<'a> {
    /// X-Ray's name of the field, such as `URLPath`.
    pub field: &'static str,
    /// The rule's pattern.
    pub pattern: &'a str,
    /// The request's value.
    pub value: &'a str,
}

impl Rules {
    /// The rules, in the order in which they are tried.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().chain([&self.default])
    }

    /// The rules that were skipped, and why.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// The first rule that the request matches.
    pub fn find(&self, request: &Request<'_>) -> &Rule {
        self.rules.iter().find(|rule| rule.matches(request)).unwrap_or(&self.default)
    }
}

impl Rule {
    /// The rule's name; `local-1` for the first rule of a local file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The rule's description in a local file.
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// The rule with the lowest priority is tried first.
    pub fn priority(&self) -> u32 {
        self.priority
    }

    /// The share of the requests beyond the reservoir that is sampled, from 0 to 1.
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// The requests that are sampled each second before the rate applies.
    pub fn reservoir(&self) -> u32 {
        self.reservoir
    }

    /// The pattern of the service's name.
    pub fn service(&self) -> &Pattern {
        &self.service
    }

    /// The pattern of the `Host` header, which version 1 of a local file calls `service_name`.
    pub fn host(&self) -> &Pattern {
        &self.host
    }

    /// Whether a request matches this rule in every field.
    pub fn matches(&self, request: &Request<'_>) -> bool {
        self.differences(request).next().is_none()
    }

    /// The fields in which a request does not match this rule.
    pub fn differences<'a>(&'a self, request: &Request<'a>) -> impl Iterator<Item = Difference<'a>> {
        let Request { service, service_type, method, host, path } = *request;
        let fields = [
            ("ServiceName", &self.service, Some(service)),
            ("ServiceType", &self.service_type, Some(service_type)),
            ("Host", &self.host, host),
            ("HTTPMethod", &self.method, method),
            ("URLPath", &self.path, path),
        ];
        fields.into_iter().filter_map(|(field, pattern, value)| {
            let value = value?;
            let matches = pattern.matches(value) || (field == "Host" && pattern.matches(without_port(value)));
            (!matches).then_some(Difference { field, pattern: pattern.as_str(), value })
        })
    }
}

/// AWS's own default: one request a second, and five per cent of the others.
impl Default for Rule {
    fn default() -> Self {
        let any = Pattern::any;
        Self {
            name: DEFAULT.to_owned(),
            description: None,
            priority: 10_000,
            rate: 0.05,
            reservoir: 1,
            service: any(),
            service_type: any(),
            host: any(),
            method: any(),
            path: any(),
        }
    }
}

impl<'a> Request<'a> {
    /// Work of this service that no request started.
    pub const fn of(service: &'a str) -> Self {
        Self { service, service_type: "", method: None, host: None, path: None }
    }
}

impl fmt::Display for Difference<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} does not match {:?}", self.field, self.value, self.pattern)
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.why)
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

pub(super) fn rate(value: Option<&Value>) -> Option<f64> {
    value.and_then(Value::as_f64).filter(|rate| (0.0..=1.0).contains(rate))
}

pub(super) fn count(value: Option<&Value>) -> Option<u32> {
    value.and_then(Value::as_u64).and_then(|count| count.try_into().ok())
}
