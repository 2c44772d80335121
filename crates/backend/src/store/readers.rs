//! The connections that read. sqlx pings a connection that returns to its pool, and on a server also one that leaves it. A ping costs a hand-over to the
//! connection's thread and back on SQLite, and a round trip to a server, as the statement itself does. So a reader keeps its connection out of the pool, for
//! the next reader. The pool opens, counts and closes connections, and soon gets unused ones back.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::{Database, Pool};
use telemetry::metrics::{PoolCounts, observe_pool};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

use super::acquire::{ACQUIRE, acquire, places};
use super::renewal::Renewal;

/// How long an unused connection is kept, and the interval between checks of the kept ones.
const IDLE: Duration = Duration::from_secs(1);
/// How long a connection may be out of its pool, which checks its age and whether it lives.
const OUT: Duration = Duration::from_secs(60);
/// The SQLSTATEs with which PostgreSQL ends a connection: at an operator's order or a shutdown, and after a crash.
const GONE: [&str; 2] = ["57P01", "57P02"];

/// A pool, and those of its connections that are kept for the next statement.
pub(super) struct Readers<DB: Database> {
    pool: Pool<DB>,
    /// As many permits as the pool may have connections. A permit's holder gets a kept connection, or one that the pool has or soon regains.
    places: Arc<Semaphore>,
    kept: Mutex<Kept<DB>>,
    /// The runtime that looks after the kept connections.
    runtime: Handle,
    renewal: Renewal,
}

struct Kept<DB: Database> {
    /// The last one that was used is on top, so that under little load the others go back to the pool.
    connections: Vec<Idle<DB>>,
    is_looked_after: bool,
    /// How many callers wait for the pool. A connection on its way back there has already released its permit.
    waiting: usize,
}

struct Idle<DB: Database> {
    connection: PoolConnection<DB>,
    out_since: Instant,
    used: Instant,
    by: ThreadId,
}

/// A connection for one statement. When dropped, it goes back to its pool: after a statement that failed or was abandoned, the pool must check the connection.
pub(super) struct Reader<DB: Database> {
    pub(super) connection: PoolConnection<DB>,
    was_kept: bool,
    out_since: Instant,
    place: OwnedSemaphorePermit,
}

impl<DB: Database> Readers<DB> {
    /// Must be called on the runtime that outlives it.
    pub(super) fn new(pool: Pool<DB>, renewal: Renewal) -> Arc<Self> {
        let places = places(&pool);
        let kept = Mutex::new(Kept { connections: Vec::new(), is_looked_after: false, waiting: 0 });
        let readers = Arc::new(Self { pool, places, kept, runtime: Handle::current(), renewal });
        let observed = Arc::downgrade(&readers);
        observe_pool("readers", move || observed.upgrade().map(|readers| readers.counts()));
        readers
    }

    /// The maximum number of its connections.
    pub(super) fn most(&self) -> u32 {
        self.pool.options().get_max_connections()
    }

    /// The connections now. A kept one is unused, although the pool regards it as used.
    fn counts(&self) -> PoolCounts {
        let kept = self.kept();
        let unused = kept.connections.len().saturating_add(self.pool.num_idle());
        let (idle, pending) = (u32::try_from(unused).unwrap_or(u32::MAX), u32::try_from(kept.waiting).ok());
        PoolCounts { idle, used: self.pool.size().saturating_sub(idle), max: self.most(), pending }
    }

