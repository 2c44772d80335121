//! Reads the routes file. The parsed TOML is walked rather than deserialized, which would stop at the first fault. Opens
//! nothing.

use std::ops::Range;
use std::time::Duration;

use settings::{Settings, nearest};
use toml::de::DeTable;

use super::reader::{Reader, Value, Variables, find, span_of};
use super::rule::{BodyLimits, Host, Rule, VIEWER};
use super::template::{MAX_PATH, Template};
use crate::upstream::UpstreamLimits;
use crate::upstream::address::Upstream;

/// Most routes in one file.
const MAX_ROUTES: usize = 256;

/// All keys that a route may have; every other key is a fault.
const KEYS: [&str; 17] = [
    "prefix",
    "upstreams",
    "template",
    "templates",
    "traced",
    "untraced",
    "strip_prefix",
    "read_only",
    "host",
    "retries",
    "connect_timeout",
    "answer_timeout",
    "idle_timeout",
    "tunnel_timeout",
    "connection_age",
    "body_limit",
    "body_timeout",
];

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// The routes that `text` describes; records each fault in `faults`, by `name` and line.
pub(super) fn parse(text: &str, name: &str, variables: &Variables, faults: &mut Settings) -> Vec<Rule> {
    let mut reader = Reader { text, name, variables, faults };
    let (document, errors) = DeTable::parse_recoverable(text);
    // An empty file, or one cut off before its first route, is a mistake: with it, every path would be not found.
    if errors.is_empty() && document.get_ref().is_empty() {
        reader.fault(0..0, "the file has no routes; write at least one [[route]]");
    }
    for error in errors {
        reader.fault(error.span().unwrap_or_default(), error.message().replace('\n', ", "));
    }
    reader.rules(document.get_ref())
}

