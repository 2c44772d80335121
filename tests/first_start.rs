//! The first start: who may read the files that it creates, and that the password that it prints once is never lost.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::thread;

use backend::{Database, Faults, Store};
use serde_json::json;
use settings::Settings;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, PgConnection};
use tokio::runtime::Runtime;

use crate::support::cruddur::{Cruddur, command};
use crate::support::{Folder, http, postgres};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn files_of_the_first_start_are_readable_by_their_owner_alone() {
    let folder = Folder::new();
    let data = folder.path().join("deep/data");
    let backend = Cruddur::service("backend", &[("CRUDDUR_DATA", data.to_str().unwrap())]);
    let made: Vec<_> = fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(made.len() >= 4, "{made:?}");
    for file in &made {
        assert_eq!(mode(file), 0o600, "{}", file.display());
    }
    assert_eq!((mode(&data), mode(&folder.path().join("deep"))), (0o700, 0o700));
    let errors = backend.stop().errors;
    assert!(!errors.contains("chmod"), "{errors}");
}

#[test]
fn a_data_folder_open_to_others_causes_a_warning() {
    let folder = Folder::new();
    let (data, file) = (folder.path().join("data"), folder.path().join("data/cruddur.db"));
    let variable = [("CRUDDUR_DATA", data.to_str().unwrap())];
    drop(Cruddur::service("backend", &variable));
    for (folder_mode, file_mode, advice) in [
        (0o700, 0o644, None),
        (0o755, 0o600, Some(data.display().to_string())),
        (0o755, 0o644, Some(format!("{} {}", data.display(), file.display()))),
        (0o710, 0o640, Some(format!("{} {}", data.display(), file.display()))),
    ] {
        for (path, mode) in [(&data, folder_mode), (&file, file_mode)] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
        let backend = Cruddur::service("backend", &variable);
        let ready = backend.stop();
        let doctor = command(&["doctor", "--json"], &variable).output().unwrap();
        let doctor = String::from_utf8(doctor.stdout).unwrap();
        for text in [&ready.errors, &doctor] {
            match &advice {
                Some(paths) => assert!(text.contains(&format!("run chmod go= {paths}")), "{text}"),
                None => assert!(!text.contains("chmod"), "{text}"),
            }
        }
    }
    // A folder that the user chose may serve other purposes; the database file does not.
    let url = format!("sqlite:{}", file.display());
    let errors = Cruddur::service("backend", &[("DATABASE_URL", &url)]).stop().errors;
    assert!(errors.contains(&format!("run chmod go= {}", file.display())), "{errors}");
}

/// Even if the process is killed, the users that exist have a password that was printed.
#[test]
fn the_first_users_are_committed_after_their_password_is_printed() {
    let runtime = Runtime::new().unwrap();
    let folder = Folder::new();
    let sqlite = format!("sqlite:{}/cruddur.db", folder.path().display());
    for url in [Some(sqlite), runtime.block_on(postgres::database())].into_iter().flatten() {
        let mut settings = Settings::from_pairs(&[("DATABASE_URL", &url)]);
        let database = Database::read(&mut settings);
        let (sender, receiver) = sync_channel(1);
        let announced_at = url.clone();
        let announce = move |_: &_| {
            // Blocking on another runtime is not allowed within a runtime.
            let users = thread::spawn(move || Runtime::new().unwrap().block_on(users(&announced_at)));
            sender.send(users.join().unwrap()).unwrap();
        };
        let store = runtime.block_on(Store::open(&database, Faults::NONE, announce)).unwrap();
        assert_eq!(receiver.recv().unwrap(), 0, "{url}");
        assert_eq!(runtime.block_on(users(&url)), 4, "{url}");
        runtime.block_on(store.close());
    }
}

async fn users(url: &str) -> i64 {
    const USERS: &str = "SELECT count(*) FROM users";
    if url.starts_with("sqlite:") {
        let mut db = SqliteConnection::connect(url).await.unwrap();
        sqlx::query_scalar(USERS).fetch_one(&mut db).await.unwrap()
    } else {
        let mut db = PgConnection::connect(url).await.unwrap();
        sqlx::query_scalar(USERS).fetch_one(&mut db).await.unwrap()
    }
}

#[test]
fn the_last_printed_password_works_after_a_kill() {
    let data = Folder::new();
    let variables = [("CRUDDUR_DATA", data.path().to_str().unwrap()), ("CRUDDUR_BACKEND_LISTEN", "127.0.0.1:0")];
    let mut first = Cruddur::spawn(&["backend"], &variables);
    first.wait_for_log("shown only once");
    first.kill();
    let second = Cruddur::service("backend", &variables);
    let printed = first.stderr() + &second.stderr();
    let line = printed.lines().rfind(|line| line.contains("shown only once")).unwrap();
    let password = line.split("the password of each is ").nth(1).unwrap().split(' ').next().unwrap();
    let sign_in = json!({"login": "andrewbrown", "password": password});
    assert_eq!(http::post(&format!("{}/api/auth/signin", second.backend), &sign_in).status, 200);
}
