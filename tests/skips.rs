//! A test that cannot run is reported with its reason: by the test, and by the summary of `tests/run`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::Folder;

#[test]
fn a_test_that_cannot_run_records_its_name_and_the_reason() {
    const NAME: &str = "plans::no_statement_scans_a_table_on_postgresql";
    let folder = Folder::new();
    let record = folder.path().join("skipped");
    let ended = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", NAME])
        .env("TESTS_SKIPPED", &record)
        .env_remove("TEST_POSTGRES_URL")
        .env_remove("CI")
        .output()
        .unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stdout));
    let record = fs::read_to_string(record).unwrap();
    let (name, reason) = record.trim_end().split_once('\t').unwrap();
    assert_eq!(name, NAME);
    assert!(reason.starts_with("TEST_POSTGRES_URL is not set"), "{reason}");
}

/// The output has a failure that prints indented lines, and two test binaries. One skipped test has two reasons.
#[test]
fn the_summary_counts_tests_and_names_those_that_failed_or_were_skipped() {
    const OUTPUT: &str = "
test trace::a ... FAILED

failures:

---- trace::a stdout ----
    an indented line

failures:
    trace::a

test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
test result: ok. 10 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out; finished in 1.00s
";
    let folder = Folder::new();
    let summary = |skipped: &str| {
        let [output, skips] = ["output", "skipped"].map(|name| folder.path().join(name));
        fs::write(&output, OUTPUT).unwrap();
        fs::write(&skips, skipped).unwrap();
        let ended = Command::new(script("summary")).args([&output, &skips]).arg("12").output().unwrap();
        String::from_utf8(ended.stdout).unwrap()
    };
    assert_eq!(summary(""), "   failed  trace::a\n   12 passed, 1 failed, 0 skipped, 12 seconds\n");
    let expected =
        "   skipped store::b: no curl\n   skipped store::b: no strace\n   skipped up::c: no curl\n   failed  trace::a
   10 passed, 1 failed, 2 skipped, 12 seconds\n";
    assert_eq!(summary("up::c\tno curl\nstore::b\tno strace\nstore::b\tno curl\nup::c\tno curl\n"), expected);
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}
