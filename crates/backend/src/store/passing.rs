//! Which database failures are temporary, so that a client may retry: those that an operator, a failover or a full disk causes for a while. Every other failure
//! is a fault of this program or of the tables.

use sqlx::error::DatabaseError;
use sqlx::sqlite::SqliteError;

/// SQLSTATE [codes](https://www.postgresql.org/docs/current/errcodes-appendix.html), or the classes that they begin with.
const POSTGRESQL: [&str; 16] = [
    "08", // Connections: broken or refused.
    "0A000",
    "26000", // A statement that was prepared before the tables changed, again after it was prepared anew.
    "25006", // A standby, or a server that its operator has set to read only.
    "25P03", "25P04", // A transaction that waited too long for its next statement, or took too long.
    "28",    // A password or role that is being changed.
    "3D000", // A database that is being renamed or restored.
    "40",    // Serialization failures and deadlocks.
    "42P05", // A pooler that has begun to share connections between statements.
    "53",    // Memory, disk or connections exhausted.
    "55006", "55P03", // A lock that others hold.
    "57",    // Statements cancelled; the server stops, has crashed, or starts.
    "58",    // Input and output.
    "72",    // A snapshot older than the server keeps, as on a standby.
];

/// SQLite's primary [result codes](https://www.sqlite.org/rescode.html): BUSY, LOCKED, NOMEM, READONLY, INTERRUPT, IOERR, FULL, CANTOPEN, PROTOCOL.
const SQLITE: [u32; 9] = [5, 6, 7, 8, 9, 10, 13, 14, 15];

/// Whether a later retry may help.
pub(super) fn passes(error: &sqlx::Error) -> bool {
    match error {
        // sqlx reports a connection that ends while it is being opened as an invalid response.
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::Tls(_) | sqlx::Error::BeginFailed => true,
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => {
            let code = error.code().unwrap_or_default();
            if error.try_downcast_ref::<SqliteError>().is_some() {
                code.parse::<u32>().is_ok_and(|code| SQLITE.contains(&(code & 0xff)))
            } else {
                POSTGRESQL.iter().any(|passing| code.starts_with(passing))
            }
        }
        _ => false,
    }
}

/// Whether this connection's prepared statement can no longer be run: a table has changed, or the server has forgotten the statement. The statement has done
/// nothing.
pub(super) fn is_stale(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(DatabaseError::code);
    code.is_some_and(|code| matches!(&*code, "0A000" | "26000"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_temporary_by_its_code_or_by_the_class_of_its_code() {
        let passes = |code: &str| POSTGRESQL.iter().any(|passing| code.starts_with(passing));
        for code in [
            "08006", "25006", "25P03", "25P04", "28P01", "28000", "3D000", "40001", "40P01", "42P05", "53100", "53300",
            "55P03", "57014", "57P01", "57P03", "57P04", "57P05", "58030",
        ] {
            assert!(passes(code), "{code}");
        }
        for code in ["22001", "23505", "25001", "42501", "42601", "42P01", "55000", "XX000", "XX001"] {
            assert!(!passes(code), "{code}");
        }
    }
}
