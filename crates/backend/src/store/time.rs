//! The current time as it is kept, and the time limits on statements.

use std::future::Future;
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, SubsecRound, Utc};
use tokio::time::timeout;

/// Time limit for a response from a database server, including the wait for a free connection. Longer than the server's own limit for a statement.
pub(super) const ANSWER: Duration = Duration::from_secs(8);

/// The time limits on an engine's statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bounds {
    /// The time limits of requests.
    Requests,
    /// None: preparing a database takes longer the larger it is.
    Start,
}

impl Bounds {
    /// Set once a session is open: a pooler may refuse these settings among its start parameters. With the keep-alives the server notices within two minutes,
    /// instead of two hours, that a network has lost this client. Every statement is written for one plan. Left to choose, the server plans the feed's at each
    /// execution, which takes three times as long as running it. The reason is that it expects more rows behind an unknown bound than there are, and so a
    /// costlier plan.
    pub(super) fn of_a_session(self) -> &'static str {
        match self {
            Self::Requests => {
                "SET statement_timeout = '5s'; SET lock_timeout = '2s'; SET idle_in_transaction_session_timeout = '10s'; \
                 SET tcp_keepalives_idle = 60; SET tcp_keepalives_interval = 15; SET tcp_keepalives_count = 4; \
                 SET plan_cache_mode = force_generic_plan"
            }
            // transaction_timeout exists from PostgreSQL 17 on.
            Self::Start => {
                "SET statement_timeout = 0; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0; \
                 SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'transaction_timeout'"
            }
        }
    }
}

/// The current time, to the precision that both databases keep. A clock before 1970, at which `Utc::now` panics, counts as 1970.
pub fn now() -> DateTime<Utc> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (DateTime::UNIX_EPOCH + since).trunc_subsecs(6)
}

/// Bounds the wait for a database server's response. A server bounds its statements itself. For a server that has fallen silent, a caller would wait until TCP
/// gives up, a quarter of an hour later.
pub(super) async fn answered<T>(answer: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    let silent = |_| sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "the database does not respond"));
    timeout(ANSWER, answer).await.map_err(silent)?
}
