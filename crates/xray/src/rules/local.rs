//! A service's own file of rules, in the two versions that AWS's SDKs read. Version 1 calls the pattern of the `Host` header
//! `service_name`; the pattern is not compared with the service's name.

use serde_json::{Map, Value};

use super::model::{self, Rule, Rules};
use super::pattern::Pattern;
use crate::Error;

/// The forms of a file; the first key identifies each.
pub(super) const FORMS: &str = "\"version\": 1 or \"version\": 2 for a service's own rules, or \"SamplingRuleRecords\" or \
    \"SamplingRule\" for rules in the form of the aws command";

impl Rules {
    pub(super) fn local(file: &Map<String, Value>) -> Result<Self, Error> {
        let host = match file.get("version").and_then(Value::as_u64) {
            Some(1) => "service_name",
            Some(2) => "host",
            _ => return Err(Error::Rules(format!("need {FORMS}"))),
        };
        let default = match file.get("default") {
            Some(Value::Object(default)) => {
                if let Some(field) =
                    [host, "http_method", "url_path"].into_iter().find(|key| default.contains_key(*key))
                {
                    return Err(problem("default", format!("it applies to every request; remove {field}")));
                }
                let (rate, reservoir) = amounts("default", default)?;
                Rule { rate, reservoir, ..Rule::default() }
            }
            _ => {
                let problem = "need a default, such as \"default\": {\"fixed_target\": 1, \"rate\": 0.05}";
                return Err(Error::Rules(problem.to_owned()));
            }
        };
        let list = match file.get("rules") {
            None => &Vec::new(),
            Some(Value::Array(rules)) => rules,
            Some(_) => return Err(Error::Rules("need a list as \"rules\"".to_owned())),
        };
        let rules = list.iter().zip(1..).map(|(rule, place)| own(rule, place, host)).collect::<Result<_, _>>()?;
        Ok(Self { rules, default, skipped: Vec::new() })
    }
}

fn own(rule: &Value, place: u32, host: &str) -> Result<Rule, Error> {
    let name = format!("local-{place}");
    let Value::Object(fields) = rule else {
        return Err(problem(&name, "it is not an object".to_owned()));
    };
    let description = fields.get("description").and_then(Value::as_str).map(str::to_owned);
    let named = description.as_ref().map_or_else(|| name.clone(), |description| format!("{name} ({description})"));
    let pattern = |key: &str| {
        let text = fields.get(key).and_then(Value::as_str);
        let pattern = text.and_then(Pattern::new);
        pattern.ok_or_else(|| problem(&named, format!("give {key} as a text of 1 to 256 characters, \"*\" for any")))
    };
    let (host, method, path) = (pattern(host)?, pattern("http_method")?, pattern("url_path")?);
    let (rate, reservoir) = amounts(&named, fields)?;
    Ok(Rule { name, description, priority: place, rate, reservoir, host, method, path, ..Rule::default() })
}

/// The rate and the reservoir.
fn amounts(rule: &str, fields: &Map<String, Value>) -> Result<(f64, u32), Error> {
    let rate = model::rate(fields.get("rate"));
    let rate = rate.ok_or_else(|| problem(rule, "give rate as a number from 0 to 1".to_owned()))?;
    let reservoir = model::count(fields.get("fixed_target"));
    let reservoir = reservoir.ok_or_else(|| problem(rule, "give fixed_target as a whole number from 0".to_owned()))?;
    Ok((rate, reservoir))
}

fn problem(rule: &str, problem: String) -> Error {
    Error::Rule { rule: rule.to_owned(), problem }
}
