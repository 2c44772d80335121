//! Why a database cannot be used, with the fix: one table from what a driver or a server reports to what the operator does about it. Quotes the server's own
//! message, which names users, databases and tables but never a password.

use std::fmt;
use std::io::{self, ErrorKind};

use sqlx::error::DatabaseError;
use sqlx::migrate::MigrateError;

use super::folder::file_fix;
use super::migrations::LATEST;
use crate::config::{self, Postgres};

/// A database that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot open {database}: {cause}")]
pub struct Unusable {
    database: String,
    cause: Cause,
}

/// What is wrong, and the fix.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cause {
    what: String,
    fix: String,
}

const PASSWORD: &str = "correct the user and password in DATABASE_URL, and percent-encode special characters";
const CLOSED: &str = "close other connections, raise max_connections, or lower CRUDDUR_DATABASE_CONNECTIONS";
const LOCKED: &str = "end the session that holds the lock (pg_stat_activity shows it), then start again";
const READ_ONLY: &str =
    "connect to the primary, and set default_transaction_read_only to off for this role and database";
const POOLER: &str = "set pool_mode=session for this database in the pooler, or connect to the server itself";
const AWAY: &str = "start it, or correct the host and port in DATABASE_URL";
const OTHER_VERSION: &str = "use the program that made them, or another database";

/// What a server reports by its SQLSTATE.
const BY_STATE: [(&str, &str); 22] = [
    ("08P01", "see the server's log; correct DATABASE_URL if it names the wrong server"),
    ("22023", "correct the options in DATABASE_URL: the server does not accept a value"),
    ("25006", READ_ONLY),
    ("25P04", "raise transaction_timeout for this role and database, then start again"),
    ("26000", POOLER),
    ("28P01", PASSWORD),
    ("3D000", "create the database, or correct its name in DATABASE_URL"),
    ("3F000", "create the schema public, or set the role's search_path to one that exists"),
    ("42P05", POOLER),
    ("42P07", "use another database: this one has tables of another program"),
    ("42704", "correct the options in DATABASE_URL, and use PostgreSQL 12 or newer"),
    ("53100", "free space on the server's disk, then start again"),
    ("53200", "give the server more memory, or lower what it may use, then start again"),
    ("53300", CLOSED),
    ("53400", "raise the limit that the server names, then start again"),
    ("55000", "start again once the server accepts connections to this database"),
    ("55P03", LOCKED),
    ("57014", LOCKED),
    ("57P01", "start again once the server accepts connections"),
    ("57P02", "start again once the server accepts connections"),
    ("57P03", "start again once the server accepts connections (pg_isready)"),
    ("58030", "check the server's disk, then start again"),
];

/// What pgbouncer reports, always as 08P01, by a part of its message.
const BY_POOLER: [(&str, &str); 6] = [
    ("authentication failed", PASSWORD),
    ("no such user", PASSWORD),
    ("no such database", "name the database in the pooler's [databases], or correct its name in DATABASE_URL"),
    ("no more connections allowed", "raise max_client_conn in the pooler, or lower CRUDDUR_DATABASE_CONNECTIONS"),
    ("startup parameter", "remove options from DATABASE_URL, or name it in the pooler's ignore_startup_parameters"),
    ("server", "start the server behind the pooler; see the pooler's log for its reason"),
];

/// SQLite's primary result codes: <https://www.sqlite.org/rescode.html>.
const BY_CODE: [(i64, &str); 9] = [
    (5, "stop the other program that uses the file, then start again"),
    (6, "stop the other program that uses the file, then start again"),
    (8, "make the file and its folder writable, or set CRUDDUR_DATA to another folder"),
    (10, "free space on its disk and check it, or set CRUDDUR_DATA to a folder on another"),
    (11, "restore a copy, or move the file away to start with an empty database"),
    (13, "free space on its disk, or set CRUDDUR_DATA to a folder on another"),
    (14, "make the file and its folder readable and writable, or set CRUDDUR_DATA to another folder"),
    (23, "make the file and its folder readable and writable, or set CRUDDUR_DATA to another folder"),
    (26, "move the file away, or name another by CRUDDUR_DATA or DATABASE_URL"),
];

impl Unusable {
    pub(super) fn new(database: &config::Database, cause: Cause) -> Self {
        Self { database: database.to_string(), cause }
    }
}

impl Cause {
    pub(super) fn new(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { what: what.into(), fix: fix.into() }
    }

    /// A database that a newer program has migrated to `version`.
    pub(super) fn newer(version: i64) -> Self {
        let what = format!("its tables have version {version}, and this program knows {LATEST}");
        Self::new(what, "use the newer program that made them, or another database")
    }

    /// A server behind a pooler that gives one connection's statements to different sessions.
    pub(super) fn pooler() -> Self {
        Self::new("a pooler in front of it shares sessions among connections, as in transaction mode", POOLER)
    }

    pub(super) fn read_only(what: &str) -> Self {
        Self::new(what, READ_ONLY)
    }

    pub(super) fn of(database: &config::Database, error: &sqlx::Error) -> Self {
        match database {
            config::Database::Sqlite(_) => Self::of_file(error),
            config::Database::Postgres(server) => Self::of_server(server, error),
        }
    }

