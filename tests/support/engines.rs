//! A backend on each engine: both must respond alike.

use super::cruddur::Cruddur;
use super::{Folder, postgres};

/// Runs a test with the URL of an empty database of each engine; PostgreSQL only if there is a server.
pub(crate) fn each_database(test: impl Fn(&str)) {
    let data = Folder::new();
    test(&format!("sqlite:{}/cruddur.db", data.path().display()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    if let Some(url) = runtime.block_on(postgres::database()) {
        test(&url);
    }
}

/// Runs a test against a backend on SQLite, and against one on PostgreSQL if there is a server.
pub(crate) fn each(variables: &[(&str, &str)], test: impl Fn(&Cruddur)) {
    let data = Folder::new();
    let sqlite = ("CRUDDUR_DATA", data.path().to_str().unwrap());
    test(&Cruddur::service("backend", &[&[sqlite], variables].concat()));

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    if let Some(url) = runtime.block_on(postgres::database()) {
        test(&Cruddur::service("backend", &[&[("DATABASE_URL", url.as_str())], variables].concat()));
    }
}
