//! Every statement about attempts to sign in or up, which are bounded within a quarter of an hour. An attempt beyond a bound counts against no
//! bound and writes nothing: a client that keeps trying neither locks out others nor keeps the writer busy. Attempts as one login from many addresses
//! do not lock its owner out of an address that is known for it.

use chrono::{DateTime, TimeDelta, Utc};

use super::database::Store;
use super::engine::on;
use super::error::Error;
use super::idempotency::sha256;
use super::statement::{BEGIN, Statement, statement};
use crate::domain::Attempt;

/// How long attempts count, starting with the first.
const WINDOW: TimeDelta = TimeDelta::minutes(15);
/// How long an address is known for a login after a sign-in, which is a stored attempt too.
const KNOWN: TimeDelta = TimeDelta::days(30);
const SIGNED_IN: &str = "signed in as, from";

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
const REMEMBER: Statement = statement(
    "INSERT",
    "attempts",
    "INSERT INTO attempts (subject_hash, made, expires_at) VALUES ($1, 1, $2) \
     ON CONFLICT (subject_hash) DO UPDATE SET expires_at = excluded.expires_at",
);

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
            let row = self.made(&subject(attempt.kind, by), now).await?;
            if let Some((_, until)) = row.filter(|(made, _)| *made >= attempt.most) {
                return Ok(Some(until));
            }
        }
        Ok(None)
    }

    /// How many attempts of this subject count, and until when.
    async fn made(&self, subject: &str, now: DateTime<Utc>) -> Result<Option<(i64, DateTime<Utc>)>, Error> {
        Ok(on!(self.reads(), MADE, |reader| sqlx::query_as(MADE.text).bind(subject).bind(now).fetch_optional(reader))?)
    }

    /// Counts an attempt against each bound, or against none if one has been reached. Returns whether it has counted. It decides between attempts that
    /// [`Store::refused_until`] let through at the same time.
    ///
    /// # Errors
    /// A statement failed; nothing is counted.
    pub async fn count_attempt(&self, bounds: &[Bound<'_>], now: DateTime<Utc>) -> Result<bool, Error> {
        let subjects: Vec<_> = bounds.iter().map(|(attempt, by)| (subject(attempt.kind, by), attempt.most)).collect();
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

    /// Whether there was a sign-in as `login` from `address` within the last 30 days.
    ///
    /// # Errors
    /// A statement failed.
    pub async fn is_known(&self, login: &str, address: &str, now: DateTime<Utc>) -> Result<bool, Error> {
        Ok(self.made(&subject(SIGNED_IN, &[login, address]), now).await?.is_some())
    }

    /// Records a sign-in: resets the login's counts, and makes the address known for it.
    ///
    /// # Errors
    /// A statement failed; nothing is recorded.
    pub async fn record_sign_in(&self, login: &str, address: &str, now: DateTime<Utc>) -> Result<(), Error> {
        let by = [login, address];
        let forgotten = [subject(Attempt::LOGIN_FROM_ADDRESS.kind, &by), subject(Attempt::LOGIN.kind, &[login])];
        let subjects = (forgotten, subject(SIGNED_IN, &by));
        self.transact(move |store| {
            let (forgotten, known) = subjects.clone();
            async move {
                let mut tx = store.begin(&BEGIN).await?;
                for subject in &forgotten {
                    on!(tx, FORGET, subject)?;
                }
                on!(tx, REMEMBER, &known, now + KNOWN)?;
                tx.commit().await?;
                Ok(())
            }
        })
        .await
    }
}

/// Keeps no logins and no addresses, only hashes of them.
fn subject(kind: &str, by: &[&str]) -> String {
    let parts: Vec<_> = std::iter::once(kind).chain(by.iter().copied()).map(str::as_bytes).collect();
    sha256(&parts)
}
