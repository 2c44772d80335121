//! Faults, warnings and values, read from pairs of variables instead of the environment.

use super::*;

#[test]
fn every_fault_is_reported_in_the_order_found() {
    let mut settings = Settings::from_pairs(&[("A", "x"), ("B", "7"), ("C", "y")]);
    assert_eq!(settings.parse::<u16>("A", "a number"), None);
    assert_eq!(settings.parse::<u16>("B", "a number"), Some(7));
    assert_eq!(settings.parse::<u16>("C", "a number"), None);
    let text = settings.finish(()).unwrap_err().to_string();
    assert_eq!(text.lines().map(|line| &line[..2]).collect::<Vec<_>>(), ["A:", "C:"]);
}

#[test]
fn a_value_that_may_hold_a_password_is_not_quoted() {
    let mut settings = Settings::from_pairs(&[("A", "http://me:canary@host")]);
    assert_eq!(settings.parse::<u16>("A", "a number"), None);
    let text = settings.finish(()).unwrap_err().to_string();
    assert!(text.starts_with("A: the value is not valid") && !text.contains("canary"), "{text}");
}

#[test]
fn a_choice_names_the_words_to_use() {
    let choices = [("development", 1), ("production", 2), ("test", 3)];
    let mut settings = Settings::from_pairs(&[("A", "Production"), ("B", "prod"), ("C", " "), ("D", "me@canary")]);
    assert_eq!(["A", "B", "C", "D"].map(|name| settings.choose(name, &choices)), [Some(2), None, None, None]);
    assert_eq!(settings.choose("B", &choices[..2]), None);
    let faults = settings.finish(()).unwrap_err().to_string();
    let expected = "B: \"prod\" is not valid: use development, production or test\n\
        D: the value is not valid: use development, production or test\n\
        B: \"prod\" is not valid: use development or production";
    assert_eq!(faults, expected);
}

#[test]
fn a_default_replaces_an_invalid_value_and_is_remembered() {
    let mut settings = Settings::from_pairs(&[("A", "x"), ("C", "on"), ("D", "/data")]);
    assert_eq!((settings.parse_or("A", 7, "a number"), settings.listen("B", 80)), (7, "127.0.0.1:80".parse().unwrap()));
    assert!(settings.choose_or("C", &[("on", true), ("off", false)], false));
    assert_eq!((settings.text_or("D", "."), settings.text_or("E", ".")), ("/data".to_owned(), ".".to_owned()));
    let defaults = [("A", "7"), ("B", "127.0.0.1:80"), ("C", "off"), ("D", "."), ("E", ".")];
    assert_eq!(settings.defaults().collect::<Vec<_>>(), defaults);
    assert_eq!(settings.read_names().collect::<Vec<_>>(), ["A", "B", "C", "D", "E"]);
    assert!(settings.is_wrong("A"));
}

