//! `cruddur doctor`'s checks of variables: placeholders, invalid values, and those that are not used.

use crate::doctor::doctor;
use crate::support::Folder;

#[test]
fn a_placeholder_is_reported_and_a_blank_variable_counts_as_unset() {
    for (name, value) in [
        ("HONEYCOMB_API_KEY", "your-ingest-key"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-other=1,x-api-key=<key>"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20xxx"),
        ("HONEYCOMB_DATASET", "<dataset>"),
        ("OTEL_SERVICE_NAME", "<name>"),
    ] {
        let report = doctor(&[(name, value)]);
        let (status, detail) = report.of(name);
        assert_eq!((status, report.code), ("wrong", 1), "{name}: {detail}");
        assert!(detail.contains("placeholder"), "{name}: {detail}");
    }
    let report = doctor(&[("HONEYCOMB_API_KEY", ""), ("HONEYCOMB_DATASET", " "), ("OTEL_SERVICE_NAME", "shop")]);
    let (_, detail) = report.of("variables");
    assert!(detail.contains("OTEL_SERVICE_NAME") && !detail.contains("HONEYCOMB_"), "{detail}");
    assert_eq!(report.of("honeycomb"), ("off", "HONEYCOMB_API_KEY is not set"));
}

#[test]
fn a_wrong_database_url_is_not_replaced_by_the_default() {
    for variable in ["DATABASE_URL", "CONNECTION_URL"] {
        let report = doctor(&[(variable, "mysql://me:canary@db/cruddur")]);
        assert_eq!((report.wrong(), report.code), (vec![variable], 1));
        assert_eq!(report.of("database"), ("off", &*format!("not checked: {variable} is wrong")));
    }
    let report = doctor(&[("DATABASE_URL", "postgres://me:canary@127.0.0.1:1/cruddur"), ("PGSSLMODE", "strict")]);
    assert_eq!((report.wrong(), report.code), (vec!["PGSSLMODE"], 1));
    assert_eq!(report.of("database"), ("off", "not checked: PGSSLMODE is wrong"));
}

#[test]
fn a_variable_of_libpq_that_is_not_read_is_a_note() {
    let report = doctor(&[("DATABASE_URL", "postgres://me@127.0.0.1:1/cruddur"), ("PGSERVICE", "cruddur")]);
    let expected = "PGSERVICE: is not read here; put its setting into DATABASE_URL, or unset it";
    assert!(
        report.checks.iter().any(|(_, status, detail)| (&**status, &**detail) == ("note", expected)),
        "{:?}",
        report.checks
    );
}

#[test]
fn the_doctor_makes_no_data_folder() {
    let folder = Folder::new();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("file"), "").unwrap();
    std::os::unix::fs::symlink(path("nowhere"), path("dangling")).unwrap();
    for (data, status) in
        [("a/b c", "ok"), ("slash/", "ok"), ("a/../b", "ok"), ("file/a", "wrong"), ("dangling", "wrong")]
    {
        let report = doctor(&[("CRUDDUR_DATA", &path(data))]);
        let (found, detail) = report.of("database");
        assert_eq!(found, status, "{data}: {detail}");
    }
    let mut left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|one| one.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["dangling", "file"]);
}

#[test]
fn proxy_variables_are_reported_as_unused() {
    let report =
        doctor(&[("HTTPS_PROXY", "http://me:canary@proxy:3128"), ("all_proxy", "x"), ("NO_PROXY", "localhost")]);
    let note = "HTTPS_PROXY, NO_PROXY, all_proxy: not used; every destination is reached directly";
    let mut notes: Vec<&str> =
        report.checks.iter().filter(|one| one.0 == "variables" && one.1 == "note").map(|one| one.2.as_str()).collect();
    let found = notes.pop().unwrap();
    let sorted = |text: &str| {
        let (names, rest) = text.split_once(": ").unwrap();
        let mut names: Vec<String> = names.split(", ").map(str::to_owned).collect();
        names.sort();
        (names, rest.to_owned())
    };
    assert_eq!((sorted(found), notes), (sorted(note), Vec::new()));
    assert!(!format!("{:?}", report.checks).contains("canary"));
}
