use std::sync::Arc;

use proptest::prelude::*;
use settings::Settings;

use super::reader::Variables;
use super::source::CRUDDUR;
use super::*;

fn variables() -> Variables {
    Variables { upstream: "backend:4567".parse().unwrap(), viewer: None }
}

fn read(text: &str) -> Result<Vec<Rule>, Vec<String>> {
    let mut settings = Settings::from_pairs(&[]);
    let rules = file::parse(text, "f", &variables(), &mut settings);
    let faults = settings.finish(());
    faults.map(|()| rules).map_err(|faults| faults.to_string().lines().map(str::to_owned).collect())
}

/// The rule of a route with these keys.
pub(crate) fn rule_of(keys: &str) -> Rule {
    read(&format!("[[route]]\n{keys}")).unwrap().remove(0)
}

fn rule(keys: &str) -> Result<Rule, Vec<String>> {
    let text = format!("[[route]]\nprefix = \"/api/\"\nupstreams = [\"http://a:1\"]\n{keys}");
    read(&text).map(|mut rules| rules.remove(0))
}

#[test]
fn the_built_in_routes_are_valid() {
    let rules = read(CRUDDUR).unwrap();
    let [api, errors, viewer] = rules.as_slice() else { panic!("{rules:?}") };
    assert_eq!((api.upstreams[0].to_string().as_str(), api.missing), ("http://backend:4567", None));
    assert_eq!((viewer.upstreams.len(), viewer.missing), (0, Some("CRUDDUR_VIEWER")));
    for (path, template) in [
        ("/api/activities", "/api/activities"),
        ("/api/activities/home", "/api/activities/home"),
        ("/api/activities/search", "/api/activities/search"),
        ("/api/activities/@andrewbrown", "/api/activities/@{handle}"),
        ("/api/activities/@a/status/1", "/api/activities/@{handle}/status/{uuid}"),
        ("/api/activities/0197/reply", "/api/activities/{uuid}/reply"),
        ("/api/activities/0197", "/api/activities/{uuid}"),
        ("/api/activities/notifications", "/api/activities/notifications"),
        ("/api/activities/0197/like", "/api/activities/{uuid}/like"),
        ("/api/messages/@andrewbrown", "/api/messages/@{handle}"),
        ("/api/messages/0197", "/api/messages/{message_group_uuid}"),
        ("/api/users/@andrewbrown/short", "/api/users/@{handle}/short"),
        ("/api/activities/0197/x", "/api/*"),
        ("/api/", "/api/*"),
    ] {
        assert_eq!(api.template(path), template, "{path}");
    }
    assert_eq!(errors.template("/rollbar/test"), "/rollbar/test");
    assert!(api.traces("/api/activities/home") && !api.traces("/api/health-check"));
    assert_eq!((viewer.forwarded("/traces/"), viewer.forwarded("/traces/api?q=/traces/")), ("/", "/api?q=/traces/"));
    assert_eq!(api.forwarded("/api/x?y"), "/api/x?y");
}

#[test]
fn every_key_is_read() {
    let all = rule(
        r#"template = "/api/{rest}"
        templates = ["/api/{id}", "/api/a/*"]
        untraced = ["/api/ping"]
        traced = true
        strip_prefix = true
        read_only = true
        retries = 5
        connect_timeout = "500ms"
        answer_timeout = "10s"
        idle_timeout = "1m"
        tunnel_timeout = "60m"
        connection_age = "5m"
        body_limit = "64KiB"
        body_timeout = "5s""#,
    );
    assert_eq!(
        all.unwrap().to_string(),
        "/api/        -> http://a:1, prefix stripped, read only; traced as /api/{rest} and 2 templates, but not /api/ping; \
         connect 500ms, answer 10s, idle 1m, tunnel 1h, age 5m, retries 5; body 64KiB in 5s"
    );
    assert_eq!(
        rule("").unwrap().to_string(),
        "/api/        -> http://a:1; traced as /api/*; connect 2s, answer 30s, idle 1m, tunnel 10m, age 1m, retries 1; body 1MiB in 30s"
    );
}

