//! Every statement about accounts: who signs up, by what they sign in, and how often it was tried. Passwords are hashed with argon2id,
//! off the runtime's threads and a few at a time: each takes 19 MiB.

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use chrono::{DateTime, TimeDelta, Utc};
use telemetry::span::SpanExt;
use tokio::sync::Semaphore;
use tracing::Span;
use uuid::Uuid;

use super::once::sha256;
use super::statement::{Statement, statement};
use super::users::user;
use super::{Error, Store, on_writer, read, run};
use crate::domain::{Account, Attempt, DisplayName, Email, Handle, Login, Password, User};

/// Passwords that are hashed at the same time.
const HASHERS: usize = 2;
/// How long attempts count.
const WINDOW: TimeDelta = TimeDelta::minutes(15);

static HASHING: Semaphore = Semaphore::const_new(HASHERS);

const REGISTER: Statement = statement(
    "INSERT",
    "users",
    "INSERT INTO users (uuid, handle, display_name, email, bio, password_hash, created_at) \
     VALUES ($1, $2, $3, $4, '', $5, $6) ON CONFLICT DO NOTHING",
);
const BY_LOGIN: Statement = statement(
    "SELECT",
    "users",
    "SELECT uuid, handle, display_name, bio, email, password_hash FROM users WHERE handle = $1 OR email = $1",
);
const ATTEMPT: Statement = statement(
    "INSERT",
    "attempts",
    "INSERT INTO attempts (subject_hash, made, expires_at) VALUES ($1, 1, $3) ON CONFLICT (subject_hash) DO UPDATE SET \
     made = CASE WHEN attempts.expires_at > $2 THEN attempts.made + 1 ELSE 1 END, \
     expires_at = CASE WHEN attempts.expires_at > $2 THEN attempts.expires_at ELSE excluded.expires_at END \
     RETURNING made, expires_at",
);
const FORGET: Statement = statement("DELETE", "attempts", "DELETE FROM attempts WHERE subject_hash = $1");
const BY_SUBJECT: Statement =
    statement("SELECT", "users", "SELECT uuid, handle, display_name, bio, email FROM users WHERE subject = $1");
const ADMIT: Statement = statement(
    "INSERT",
    "users",
    "INSERT INTO users (uuid, handle, display_name, email, bio, subject, created_at) \
     VALUES ($1, $2, $3, $4, '', $5, $6) ON CONFLICT DO NOTHING",
);

/// What somebody signs up with.
#[derive(Debug)]
pub struct Registration {
    pub handle: Handle,
    pub display_name: DisplayName,
    pub email: Email,
    pub password: Password,
}

/// A handle or an address is somebody else's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken;

impl Store {
    /// Keeps a new account.
    ///
    /// # Errors
    /// A statement failed, or the password could not be hashed; nothing is kept.
    pub async fn register(&self, new: Registration, now: DateTime<Utc>) -> Result<Result<Account, Taken>, Error> {
        let hash = hash(new.password).await?;
        let account = Account {
            user: User {
                uuid: Uuid::now_v7(),
                handle: new.handle.as_str().to_owned(),
                display_name: new.display_name.as_str().to_owned(),
                bio: String::new(),
            },
            email: new.email.as_str().to_owned(),
        };
        let store = self.clone();
        self.write(async move {
            let User { uuid, handle, display_name, .. } = &account.user;
            let kept = run!(&store, REGISTER, uuid, handle, display_name, &account.email, &hash, now)?;
            Ok(if kept > 0 { Ok(account) } else { Err(Taken) })
        })
        .await
    }

    /// Whose login and password these are. Takes as long where nobody has this login.
    ///
    /// # Errors
    /// A statement failed, or a kept hash cannot be read.
    pub async fn authenticate(&self, login: &Login, password: Password) -> Result<Option<Account>, Error> {
        type Row = (Uuid, String, String, String, String, Option<String>);
        let rows = if login.as_str().contains('\0') {
            Vec::new()
        } else {
            read!(self, BY_LOGIN, |reader| sqlx::query_as::<_, Row>(BY_LOGIN.text)
                .bind(login.as_str())
                .fetch_all(reader))?
        };
        let found = rows.into_iter().next();
        let kept = found.as_ref().and_then(|row| row.5.clone());
        let right = verify(kept, password).await?;
        Ok(found.filter(|_| right).map(|(uuid, handle, display_name, bio, email, _)| Account {
            user: user((uuid, handle, display_name, bio)),
            email,
        }))
    }

