//! Checks that the store can work on a database, without changing anything. The backend runs it before it migrates, and so does `cruddur doctor`.

use sqlx::migrate::AppliedMigration;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, Row};

use super::cause::{Cause, quoted};
use super::folder;
use super::migrations::{self, LATEST};
use super::time::answered;
use crate::config::{self, Postgres};

/// A database that can be used.
#[derive(Debug)]
pub struct Inspection {
    /// A description of the database.
    pub found: String,
    /// A setting that works, but may not be intended.
    pub note: Option<String>,
}

/// The server, the rights of the session's role, and how many more connections fit. `has_…_privilege` accepts one right in each call: given several separated
/// by commas, it is true if the role has any of them.
const FACTS: &str = "SELECT current_setting('server_version') AS version, current_setting('server_encoding') AS encoding, \
    pg_is_in_recovery() AS is_standby, current_setting('transaction_read_only') = 'on' AS is_read_only, \
    current_schema()::text AS schema, coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS may_create, \
    (SELECT string_agg(quote_ident(relname), ', ') FROM ours WHERE NOT may_use) AS denied, \
    (SELECT string_agg(quote_ident(relname), ', ') FROM ours WHERE NOT is_owner) AS not_owned, \
    current_setting('max_connections')::bigint - current_setting('superuser_reserved_connections')::bigint \
    - coalesce(current_setting('reserved_connections', true)::bigint, 0) \
    - (SELECT coalesce(sum(numbackends), 0) FROM pg_stat_database)::bigint AS free";

struct Facts {
    version: String,
    encoding: String,
    is_standby: bool,
    is_read_only: bool,
    schema: Option<String>,
    may_create: bool,
    denied: Option<String>,
    not_owned: Option<String>,
    free: i64,
}

/// Inspects a server.
pub(super) async fn server(server: &Postgres, connection: &mut PgConnection) -> Result<Inspection, Cause> {
    let failed = |error: sqlx::Error| Cause::of_server(server, &error);
    let row = answered(sqlx::raw_sql(AssertSqlSafe(facts())).fetch_one(&mut *connection)).await;
    let facts = row.and_then(|row| Facts::read(&row)).map_err(failed)?;
    let role = quoted(server.options.get_username());
    facts.check_server()?;
    let schema = facts.check_access(&role)?;
    let database = config::Database::Postgres(Box::new(server.clone()));
    let applied = migrations::applied(connection).await.map_err(|error| Cause::of_migration(&database, &error))?;
    check_version(&applied)?;
    if applied.iter().all(|one| one.version < LATEST) {
        facts.check_changes(&role, &schema)?;
    }
    let (free, wanted) = (facts.free, server.connections.all());
    let note = (free < i64::from(wanted)).then(|| {
        format!(
            "only {free} more connections fit, and a backend may open {wanted}; raise max_connections or lower \
             CRUDDUR_DATABASE_CONNECTIONS, unless a running backend already has them"
        )
    });
    Ok(Inspection { found: format!("version {}", facts.version), note })
}

/// Inspects the file of an embedded database, if there is one.
pub(super) async fn file(database: &config::Database, file: &config::Embedded) -> Result<Inspection, Cause> {
    let note = folder::exposure(database);
    if std::fs::metadata(&file.path).is_ok_and(|file| file.len() > 0) {
        // Without a log, no other process has the file open, and this one makes no log.
        let is_at_rest = !file.sibling("-wal").exists();
        let options = SqliteConnectOptions::new().filename(&file.path).read_only(true).immutable(is_at_rest);
        let failed = |error: sqlx::Error| Cause::of(database, &error);
        let mut connection = options.connect().await.map_err(failed)?;
        let applied = migrations::applied(&mut connection).await;
        connection.close().await.map_err(failed)?;
        check_version(&applied.map_err(|error| Cause::of_migration(database, &error))?)?;
    }
    Ok(Inspection { found: "can be written".to_owned(), note })
}

fn check_version(applied: &[AppliedMigration]) -> Result<(), Cause> {
    match applied.iter().map(|one| one.version).max() {
        Some(version) if version > LATEST => Err(Cause::newer(version)),
        _ => Ok(()),
    }
}

fn facts() -> String {
    let tables: Vec<String> = migrations::tables().map(|table| format!("'{table}'")).collect();
    format!(
        "WITH ours AS (SELECT relname, pg_has_role(relowner, 'USAGE') AS is_owner, has_table_privilege(oid, 'SELECT') \
         AND has_table_privilege(oid, 'INSERT') AND has_table_privilege(oid, 'UPDATE') AND has_table_privilege(oid, 'DELETE') \
         AS may_use FROM pg_class WHERE relkind IN ('r', 'p') AND pg_table_is_visible(oid) AND relname IN ({})) {FACTS}",
        tables.join(", ")
    )
}

impl Facts {
    fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            version: row.try_get("version")?,
            encoding: row.try_get("encoding")?,
            is_standby: row.try_get("is_standby")?,
            is_read_only: row.try_get("is_read_only")?,
            schema: row.try_get("schema")?,
            may_create: row.try_get("may_create")?,
            denied: row.try_get("denied")?,
            not_owned: row.try_get("not_owned")?,
            free: row.try_get("free")?,
        })
    }

    fn check_server(&self) -> Result<(), Cause> {
        if self.encoding != "UTF8" {
            let what = format!("its encoding is {}, which cannot store every text", self.encoding);
            return Err(Cause::new(
                what,
                "create another by createdb --encoding=UTF8 --template=template0 NAME, and name it in DATABASE_URL",
            ));
        }
        if self.is_standby {
            return Err(Cause::read_only("it is a read-only standby"));
        }
        if self.is_read_only {
            return Err(Cause::read_only("its transactions are read-only"));
        }
        Ok(())
    }

    /// The schema that `role` uses, quoted.
    fn check_access(&self, role: &str) -> Result<String, Cause> {
        let Some(schema) = self.schema.as_deref().map(quoted) else {
            let fix = format!("as the owner: GRANT USAGE, CREATE ON SCHEMA public TO {role}");
            return Err(Cause::new("the role may not use any schema of its search_path", fix));
        };
        match &self.denied {
            None => Ok(schema),
            Some(tables) => {
                let fix = format!("as the owner: GRANT SELECT, INSERT, UPDATE, DELETE ON {tables} TO {role}");
                Err(Cause::new(format!("the role may not read and write {tables}"), fix))
            }
        }
    }

    /// Checks the rights that pending migrations need.
    fn check_changes(&self, role: &str, schema: &str) -> Result<(), Cause> {
        if !self.may_create {
            let fix = format!("as the owner: GRANT CREATE ON SCHEMA {schema} TO {role}");
            return Err(Cause::new(format!("the role may not create tables in schema {schema}"), fix));
        }
        match &self.not_owned {
            None => Ok(()),
            Some(tables) => {
                let fix = format!("as the owner: GRANT the owning role TO {role}, or start once as that role");
                Err(Cause::new(format!("tables must change, and the role does not own {tables}"), fix))
            }
        }
    }
}
