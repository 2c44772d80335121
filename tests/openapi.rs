//! The API's document: it covers the whole API, and it is correct. Schemathesis, from PyPI, makes valid and invalid requests from it, and
//! compares the responses.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::cruddur::Cruddur;
use crate::support::person::Person;
use crate::support::routes_file::{self, Route};
use crate::support::{Folder, cannot_run, engines, http, python};

/// The newest versions that run on Python 3.11. The same version of Hypothesis makes the same requests from the same seed.
const SCHEMATHESIS: [&str; 2] = ["schemathesis==4.32.5", "hypothesis==6.170.17"];
const HOOKS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/support/schemathesis_hooks.py");

/// The configuration of every run. No state is kept for the next run, and the requests that it prints can be repeated
/// unchanged: their tokens are of this test's users.
const CONFIGURATION: &str = r#"
seed = 20
continue-on-failure = true
[cache]
enabled = false
[output.sanitization]
enabled = false
[generation]
database = "none"
"#;

/// Additions for a run as two users, who must not see each other's data. An operation that answers only 401, 403 or 404 to them was not
/// tested, which is a failure.
const TWO_USERS: &str = r#"
[warnings]
fail-on = ["missing_auth", "missing_test_data"]
[auth.wfc]
path = "users.json"
peers = ["one", "two"]
[[operations]]
include-operation-id = "show_status"
parameters = { "path.handle" = "${HANDLE}", "path.uuid" = "${CRUD}" }
"#;

fn backend(data: &Folder) -> Cruddur {
    Cruddur::service("backend", &[("CRUDDUR_DATA", data.path().to_str().unwrap())])
}

fn document(cruddur: &Cruddur) -> Value {
    http::get(&format!("{}/api/openapi.json", cruddur.backend)).json()
}

/// Each operation: its method, its path and its description.
fn operations(document: &Value) -> Vec<(String, &str, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, item)| {
            let operations = item.as_object().unwrap().iter();
            operations.map(move |(method, operation)| (method.to_uppercase(), path.as_str(), operation))
        })
        .collect()
}

/// A path with its parameters filled in.
fn filled(path: &str) -> String {
    let uuid = "01a2037a-94ce-7187-931e-c272fb321aa0";
    path.replace("{handle}", "andrewbrown").replace("{uuid}", uuid).replace("{message_group_uuid}", uuid)
}

/// A request is named in traces by the templates of the proxy's routes file, so that each route of the API needs one.
#[test]
fn the_proxys_own_routes_are_those_of_the_document() {
    let data = Folder::new();
    let document = document(&backend(&data));
    let paths: BTreeSet<&str> = document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    for Route { prefix, mut templates, untraced } in routes_file::api() {
        templates.retain(|template| !is_without_a_parameter(template, &paths));
        let named: BTreeSet<&str> = templates.into_iter().chain(untraced).collect();
        let documented: BTreeSet<&str> = paths.iter().copied().filter(|path| path.starts_with(prefix)).collect();
        assert_eq!(named, documented, "below {prefix}");
    }
}

/// Whether a template is for requests that leave out the parameter of one of these paths.
fn is_without_a_parameter(template: &str, paths: &BTreeSet<&str>) -> bool {
    let without = |path: &&str| {
        let (before, parameter) = path.split_once('{')?;
        let (_, after) = parameter.split_once('}')?;
        Some(format!("{before}{after}"))
    };
    !paths.contains(template) && paths.iter().filter_map(without).any(|path| path == template)
}

#[test]
fn a_route_allows_the_documented_methods_and_lists_them_otherwise() {
    let data = Folder::new();
    let cruddur = backend(&data);
    let document = document(&cruddur);
    let mut routes: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (method, path, _) in operations(&document) {
        let head = (method == "GET").then(|| "HEAD".to_owned());
        routes.entry(path).or_default().extend(head.into_iter().chain([method]));
    }
    for (path, methods) in routes {
        let allowed: BTreeSet<&str> = methods.iter().map(String::as_str).collect();
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            let answer = http::request(method, &format!("{}{}", cruddur.backend, filled(path)), &[]);
            assert_eq!(answer.status != 405, allowed.contains(method), "{method} {path}: {}", answer.status);
            if answer.status == 404 && method != "HEAD" {
                assert_ne!(answer.json()["detail"], "no such route", "{method} {path}");
            }
            if answer.status == 405 {
                assert_eq!(answer.header("allow").split(", ").collect::<BTreeSet<_>>(), allowed, "{method} {path}");
            }
        }
    }
    let nowhere = http::get(&format!("{}/api/nowhere", cruddur.backend));
    assert_eq!((nowhere.status, nowhere.json()["detail"].as_str()), (404, Some("no such route")));
}