#[test]
fn each_fault_names_its_line_and_its_fix() {
    for (keys, fault) in [
        ("retires = 1", "f:4: `retires` is unknown; did you mean `retries`?"),
        ("colour = 1", "f:4: `colour` is unknown"),
        ("retries = 6", "f:4: `retries` is not a number from 0 to 5; give one"),
        ("retries = \"1\"", "f:4: `retries` is not a number from 0 to 5; give one"),
        ("traced = 1", "f:4: `traced` is an integer; give true or false"),
        (
            "\nbody_limit = \"1MB\"",
            "f:5: `body_limit` is \"1MB\" (it is not a whole number followed by B, KiB, MiB or GiB); give a size from \"0B\" to \"1GiB\"",
        ),
        ("body_limit = 1024", "f:4: `body_limit` is an integer; give a size from \"0B\" to \"1GiB\""),
        (
            "connect_timeout = \"0s\"",
            "f:4: `connect_timeout` is \"0s\", which is out of range; give a duration from \"1ms\" to \"1m\"",
        ),
        ("template = \"/other/*\"", "f:4: template \"/other/*\" does not start with the route's prefix \"/api/\""),
        (
            "templates = \"/api/a\"",
            "f:4: `templates` is a string; give a list of names such as \"/api/activities/{uuid}\"",
        ),
        (
            "templates = [\n\"/api/a\",\n\"/api/{\"]",
            "f:6: \"/api/{\" is not a template (a {name} must end its segment, and consist of letters, digits and _); give one such as \"/api/activities/{uuid}\"",
        ),
        ("templates = [\"/api/a\", \"/api/a\"]", "f:4: template \"/api/a\" appears twice; give it once"),
        ("untraced = [\"/health\"]", "f:4: path \"/health\" does not start with the route's prefix \"/api/\""),
        ("read_only = true\nread_only = true", "f:5: duplicate key"),
    ] {
        assert_eq!(rule(keys).unwrap_err(), [fault], "{keys}");
    }
}

#[test]
fn a_route_needs_a_prefix_and_upstreams() {
    for (text, fault) in [
        ("route = 1", "f:1: `route` is a single table; write [[route]] for each"),
        ("[route]", "f:1: `route` is a single table; write [[route]] for each"),
        ("port = 1", "f:1: `port` is unknown; write routes, each as [[route]]"),
        ("[[route]]\nupstreams = [\"a:1\"]", "f:1: the route has no prefix; give one such as prefix = \"/api/\""),
        (
            "[[route]]\nprefix = \"/a/\"",
            "f:1: the route has no upstreams; give a list such as [\"http://127.0.0.1:4567\"]",
        ),
        (
            "[[route]]\nprefix = \"/a/\"\nupstreams = []",
            "f:3: upstreams is empty; give at least one such as \"http://127.0.0.1:4567\"",
        ),
        (
            "[[route]]\nprefix = \"/a\"\nupstreams = [\"a:1\"]",
            "f:2: prefix \"/a\" does not start and end with /; give one such as \"/api/\"",
        ),
        (
            "[[route]]\nprefix = \"a/\"\nupstreams = [\"a:1\"]",
            "f:2: prefix \"a/\" does not start and end with /; give one such as \"/api/\"",
        ),
        (
            "[[route]]\nprefix = \"/a//b/\"\nupstreams = [\"a:1\"]",
            "f:2: prefix \"/a//b/\" is not a plain path; give segments of letters, digits and -._~ of at most 256 bytes",
        ),
        (
            "[[route]]\nprefix = \"/../\"\nupstreams = [\"a:1\"]",
            "f:2: prefix \"/../\" is not a plain path; give segments of letters, digits and -._~ of at most 256 bytes",
        ),
        (
            "[[route]]\nprefix = \"/a/\"\nupstreams = [\"https://a\"]",
            "f:3: \"https://a\" is not an upstream (expected http://host:port); give one such as \"http://127.0.0.1:4567\", without a path",
        ),
        (
            "[[route]]\nprefix = \"/a/\"\nupstreams = [\"me:canary@a\"]",
            "f:3: the text is not an upstream (expected http://host:port); give one such as \"http://127.0.0.1:4567\", without a path",
        ),
        (
            "[[route]]\nprefix = \"/a/\"\nupstreams = [\"a:1\", \"http://a:1/\"]",
            "f:3: http://a:1 appears twice; give it once",
        ),
        (
            "[[route]]\nprefix = \"/a/\"\nupstreams = [\"$HOME\"]",
            "f:3: \"$HOME\" is unknown; $CRUDDUR_UPSTREAM and $CRUDDUR_VIEWER can be used here",
        ),
        (
            "[[route]]\nprefix = \"/a/\"\nupstreams = [\"a:1\"]\n[[route]]\nprefix = \"/a/\"\nupstreams = [\"a:1\"]",
            "f:5: prefix \"/a/\" already has a route; keep one of them",
        ),
    ] {
        assert_eq!(read(text).unwrap_err(), [fault], "{text}");
    }
    let many = "[[route]]\nprefix = \"/a/\"\nupstreams = [\"a:1\"]\n".repeat(257);
    assert!(read(&many).unwrap_err()[0].ends_with("there are 257 routes; give at most 256"));
}

