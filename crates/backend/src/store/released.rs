//! What happens to a connection to a server between two uses. An abandoned connection may still be at work there: no time limit ends a COMMIT that waits for a
//! standby, and the COMMIT does not notice that its client has gone. If the pool counted that connection as closed, each retry would add a session, until the
//! server had none left. So a connection keeps its place in the pool until the server has responded. It also gives that place up if the server reports that no
//! session of the pool is at work any more: then the connection was lost on the way.

use std::future::{Future, ready};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::{Connection, Executor, Row};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::connect::connect;
use super::renewal::Renewal;
use super::time::ANSWER;

/// No statement may run that long. A session that does is waiting for something else.
const AT_WORK: &str = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND usename = current_user AND state <> 'idle' \
     AND state_change < clock_timestamp() - interval '5 seconds' AND pid <> pg_backend_pid()";
/// How long released connections share an inspection of the server.
const INSPECTED: Duration = Duration::from_secs(2);

/// The sessions of one pool, by the name that they have at the server.
pub(super) struct Sessions {
    options: PgConnectOptions,
    name: String,
    renewal: Renewal,
    inspection: Mutex<Option<(Instant, SessionReport)>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SessionReport {
    AtWork,
    AtRest,
    Unreachable,
}

impl Sessions {
    /// A pool for reading or writing, and the options with which it connects.
    pub(super) fn new(options: &PgConnectOptions, name: &str, renewal: &Renewal) -> (Arc<Self>, PgConnectOptions) {
        // The server cuts names after 63 bytes.
        let program: String = options
            .get_application_name()
            .unwrap_or("cruddur-backend")
            .chars()
            .filter(char::is_ascii_graphic)
            .take(32)
            .collect();
        let inspector = options.clone().application_name(&format!("{program} inspects"));
        let name = format!("{program} {name} {:08x}", rand::random::<u32>());
        let own = options.clone().application_name(&name);
        let (renewal, inspection) = (renewal.clone(), Mutex::new(None));
        (Arc::new(Self { options: inspector, name, renewal, inspection }), own)
    }

    /// A future that is dropped within `begin()` leaves its connection in a transaction that sqlx does not know of. Later writes there are acknowledged, and
    /// lost with the next rollback. BEGIN comes first because ROLLBACK alone warns each time that there is nothing to roll back. With BEGIN, a warning means
    /// that there was a transaction. A server that has become a standby keeps its connections, and accepts no writes on them.
    pub(super) fn writing(self: Arc<Self>, pool: PgPoolOptions) -> PgPoolOptions {
        self.fresh(pool).after_release(move |connection, held| {
            let sessions = Arc::clone(&self);
            Box::pin(async move {
                let rows = sessions.answer(connection.fetch_all("BEGIN; SHOW transaction_read_only; ROLLBACK")).await?;
                let read_only: String = rows.first().ok_or(sqlx::Error::RowNotFound)?.try_get(0)?;
                Ok(read_only == "off" && !sessions.renewal.replaces(held.age))
            })
        })
    }

    /// sqlx waits without a bound for the response of a connection that comes back.
    pub(super) fn reading(self: Arc<Self>, pool: PgPoolOptions) -> PgPoolOptions {
        self.fresh(pool).after_release(move |connection, held| {
            let sessions = Arc::clone(&self);
            Box::pin(async move {
                sessions.answer(connection.ping()).await?;
                Ok(!sessions.renewal.replaces(held.age))
            })
        })
    }

    /// Hands out no stale connection.
    fn fresh(&self, pool: PgPoolOptions) -> PgPoolOptions {
        let renewal = self.renewal.clone();
        pool.before_acquire(move |_, held| {
            let is_fresh = !renewal.replaces(held.age);
            Box::pin(ready(Ok(is_fresh)))
        })
    }

    /// Waits for a response as long as the server may be at work on it.
    async fn answer<T>(&self, answer: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
        let mut answer = pin!(answer);
        loop {
            if let Ok(answered) = timeout(ANSWER, &mut answer).await {
                return answered;
            }
            // At an unreachable server, no session can be opened either: until it can be reached, the connection's place in the pool is worth nothing.
            if self.inspect().await == SessionReport::AtRest {
                let lost = "the connection was lost: its server has no session of this pool at work";
                return Err(sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, lost)));
            }
        }
    }

    async fn inspect(&self) -> SessionReport {
        let mut last = self.inspection.lock().await;
        if let Some((at, inspection)) = *last
            && at.elapsed() < INSPECTED
        {
            return inspection;
        }
        let inspection = match timeout(ANSWER, self.count_at_work()).await {
            Ok(Ok(0)) => SessionReport::AtRest,
            Ok(Ok(_)) => SessionReport::AtWork,
            Ok(Err(_)) | Err(_) => SessionReport::Unreachable,
        };
        *last = Some((Instant::now(), inspection));
        inspection
    }

    async fn count_at_work(&self) -> Result<i64, sqlx::Error> {
        let mut connection: PgConnection = connect(&self.options, Duration::ZERO).await?;
        let (count,) = sqlx::query_as::<_, (i64,)>(AT_WORK).bind(&self.name).fetch_one(&mut connection).await?;
        connection.close().await?;
        Ok(count)
    }
}
