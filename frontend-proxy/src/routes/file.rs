//! The routes file, read: every fault of it with its line and its mend. TOML is walked as it was parsed rather than
//! deserialized, which would stop at the first fault. Opens nothing.

use std::fmt::Display;
use std::ops::{Range, RangeInclusive};
use std::str::FromStr;
use std::time::Duration;

use settings::Settings;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::rule::{Body, Rule};
use super::template::Template;
use super::units::{Size, Span};
use super::{MAX_PATH, Variables};
use crate::config::Upstream;
use crate::upstream::Limits;

/// Routes of one file, and entries of one list.
const MAX_ROUTES: usize = 256;
const MAX_LIST: usize = 64;

/// The whole of what a route may say; every other key is a fault.
const KEYS: [&str; 15] = [
    "prefix",
    "upstreams",
    "template",
    "templates",
    "traced",
    "untraced",
    "strip_prefix",
    "read_only",
    "retries",
    "connect_timeout",
    "answer_timeout",
    "idle_timeout",
    "tunnel_timeout",
    "body_limit",
    "body_timeout",
];

const MILLISECOND: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// The routes that `text` describes; what is wrong with it is remembered in `faults`, by `name` and line.
pub(super) fn parse(text: &str, name: &str, variables: &Variables, faults: &mut Settings) -> Vec<Rule> {
    let mut reader = Reader { text, name, variables, faults };
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        reader.fault(error.span().unwrap_or_default(), error.message().replace('\n', ", "));
    }
    reader.rules(document.get_ref())
}

struct Reader<'a> {
    text: &'a str,
    name: &'a str,
    variables: &'a Variables,
    faults: &'a mut Settings,
}

type Value<'i> = Spanned<DeValue<'i>>;