    pub(super) fn of_migration(database: &config::Database, error: &MigrateError) -> Self {
        match error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => Self::of(database, error),
            MigrateError::VersionMissing(version) => Self::newer(*version),
            MigrateError::VersionMismatch(version) => {
                Self::new(format!("its migration {version} differs from this program's"), OTHER_VERSION)
            }
            error => Self::new(error.to_string(), OTHER_VERSION),
        }
    }

    fn of_file(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Io(error) => Self::new(error.to_string(), file_fix(error)),
            sqlx::Error::Database(error) => {
                // The detail of an extended result code is above its lowest byte.
                let code = error.code().and_then(|code| code.parse::<i64>().ok()).map(|code| code & 0xff);
                let fix = code.and_then(|code| BY_CODE.iter().find(|(known, _)| *known == code));
                let fix = fix.map_or("move the file away, or set CRUDDUR_DATA to another folder", |(_, fix)| fix);
                Self::new(error.message(), fix)
            }
            sqlx::Error::Configuration(error) => {
                Self::new(error.to_string(), "set CRUDDUR_DATA to a folder on a local disk")
            }
            error => Self::new(error.to_string(), "move the file away, or set CRUDDUR_DATA to another folder"),
        }
    }

    pub(super) fn of_server(server: &Postgres, error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => Self::new(error.message(), reported(server, &**error)),
            sqlx::Error::Io(error) => Self::new(error.to_string(), unconnected(server, error)),
            sqlx::Error::Tls(error) => Self::new(
                error.to_string(),
                "turn TLS on at the server, or set sslmode=prefer or sslmode=disable in DATABASE_URL",
            ),
            // sqlx's own message quotes the character.
            sqlx::Error::Configuration(error) if error.to_string().contains("saslprep") => Self::new(
                "the password has a character that SCRAM does not permit here",
                "give the role a password without control characters, emoji and others newer than Unicode 3.2",
            ),
            sqlx::Error::Configuration(error) => Self::new(error.to_string(), "correct the parameters of DATABASE_URL"),
            sqlx::Error::Protocol(error) if error.contains("authentication method") => Self::new(
                error.clone(),
                "let the server's pg_hba.conf use scram-sha-256, md5, password, cert or trust for this role",
            ),
            sqlx::Error::Protocol(error) => Self::new(
                error.clone(),
                "correct the host and port in DATABASE_URL: no PostgreSQL server responds there",
            ),
            sqlx::Error::PoolTimedOut => Self::new("no connection was free in time", CLOSED),
            error => Self::new(error.to_string(), AWAY),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.fix)
    }
}

/// A name, quoted for SQL.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The fix for what a server reports.
fn reported(server: &Postgres, error: &dyn DatabaseError) -> String {
    let (message, user) = (error.message(), quoted(server.options.get_username()));
    let state = error.code().unwrap_or_default();
    let fix = match &*state {
        // The file's name is the same in every language of the server.
        "28000" if message.contains("pg_hba.conf") => {
            "allow this user, database and address in the server's pg_hba.conf; if its entry is only for TLS, or only without TLS, set \
             sslmode=require or sslmode=disable in DATABASE_URL"
        }
        "28000" if message.contains("client certificate") => {
            "name a certificate that the server accepts and its key: sslcert=FILE and sslkey=FILE in DATABASE_URL"
        }
        "28000" => "create the role with LOGIN, or correct the user in DATABASE_URL",
        "42501" if message.contains(&quoted(server.database())) || message.contains(" database ") => {
            return format!("as its owner: GRANT CONNECT ON DATABASE {} TO {user}", quoted(server.database()));
        }
        "42501" => {
            return format!("as the owner: GRANT USAGE, CREATE ON SCHEMA public TO {user}, and make it own the tables");
        }
        state => {
            let pooler = BY_POOLER.iter().find(|(part, _)| state == "08P01" && message.contains(part));
            let fix = pooler.or_else(|| BY_STATE.iter().find(|(known, _)| *known == state));
            fix.map_or("see the server's log; correct DATABASE_URL if it names the wrong database", |(_, fix)| fix)
        }
    };
    fix.to_owned()
}

/// The fix if no session could be opened.
fn unconnected(server: &Postgres, error: &io::Error) -> &'static str {
    const CERTIFICATE: &str = "invalid peer certificate: ";
    let text = error.to_string();
    let is_socket = server.host().starts_with('/');
    match error.kind() {
        // Files are read only in this case.
        ErrorKind::NotFound if !is_socket => {
            "correct the files that sslrootcert, sslcert and sslkey name in DATABASE_URL"
        }
        ErrorKind::NotFound => "start it, or correct the socket's folder and port in DATABASE_URL",
        ErrorKind::PermissionDenied if is_socket => "let this user of the machine reach the socket's folder",
        ErrorKind::TimedOut => {
            "start it, correct the host and port in DATABASE_URL, or give a pooler in front of it as many connections as \
             CRUDDUR_DATABASE_CONNECTIONS"
        }
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset => {
            "see the server's log; correct the host and port in DATABASE_URL if no PostgreSQL server responds there"
        }
        _ if text.contains("failed to lookup address information") => {
            "correct the host in DATABASE_URL, or make its name resolve"
        }
        // rustls' own message: its error type is not one of this crate's.
        _ => match text.split_once(CERTIFICATE).map(|(_, why)| why) {
            None if error.kind() == ErrorKind::InvalidData => {
                "correct the server's TLS settings, or set sslmode=disable in DATABASE_URL"
            }
            None => AWAY,
            Some(why) if why.contains("not valid for name") => {
                "name the host in DATABASE_URL as the certificate does, or set sslmode=verify-ca"
            }
            Some(why) if why.contains("xpired") || why.contains("NotValidYet") || why.contains("not valid yet") => {
                "renew the server's certificate, and check this machine's clock"
            }
            Some(why) if why.contains("CaUsedAsEndEntity") => {
                "give the server a certificate that an authority has signed, and name that authority's: sslrootcert=FILE in \
                 DATABASE_URL"
            }
            Some(_) => {
                "name the file of the authority that signed the server's certificate: sslrootcert=FILE in DATABASE_URL"
            }
        },
    }
}