#[test]
fn all_faults_are_reported_together() {
    let faults =
        read("[[route]]\nprefix = \"a\"\nupstreams = [\"ftp://x\"]\nretires = 2\n[[route]]\ntraced = \"no\"\nx = \n")
            .unwrap_err();
    let lines: Vec<&str> = faults.iter().filter_map(|fault| fault.split(' ').next()).collect();
    for line in ["f:2:", "f:3:", "f:4:", "f:5:", "f:6:", "f:7:"] {
        assert!(lines.contains(&line), "{line} {faults:#?}");
    }
}

#[test]
fn the_longest_prefix_decides() {
    let route = |prefix: &str| format!("[[route]]\nprefix = \"{prefix}\"\nupstreams = [\"a:1\"]\n");
    let routes = Routes::new(read(&(route("/api/") + &route("/") + &route("/api/v2/"))).unwrap());
    for (path, prefix) in [("/api/v2/x", "/api/v2/"), ("/api/v2", "/api/"), ("/api", "/"), ("/", "/")] {
        assert_eq!(routes.find(path).unwrap().rule.prefix, prefix, "{path}");
    }
    assert!(!routes.has_viewer(), "a route for everything shows no traces");
    let routes = Routes::new(read(&route("/api/")).unwrap());
    assert!(routes.find("/api").is_none() && routes.find("/").is_none() && routes.find("/API/").is_none());
}

#[test]
fn a_reload_keeps_the_servers_of_unchanged_routes() {
    let text = |one: &str, two: &str| {
        format!(
            "[[route]]\nprefix = \"/a/\"\nupstreams = [\"a:1\"]\n{one}\n[[route]]\nprefix = \"/b/\"\nupstreams = [{two}]\n"
        )
    };
    let old = Routes::new(read(&text("", "\"b:1\"")).unwrap());
    let (new, changes) = old.next(read(&text("traced = false", "\"b:1\", \"b:2\"")).unwrap());
    assert_eq!(changes.to_string(), "0 added, 0 removed, 2 changed, 0 unchanged");
    let same = |path: &str| Arc::ptr_eq(&old.find(path).unwrap().servers, &new.find(path).unwrap().servers);
    assert!(same("/a/") && !same("/b/"));
    let (_, changes) = old.next(read("[[route]]\nprefix = \"/c/\"\nupstreams = [\"a:1\"]").unwrap());
    assert_eq!(changes.to_string(), "1 added, 2 removed, 0 changed, 0 unchanged");
}

proptest! {
    #[test]
    fn any_text_is_rules_or_faults(text in ".{0,200}", key in "[a-z_]{1,12}", value in ".{0,20}|\"[ -~]{0,10}\"|[0-9\\[\\]]{0,8}") {
        let _ = read(&text);
        match rule(&format!("{key} = {value}")) {
            Ok(rule) => prop_assert!(rule.prefix == "/api/"),
            Err(faults) => prop_assert!(faults.iter().all(|fault| fault.starts_with("f:")), "{faults:?}"),
        }
    }

    #[test]
    fn every_path_is_named_by_a_template(path in "/api/[ -~]{0,40}") {
        let rules = read(CRUDDUR).unwrap();
        let known: Vec<&str> = rules[0].templates.iter().map(template::Template::as_str).chain(["/api/*"]).collect();
        prop_assert!(known.contains(&rules[0].template(&path)));
    }
}