    /// Counts an attempt; where there have been too many, until when to wait.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn attempt(
        &self,
        attempt: Attempt,
        by: &[&str],
        now: DateTime<Utc>,
    ) -> Result<Result<(), DateTime<Utc>>, Error> {
        let (store, subject) = (self.clone(), subject(attempt, by));
        let (made, until) = self
            .write(async move {
                // All rows are fetched, so that SQLite has committed when this returns.
                let rows = on_writer!(&store, ATTEMPT, |pool| {
                    sqlx::query_as::<_, (i64, DateTime<Utc>)>(ATTEMPT.text)
                        .bind(&subject)
                        .bind(now)
                        .bind(now + WINDOW)
                        .fetch_all(pool)
                })?;
                rows.into_iter().next().ok_or(Error::Statement(sqlx::Error::RowNotFound))
            })
            .await?;
        Ok(if made > attempt.most { Err(until) } else { Ok(()) })
    }

    /// Counts anew: whoever tried has shown who they are.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn forget_attempts(&self, attempt: Attempt, by: &[&str]) -> Result<(), Error> {
        let (store, subject) = (self.clone(), subject(attempt, by));
        self.write(async move {
            run!(&store, FORGET, &subject)?;
            Ok(())
        })
        .await
    }

    /// Whom an issuer of tokens means by `subject`; somebody new gets `handle`, or one like it that is free. From here on the
    /// request's spans say who it is, as [`Store::session`] does.
    ///
    /// # Errors
    /// A statement failed.
    pub async fn admit(&self, subject: &str, handle: &Handle, now: DateTime<Utc>) -> Result<Account, Error> {
        if let Some(account) = self.by_subject(subject).await? {
            return Ok(account);
        }
        let (store, subject, handle) = (self.clone(), subject.to_owned(), handle.clone());
        self.write(async move {
            // A second request of the same person may be as far.
            let told = sha256(&[subject.as_bytes()]);
            // Somebody may have the first two on purpose; nobody can have the last.
            let random = Uuid::now_v7().simple().to_string();
            for suffix in [String::new(), format!("_{}", told.split_at(8).0), format!("_{}", random.split_at(20).1)] {
                let uuid = Uuid::now_v7();
                let base: String = handle.as_str().chars().take(Handle::MAX - suffix.len()).collect();
                let handle = format!("{base}{suffix}");
                // Unique, as the column asks, and nobody's: the token says no address.
                let email = format!("{}@token.invalid", uuid.simple());
                run!(&store, ADMIT, uuid, &handle, &handle, &email, &subject, now)?;
                if let Some(account) = store.by_subject(&subject).await? {
                    return Ok(account);
                }
            }
            Err(Error::Statement(sqlx::Error::RowNotFound))
        })
        .await
    }

    async fn by_subject(&self, subject: &str) -> Result<Option<Account>, Error> {
        type Row = (Uuid, String, String, String, String);
        let row = read!(self, BY_SUBJECT, |reader| async {
            let row = sqlx::query_as::<_, Row>(BY_SUBJECT.text).bind(subject).fetch_optional(reader).await?;
            if let Some((user, ..)) = &row {
                Span::current().user(&user.to_string());
            }
            Ok(row)
        })?;
        Ok(row.map(|(uuid, handle, display_name, bio, email)| Account {
            user: user((uuid, handle, display_name, bio)),
            email,
        }))
    }
}

/// Neither names nor addresses are kept.
fn subject(attempt: Attempt, by: &[&str]) -> String {
    let parts: Vec<_> = std::iter::once(attempt.kind).chain(by.iter().copied()).map(str::as_bytes).collect();
    sha256(&parts)
}

pub(super) async fn hash(password: Password) -> Result<String, Error> {
    off_the_runtime(move || {
        let hash = Argon2::default().hash_password(password.expose().as_bytes());
        hash.map(|hash| hash.to_string()).map_err(|error| Error::Password(error.to_string()))
    })
    .await
}

/// Compares with a hash of nothing where there is none to compare with, which takes as long.
async fn verify(kept: Option<String>, password: Password) -> Result<bool, Error> {
    off_the_runtime(move || {
        let Some(kept) = kept else {
            drop(Argon2::default().hash_password(password.expose().as_bytes()));
            return Ok(false);
        };
        let kept = PasswordHash::new(&kept).map_err(|error| Error::Password(error.to_string()))?;
        Ok(Argon2::default().verify_password(password.expose().as_bytes(), &kept).is_ok())
    })
    .await
}

async fn off_the_runtime<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    // It is never closed.
    let _place = HASHING.acquire().await.ok();
    tokio::task::spawn_blocking(work).await?
}