impl Reader<'_> {
    fn rules(&mut self, document: &DeTable<'_>) -> Vec<Rule> {
        let mut rules: Vec<Rule> = Vec::new();
        for (key, value) in document {
            if key.get_ref() != "route" {
                self.fault(key.span(), format!("`{}` is unknown; write routes, each as [[route]]", key.get_ref()));
                continue;
            }
            let Some(routes) = value.get_ref().as_array() else {
                self.fault(key.span(), "`route` is a single table; write [[route]] for each");
                continue;
            };
            if routes.is_empty() {
                self.fault(key.span(), "`route` is an empty list; write at least one [[route]]");
            }
            if routes.len() > MAX_ROUTES {
                self.fault(key.span(), format!("there are {} routes; give at most {MAX_ROUTES}", routes.len()));
            }
            for route in routes.iter().take(MAX_ROUTES) {
                let Some(table) = route.get_ref().as_table() else {
                    self.wrong_type(route, "route", "a table, which starts with [[route]]");
                    continue;
                };
                if let Some(rule) = self.rule(route.span(), table) {
                    if rules.iter().any(|other| other.prefix == rule.prefix) {
                        let problem = format!("prefix {:?} already has a route; keep one of them", rule.prefix);
                        self.fault(span_of(table, "prefix"), problem);
                    }
                    rules.push(rule);
                }
            }
        }
        rules
    }

    /// `None` if the route has no prefix by which to report a further fault.
    fn rule(&mut self, at: Range<usize>, table: &DeTable<'_>) -> Option<Rule> {
        for key in table.keys().filter(|key| !KEYS.contains(&&**key.get_ref())) {
            let hint =
                nearest(key.get_ref(), KEYS).map_or_else(String::new, |known| format!("; did you mean `{known}`?"));
            self.fault(key.span(), format!("`{}` is unknown{hint}", key.get_ref()));
        }
        let prefix = match find(table, "prefix") {
            Some(value) => self.prefix(value),
            None => {
                self.fault(at.clone(), "the route has no prefix; give one such as prefix = \"/api/\"");
                None
            }
        };
        let (upstreams, missing) = self.upstreams(at, table);
        let limits = UpstreamLimits::default();
        let rule = Rule {
            template: self.template(table, prefix.as_deref()),
            templates: self.templates(table, prefix.as_deref()),
            untraced: self.untraced(table, prefix.as_deref()),
            traced: self.flag(table, "traced").unwrap_or(true),
            strip_prefix: self.flag(table, "strip_prefix").unwrap_or(false),
            read_only: self.flag(table, "read_only").unwrap_or(false),
            shows_traces: prefix.as_deref() == Some(VIEWER) || self.has_viewer(&upstreams),
            host: self.host(table).unwrap_or(Host::Upstream),
            limits: UpstreamLimits {
                connect: self.duration(table, "connect_timeout", MILLISECOND..=MINUTE).unwrap_or(limits.connect),
                answer: self.duration(table, "answer_timeout", MILLISECOND..=HOUR).unwrap_or(limits.answer),
                idle: self.duration(table, "idle_timeout", MILLISECOND..=HOUR).unwrap_or(limits.idle),
                tunnel: self.duration(table, "tunnel_timeout", MILLISECOND..=DAY).unwrap_or(limits.tunnel),
                age: self.duration(table, "connection_age", SECOND..=DAY).unwrap_or(limits.age),
                retries: self.retries(table).unwrap_or(limits.retries),
            },
            body: BodyLimits {
                limit: self.size(table, "body_limit", 0..=1 << 30).unwrap_or(BodyLimits::default().limit),
                timeout: self
                    .duration(table, "body_timeout", MILLISECOND..=HOUR)
                    .unwrap_or(BodyLimits::default().timeout),
            },
            prefix: prefix?,
            upstreams,
            missing,
        };
        Some(rule)
    }

    fn prefix(&mut self, value: &Value<'_>) -> Option<String> {
        let text = self.text_of(value, "prefix", "a path such as \"/api/\"")?;
        let is_plain = |segment: &str| !matches!(segment, "." | "..") && segment.bytes().all(is_path_character);
        let inner = text.strip_prefix('/').and_then(|rest| rest.strip_suffix('/').or(rest.is_empty().then_some("")));
        let problem = match inner {
            None => format!("prefix {text:?} does not start and end with /; give one such as \"/api/\""),
            Some("") => return Some(text),
            Some(inner)
                if text.len() <= MAX_PATH && inner.split('/').all(|part| !part.is_empty() && is_plain(part)) =>
            {
                return Some(text);
            }
            Some(_) => format!(
                "prefix {text:?} is not a plain path; give segments of letters, digits and -._~ of at most {MAX_PATH} bytes"
            ),
        };
        self.fault(value.span(), problem);
        None
    }

    fn host(&mut self, table: &DeTable<'_>) -> Option<Host> {
        const EXAMPLES: &str = "\"$upstream\", \"$client\", or a name such as \"app.example\"";
        self.within(table, "host", EXAMPLES, |_: &Host| true)
    }

    fn has_viewer(&self, upstreams: &[Upstream]) -> bool {
        self.variables.viewer.as_ref().is_some_and(|viewer| upstreams.contains(viewer))
    }

    /// The upstreams, and the variable that is not set if that leaves none.
    fn upstreams(&mut self, at: Range<usize>, table: &DeTable<'_>) -> (Vec<Upstream>, Option<&'static str>) {
        let mut missing = None;
        let Some(list) = find(table, "upstreams") else {
            self.fault(at, "the route has no upstreams; give a list such as [\"http://127.0.0.1:4567\"]");
            return (Vec::new(), None);
        };
        let mut upstreams: Vec<Upstream> = Vec::new();
        let texts = self.list(list, "upstreams", "addresses such as \"http://127.0.0.1:4567\"");
        if texts.is_empty() && list.get_ref().as_array().is_some_and(|entries| entries.is_empty()) {
            self.fault(list.span(), "upstreams is empty; give at least one such as \"http://127.0.0.1:4567\"");
        }
        for (text, at) in texts {
            let upstream = match (text.strip_prefix('$'), text.parse::<Upstream>()) {
                (Some("CRUDDUR_UPSTREAM"), _) => self.variables.upstream.clone(),
                (Some("CRUDDUR_VIEWER"), _) => match &self.variables.viewer {
                    Some(viewer) => viewer.clone(),
                    None => {
                        missing = Some("CRUDDUR_VIEWER");
                        continue;
                    }
                },
                (Some(_), _) => {
                    let problem =
                        format!("{text:?} is unknown; $CRUDDUR_UPSTREAM and $CRUDDUR_VIEWER can be used here");
                    self.fault(at, problem);
                    continue;
                }
                (None, Ok(upstream)) => upstream,
                (None, Err(error)) => {
                    // A password may come before an @.
                    let shown = if text.contains('@') { "the text".to_owned() } else { format!("{text:?}") };
                    let fix = "give one such as \"http://127.0.0.1:4567\", without a path";
                    self.fault(at, format!("{shown} is not an upstream ({error}); {fix}"));
                    continue;
                }
            };
            if upstreams.contains(&upstream) {
                self.fault(at, format!("{upstream} appears twice; give it once"));
            }
            upstreams.push(upstream);
        }
        let missing = missing.filter(|_| upstreams.is_empty());
        (upstreams, missing)
    }

    fn template(&mut self, table: &DeTable<'_>, prefix: Option<&str>) -> String {
        let fallback = || format!("{}*", prefix.unwrap_or("/"));
        let Some(value) = find(table, "template") else { return fallback() };
        let Some(text) = self.text_of(value, "template", "a name such as \"/api/*\"") else { return fallback() };
        self.checked(&text, value.span(), prefix).map_or_else(fallback, |template| template.to_string())
    }

    fn templates(&mut self, table: &DeTable<'_>, prefix: Option<&str>) -> Vec<Template> {
        let mut templates: Vec<Template> = Vec::new();
        let Some(list) = find(table, "templates") else { return templates };
        for (text, at) in self.list(list, "templates", "names such as \"/api/activities/{uuid}\"") {
            let Some(template) = self.checked(&text, at.clone(), prefix) else { continue };
            if templates.contains(&template) {
                self.fault(at, format!("template {text:?} appears twice; give it once"));
            } else {
                templates.push(template);
            }
        }
        templates
    }

    fn checked(&mut self, text: &str, at: Range<usize>, prefix: Option<&str>) -> Option<Template> {
        match text.parse::<Template>() {
            Err(error) => {
                self.fault(
                    at,
                    format!("{text:?} is not a template ({error}); give one such as \"/api/activities/{{uuid}}\""),
                );
                None
            }
            Ok(_) if prefix.is_some_and(|prefix| !text.starts_with(prefix)) => {
                self.fault(
                    at,
                    format!("template {text:?} does not start with the route's prefix {:?}", prefix.unwrap_or("/")),
                );
                None
            }
            Ok(template) => Some(template),
        }
    }

    fn untraced(&mut self, table: &DeTable<'_>, prefix: Option<&str>) -> Vec<String> {
        let Some(list) = find(table, "untraced") else { return Vec::new() };
        let texts = self.list(list, "untraced", "paths such as \"/api/health-check\"");
        let mut paths = Vec::new();
        for (text, at) in texts {
            if prefix.is_some_and(|prefix| !text.starts_with(prefix)) {
                let problem =
                    format!("path {text:?} does not start with the route's prefix {:?}", prefix.unwrap_or("/"));
                self.fault(at, problem);
            } else {
                paths.push(text);
            }
        }
        paths
    }

    fn retries(&mut self, table: &DeTable<'_>) -> Option<u32> {
        let value = find(table, "retries")?;
        let number = value.get_ref().as_integer().and_then(|number| number.as_str().parse().ok());
        match number {
            Some(retries) if retries <= 5 => Some(retries),
            _ => {
                self.fault(value.span(), "`retries` is not a number from 0 to 5; give one");
                None
            }
        }
    }
}

fn is_path_character(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}
