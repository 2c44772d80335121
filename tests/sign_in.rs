//! Many sign-ins: how many guesses one login, one address or a pair of both may make, what a refusal costs, and the memory for passwords hashed at
//! the same time.

use std::io::Write;
use std::net::TcpStream;
use std::thread;

use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection, SqliteConnection};
use tokio::runtime::Runtime;

use crate::support::cruddur::Cruddur;
use crate::support::http::{Answer, JSON};
use crate::support::person::PASSWORD;
use crate::support::{Folder, eventually, http, postgres};

const WRONG: &str = "a wrong password";

fn sign_in(backend: &str, address: &str, login: &str, password: &str) -> Answer {
    let headers = [JSON, ("x-forwarded-for", address)];
    let body = json!({"login": login, "password": password}).to_string();
    http::send(&format!("{backend}/api/auth/signin"), &headers, body.as_bytes())
}

/// The attempts that a database stores, and a value that changes with each write.
enum Attempts {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Attempts {
    fn read(&mut self, runtime: &Runtime) -> String {
        match self {
            // A value that changes with each commit of another connection.
            Self::Sqlite(connection) => {
                let version = sqlx::query_scalar::<_, i64>("PRAGMA data_version").fetch_one(connection);
                runtime.block_on(version).unwrap().to_string()
            }
            Self::Postgres(connection) => {
                let rows = "SELECT coalesce(string_agg(concat_ws(' ', subject_hash, made, expires_at, xmin), ',' ORDER BY subject_hash), '') \
                            FROM attempts";
                runtime.block_on(sqlx::query_scalar(rows).fetch_one(connection)).unwrap()
            }
        }
    }
}

/// Runs a test on each engine, with a function that reads the stored attempts.
fn each(test: impl Fn(&Cruddur, &mut dyn FnMut() -> String)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let data = Folder::new();
    let cruddur = Cruddur::service("backend", &[("CRUDDUR_DATA", data.path().to_str().unwrap())]);
    let file = SqliteConnectOptions::new().filename(data.path().join("cruddur.db")).read_only(true);
    let mut attempts = Attempts::Sqlite(runtime.block_on(file.connect()).unwrap());
    test(&cruddur, &mut || attempts.read(&runtime));

    if let Some(url) = runtime.block_on(postgres::database()) {
        let cruddur = Cruddur::service("backend", &[("DATABASE_URL", &url)]);
        let mut attempts = Attempts::Postgres(runtime.block_on(PgConnection::connect(&url)).unwrap());
        test(&cruddur, &mut || attempts.read(&runtime));
    }
}

#[test]
fn a_refused_guess_writes_nothing_and_locks_out_no_other_address() {
    each(|cruddur, attempts| {
        let owner = cruddur.person();
        for login in [owner.handle.as_str(), "nobody"] {
            let guess = |password| sign_in(&cruddur.backend, "192.0.2.1", login, password).status;
            assert!((0..10).all(|_| guess(WRONG) == 401), "{login}");
            let before = attempts();
            assert!((0..90).all(|_| guess(WRONG) == 429), "{login}");
            assert_eq!(guess(PASSWORD), 429, "{login}");
            assert_eq!(attempts(), before, "{login}");
        }
        assert_eq!(sign_in(&cruddur.backend, "192.0.2.2", &owner.handle, PASSWORD).status, 200);
    });
}

#[test]
fn guesses_at_a_login_from_many_addresses_are_bounded() {
    each(|cruddur, attempts| {
        let owner = cruddur.person();
        for last in 1..=10 {
            let guess = || sign_in(&cruddur.backend, &format!("192.0.2.{last}"), &owner.handle, WRONG).status;
            assert!((0..10).all(|_| guess() == 401), "from the address {last}");
        }
        let before = attempts();
        for last in 11..=20 {
            let refused = sign_in(&cruddur.backend, &format!("192.0.2.{last}"), &owner.handle, WRONG);
            assert_eq!(refused.status, 429, "from the address {last}");
            assert!((1..=901).contains(&refused.header("retry-after").parse::<u64>().unwrap()));
        }
        assert_eq!(attempts(), before);
        assert_eq!(sign_in(&cruddur.backend, "192.0.2.11", "bayko", WRONG).status, 401, "other logins are free");
        assert_eq!(sign_in(&cruddur.backend, "192.0.2.30", &owner.handle, PASSWORD).status, 429, "from anywhere");
    });
}

/// Otherwise ten addresses would lock a user out everywhere.
#[test]
fn guesses_from_many_addresses_do_not_lock_the_owner_out_of_a_known_one() {
    each(|cruddur, _| {
        let owner = cruddur.person();
        let from_home = |password| sign_in(&cruddur.backend, "198.51.100.7", &owner.handle, password).status;
        assert_eq!(from_home(PASSWORD), 200);
        for guess in 0..100 {
            let address = format!("192.0.2.{}", guess / 10);
            assert_eq!(sign_in(&cruddur.backend, &address, &owner.handle, WRONG).status, 401, "guess {guess}");
        }
        assert_eq!(sign_in(&cruddur.backend, "192.0.2.99", &owner.handle, PASSWORD).status, 429, "an unknown address");
        assert_eq!((from_home(WRONG), from_home(PASSWORD)), (401, 200));
        assert!((0..10).all(|_| from_home(WRONG) == 401));
        assert_eq!(from_home(PASSWORD), 429, "a known address has its own bound");
    });
}

#[test]
fn simultaneous_guesses_exceed_no_bound() {
    each(|cruddur, _| {
        let owner = cruddur.person();
        let (backend, login) = (&cruddur.backend, &owner.handle);
        let guess = || sign_in(backend, "192.0.2.1", login, WRONG).status;
        let statuses = thread::scope(|scope| {
            let guesses: Vec<_> = (0..40).map(|_| scope.spawn(guess)).collect();
            guesses.into_iter().map(|guess| guess.join().unwrap()).collect::<Vec<_>>()
        });
        let with = |status: u16| statuses.iter().filter(|one| **one == status).count();
        assert_eq!((with(401), with(401) + with(429) + with(503)), (10, 40), "{statuses:?}");
    });
}

/// Guarantee 16.
#[test]
fn a_hundred_sign_ins_or_sign_ups_at_once_stay_within_128_mb() {
    const MOST_KIB: u64 = 128 * 1000 * 1000 / 1024;
    let data = Folder::new();
    let cruddur = Cruddur::service("backend", &[("CRUDDUR_DATA", data.path().to_str().unwrap())]);
    let (person, backend) = (cruddur.person(), &cruddur.backend);
    thread::scope(|scope| {
        let crowd = |n| sign_in(backend, "192.0.2.1", &format!("somebody_{n}"), WRONG);
        let crowd: Vec<_> = (0..100).map(|n| scope.spawn(move || crowd(n))).collect();
        // Another address has its own permits.
        assert_eq!(sign_in(&cruddur.backend, "192.0.2.2", &person.handle, PASSWORD).status, 200);
        for answer in crowd.into_iter().map(|answer| answer.join().unwrap()) {
            let retry = answer.header("retry-after").parse::<u64>();
            assert!(answer.status == 401 || (answer.status == 503 && retry.is_ok()), "{}", answer.status);
        }
    });
    let sign_up = format!("{backend}/api/auth/signup");
    let join = &|n| {
        let handle = format!("new_{n}");
        let account = json!({"handle": handle, "display_name": "New", "email": format!("{handle}@cruddur.example"), "password": PASSWORD});
        http::post(&sign_up, &account).status
    };
    thread::scope(|scope| {
        let crowd: Vec<_> = (0..99).map(|n| scope.spawn(move || join(n))).collect();
        let statuses: Vec<_> = crowd.into_iter().map(|status| status.join().unwrap()).collect();
        assert!(statuses.iter().all(|status| [200, 503].contains(status)), "{statuses:?}");
    });
    assert!(cruddur.peak_memory() <= MOST_KIB, "{} KiB", cruddur.peak_memory());

    // If a client disconnects, its hash keeps running.
    let (_, authority) = cruddur.backend.split_once("://").unwrap();
    for n in 0..100 {
        let body = json!({"login": format!("somebody_{n}"), "password": WRONG}).to_string();
        let mut stream = TcpStream::connect(authority).unwrap();
        write!(
            stream,
            "POST /api/auth/signin HTTP/1.1\r\nhost: {authority}\r\nx-forwarded-for: 192.0.2.3\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
    }
    eventually("a sign-in afterwards", || {
        (sign_in(&cruddur.backend, "192.0.2.4", &person.handle, PASSWORD).status == 200).then_some(())
    });
    assert!(cruddur.peak_memory() <= MOST_KIB, "{} KiB", cruddur.peak_memory());
}
