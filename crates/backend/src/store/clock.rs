//! Nothing is deleted by one machine's clock alone. To a clock that is ahead, every living crud and session would seem expired, and deleted rows do not come
//! back when the clock is corrected. So expired rows are kept for a day, and are deleted up to a *horizon* that the database keeps. The horizon follows the
//! clock, but only twice as fast as the time that this process has measured itself running. A clock that jumps has to be wrong for a day before a living row is
//! lost, and a laptop that slept for a week catches up in another. On PostgreSQL the server's clock must agree as well.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;
use tracing::instrument::WithSubscriber;
use tracing::subscriber::NoSubscriber;

use super::database::Store;
use super::engine::{ByEngine, on};
use super::error::Error;
use super::statement::{Statement, statement};
use super::time::{answered, now};

/// How long rows are kept after they expire.
const GRACE: TimeDelta = TimeDelta::days(1);
/// How fast the horizon may follow the clock.
const CATCH_UP: u32 = 2;
/// The horizon is written once it has moved this far: each time is a write on an idle database.
const STEP: TimeDelta = TimeDelta::minutes(10);
/// How far the clocks of the backend and the database's server may differ.
pub(super) const TOLERANCE: TimeDelta = TimeDelta::minutes(1);

/// An upgraded database starts at its newest row: the time has certainly reached that.
const BEGIN: Statement = statement(
    "INSERT",
    "progress",
    "INSERT INTO progress (name, reached_at) \
     SELECT 'swept', CASE WHEN max(created_at) < $1 THEN max(created_at) ELSE $1 END FROM activities \
     WHERE NOT EXISTS (SELECT 1 FROM progress WHERE name = 'swept') HAVING NOT EXISTS (SELECT 1 FROM progress WHERE name = 'swept') \
     ON CONFLICT DO NOTHING",
);
const REACHED: &str = "SELECT reached_at FROM progress WHERE name = 'swept'";
const REACH: Statement = statement("UPDATE", "progress", "UPDATE progress SET reached_at = $1 WHERE name = 'swept'");
const SERVER: &str = "SELECT clock_timestamp()";

/// The moment up to which rows may be deleted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Horizon {
    at: DateTime<Utc>,
    measured: Instant,
    kept: DateTime<Utc>,
}

impl Horizon {
    /// Advances with the time that has passed since the last call, but never beyond the clock.
    fn advance(&mut self, clock: DateTime<Utc>) {
        let passed = self.measured.elapsed();
        self.measured += passed;
        self.at = follow(self.at, passed, clock);
    }
}

fn follow(horizon: DateTime<Utc>, passed: Duration, clock: DateTime<Utc>) -> DateTime<Utc> {
    let most = TimeDelta::from_std(passed.saturating_mul(CATCH_UP)).unwrap_or(TimeDelta::MAX);
    clock.min(horizon.checked_add_signed(most).unwrap_or(clock))
}

/// Rounded, because the difference includes the time of the server's response.
pub(super) fn seconds(difference: TimeDelta) -> i64 {
    let milliseconds = difference.num_milliseconds();
    (milliseconds + 500 * milliseconds.signum()) / 1000
}

/// Gives a database its horizon if it has none.
pub(super) async fn begin(store: &Store, now: DateTime<Utc>) -> Result<(), Error> {
    let kept = store.clone();
    // This reads a whole table, once in a database's life.
    let begin = async move { on!(kept.writes(), BEGIN, now) }.with_subscriber(NoSubscriber::new());
    store.write(async move { Ok(begin.await?) }).await?;
    Ok(())
}

/// Why a balancer should send requests to another backend.
#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    /// The database does not respond.
    #[error("{}", .0.in_short())]
    Database(#[from] Error),
    /// A row that has expired by one clock may be living by the other.
    #[error("the database server's clock differs from this machine's by {} s", seconds(*.0))]
    Clock(TimeDelta),
}

impl Store {
    /// Succeeds if the database responds and its clock agrees with this machine's.
    ///
    /// # Errors
    /// The database does not respond, or the clocks differ.
    pub async fn readiness(&self) -> Result<(), NotReady> {
        let difference = self.clock_difference().await?;
        if difference.abs() > TOLERANCE { Err(NotReady::Clock(difference)) } else { Ok(()) }
    }

    /// How far the clock of the database's server is ahead of this machine's. An embedded database has no separate clock and is only read.
    pub(super) async fn clock_difference(&self) -> Result<TimeDelta, Error> {
        if let ByEngine::Sqlite(pools) = &self.engine.pools {
            pools.writers.check()?;
            self.horizon().await?;
            return Ok(TimeDelta::zero());
        }
        let before = now();
        let clock = on!(self.reads(), |reader| sqlx::query_as::<_, (DateTime<Utc>,)>(SERVER).fetch_one(reader));
        let (server,) = answered(clock).await?;
        // The server may have responded at any time in between.
        let after = now();
        Ok(if server < before { server - before } else { (server - after).max(TimeDelta::zero()) })
    }

    /// The time up to which expired rows may be deleted. `horizon` is what the last call left.
    pub(super) async fn deletable_until(&self, horizon: &mut Option<Horizon>) -> Result<DateTime<Utc>, Error> {
        let clock = now();
        let horizon = match horizon {
            Some(horizon) => {
                horizon.advance(clock);
                horizon
            }
            None => {
                let kept = self.horizon().await?;
                horizon.insert(Horizon { at: kept.min(clock), measured: Instant::now(), kept })
            }
        };
        if (horizon.at - horizon.kept).abs() >= STEP {
            let (store, at) = (self.clone(), horizon.at);
            self.write(async move { Ok(on!(store.writes(), REACH, at)?) }.with_subscriber(NoSubscriber::new())).await?;
            horizon.kept = at;
        }
        Ok(horizon.at - GRACE)
    }

    async fn horizon(&self) -> Result<DateTime<Utc>, Error> {
        let reached = on!(self.reads(), |reader| sqlx::query_as(REACHED).fetch_one(reader));
        let (reached,): (DateTime<Utc>,) = answered(reached).await?;
        Ok(reached)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_horizon_follows_a_clock_that_jumps_at_most_twice_as_fast_as_time() {
        let start = DateTime::UNIX_EPOCH;
        let hour = Duration::from_secs(3600);
        let [one, two, forty_days] = [TimeDelta::hours(1), TimeDelta::hours(2), TimeDelta::days(40)];
        assert_eq!(follow(start, hour, start + one), start + one, "an even clock");
        assert_eq!(follow(start, hour, start + forty_days), start + two, "a clock that is ahead");
        assert_eq!(follow(start + forty_days, hour, start), start, "a clock that was ahead");
        assert_eq!(follow(start, Duration::MAX, start + one), start + one);
    }
}
