//! A session that a server refuses to open. A backend that starts and `cruddur doctor` report each cause and its fix, and never the password.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::thread;

use sqlx::{Connection, PgConnection};
use tokio::runtime::Runtime;

use crate::support::certificate::{Authority, Certificate};
use crate::support::cluster::{Cluster, give_to_postgres};
use crate::support::cruddur::{Cruddur, run};
use crate::support::eventually;
use crate::support::owner::Owner;
use crate::support::refusal::{assert_doctor_is_content, assert_refused, output};

#[test]
fn each_form_of_a_url_connects() {
    const PASSWORD: &str = "a/b?c#d@e%f&g:h+i";
    let Some(cluster) = Cluster::make() else { return };
    cluster.start();
    let owner = Owner::of(&cluster.url("postgres", "postgres"));
    owner.run(&format!("CREATE ROLE me LOGIN PASSWORD '{PASSWORD}'"));
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
    let closed = cluster.url("me", "postgres");
    eventually("the active rules", || (output("doctor", &closed).0 == Some(1)).then_some(()));
    let passed = [("DATABASE_URL", &*format!("postgres://me@127.0.0.1:{port}/na%2Fme")), ("PGPASSWORD", PASSWORD)];
    drop(Cruddur::service("backend", &passed));
    for url in urls {
        eventually("the active rules", || {
            (output("doctor", &cluster.url("me", "postgres")).0 == Some(1)).then_some(())
        });
        assert_doctor_is_content(&url);
        drop(Cruddur::service("backend", &[("DATABASE_URL", &url)]));
    }
}

#[test]
fn a_wrong_password_and_a_missing_hba_entry_have_different_fixes() {
    let Some(cluster) = Cluster::make() else { return };
    cluster.start();
    let owner = Owner::of(&cluster.url("postgres", "postgres"));
    owner.run("CREATE ROLE me LOGIN PASSWORD 'right'");
    owner.run("CREATE DATABASE cruddur OWNER me");
    let rules = "local all postgres trust\nhost cruddur me 127.0.0.1/32 scram-sha-256\n";
    std::fs::write(cluster.data().join("pg_hba.conf"), rules).unwrap();
    cluster.control(&["reload"]);
    let me = |password: &str| cluster.url(&format!("me{password}"), "cruddur");
    eventually("the active rules", || (output("doctor", &me(":canary")).0 == Some(1)).then_some(()));
    assert_refused(&me(":canary"), "password authentication failed", "correct the user and password in DATABASE_URL");
    assert_refused(&me(""), "password", "correct the user and password in DATABASE_URL");
    for special in ["%09", "%F0%9F%98%80"] {
        assert_refused(&me(&format!(":canary{special}")), "character that SCRAM does not permit", "a password without");
    }
    assert_refused(&cluster.url("me:canary", "postgres"), "pg_hba.conf", "allow this user, database and address");
    assert_doctor_is_content(&me(":right"));
    let socket = format!("host={}&port={}", cluster.folder().display(), cluster.port);
    assert_doctor_is_content(&format!("postgresql://postgres@/postgres?{socket}"));
    let missing = format!("postgres://me:canary@/cruddur?host={}/missing", cluster.folder().display());
    assert_refused(&missing, "No such file", "correct the socket's folder and port");
}

