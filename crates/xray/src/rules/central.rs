//! X-Ray's rules for all services, as its API returns them (`GetSamplingRules`, and `aws xray get-sampling-rules`). Also the
//! JSON of `GetSamplingTargets`, with which services report their counts and receive their quotas.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::model::{self, DEFAULT, Rule, Rules, Skipped};
use super::pattern::Pattern;
use crate::Error;

/// The response of `GetSamplingRules`: a page of rules.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RulesPage {
    /// Records with a `SamplingRule` each. Each is read separately, so that an invalid one does not affect the others.
    pub sampling_rule_records: Vec<Value>,
    /// The token of the next page, if there is one.
    #[serde(default)]
    pub next_token: Option<String>,
}

/// The request to `GetSamplingTargets`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TargetsRequest {
    /// At most [`MAX_STATISTICS`].
    pub sampling_statistics_documents: Vec<Statistics>,
}

/// The most rules that one [`TargetsRequest`] may report.
pub const MAX_STATISTICS: usize = 25;

/// The counts of a rule since the service's last report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Statistics {
    /// The rule.
    pub rule_name: String,
    /// The id of the service's process: 24 hex digits.
    #[serde(rename = "ClientID")]
    pub client_id: String,
    /// Seconds since 1970.
    #[serde(default)]
    pub timestamp: f64,
    /// Requests that matched.
    #[serde(default)]
    pub request_count: u64,
    /// Requests that were sampled, without the borrowed ones.
    #[serde(default)]
    pub sampled_count: u64,
    /// Requests that were sampled without a quota.
    #[serde(default)]
    pub borrow_count: u64,
}

/// The response of `GetSamplingTargets`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TargetsResponse {
    /// One for each reported rule.
    pub sampling_target_documents: Vec<Target>,
    /// When a rule was last changed, in seconds since 1970.
    pub last_rule_modification: Option<f64>,
    /// The statistics that X-Ray did not process.
    pub unprocessed_statistics: Vec<Unprocessed>,
}

/// The share and the number of a rule's requests that a service may sample.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Target {
    /// The rule.
    pub rule_name: String,
    /// The share of the requests beyond the reservoir that is sampled.
    pub fixed_rate: Option<f64>,
    /// Requests a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reservoir_quota: Option<u32>,
    /// When the quota expires, in seconds since 1970.
    #[serde(rename = "ReservoirQuotaTTL", skip_serializing_if = "Option::is_none")]
    pub reservoir_quota_ttl: Option<f64>,
    /// Seconds until the service must request targets again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<u64>,
}

/// Statistics that X-Ray could not process.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Unprocessed {
    /// The rule that they report.
    pub rule_name: String,
    /// The kind of error.
    pub error_code: String,
    /// The problem.
    pub message: String,
}

/// Why a record contains no applicable rule.
enum Problem {
    /// The rule is valid, but does not apply to this service.
    Foreign(Skipped),
    Wrong(Error),
}

impl Rules {
    /// Reads the rules from the records of a response. Rules that are invalid or not understood are [skipped](Self::skipped).
    /// If `Default` is missing, AWS's own default rule is used.
    pub fn central<'a>(records: impl IntoIterator<Item = &'a Value>) -> Self {
        let mut rules = Self::default();
        for record in records {
            match rule(record) {
                Ok(rule) => rules.add(rule),
                Err(Problem::Foreign(skipped)) => rules.skipped.push(skipped),
                Err(Problem::Wrong(Error::Rule { rule, problem })) => {
                    rules.skipped.push(Skipped { rule, why: problem })
                }
                Err(Problem::Wrong(error)) => {
                    rules.skipped.push(Skipped { rule: "?".to_owned(), why: error.to_string() });
                }
            }
        }
        rules.sorted()
    }

    /// Reads the rules from a file, in which an invalid rule is an error.
    pub(super) fn central_file(records: &[Value]) -> Result<Self, Error> {
        let mut rules = Self::default();
        for record in records {
            match rule(record) {
                Ok(rule) if rules.iter().any(|known| known.name == rule.name && rule.name != DEFAULT) => {
                    return Err(wrong(&rule.name, "another rule has the same RuleName; give it a different one"));
                }
                Ok(rule) => rules.add(rule),
                Err(Problem::Foreign(skipped)) => rules.skipped.push(skipped),
                Err(Problem::Wrong(error)) => return Err(error),
            }
        }
        Ok(rules.sorted())
    }

    fn add(&mut self, rule: Rule) {
        if rule.name == DEFAULT {
            self.default = rule;
        } else if self.rules.iter().any(|known| known.name == rule.name) {
            self.skipped.push(Skipped { rule: rule.name, why: "another rule has the same RuleName".to_owned() });
        } else {
            self.rules.push(rule);
        }
    }

    fn sorted(mut self) -> Self {
        self.rules.sort_by(|one, other| (one.priority, &one.name).cmp(&(other.priority, &other.name)));
        self
    }
}