    /// A kept connection, else one of the pool's. Always one of the pool's if it must be `checked` whether the connection lives.
    ///
    /// # Errors
    /// No connection is free within the pool's time limit, none can be opened, or they are closed.
    pub(super) async fn take(&self, checked: bool) -> Result<Reader<DB>, sqlx::Error> {
        let take = async {
            let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| sqlx::Error::PoolClosed)?;
            let _waiting = match self.take_kept(checked) {
                Ok(Idle { connection, out_since, .. }) => {
                    return Ok(Reader { connection, was_kept: true, out_since, place });
                }
                Err(waiting) => waiting,
            };
            let (connection, place) = acquire(&self.pool, &self.runtime, place).await?;
            Ok(Reader { connection, was_kept: false, out_since: Instant::now(), place })
        };
        timeout(ACQUIRE, take).await.map_err(|_| sqlx::Error::PoolTimedOut)?
    }

    /// The connection that this thread used last, whose memory and socket are near, else any. If none is kept, every caller that could keep one from here on
    /// knows that another waits.
    fn take_kept(&self, checked: bool) -> Result<Idle<DB>, Waiting<'_, DB>> {
        let this = thread::current().id();
        let mut kept = self.kept();
        let own = kept.connections.iter().rposition(|idle| idle.by == this);
        let last = own.or(kept.connections.len().checked_sub(1)).filter(|_| !checked);
        if let Some(index) = last {
            return Ok(kept.connections.remove(index));
        }
        kept.waiting += 1;
        Err(Waiting(self))
    }

    /// Keeps a connection whose statement has succeeded, unless the pool needs it.
    pub(super) fn keep(self: &Arc<Self>, reader: Reader<DB>) {
        let Reader { connection, out_since, place, .. } = reader;
        let mut kept = self.kept();
        // The lock is held: `close` takes it once no caller gets a permit any more.
        let is_over = out_since.elapsed() >= OUT || self.renewal.replaces(out_since.elapsed());
        if self.places.is_closed() || kept.waiting > 0 || is_over {
            return;
        }
        kept.connections.push(Idle { connection, out_since, used: Instant::now(), by: thread::current().id() });
        if !mem::replace(&mut kept.is_looked_after, true) {
            self.runtime.spawn(look_after(Arc::downgrade(self)));
        }
        drop(kept);
        // The permit's next holder finds the connection.
        drop(place);
    }

    /// Whether a statement failed because its connection, which had not been checked, is gone. Then the other kept ones may be gone as well, and go back to the
    /// pool, which checks them.
    pub(super) fn is_lost(&self, reader: &Reader<DB>, error: &sqlx::Error) -> bool {
        let is_gone = match error {
            sqlx::Error::Io(_) | sqlx::Error::Protocol(_) => true,
            sqlx::Error::Database(error) => error.code().is_some_and(|code| GONE.contains(&&*code)),
            _ => false,
        };
        let is_lost = reader.was_kept && is_gone;
        if is_lost {
            self.let_go();
        }
        is_lost
    }

    /// Closes the pool, which waits for running statements.
    pub(super) async fn close(&self) {
        self.places.close();
        // From here on the pool pings no connection that comes back.
        let closed = self.pool.close();
        self.let_go();
        closed.await;
    }

    /// Replaces all connections, because their prepared statements are stale.
    pub(super) fn renew(&self) {
        self.renewal.renew();
        self.let_go();
    }

    fn let_go(&self) {
        let kept = mem::take(&mut self.kept().connections);
        drop(kept);
    }

    /// Gives back connections that are unused or have been out for long, and returns whether any is left.
    fn give_back(&self) -> bool {
        let is_due = |idle: &mut Idle<DB>| idle.used.elapsed() >= IDLE || idle.out_since.elapsed() >= OUT;
        let mut kept = self.kept();
        let due: Vec<_> = kept.connections.extract_if(.., is_due).collect();
        kept.is_looked_after = !kept.connections.is_empty();
        let is_any_left = kept.is_looked_after;
        drop(kept);
        drop(due);
        is_any_left
    }

    fn kept(&self) -> MutexGuard<'_, Kept<DB>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A caller that waits for the pool.
struct Waiting<'r, DB: Database>(&'r Readers<DB>);

impl<DB: Database> Drop for Waiting<'_, DB> {
    fn drop(&mut self) {
        self.0.kept().waiting -= 1;
    }
}

