//! A start that fails names its cause and the fix for it, never the password; and `cruddur doctor` finds the same beforehand.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::runtime::Runtime;

use crate::support::certificate::Certificate;
use crate::support::cluster::{Cluster, give_to_postgres};
use crate::support::cruddur::{Cruddur, command, run};
use crate::support::small_disk::SmallDisk;
use crate::support::{Folder, eventually, http, postgres};

const FREE_PORTS: [(&str, &str); 4] = [
    ("CRUDDUR_PROXY_LISTEN", "127.0.0.1:0"),
    ("CRUDDUR_BACKEND_LISTEN", "127.0.0.1:0"),
    ("CRUDDUR_VIEWER_LISTEN", "127.0.0.1:0"),
    ("CRUDDUR_XRAY_LISTEN", "127.0.0.1:0"),
];

/// Asserts that neither a backend nor the doctor accepts a database, and that both report this cause and this fix.
fn assert_refused(url: &str, cause: &str, fix: &str) {
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

/// The exit code of a command, and what it prints.
fn output(name: &str, url: &str) -> (Option<i32>, String) {
    let data = Folder::new();
    let own = [("CRUDDUR_DATA", data.path().to_str().unwrap()), ("DATABASE_URL", url)];
    let variables: Vec<_> = FREE_PORTS.iter().chain(&own).copied().collect();
    let output = command(&[name], &variables).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

fn assert_doctor_is_content(url: &str) {
    let (code, text) = output("doctor", url);
    assert_eq!(code, Some(0), "{text}");
}

/// Runs statements on a database as its owner.
struct Owner {
    runtime: Runtime,
    url: String,
}

impl Owner {
    /// Of a new database; `None` where there is no server.
    fn of_new() -> Option<Self> {
        let runtime = Runtime::new().unwrap();
        let url = runtime.block_on(postgres::database())?;
        Some(Self { runtime, url })
    }

    fn run(&self, statements: &str) {
        self.runtime.block_on(async {
            let mut db = PgConnection::connect(&self.url).await.unwrap();
            db.execute(AssertSqlSafe(statements.to_owned())).await.unwrap();
            db.close().await.unwrap();
        });
    }

    fn name(&self) -> &str {
        self.url.rsplit_once('/').unwrap().1
    }

    /// A new role that may sign in, by a password where the server wants one, and the database's URL for it.
    fn role(&self) -> (String, String) {
        let role = format!("role_of_{}", self.name());
        self.run(&format!("CREATE ROLE {role} LOGIN PASSWORD 'canary'"));
        let url = self.url_of(&format!("{role}:canary"));
        (role, url)
    }

    fn url_of(&self, user: &str) -> String {
        format!("postgres://{user}@{}", self.url.rsplit_once('@').unwrap().1)
    }

    /// Brings the tables to the present version.
    fn migrate(&self) {
        drop(Cruddur::service("backend", &[("DATABASE_URL", &self.url)]));
    }
}

#[test]
fn a_database_or_role_that_does_not_exist_is_named() {
    let Some(owner) = Owner::of_new() else { return };
    assert_refused(&format!("{}_not", owner.url), "does not exist", "create the database, or correct its name");
    let Some(cluster) = Cluster::make() else { return };
    cluster.start();
    assert_refused(&cluster.url("stranger:canary", "postgres"), "\"stranger\" does not exist", "create the role");
}

#[test]
fn each_missing_right_names_its_grant() {
    let Some(owner) = Owner::of_new() else { return };
    let (role, url) = owner.role();
    let name = owner.name();
    owner.run(&format!("REVOKE CREATE ON SCHEMA public FROM PUBLIC; REVOKE CONNECT ON DATABASE {name} FROM PUBLIC"));
    assert_refused(&url, "permission denied", &format!("GRANT CONNECT ON DATABASE \"{name}\" TO \"{role}\""));
    owner.run(&format!("GRANT CONNECT ON DATABASE {name} TO {role}; REVOKE USAGE ON SCHEMA public FROM PUBLIC"));
    assert_refused(&url, "no schema", &format!("GRANT USAGE, CREATE ON SCHEMA public TO \"{role}\""));
    owner.run(&format!("GRANT USAGE ON SCHEMA public TO {role}"));
    assert_refused(&url, "may not create tables", &format!("GRANT CREATE ON SCHEMA \"public\" TO \"{role}\""));
    owner.migrate();
    assert_refused(&url, "may not read and write", &format!(" TO \"{role}\""));
    owner.run(&format!("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"));
    assert_refused(&url, "may not read and write", "GRANT SELECT, INSERT, UPDATE, DELETE ON ");
    // What is up to date needs no right to make tables.
    owner.run(&format!("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}"));
    assert_doctor_is_content(&url);
    let backend = Cruddur::service("backend", &[("DATABASE_URL", &url)]);
    assert_eq!(http::get(&format!("{}/api/activities/home", backend.backend)).status, 200);
    drop(backend);
    // A pending migration alters tables, which only their owner may.
    owner.run(&format!("DELETE FROM _sqlx_migrations WHERE version = 8; GRANT CREATE ON SCHEMA public TO {role}"));
    assert_refused(&url, "does not own", &format!("GRANT the owning role TO \"{role}\""));
}

#[test]
fn a_read_only_database_is_refused() {
    let Some(owner) = Owner::of_new() else { return };
    owner.run(&format!("ALTER DATABASE {} SET default_transaction_read_only = on", owner.name()));
    assert_refused(&owner.url, "read-only", "default_transaction_read_only to off");
}

#[test]
fn a_database_that_is_not_utf8_is_refused() {
    let Some(owner) = Owner::of_new() else { return };
    let name = format!("{}_latin1", owner.name());
    owner.run(&format!("CREATE DATABASE {name} ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"));
    assert_refused(&format!("{}_latin1", owner.url), "its encoding is LATIN1", "--encoding=UTF8");
}

#[test]
fn tables_of_a_newer_program_are_refused_on_both_engines() {
    const NEWER: &str = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                         VALUES (99, 'newer', true, '', 0)";
    let folder = Folder::new();
    let sqlite = format!("sqlite:{}/cruddur.db", folder.path().display());
    drop(Cruddur::service("backend", &[("DATABASE_URL", &sqlite)]));
    Runtime::new().unwrap().block_on(async {
        let mut db = SqliteConnection::connect(&sqlite).await.unwrap();
        db.execute(NEWER).await.unwrap();
        db.close().await.unwrap();
    });
    assert_refused(&sqlite, "version 99", "use the newer program");
    let Some(owner) = Owner::of_new() else { return };
    owner.migrate();
    owner.run(NEWER);
    assert_refused(&owner.url, "version 99", "use the newer program");
}

#[test]
fn a_locked_table_is_not_waited_for() {
    let Some(owner) = Owner::of_new() else { return };
    owner.migrate();
    let mut other = owner.runtime.block_on(PgConnection::connect(&owner.url)).unwrap();
    owner.runtime.block_on(other.execute("BEGIN; LOCK TABLE _sqlx_migrations IN ACCESS EXCLUSIVE MODE")).unwrap();
    assert_refused(&owner.url, "lock timeout", "end the session that holds the lock");
}

#[test]
fn too_many_connections_name_the_limits() {
    let Some(owner) = Owner::of_new() else { return };
    let (role, url) = owner.role();
    owner.run(&format!("ALTER ROLE {role} CONNECTION LIMIT 0"));
    assert_refused(&url, "too many connections", "raise max_connections, or lower CRUDDUR_DATABASE_CONNECTIONS");
    let Some(cluster) = Cluster::make() else { return };
    cluster.configure("max_connections = 4\nsuperuser_reserved_connections = 0\nmax_wal_senders = 0");
    cluster.start();
    let runtime = Runtime::new().unwrap();
    let url = cluster.url("postgres:canary", "postgres");
    let held: Vec<_> = (0..4).map(|_| runtime.block_on(PgConnection::connect(&url)).unwrap()).collect();
    assert_refused(&url, "too many clients", "raise max_connections, or lower CRUDDUR_DATABASE_CONNECTIONS");
    for connection in held {
        runtime.block_on(connection.close()).unwrap();
    }
    let fits = || output("doctor", &url).1.contains("more connections fit, and a backend may open 12");
    eventually("a note that few fit", || fits().then_some(()));
}

#[test]
fn a_wrong_password_and_a_closed_door_are_told_apart() {
    let Some(cluster) = Cluster::make() else { return };
    cluster.start();
    let owner = Owner { runtime: Runtime::new().unwrap(), url: cluster.url("postgres", "postgres") };
    owner.run("CREATE ROLE me LOGIN PASSWORD 'right'");
    owner.run("CREATE DATABASE cruddur OWNER me");
    let rules = "local all postgres trust\nhost cruddur me 127.0.0.1/32 scram-sha-256\n";
    std::fs::write(cluster.data().join("pg_hba.conf"), rules).unwrap();
    cluster.control(&["reload"]);
    let me = |password: &str| cluster.url(&format!("me{password}"), "cruddur");
    eventually("the rules in force", || (output("doctor", &me(":canary")).0 == Some(1)).then_some(()));
    assert_refused(&me(":canary"), "password authentication failed", "correct the user and password in DATABASE_URL");
    assert_refused(&me(""), "password", "correct the user and password in DATABASE_URL");
    assert_refused(&cluster.url("me:canary", "postgres"), "pg_hba.conf", "allow this user, database and address");
    assert_doctor_is_content(&me(":right"));
    let socket = format!("host={}&port={}", cluster.folder().display(), cluster.port);
    assert_doctor_is_content(&format!("postgresql://postgres@/postgres?{socket}"));
    let missing = format!("postgres://me:canary@/cruddur?host={}/missing", cluster.folder().display());
    assert_refused(&missing, "No such file", "correct the socket's folder and port");
}

#[test]
fn each_form_of_a_url_connects() {
    let Some(cluster) = Cluster::make() else { return };
    cluster.start();
    let owner = Owner { runtime: Runtime::new().unwrap(), url: cluster.url("postgres", "postgres") };
    owner.run("CREATE ROLE me LOGIN PASSWORD 'a/b?c#d@e%f&g:h+i'");
    owner.run("CREATE DATABASE \"na/me\" OWNER me");
    let rules = "local all all scram-sha-256\nhost all all all scram-sha-256\n";
    std::fs::write(cluster.data().join("pg_hba.conf"), rules).unwrap();
    cluster.control(&["reload"]);
    let (folder, port) = (cluster.folder().display().to_string(), cluster.port);
    let encoded = "a%2Fb%3Fc%23d%40e%25f%26g%3Ah+i";
    let mut urls = vec![
        format!("postgres://me:{encoded}@127.0.0.1:{port}/na%2Fme"),
        format!("postgresql://me:{encoded}@localhost:{port}/na%2Fme?sslmode=prefer&connect_timeout=5"),
        format!("postgres://me:{encoded}@/na%2Fme?host={folder}&port={port}"),
        format!("postgres://me:{encoded}@{}:{port}/na%2Fme?sslmode=require", folder.replace('/', "%2F")),
        format!("postgres:///?host={folder}&port={port}&user=me&password={encoded}&dbname=na%2Fme"),
    ];
    if TcpListener::bind("[::1]:0").is_ok() {
        urls.push(format!("postgres://me:{encoded}@[::1]:{port}/na%2Fme"));
    }
    for url in urls {
        eventually("the rules in force", || {
            (output("doctor", &cluster.url("me", "postgres")).0 == Some(1)).then_some(())
        });
        assert_doctor_is_content(&url);
        drop(Cruddur::service("backend", &[("DATABASE_URL", &url)]));
    }
}

#[test]
fn a_certificate_that_cannot_be_verified_names_what_verifies_it() {
    let (Some(cluster), Some(certificate)) = (Cluster::make(), Certificate::make()) else { return };
    for (from, to) in [(certificate.file(), "server.crt"), (certificate.key(), "server.key")] {
        let to = cluster.data().join(to);
        std::fs::copy(from, &to).unwrap();
        give_to_postgres(&to);
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(to, mode).unwrap();
    }
    cluster.configure("ssl = on");
    std::fs::write(cluster.data().join("pg_hba.conf"), "hostssl all all 127.0.0.1/32 trust\n").unwrap();
    cluster.start();
    let url = |parameters: &str| format!("{}?{parameters}", cluster.url("postgres:canary", "postgres"));
    assert_doctor_is_content(&url("sslmode=require"));
    assert_refused(&url("sslmode=verify-full"), "certificate", "sslrootcert=FILE");
    // One that signs itself is no authority to rustls.
    let itself = format!("sslmode=verify-full&sslrootcert={}", certificate.file().display());
    assert_refused(&url(&itself), "CaUsedAsEndEntity", "a certificate that an authority has signed");
    assert_refused(&url("sslmode=disable"), "pg_hba.conf", "set sslmode=require");
    assert_refused(&url("sslmode=verify-ca&sslrootcert=/nowhere"), "No such file", "sslrootcert, sslcert and sslkey");
}

#[test]
fn a_server_without_tls_is_named_where_tls_is_required() {
    let Some(cluster) = Cluster::make() else { return };
    cluster.start();
    let url = format!("{}?sslmode=require", cluster.url("postgres:canary", "postgres"));
    assert_refused(&url, "does not support TLS", "turn TLS on at the server, or set sslmode=prefer");
}

/// A server that recovers, and that accepts no connections while it does.
#[test]
fn a_server_that_starts_up_is_waited_for() {
    let Some(cluster) = Cluster::make() else { return };
    std::fs::write(cluster.data().join("standby.signal"), "").unwrap();
    cluster.configure("hot_standby = off");
    cluster.launch();
    let url = cluster.url("postgres:canary", "postgres");
    let mut backend =
        Cruddur::spawn(&["backend"], &[("CRUDDUR_BACKEND_LISTEN", "127.0.0.1:0"), ("DATABASE_URL", &url)]);
    backend.says("waiting for the database server to start");
    let (code, text) = output("doctor", &url);
    assert!(code == Some(1) && text.contains("start again once the server accepts connections"), "{text}");
    cluster.control(&["-W", "promote"]);
    assert!(backend.line().starts_with("ready service=backend "));
    assert!(!backend.said().contains("canary"));
}

#[test]
fn a_standby_is_refused() {
    let Some(cluster) = Cluster::make() else { return };
    std::fs::write(cluster.data().join("standby.signal"), "").unwrap();
    cluster.start();
    assert_refused(&cluster.url("postgres:canary", "postgres"), "standby", "connect to the primary");
}

#[test]
fn an_address_without_a_server_is_refused() {
    assert_refused("postgres://me:canary@127.0.0.1:1/cruddur", "refused", "start it, or correct the host and port");
    assert_refused("postgres://me:canary@[::1]:1/cruddur", "", "correct the host and port");
    let unknown = "postgres://me:canary@nowhere.invalid/cruddur";
    assert_refused(unknown, "failed to lookup address", "correct the host in DATABASE_URL");
    for (says, cause) in [("HTTP/1.1 400 Bad Request\r\n\r\n", "0x48"), ("", "")] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("postgres://me:canary@{}/cruddur", listener.local_addr().unwrap());
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                // Both commands may have gone.
                let _ = stream.read(&mut [0; 64]);
                drop(stream.write_all(says.as_bytes()));
            }
        });
        assert_refused(&url, cause, "correct the host and port in DATABASE_URL");
    }
}

