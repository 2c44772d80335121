//! Every statement about attempts to sign in or up, which are bounded within a quarter of an hour. An attempt beyond a bound counts against no
//! bound and writes nothing: a client that keeps trying neither locks out others nor keeps the writer busy.

use chrono::{DateTime, TimeDelta, Utc};

use super::database::Store;
use super::engine::on;
use super::error::Error;
use super::idempotency::sha256;
use super::statement::{BEGIN, Statement, statement};
use crate::domain::Attempt;

/// How long attempts count, starting with the first.
const WINDOW: TimeDelta = TimeDelta::minutes(15);

const MADE: Statement = statement(
    "SELECT",
    "attempts",
    "SELECT made, expires_at FROM attempts WHERE subject_hash = $1 AND expires_at > $2",
);
/// Changes no row if the bound `$4` has been reached.
const COUNT: Statement = statement(
    "INSERT",
    "attempts",
    "INSERT INTO attempts (subject_hash, made, expires_at) VALUES ($1, 1, $3) ON CONFLICT (subject_hash) DO UPDATE SET \
     made = CASE WHEN attempts.expires_at > $2 THEN attempts.made + 1 ELSE 1 END, \
     expires_at = CASE WHEN attempts.expires_at > $2 THEN attempts.expires_at ELSE excluded.expires_at END \
     WHERE attempts.expires_at <= $2 OR attempts.made < $4",
);
const FORGET: Statement = statement("DELETE", "attempts", "DELETE FROM attempts WHERE subject_hash = $1");

/// A bound, and the login, the address or both that it is for.
pub type Bound<'a> = (Attempt, &'a [&'a str]);

impl Store {
    /// When attempts are allowed again, by the first bound that has been reached. Only reads.
    ///
    /// # Errors
    /// A statement failed.
    pub async fn refused_until(
        &self,
        bounds: &[Bound<'_>],
        now: DateTime<Utc>,
    ) -> Result<Option<DateTime<Utc>>, Error> {
        for (attempt, by) in bounds {
            let subject = subject(*attempt, by);
            let row = on!(self.reads(), MADE, |reader| sqlx::query_as::<_, (i64, DateTime<Utc>)>(MADE.text)
                .bind(&subject)
                .bind(now)
                .fetch_optional(reader))?;
            if let Some((_, until)) = row.filter(|(made, _)| *made >= attempt.most) {
                return Ok(Some(until));
            }
        }
        Ok(None)
    }

    /// Counts an attempt against each bound, or against none if one has been reached. Returns whether it has counted. It decides between attempts that
    /// [`Store::refused_until`] let through at the same time.
    ///
    /// # Errors
    /// A statement failed; nothing is counted.
    pub async fn count_attempt(&self, bounds: &[Bound<'_>], now: DateTime<Utc>) -> Result<bool, Error> {
        let subjects: Vec<_> = bounds.iter().map(|(attempt, by)| (subject(*attempt, by), attempt.most)).collect();
        self.transact(move |store| {
            let subjects = subjects.clone();
            async move {
                let mut tx = store.begin(&BEGIN).await?;
                for (subject, most) in &subjects {
                    if on!(tx, COUNT, subject, now, now + WINDOW, most)? == 0 {
                        return Ok(false);
                    }
                }
                tx.commit().await?;
                Ok(true)
            }
        })
        .await
    }

    /// Resets the counts of these bounds.
    ///
    /// # Errors
    /// A statement failed; the counts stay.
    pub async fn forget_attempts(&self, bounds: &[Bound<'_>]) -> Result<(), Error> {
        let subjects: Vec<_> = bounds.iter().map(|(attempt, by)| subject(*attempt, by)).collect();
        self.transact(move |store| {
            let subjects = subjects.clone();
            async move {
                let mut tx = store.begin(&BEGIN).await?;
                for subject in &subjects {
                    on!(tx, FORGET, subject)?;
                }
                tx.commit().await?;
                Ok(())
            }
        })
        .await
    }
}

/// Keeps no logins and no addresses, only hashes of them.
fn subject(attempt: Attempt, by: &[&str]) -> String {
    let parts: Vec<_> = std::iter::once(attempt.kind).chain(by.iter().copied()).map(str::as_bytes).collect();
    sha256(&parts)
}
