//! A start that fails on a file names its cause and the fix for it, and leaves the file as it is.

use std::io::Write;

use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, Executor};
use tokio::runtime::Runtime;

use crate::support::Folder;
use crate::support::cruddur::Cruddur;
use crate::support::refusal::{assert_refused, output};
use crate::support::small_disk::SmallDisk;

#[test]
fn a_file_that_is_not_a_database_stays_unchanged() {
    let folder = Folder::new();
    let file = folder.path().join("notes.db");
    let notes = "Not a database, and longer than its header would be.\n".repeat(100);
    std::fs::write(&file, &notes).unwrap();
    assert_refused(&format!("sqlite:{}", file.display()), "not a database", "move the file away, or name another");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), notes);
}

#[test]
fn a_file_locked_by_another_program_is_named() {
    let folder = Folder::new();
    let url = format!("sqlite:{}/cruddur.db", folder.path().display());
    drop(Cruddur::service("backend", &[("DATABASE_URL", &url)]));
    let runtime = Runtime::new().unwrap();
    let mut other = runtime.block_on(SqliteConnection::connect(&url)).unwrap();
    // In WAL mode the file would be shared; without a WAL it is locked.
    runtime.block_on(other.execute("PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE")).unwrap();
    let (code, text) = output("backend", &url);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("database is locked; stop the other program that uses the file"), "{text}");
}

/// Another process may take long to open the file; a start that waits for it can be stopped.
#[test]
fn a_start_that_waits_for_a_lock_can_be_stopped() {
    let folder = Folder::new();
    let url = format!("sqlite:{}/cruddur.db", folder.path().display());
    let lock = std::fs::File::create(folder.path().join("cruddur.lock")).unwrap();
    lock.lock().unwrap();
    let variables = [("CRUDDUR_BACKEND_LISTEN", "127.0.0.1:0"), ("DATABASE_URL", &url)];
    let mut backend = Cruddur::spawn(&["backend"], &variables);
    backend.wait_for_log("waiting for another process that opens the database");
    let other = Cruddur::spawn(&["backend"], &variables);
    other.wait_for_log("waiting for another process that opens the database");
    assert_eq!(other.stop().status.code(), Some(0));
    lock.unlock().unwrap();
    assert!(backend.line().starts_with("ready service=backend "));
}

#[test]
fn a_full_disk_at_the_start_is_reported_with_its_fix() {
    let folder = Folder::new();
    let Some(disk) = SmallDisk::of(folder.path(), "256k") else { return };
    let url = format!("sqlite:{}/cruddur.db", folder.path().display());
    let mut file = std::fs::File::create(disk.path().join("rest")).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    for command in ["backend", "doctor"] {
        let (code, text) = output(command, &url);
        assert_ne!(code, Some(0), "{command}: {text}");
        assert!(
            text.contains("No space left on device") && text.contains("free space on its disk"),
            "{command}: {text}"
        );
    }
    // Enough space for the first file, but not for its tables.
    file.set_len(200 * 1024).unwrap();
    let (code, text) = output("backend", &url);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("cannot open SQLite") && text.contains("free space on its disk"), "{text}");
}

#[test]
fn a_damaged_file_is_reported_with_its_fix() {
    let folder = Folder::new();
    let file = folder.path().join("cruddur.db");
    let url = format!("sqlite:{}", file.display());
    drop(Cruddur::service("backend", &[("DATABASE_URL", &url)]).stop());
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[4096..].fill(0xaa);
    std::fs::write(&file, bytes).unwrap();
    let (code, text) = output("backend", &url);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("malformed; restore a copy"), "{text}");
}

#[test]
fn a_folder_instead_of_the_file_is_named() {
    let folder = Folder::new();
    for command in ["backend", "doctor"] {
        let (code, text) = output(command, &format!("sqlite:{}", folder.path().display()));
        assert_ne!(code, Some(0), "{command}: {text}");
        assert!(text.contains("Is a directory") && text.contains("the path of a file"), "{command}: {text}");
    }
}