#[test]
fn a_url_with_an_unencoded_password_quotes_none_of_it() {
    for password in ["20/canary", "20?canary", "20#canary", "can%ary", "canary"] {
        let url = format!("postgres://me:{password}{}", if password == "canary" { "" } else { "@127.0.0.1/cruddur" });
        for command in ["backend", "up", "doctor"] {
            let ended = run(&[command], &[("DATABASE_URL", &url)]);
            assert_ne!(ended.status.code(), Some(0), "{command}: {}", ended.errors);
            assert!(!ended.errors.contains("canary"), "{command}: {}", ended.errors);
            let is_named = ended.errors.contains("error: DATABASE_URL: ") && ended.errors.contains("percent-encode");
            assert!(is_named || command == "doctor", "{command}: {}", ended.errors);
        }
        let (_, text) = output("doctor", &url);
        assert!(text.contains("percent-encode") && !text.contains("canary"), "{text}");
    }
}

#[test]
fn what_is_not_a_database_file_stays_as_it_is() {
    let folder = Folder::new();
    let file = folder.path().join("notes.db");
    let notes = "Not a database, and longer than its header would be.\n".repeat(100);
    std::fs::write(&file, &notes).unwrap();
    assert_refused(&format!("sqlite:{}", file.display()), "not a database", "move the file away, or name another");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), notes);
}