impl Rule {
    /// The rule as the API returns it, `modified` at this second since 1970.
    pub fn record(&self, modified: f64) -> Value {
        json!({
            "SamplingRule": {
                "RuleName": self.name,
                "RuleARN": format!("arn:aws:xray:us-east-1:000000000000:sampling-rule/{}", self.name),
                "ResourceARN": "*",
                "Priority": self.priority,
                "FixedRate": self.rate,
                "ReservoirSize": self.reservoir,
                "ServiceName": self.service.as_str(),
                "ServiceType": self.service_type.as_str(),
                "Host": self.host.as_str(),
                "HTTPMethod": self.method.as_str(),
                "URLPath": self.path.as_str(),
                "Version": 1,
                "Attributes": {},
            },
            "CreatedAt": modified,
            "ModifiedAt": modified,
        })
    }
}

/// Whether this is a single rule, in any form that [`rule`] reads.
pub(super) fn is_rule(value: &Value) -> bool {
    ["SamplingRuleRecord", "SamplingRule", "RuleName"].iter().any(|key| value.get(key).is_some())
}

/// Reads the rule from a record, from the rule alone, or from the output of `create-sampling-rule`.
fn rule(record: &Value) -> Result<Rule, Problem> {
    let record = record.get("SamplingRuleRecord").unwrap_or(record);
    let Some(fields) = record.get("SamplingRule").unwrap_or(record).as_object() else {
        return Err(Problem::Wrong(Error::Rules("have a record that is not an object with a SamplingRule".to_owned())));
    };
    let name = match fields.get("RuleName").and_then(Value::as_str) {
        Some(name) if (1..=128).contains(&name.len()) => name.to_owned(),
        _ => return Err(Problem::Wrong(Error::Rules("have a rule without a RuleName; give it one".to_owned()))),
    };
    if let Some(why) = foreign(fields) {
        return Err(Problem::Foreign(Skipped { rule: name, why }));
    }
    known(name, fields).map_err(Problem::Wrong)
}

/// Why a rule does not apply to this service; AWS's SDKs skip the same rules.
fn foreign(fields: &Map<String, Value>) -> Option<String> {
    match (fields.get("Version"), fields.get("ResourceARN"), fields.get("Attributes")) {
        (Some(version), ..) if version.as_u64() != Some(1) => Some(format!("its Version is {version}, not 1")),
        (_, Some(arn), _) if arn.as_str() != Some("*") => Some(format!("its ResourceARN is {arn}, not \"*\"")),
        (.., Some(Value::Object(attributes))) if !attributes.is_empty() => {
            Some("it has Attributes, which are unknown when a request starts".to_owned())
        }
        _ => None,
    }
}

fn known(name: String, fields: &Map<String, Value>) -> Result<Rule, Error> {
    let is_default = name == DEFAULT;
    let rate = model::rate(fields.get("FixedRate"));
    let rate = rate.ok_or_else(|| wrong(&name, "give FixedRate as a number from 0 to 1"))?;
    let reservoir = model::count(fields.get("ReservoirSize"));
    let reservoir = reservoir.ok_or_else(|| wrong(&name, "give ReservoirSize as a whole number from 0"))?;
    if is_default {
        return Ok(Rule { rate, reservoir, ..Rule::default() });
    }
    let priority = model::count(fields.get("Priority")).filter(|priority| (1..10_000).contains(priority));
    let priority = priority.ok_or_else(|| wrong(&name, "give Priority as a number from 1 to 9999"))?;
    let pattern = |key: &str| match fields.get(key) {
        None => Ok(Pattern::any()),
        Some(value) => {
            let pattern = value.as_str().and_then(Pattern::new);
            let fault = || wrong(&name, &format!("give {key} as a text of 1 to 256 characters, \"*\" for any"));
            pattern.ok_or_else(fault)
        }
    };
    let (service, service_type, host) = (pattern("ServiceName")?, pattern("ServiceType")?, pattern("Host")?);
    let (method, path) = (pattern("HTTPMethod")?, pattern("URLPath")?);
    Ok(Rule { name, description: None, priority, rate, reservoir, service, service_type, host, method, path })
}

fn wrong(rule: &str, problem: &str) -> Error {
    Error::Rule { rule: rule.to_owned(), problem: problem.to_owned() }
}