#[test]
fn the_document_marks_routes_that_need_a_session() {
    let data = Folder::new();
    let cruddur = backend(&data);
    for (method, path, operation) in operations(&document(&cruddur)) {
        let ways = operation["security"].as_array();
        let needed = ways.is_some_and(|ways| !ways.contains(&json!({})));
        let answer = http::request(&method, &format!("{}{}", cruddur.backend, filled(path)), &[]);
        assert_eq!(answer.status == 401, needed, "{method} {path}: {}", answer.status);
        assert_eq!(operation["responses"]["401"].is_object(), needed, "{method} {path}");
    }
}

#[test]
fn the_document_suits_people_and_generators() {
    let data = Folder::new();
    let document = document(&backend(&data));
    assert_eq!((&document["openapi"], &document["servers"]), (&json!("3.1.0"), &Value::Null));
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    let mut tags = BTreeSet::new();
    for tag in document["tags"].as_array().unwrap() {
        assert!(text(&tag["description"]), "{tag}");
        tags.insert(tag["name"].clone().to_string());
    }
    let mut ids = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        assert!(text(&operation["summary"]), "{method} {path}");
        assert!(ids.insert(operation["operationId"].to_string()), "{method} {path} has another's id");
        assert!(tags.contains(&operation["tags"][0].to_string()), "{method} {path}");
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            assert!(text(&parameter["description"]), "{method} {path} {parameter}");
        }
        for (status, response) in operation["responses"].as_object().unwrap() {
            assert!(text(&response["description"]), "{method} {path} {status}");
        }
    }
    for reference in document.to_string().split("\"$ref\":\"#").skip(1) {
        let pointer = reference.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer} does not exist");
    }
}

/// Guarantee 14, second part.
#[test]
fn schemathesis_finds_no_undocumented_response() {
    let Some(python) = python::with(&SCHEMATHESIS, "schemathesis") else {
        return cannot_run("pypi", "python3 with venv, and schemathesis from PyPI, cannot be had");
    };
    engines::each(&[], |cruddur| {
        let people = [cruddur.person(), cruddur.person()];
        let crud = people[0].crud("looked at by schemathesis")["uuid"].as_str().unwrap().to_owned();
        let users = SchemathesisRun { excluded: &["sign_in", "sign_out"], examples: 20, more: TWO_USERS };
        let anonymous = SchemathesisRun { excluded: &[], examples: 5, more: "" };
        let (base, python, people, crud) = (&cruddur.backend, &python, &people, &crud);
        let started = std::time::Instant::now();
        let cases = std::thread::scope(|scope| {
            let runs = [users, anonymous].map(|run| scope.spawn(move || run.against(base, python, people, crud)));
            runs.map(|run| run.join().unwrap())
        });
        println!("{cases:?} requests of two users and an anonymous client in {} s", started.elapsed().as_secs());
        for person in people {
            assert_eq!(person.get("/api/auth/me").status, 200, "still signed in as {}", person.handle);
        }
    });
}

/// A run of schemathesis.
struct SchemathesisRun {
    /// Operations that would sign out the users of this run. `/rollbar/test` fails by design and is always excluded.
    excluded: &'static [&'static str],
    /// The number of examples for each operation, besides those that try each limit of its schema.
    examples: u8,
    more: &'static str,
}

impl SchemathesisRun {
    /// Runs schemathesis, and returns the number of requests that it made. Each failure is reported with the requests that show it.
    fn against(&self, base: &str, python: &Path, people: &[Person; 2], crud: &str) -> u64 {
        let folder = Folder::new();
        let file = |name: &str| folder.path().join(name);
        let Self { excluded, examples, more } = self;
        let configuration = format!("{CONFIGURATION}max-examples = {examples}\n{more}");
        std::fs::write(file("schemathesis.toml"), configuration).unwrap();
        let users: Vec<Value> = ["one", "two"]
            .into_iter()
            .zip(people)
            .map(|(name, person)| {
                let bearer = format!("Bearer {}", person.cookie.split_once('=').unwrap().1);
                json!({"name": name, "fixedHeaders": [{"name": "Authorization", "value": bearer}]})
            })
            .collect();
        std::fs::write(file("users.json"), json!({"auth": users}).to_string()).unwrap();
        let mut command = Command::new(python.with_file_name("schemathesis"));
        command.current_dir(folder.path()).args(["run", "--no-color", "--checks=all", "--report=json"]);
        command.args(["--report-json-path=report.json", "--exclude-operation-id=test_error"]);
        command.args(excluded.iter().map(|id| format!("--exclude-operation-id={id}")));
        command.arg(format!("{base}/api/openapi.json"));
        command.env("SCHEMATHESIS_HOOKS", HOOKS).env("HANDLE", &people[0].handle).env("CRUD", crud);
        command.env("PEERS", people.each_ref().map(|person| person.handle.as_str()).join(","));
        let output = command.output().unwrap();
        let printed = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        assert!(output.status.success(), "{printed}");
        let report: Value = serde_json::from_slice(&std::fs::read(file("report.json")).unwrap()).unwrap();
        assert_eq!((&report["complete"], &report["operations"]["errored"]), (&json!(true), &json!(0)), "{printed}");
        report["test_cases"]["generated"].as_u64().unwrap()
    }
}
