//! The files of an embedded database are deleted, moved or replaced while the backend runs. SQLite alone would continue and report success, but later
//! writes would be missing at the next start.

use std::fs;
use std::path::Path;

use crate::support::cruddur::Cruddur;
use crate::support::witness::Witness;
use crate::support::writer::Writer;
use crate::support::{Folder, eventually, http};

fn lose(change: impl Fn(&Path), restore: Option<&dyn Fn(&Path)>) {
    let folder = Folder::new();
    let data = folder.path().join("data");
    let backend = Cruddur::service("backend", &[("CRUDDUR_DATA", data.to_str().unwrap())]);
    let address = backend.backend.as_str();
    let writer = Writer::at(address);
    writer.keep(address, "before");
    change(&data);
    for _ in 0..5 {
        let answer = writer.post(address, "lost").unwrap();
        assert_eq!((answer.status, answer.header("retry-after")), (503, "2"), "{}", backend.stderr());
    }
    backend.wait_for_log("cannot find the database's files where they were opened");
    assert_eq!(http::get(&format!("{address}/health/ready")).status, 503);
    if let Some(restore) = restore {
        restore(&data);
        let kept = eventually("a kept post", || {
            let answer = writer.post(address, "after").unwrap();
            (answer.status == 200).then(|| crate::support::writer::kept(&answer))
        });
        assert_eq!(http::get(&format!("{address}/health/ready")).status, 204);
        drop(backend);
        let witness = Witness::of(&format!("sqlite:{}/cruddur.db", data.display()));
        assert!(witness.missing(&[kept]).is_empty());
    }
}

#[test]
fn a_deleted_database_accepts_no_posts() {
    lose(|data| fs::remove_file(data.join("cruddur.db")).unwrap(), None);
    lose(|data| fs::remove_file(data.join("cruddur.db-wal")).unwrap(), None);
    lose(|data| fs::remove_dir_all(data).unwrap(), None);
}

#[test]
fn a_replaced_database_accepts_no_posts() {
    let replace = |data: &Path| {
        fs::copy(data.join("cruddur.db"), data.join("backup")).unwrap();
        fs::rename(data.join("backup"), data.join("cruddur.db")).unwrap();
    };
    lose(replace, None);
}

#[test]
fn a_moved_folder_accepts_posts_again_once_it_is_back() {
    let away = |data: &Path| data.with_file_name("away");
    lose(|data| fs::rename(data, away(data)).unwrap(), Some(&|data| fs::rename(away(data), data).unwrap()));
}