#[test]
fn a_file_is_read_up_to_its_bound() {
    let file = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
    let text = read_file(file, 1_000_000).unwrap();
    let length = u64::try_from(text.len()).unwrap();
    assert_eq!(read_file(file, length).unwrap(), text);
    assert_eq!(read_file(file, length - 1).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
}

#[test]
fn localhost_is_an_address_to_listen_on() {
    assert_eq!("localhost:80".parse::<Listen>().unwrap(), "127.0.0.1:80".parse().unwrap());
    for text in ["localhost", "localhost:x", "elsewhere:80", "80"] {
        assert!(text.parse::<Listen>().is_err(), "{text}");
    }
}

#[test]
fn a_blank_variable_is_unset() {
    let mut settings = Settings::from_pairs(&[("A", "  "), ("B", "1"), ("P_C", ""), ("P_D", "1")]);
    assert_eq!((settings.text("A"), settings.text("B")), (None, Some("1".to_owned())));
    assert_eq!(settings.set(&["P_"]), (vec!["B"], vec!["P_D"]));
    assert_eq!(settings.finish(1), Ok(1));
}

#[test]
fn quotes_around_a_value_are_a_fault_that_does_not_repeat_it() {
    for quoted in ["'canary'", "\"canary\"", " \"canary\" ", "''", "\"\""] {
        let text = quoted.to_owned();
        let mut settings = Settings::from_lookup(move |_| Some(text.clone()));
        assert_eq!(settings.parse::<u16>("A", "a number"), None);
        assert!(settings.is_wrong("A") && !settings.is_wrong("B"));
        let faults = settings.finish(()).unwrap_err().to_string();
        assert_eq!(faults, "A: is between quotes, which are part of its value; remove them");
    }
    for text in ["it's", "'", "a 'quoted' word", "\"a' b"] {
        assert_eq!(Settings::from_pairs(&[("A", text)]).text("A").as_deref(), Some(text));
    }
}

#[test]
fn a_warning_is_reported_once_and_stops_nothing() {
    let mut settings = Settings::from_pairs(&[]);
    settings.warn("A", "is not supported; B is used");
    settings.warn("A", "is not supported; B is used");
    assert_eq!(settings.warnings().collect::<Vec<_>>(), [("A", "is not supported; B is used")]);
    assert_eq!(settings.finish(1), Ok(1));
}

#[test]
fn a_placeholder_is_recognised_by_its_form() {
    let placeholders = [
        "your-ingest-key",
        "YOUR_API_KEY",
        "<key>",
        "${HONEYCOMB_API_KEY}",
        "$HONEYCOMB_API_KEY",
        "$(KEY)",
        "{{ key }}",
        "changeme",
        "change-me",
        "xxx",
        "XXXXXXXX",
        "***",
        "...",
        "your key here",
        "paste-key-here",
        "TODO",
        "replace_me",
    ];
    for text in placeholders {
        assert!(is_placeholder(text), "{text}");
    }
    for text in [
        "",
        "x",
        "hcaik_01abc",
        "0123456789abcdef0123456789abcdef",
        "yours",
        "http://here",
        "Bearer abc",
        "xyz",
        "$ecret",
        "$2b$10$ABC",
    ] {
        assert!(!is_placeholder(text), "{text}");
    }
}

#[test]
fn a_fault_of_a_shared_variable_is_reported_once() {
    let mut settings = Settings::from_pairs(&[("A", "x")]);
    settings.parse::<u16>("A", "a number");
    settings.parse::<u16>("A", "a number");
    assert_eq!(settings.finish(()).unwrap_err().to_string().lines().count(), 1);
}

#[cfg(unix)]
#[test]
fn a_value_that_is_not_unicode_is_a_fault() {
    use std::os::unix::ffi::OsStringExt;
    let mut settings =
        Settings { lookup: Box::new(|_| Some(OsString::from_vec(vec![0xff]))), ..Settings::from_pairs(&[]) };
    assert_eq!(settings.text("A"), None);
    assert_eq!(settings.finish(()).unwrap_err().to_string(), "A: is not valid UTF-8; give it as UTF-8 text");
}

#[test]
fn a_value_of_the_code_holds_until_the_variable_is_set() {
    let mut settings = Settings::from_pairs(&[("A", "1"), ("B", " ")]);
    ["A", "B", "C"].into_iter().for_each(|name| settings.provide(name, "x"));
    settings.provide("C", "y");
    assert_eq!(["A", "B", "C"].map(|name| settings.text(name).unwrap()), ["1", "x", "y"]);
    assert_eq!(["A", "B", "C"].map(|name| settings.is_provided(name)), [false, true, true]);
    assert_eq!(settings.names().collect::<Vec<_>>(), ["A"]);
    settings.provide("D", " ");
    let (_, _) = (settings.parse::<u16>("A", "a port"), settings.parse::<u16>("B", "a port"));
    let faults = settings.finish(()).unwrap_err().to_string();
    assert_eq!(
        faults,
        "D (in code): is blank; give a value\nB (in code): \"x\" is not valid (invalid digit found in string); give a port"
    );
}