impl<DB: Database> Drop for Readers<DB> {
    fn drop(&mut self) {
        // A dropped connection goes back to its pool in a task, on whatever thread it is dropped.
        let _runtime = self.runtime.enter();
        self.let_go();
    }
}

/// Gives back the connections that are due, until none is kept.
async fn look_after<DB: Database>(readers: Weak<Readers<DB>>) {
    loop {
        sleep(IDLE).await;
        if !readers.upgrade().is_some_and(|readers| readers.give_back()) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use sqlx::Sqlite;
    use sqlx::sqlite::SqlitePoolOptions;

    use super::*;

    async fn readers(connections: u32) -> Arc<Readers<Sqlite>> {
        let pool = SqlitePoolOptions::new().max_connections(connections).acquire_timeout(Duration::from_millis(100));
        Readers::new(pool.connect("sqlite::memory:").await.unwrap(), Renewal::default())
    }

    #[tokio::test]
    async fn the_last_used_connection_is_used_next() {
        let readers = readers(2).await;
        let reader = readers.take(false).await.unwrap();
        assert_eq!(readers.pool.num_idle(), 0);
        readers.keep(reader);
        // This does not use the pool, which would have the connection back only after a ping.
        let _reader = readers.take(false).await.unwrap();
        assert_eq!((readers.pool.size(), readers.pool.num_idle()), (1, 0));
        readers.keep(readers.take(false).await.unwrap());
        assert_eq!(readers.pool.size(), 2);
    }

    #[tokio::test]
    async fn each_thread_gets_its_own_connection_back() {
        let readers = readers(2).await;
        let (mine, other) = (readers.take(false).await.unwrap(), readers.take(false).await.unwrap());
        let opened = mine.out_since;
        assert_ne!(opened, other.out_since);
        readers.keep(mine);
        thread::scope(|scope| scope.spawn(|| readers.keep(other)).join().unwrap());
        assert_eq!(readers.take(false).await.unwrap().out_since, opened);
    }

    #[tokio::test]
    async fn a_waiting_caller_gets_the_next_kept_connection() {
        let readers = readers(1).await;
        let reader = readers.take(false).await.unwrap();
        let (next, ()) = tokio::join!(readers.take(false), async { readers.keep(reader) });
        let refused = readers.take(false).await.err();
        assert!(matches!(refused, Some(sqlx::Error::PoolTimedOut)), "{refused:?}");
        drop(next.unwrap());
        readers.take(false).await.unwrap();
    }

    /// A connection on its way back to the pool has no permit any more. The permit's next holder waits for that connection, or for the next one.
    #[tokio::test]
    async fn callers_that_wait_for_the_pool_are_not_overtaken() {
        let readers = readers(2).await;
        let (on_its_way, reader) = (readers.pool.acquire().await.unwrap(), readers.take(false).await.unwrap());
        let (next, ()) = tokio::join!(readers.take(false), async { readers.keep(reader) });
        readers.keep(next.unwrap());
        assert_eq!(readers.kept().connections.len(), 1);
        drop(on_its_way);
    }

    #[tokio::test]
    async fn an_unused_connection_goes_back_and_is_closed() {
        let readers = readers(2).await;
        let reader = readers.take(false).await.unwrap();
        readers.keep(reader);
        while readers.pool.num_idle() == 0 {
            sleep(Duration::from_millis(10)).await;
        }
        assert!(readers.kept().connections.is_empty());
        let (kept, running) = (readers.take(false).await.unwrap(), readers.take(false).await.unwrap());
        readers.keep(kept);
        let ((), ()) = tokio::join!(readers.close(), async {
            let refused = readers.take(false).await.err();
            assert!(matches!(refused, Some(sqlx::Error::PoolClosed)), "{refused:?}");
            readers.keep(running);
        });
        assert_eq!(readers.pool.size(), 0);
    }
}
