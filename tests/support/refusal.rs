//! The output of `cruddur` for a database that it cannot use.

use super::Folder;
use super::cruddur::command;

const FREE_PORTS: [(&str, &str); 4] = [
    ("CRUDDUR_PROXY_LISTEN", "127.0.0.1:0"),
    ("CRUDDUR_BACKEND_LISTEN", "127.0.0.1:0"),
    ("CRUDDUR_VIEWER_LISTEN", "127.0.0.1:0"),
    ("CRUDDUR_XRAY_LISTEN", "127.0.0.1:0"),
];

/// Asserts that neither a backend nor the doctor accepts a database, and that both report this cause and this fix.
pub(crate) fn assert_refused(url: &str, cause: &str, fix: &str) {
    for command in ["backend", "doctor"] {
        let (code, text) = output(command, url);
        assert_eq!(code, Some(1), "{command} on {url}: {text}");
        let line =
            text.lines().find(|line| line.contains("cannot open")).unwrap_or_else(|| panic!("{command}: {text}"));
        let (before, after) = line.split_once("; ").unwrap_or_else(|| panic!("{command} without a fix: {line}"));
        assert!(before.contains(cause), "{command}: {line}");
        assert!(after.contains(fix), "{command}: {line}");
        assert!(!text.contains("canary"), "{command}: {text}");
    }
}

/// The exit code of a command, and its output.
pub(crate) fn output(name: &str, url: &str) -> (Option<i32>, String) {
    let data = Folder::new();
    let own = [("CRUDDUR_DATA", data.path().to_str().unwrap()), ("DATABASE_URL", url)];
    let variables: Vec<_> = FREE_PORTS.iter().chain(&own).copied().collect();
    let output = command(&[name], &variables).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

pub(crate) fn assert_doctor_is_content(url: &str) {
    let (code, text) = output("doctor", url);
    assert_eq!(code, Some(0), "{text}");
}
