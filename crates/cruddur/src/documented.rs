//! `docs/src/configuration.md` lists every variable that a service reads, and no other, with the default of the code.

use std::collections::{BTreeMap, BTreeSet};

use settings::Settings;

use crate::configs::Configs;

const PAGE: &str = include_str!("../../../docs/src/configuration.md");

/// Environments that together cause every variable to be read: some are read only if others are set.
pub(crate) const ENVIRONMENTS: &[&[(&str, &str)]] = &[
    &[],
    &[("DATABASE_URL", "postgres://me@db")],
    &[("AUTH_MODE", "cognito"), ("AWS_COGNITO_USER_POOL_ID", "local_1"), ("AWS_COGNITO_USER_POOL_CLIENT_ID", "c")],
    &[("HONEYCOMB_API_KEY", "k")],
    &[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "127.0.0.1:1"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "127.0.0.1:1"),
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "127.0.0.1:1"),
        ("OTEL_LOGS_EXPORTER", "otlp"),
    ],
    &[("AWS_XRAY_OTLP_ENDPOINT", "http://127.0.0.1:1"), ("HOME", "/nonexistent")],
    &[("OTEL_TRACES_SAMPLER", "traceidratio")],
    &[("OTEL_RESOURCE_DETECTORS", "ecs,ec2,eks"), ("KUBERNETES_SERVICE_HOST", "10.0.0.1")],
];

/// The variables that are read, and the defaults of those that have one.
fn read() -> (BTreeSet<String>, BTreeMap<String, String>) {
    let (mut names, mut defaults) = (BTreeSet::new(), BTreeMap::new());
    for environment in ENVIRONMENTS {
        let mut settings = Settings::from_pairs(environment);
        drop(Configs::read(&mut settings));
        names.extend(settings.read_names().map(str::to_owned));
        defaults.extend(settings.defaults().map(|(name, default)| (name.to_owned(), default.to_owned())));
    }
    (names, defaults)
}

/// A row of a table: its variables, and its cell for the default.
struct Row {
    names: Vec<&'static str>,
    default: &'static str,
}

/// The rows of all tables but that of OpenTelemetry's specification, which has patterns of names. A test in `telemetry` compares it
/// with the code.
fn rows() -> Vec<Row> {
    let (before, section) = PAGE.split_once("\n## Variables of OpenTelemetry's specification\n").unwrap();
    let (_, after) = section.split_once("\n## ").unwrap();
    let mut rows = Vec::new();
    for line in before.lines().chain(after.lines()).filter_map(|line| line.strip_prefix("| ")) {
        let cells: Vec<&str> = line.trim_end_matches(" |").split(" | ").collect();
        let names: Vec<&str> = cells[0].split('`').filter(|name| is_name(name)).collect();
        if !names.is_empty() {
            rows.push(Row { names, default: cells.get(2).unwrap_or(&"") });
        }
    }
    rows
}

fn is_name(text: &str) -> bool {
    text.contains('_') && text.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_'))
}

/// Whether this is one of libpq's variables that are only read to warn of them.
fn is_warned_of(name: &str) -> bool {
    let mut settings = Settings::from_pairs(&[("DATABASE_URL", "postgres://me@db"), (name, "x")]);
    drop(backend::Config::read(&mut settings));
    name.starts_with("PG") && settings.warnings().any(|(subject, _)| subject == name)
}

#[test]
fn the_page_lists_every_variable_that_is_read_and_no_other() {
    let (read, rows) = (read().0, rows());
    let is_on_page = |name: &String| PAGE.contains(&format!("`{name}`")) || telemetry::config::is_known(name);
    let missing: Vec<_> = read.iter().filter(|name| !is_on_page(name) && !is_warned_of(name)).collect();
    assert!(missing.is_empty(), "these are read: {missing:?}");
    let listed: Vec<&str> = rows.iter().flat_map(|row| row.names.iter().copied()).collect();
    let unread: Vec<_> = listed.iter().filter(|name| !read.contains(**name)).collect();
    assert!(unread.is_empty(), "these are not read: {unread:?}");
    for own in read.iter().filter(|name| name.starts_with("CRUDDUR_")) {
        assert_eq!(listed.iter().filter(|name| *name == own).count(), 1, "{own} has one row");
    }
}

#[test]
fn the_defaults_on_the_page_are_those_of_the_code() {
    let (defaults, rows) = (read().1, rows());
    for (name, default) in &defaults {
        let text = shown(default);
        match rows.iter().find(|row| row.names.contains(&name.as_str())) {
            Some(row) => {
                let after = row.default.strip_prefix(&text);
                let is_it = after.is_some_and(|after| !after.starts_with(|c: char| c.is_ascii_digit() || c == '.'));
                assert!(is_it, "{name}: {text} is the default, and the page has: {}", row.default);
            }
            None => assert!(PAGE.contains(&text), "{name}: the page does not have the default {text}"),
        }
    }
    for row in rows {
        // Words are for defaults that no value can express.
        let is_value = row.default.starts_with(|c: char| c == '`' || c.is_ascii_digit());
        let is_known = row.names.iter().any(|name| defaults.contains_key(*name));
        assert!(is_known || !is_value, "{:?}: the page has {}, and the code has no default", row.names, row.default);
    }
}

#[test]
fn the_proxys_default_upstream_is_where_the_backend_listens() {
    let (_, defaults) = read();
    assert_eq!(defaults["CRUDDUR_UPSTREAM"], format!("http://{}", defaults["CRUDDUR_BACKEND_LISTEN"]));
}

#[test]
fn the_first_users_on_the_page_are_those_of_the_code() {
    assert!(PAGE.contains(&format!("four users (`{}`)", backend::store::FIRST_USERS.join("`, `"))));
}

/// A default as the page writes it: a number with commas, or code.
fn shown(default: &str) -> String {
    if !default.bytes().all(|byte| byte.is_ascii_digit()) {
        return format!("`{default}`");
    }
    let mut text = String::new();
    for (index, digit) in default.chars().enumerate() {
        if index > 0 && (default.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
