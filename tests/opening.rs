//! A database that exists on a server but cannot be used. Each cause and its fix are reported by a backend that starts and by `cruddur doctor`.

use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, Executor, PgConnection};
use tokio::runtime::Runtime;

use crate::support::cluster::{Cluster, give_to_postgres};
use crate::support::cruddur::Cruddur;
use crate::support::owner::Owner;
use crate::support::refusal::{assert_doctor_is_content, assert_refused, output};
use crate::support::small_disk::SmallDisk;
use crate::support::{Folder, http};

#[test]
fn a_missing_database_or_role_is_named() {
    let Some(owner) = Owner::of_new() else { return };
    assert_refused(&format!("{}_not", owner.url), "does not exist", "create the database, or correct its name");
    let Some(cluster) = Cluster::make() else { return };
    cluster.start();
    assert_refused(&cluster.url("stranger:canary", "postgres"), "\"stranger\" does not exist", "create the role");
}

#[test]
fn a_refused_option_is_reported_with_its_fix() {
    let Some(owner) = Owner::of_new() else { return };
    for (option, cause) in
        [("nonsense%3D1", "unrecognized configuration parameter"), ("work_mem%3Dlittle", "invalid value")]
    {
        let url = format!("{}?options=-c%20{option}", owner.url);
        assert_refused(&url, cause, "correct the options in DATABASE_URL");
    }
}

#[test]
fn each_missing_privilege_is_reported_with_its_grant() {
    let Some(owner) = Owner::of_new() else { return };
    let (role, url) = owner.role();
    let name = owner.name();
    owner.run(&format!("REVOKE CREATE ON SCHEMA public FROM PUBLIC; REVOKE CONNECT ON DATABASE {name} FROM PUBLIC"));
    assert_refused(&url, "permission denied", &format!("GRANT CONNECT ON DATABASE \"{name}\" TO \"{role}\""));
    owner.run(&format!("GRANT CONNECT ON DATABASE {name} TO {role}; REVOKE USAGE ON SCHEMA public FROM PUBLIC"));
    assert_refused(&url, "may not use any schema", &format!("GRANT USAGE, CREATE ON SCHEMA public TO \"{role}\""));
    owner.run(&format!("GRANT USAGE ON SCHEMA public TO {role}"));
    assert_refused(&url, "may not create tables", &format!("GRANT CREATE ON SCHEMA \"public\" TO \"{role}\""));
    owner.migrate();
    assert_refused(&url, "may not read and write", &format!(" TO \"{role}\""));
    owner.run(&format!("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"));
    assert_refused(&url, "may not read and write", "GRANT SELECT, INSERT, UPDATE, DELETE ON ");
    // If the schema is up to date, no right to create tables is needed.
    owner.run(&format!("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}"));
    assert_doctor_is_content(&url);
    let backend = Cruddur::service("backend", &[("DATABASE_URL", &url)]);
    assert_eq!(http::get(&format!("{}/api/activities/home", backend.backend)).status, 200);
    drop(backend);
    // A pending migration alters tables, which only their owner may do.
    owner.run(&format!("DELETE FROM _sqlx_migrations WHERE version = (SELECT max(version) FROM _sqlx_migrations); GRANT CREATE ON SCHEMA public TO {role}"));
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
fn tables_of_a_newer_version_are_refused_on_both_engines() {
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

/// The tables are on the full disk, and the server's log is elsewhere.
#[test]
fn a_full_disk_of_the_server_is_reported_with_its_fix() {
    let (folder, Some(cluster)) = (Folder::new(), Cluster::make()) else { return };
    let Some(disk) = SmallDisk::of(folder.path(), "64k") else { return };
    give_to_postgres(disk.path());
    cluster.start();
    let url = cluster.url("postgres:canary", "postgres");
    let owner = Owner::of(&url);
    owner.run(&format!("CREATE TABLESPACE small LOCATION '{}'", disk.path().display()));
    owner.run("ALTER DATABASE postgres SET default_tablespace = small");
    let (code, text) = output("backend", &url);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("No space left on device") && text.contains("free space on the server's disk"), "{text}");
    assert!(!text.contains("canary"), "{text}");
}

#[test]
fn a_standby_is_refused() {
    let Some(cluster) = Cluster::make() else { return };
    std::fs::write(cluster.data().join("standby.signal"), "").unwrap();
    cluster.start();
    assert_refused(&cluster.url("postgres:canary", "postgres"), "standby", "connect to the primary");
}