#[test]
fn a_file_that_another_program_keeps_is_named() {
    let folder = Folder::new();
    let url = format!("sqlite:{}/cruddur.db", folder.path().display());
    drop(Cruddur::service("backend", &[("DATABASE_URL", &url)]));
    let runtime = Runtime::new().unwrap();
    let mut other = runtime.block_on(SqliteConnection::connect(&url)).unwrap();
    // A log in use would be shared; a file without one is not.
    runtime.block_on(other.execute("PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE")).unwrap();
    let (code, text) = output("backend", &url);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("database is locked; stop the other program that uses the file"), "{text}");
}

#[test]
fn a_full_disk_at_the_start_says_to_make_room() {
    let folder = Folder::new();
    let Some(disk) = SmallDisk::of(folder.path(), "256k") else { return };
    let url = format!("sqlite:{}/cruddur.db", folder.path().display());
    let mut file = std::fs::File::create(disk.path().join("rest")).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    for command in ["backend", "doctor"] {
        let (code, text) = output(command, &url);
        assert_ne!(code, Some(0), "{command}: {text}");
        assert!(
            text.contains("No space left on device") && text.contains("make room on its disk"),
            "{command}: {text}"
        );
    }
    // Enough for the first file, and not for its tables.
    file.set_len(200 * 1024).unwrap();
    let (code, text) = output("backend", &url);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("cannot open SQLite") && text.contains("make room on its disk"), "{text}");
}