impl Reader<'_> {
    fn fault(&mut self, at: Range<usize>, problem: impl Into<String>) {
        let before = self.text.as_bytes().get(..at.start).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        self.faults.fault(format!("{}:{line}", self.name), problem);
    }

    fn rules(&mut self, document: &DeTable<'_>) -> Vec<Rule> {
        let mut rules: Vec<Rule> = Vec::new();
        for (key, value) in document {
            if key.get_ref() != "route" {
                self.fault(key.span(), format!("`{}` is unknown; write routes, each as [[route]]", key.get_ref()));
                continue;
            }
            let Some(routes) = value.get_ref().as_array() else {
                self.fault(key.span(), "`route` is one table; write [[route]] for each");
                continue;
            };
            if routes.len() > MAX_ROUTES {
                self.fault(key.span(), format!("there are {} routes; give at most {MAX_ROUTES}", routes.len()));
            }
            for route in routes.iter().take(MAX_ROUTES) {
                let Some(table) = route.get_ref().as_table() else {
                    self.wrong_type(route, "route", "a table, as [[route]] begins one");
                    continue;
                };
                if let Some(rule) = self.rule(route.span(), table) {
                    if rules.iter().any(|other| other.prefix == rule.prefix) {
                        let problem = format!("prefix {:?} is another route's already; give one of them", rule.prefix);
                        self.fault(span_of(table, "prefix"), problem);
                    }
                    rules.push(rule);
                }
            }
        }
        rules
    }

    /// `None` where it has no prefix by which a further fault could be told.
    fn rule(&mut self, at: Range<usize>, table: &DeTable<'_>) -> Option<Rule> {
        for key in table.keys().filter(|key| !KEYS.contains(&&**key.get_ref())) {
            let mend = nearest(key.get_ref()).map_or_else(String::new, |known| format!("; is `{known}` meant?"));
            self.fault(key.span(), format!("`{}` is unknown{mend}", key.get_ref()));
        }
        let prefix = match find(table, "prefix") {
            Some(value) => self.prefix(value),
            None => {
                self.fault(at.clone(), "the route has no prefix; give one such as prefix = \"/api/\"");
                None
            }
        };
        let (upstreams, missing) = self.upstreams(at, table);
        let limits = Limits::default();
        let rule = Rule {
            template: self.template(table, prefix.as_deref()),
            templates: self.templates(table, prefix.as_deref()),
            untraced: self.untraced(table, prefix.as_deref()),
            traced: self.flag(table, "traced").unwrap_or(true),
            strip_prefix: self.flag(table, "strip_prefix").unwrap_or(false),
            read_only: self.flag(table, "read_only").unwrap_or(false),
            limits: Limits {
                connect: self.duration(table, "connect_timeout", MILLISECOND..=MINUTE).unwrap_or(limits.connect),
                answer: self.duration(table, "answer_timeout", MILLISECOND..=HOUR).unwrap_or(limits.answer),
                idle: self.duration(table, "idle_timeout", MILLISECOND..=HOUR).unwrap_or(limits.idle),
                tunnel: self.duration(table, "tunnel_timeout", MILLISECOND..=DAY).unwrap_or(limits.tunnel),
                retries: self.retries(table).unwrap_or(limits.retries),
            },
            body: Body {
                limit: self.size(table, "body_limit", 0..=1 << 30).unwrap_or(Body::default().limit),
                timeout: self.duration(table, "body_timeout", MILLISECOND..=HOUR).unwrap_or(Body::default().timeout),
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
            None => format!("prefix {text:?} does not begin and end with /; give one such as \"/api/\""),
            Some("") => return Some(text),
            Some(inner)
                if text.len() <= MAX_PATH && inner.split('/').all(|part| !part.is_empty() && is_plain(part)) =>
            {
                return Some(text);
            }
            Some(_) => format!(
                "prefix {text:?} is no plain path; give segments of letters, digits and -._~ of at most {MAX_PATH} bytes"
            ),
        };
        self.fault(value.span(), problem);
        None
    }

    /// Also the variable that is not set, where that leaves none.
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
                    // A password may stand before an @.
                    let shown = if text.contains('@') { "the text".to_owned() } else { format!("{text:?}") };
                    let mend = "give one such as \"http://127.0.0.1:4567\", without a path";
                    self.fault(at, format!("{shown} is no upstream ({error}); {mend}"));
                    continue;
                }
            };
            if upstreams.contains(&upstream) {
                self.fault(at, format!("{upstream} is there twice; give it once"));
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
                self.fault(at, format!("template {text:?} is there twice; give it once"));
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
                    format!("{text:?} is no template ({error}); give one such as \"/api/activities/{{uuid}}\""),
                );
                None
            }
            Ok(_) if prefix.is_some_and(|prefix| !text.starts_with(prefix)) => {
                self.fault(
                    at,
                    format!("template {text:?} is not below the route's prefix {:?}", prefix.unwrap_or("/")),
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
                let problem = format!("path {text:?} is not below the route's prefix {:?}", prefix.unwrap_or("/"));
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

    fn flag(&mut self, table: &DeTable<'_>, key: &str) -> Option<bool> {
        let value = find(table, key)?;
        let flag = value.get_ref().as_bool();
        if flag.is_none() {
            self.wrong_type(value, key, "true or false");
        }
        flag
    }

    fn duration(&mut self, table: &DeTable<'_>, key: &str, range: RangeInclusive<Duration>) -> Option<Duration> {
        let mend = format!("a text from \"{}\" to \"{}\"", Span(*range.start()), Span(*range.end()));
        self.within(table, key, &mend, |span: &Span| range.contains(&span.0)).map(|span| span.0)
    }

    fn size(&mut self, table: &DeTable<'_>, key: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let mend = format!("a text from \"{}\" to \"{}\"", Size(*range.start()), Size(*range.end()));
        self.within(table, key, &mend, |size: &Size| range.contains(&size.0)).map(|size| size.0)
    }

    fn within<T>(&mut self, table: &DeTable<'_>, key: &str, mend: &str, valid: impl Fn(&T) -> bool) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        let value = find(table, key)?;
        let text = self.text_of(value, key, mend)?;
        let problem = match text.parse::<T>() {
            Ok(parsed) if valid(&parsed) => return Some(parsed),
            Ok(_) => format!("`{key}` is {text:?}, beyond its range; give {mend}"),
            Err(error) => format!("`{key}` is {text:?} ({error}); give {mend}"),
        };
        self.fault(value.span(), problem);
        None
    }

    fn list(&mut self, value: &Value<'_>, key: &str, mend: &str) -> Vec<(String, Range<usize>)> {
        let Some(entries) = value.get_ref().as_array() else {
            self.wrong_type(value, key, &format!("a list of {mend}"));
            return Vec::new();
        };
        if entries.len() > MAX_LIST {
            self.fault(value.span(), format!("`{key}` has {} entries; give at most {MAX_LIST}", entries.len()));
        }
        let entries = entries.iter().take(MAX_LIST);
        entries.filter_map(|entry| Some((self.text_of(entry, key, mend)?, entry.span()))).collect()
    }

    fn text_of(&mut self, value: &Value<'_>, key: &str, mend: &str) -> Option<String> {
        let text = value.get_ref().as_str();
        if text.is_none() {
            self.wrong_type(value, key, mend);
        }
        text.map(str::to_owned)
    }

    fn wrong_type(&mut self, value: &Value<'_>, key: &str, mend: &str) {
        let found = value.get_ref().type_str();
        let article = if found.starts_with(['a', 'i']) { "an" } else { "a" };
        self.fault(value.span(), format!("`{key}` holds {article} {found}; give {mend}"));
    }
}

fn find<'t, 'i>(table: &'t DeTable<'i>, key: &str) -> Option<&'t Value<'i>> {
    table.iter().find(|(own, _)| own.get_ref() == key).map(|(_, value)| value)
}

fn span_of(table: &DeTable<'_>, key: &str) -> Range<usize> {
    find(table, key).map_or(0..0, Spanned::span)
}

fn is_path_character(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// The key that differs in at most two letters, or that the given one is part of.
fn nearest(key: &str) -> Option<&'static str> {
    let distance = |known: &&&str| edits(key, known);
    KEYS.iter().min_by_key(distance).copied().filter(|known| edits(key, known) <= 2)
}

/// Letters to insert, remove or change. Only for keys, which are short: what is longer is far from any.
fn edits(one: &str, other: &str) -> usize {
    if one.len() > 32 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, a) in one.bytes().enumerate() {
        let mut diagonal = index;
        let mut left = index + 1;
        let mut next = vec![left];
        for (b, above) in other.bytes().zip(row.iter().skip(1)) {
            let cost = (diagonal + usize::from(a != b)).min(left + 1).min(above + 1);
            diagonal = *above;
            left = cost;
            next.push(cost);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}