#[test]
fn an_unverifiable_certificate_is_reported_with_its_fix() {
    let (Some(cluster), Some(authority)) = (Cluster::make(), Authority::make()) else { return };
    let install = |from: &str, to: &str| {
        let to = cluster.data().join(to);
        std::fs::copy(from, &to).unwrap();
        give_to_postgres(&to);
        std::fs::set_permissions(to, std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    let [certificate, key] = authority.issue("server");
    for (from, to) in [(&certificate, "server.crt"), (&key, "server.key"), (&authority.file(), "root.crt")] {
        install(from, to);
    }
    cluster.configure("ssl = on\nssl_ca_file = 'root.crt'");
    let rules = "hostssl all guarded all trust clientcert=verify-ca\nhostssl all all all trust\n";
    std::fs::write(cluster.data().join("pg_hba.conf"), rules).unwrap();
    cluster.start();
    let of = |user: &str, parameters: &str| format!("{}?{parameters}", cluster.url(user, "postgres"));
    let url = |parameters: &str| of("postgres:canary", parameters);
    let root = format!("sslrootcert={}", authority.file());
    assert_doctor_is_content(&url("sslmode=require"));
    assert_doctor_is_content(&url(&format!("sslmode=verify-full&{root}")));
    assert_refused(&url("sslmode=verify-full"), "UnknownIssuer", "sslrootcert=FILE");
    assert_refused(&url("sslmode=disable"), "pg_hba.conf", "set sslmode=require");
    assert_refused(&url("sslmode=verify-ca&sslrootcert=/nowhere"), "No such file", "sslrootcert, sslcert and sslkey");
    if TcpListener::bind("[::1]:0").is_ok() {
        let other = |mode: &str| format!("postgres://postgres@[::1]:{}/postgres?sslmode={mode}&{root}", cluster.port);
        assert_refused(
            &other("verify-full"),
            "not valid for name",
            "name the host in DATABASE_URL as the certificate does",
        );
        assert_doctor_is_content(&other("verify-ca"));
    }
    Owner::of(&url("")).run("CREATE ROLE guarded LOGIN SUPERUSER");
    assert_refused(&of("guarded:canary", "sslmode=require"), "client certificate", "sslcert=FILE and sslkey=FILE");
    let [certificate, key] = authority.issue("client");
    assert_doctor_is_content(&of("guarded", &format!("sslmode=require&sslcert={certificate}&sslkey={key}")));
    // rustls does not accept a self-signed certificate as an authority.
    let Some(itself) = Certificate::make() else { return };
    install(itself.file().to_str().unwrap(), "server.crt");
    install(itself.key().to_str().unwrap(), "server.key");
    cluster.control(&["-w", "-l", "/dev/null", "-m", "fast", "restart"]);
    let itself = format!("sslmode=verify-full&sslrootcert={}", itself.file().display());
    assert_refused(&url(&itself), "CaUsedAsEndEntity", "a certificate that an authority has signed");
}

#[test]
fn a_server_without_tls_is_refused_if_tls_is_required() {
    let Some(cluster) = Cluster::make() else { return };
    cluster.start();
    let url = format!("{}?sslmode=require", cluster.url("postgres:canary", "postgres"));
    assert_refused(&url, "does not support TLS", "turn TLS on at the server, or set sslmode=prefer");
}

/// A server in recovery, which accepts no connections until it has finished.
#[test]
fn a_starting_server_is_waited_for() {
    let Some(cluster) = Cluster::make() else { return };
    std::fs::write(cluster.data().join("standby.signal"), "").unwrap();
    cluster.configure("hot_standby = off");
    cluster.launch();
    let url = cluster.url("postgres:canary", "postgres");
    let mut backend =
        Cruddur::spawn(&["backend"], &[("CRUDDUR_BACKEND_LISTEN", "127.0.0.1:0"), ("DATABASE_URL", &url)]);
    backend.wait_for_log("waiting for the database server to start");
    let (code, text) = output("doctor", &url);
    assert!(code == Some(1) && text.contains("start again once the server accepts connections"), "{text}");
    cluster.control(&["-W", "promote"]);
    assert!(backend.line().starts_with("ready service=backend "));
    assert!(!backend.stderr().contains("canary"));
}

#[test]
fn an_address_without_a_server_is_reported() {
    assert_refused("postgres://me:canary@127.0.0.1:1/cruddur", "refused", "start it, or correct the host and port");
    assert_refused("postgres://me:canary@[::1]:1/cruddur", "", "correct the host and port");
    let unknown = "postgres://me:canary@nowhere.invalid/cruddur";
    assert_refused(unknown, "failed to lookup address", "correct the host in DATABASE_URL");
    let listener = "correct the host and port in DATABASE_URL";
    for (greeting, cause, fix) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "0x48", listener),
        (b"", "", listener),
        // Refuses TLS, and then requests GSSAPI authentication.
        (b"NR\0\0\0\x08\0\0\0\x07", "authentication method", "pg_hba.conf use scram-sha-256"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("postgres://me:canary@{}/cruddur", listener.local_addr().unwrap());
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                // The client may already have gone.
                drop(stream.read(&mut [0; 64]));
                drop(stream.write_all(greeting));
                drop(stream.read(&mut [0; 64]));
            }
        });
        assert_refused(&url, cause, fix);
    }
}

#[test]
fn an_unencoded_password_in_a_url_is_not_quoted() {
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
fn too_many_connections_are_reported_with_the_limits() {
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
    eventually("a note that too few connections fit", || fits().then_some(()));
}
