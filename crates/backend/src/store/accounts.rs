//! Every statement about accounts: registration, authentication, and the users of an issuer of tokens.

use chrono::{DateTime, Utc};
use telemetry::span::SpanExt;
use tracing::Span;
use uuid::Uuid;

use super::database::Store;
use super::engine::on;
use super::error::Error;
use super::idempotency::sha256;
use super::ids::id;
use super::passwords::{self, Place};
use super::statement::{Statement, statement};
use super::users::user;
use crate::domain::{Account, DisplayName, Email, Handle, Login, Password, User};

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
const BY_HANDLE: Statement =
    statement("SELECT", "users", "SELECT uuid, handle, display_name, bio, email FROM users WHERE handle = $1");
const SUBJECT: Statement = statement("SELECT", "users", "SELECT subject FROM users WHERE uuid = $1");
const BY_SUBJECT: Statement =
    statement("SELECT", "users", "SELECT uuid, handle, display_name, bio, email FROM users WHERE subject = $1");
const ADMIT: Statement = statement(
    "INSERT",
    "users",
    "INSERT INTO users (uuid, handle, display_name, email, bio, subject, created_at) \
     VALUES ($1, $2, $3, $4, '', $5, $6) ON CONFLICT DO NOTHING",
);

/// The details of a sign-up.
#[derive(Debug)]
pub struct Registration {
    pub handle: Handle,
    pub display_name: DisplayName,
    pub email: Email,
    pub password: Password,
}

/// The handle or the address belongs to another user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken;

impl Store {
    /// Keeps a new account. Its password is hashed once `place` has reached a hasher.
    ///
    /// # Errors
    /// A statement failed, or the password could not be hashed; nothing is kept.
    pub async fn register(
        &self,
        place: Place,
        new: Registration,
        now: DateTime<Utc>,
    ) -> Result<Result<Account, Taken>, Error> {
        let hash = passwords::hash(Some(place), new.password).await?;
        let account = Account {
            user: User {
                uuid: id(now),
                handle: new.handle.as_str().to_owned(),
                display_name: new.display_name.as_str().to_owned(),
                bio: String::new(),
            },
            email: new.email.as_str().to_owned(),
        };
        let store = self.clone();
        self.write(async move {
            let User { uuid, handle, display_name, .. } = &account.user;
            let kept = on!(store.writes(), REGISTER, uuid, handle, display_name, &account.email, &hash, now)?;
            Ok(if kept > 0 { Ok(account) } else { Err(Taken) })
        })
        .await
    }

    /// The account with this login and password. Takes equally long if the login is unknown.
    ///
    /// # Errors
    /// A statement failed, or a kept hash cannot be read.
    pub async fn authenticate(
        &self,
        place: Place,
        login: &Login,
        password: Password,
    ) -> Result<Option<Account>, Error> {
        type LoginRow = (Uuid, String, String, String, String, Option<String>);
        let rows = if login.as_str().contains('\0') {
            Vec::new()
        } else {
            on!(self.reads(), BY_LOGIN, |reader| sqlx::query_as::<_, LoginRow>(BY_LOGIN.text)
                .bind(login.as_str())
                .fetch_all(reader))?
        };
        let found = rows.into_iter().next();
        let kept = found.as_ref().and_then(|row| row.5.clone());
        let right = passwords::verify(place, kept, password).await?;
        Ok(found.filter(|_| right).map(|(uuid, handle, display_name, bio, email, _)| Account {
            user: user((uuid, handle, display_name, bio)),
            email,
        }))
    }

    /// The account that an issuer of tokens identifies by `subject`. A new user gets `handle`, or a similar one that is free. From here on the request's spans
    /// name the user, as with [`Store::session`].
    ///
    /// # Errors
    /// A statement failed.
    pub async fn admit(&self, subject: &str, handle: &Handle, now: DateTime<Utc>) -> Result<Account, Error> {
        if let Some(account) = self.by_subject(subject).await? {
            return Ok(account);
        }
        let (store, subject, handle) = (self.clone(), subject.to_owned(), handle.clone());
        self.write(async move {
            // A concurrent request of the same user may have come as far.
            let hash = sha256(&[subject.as_bytes()]);
            // Another user may have chosen the first two on purpose; no user can have chosen the last.
            let random = id(now).simple().to_string();
            for suffix in [String::new(), format!("_{}", hash.split_at(8).0), format!("_{}", random.split_at(20).1)] {
                let uuid = id(now);
                let base: String = handle.as_str().chars().take(Handle::MAX - suffix.len()).collect();
                let handle = format!("{base}{suffix}");
                // Unique, as the column requires, and belongs to no user: the token has no address.
                let email = format!("{}@token.invalid", uuid.simple());
                on!(store.writes(), ADMIT, uuid, &handle, &handle, &email, &subject, now)?;
                if let Some(account) = store.by_subject(&subject).await? {
                    return Ok(account);
                }
            }
            Err(Error::Statement(sqlx::Error::RowNotFound))
        })
        .await
    }

    /// The account of this handle. The request's spans name its user, as with [`Store::session`].
    ///
    /// # Errors
    /// The statement failed.
    pub async fn account(&self, handle: &str) -> Result<Option<Account>, Error> {
        self.account_by(BY_HANDLE, handle).await
    }

    /// The issuer's id for a user; `None` for a user who has never presented a token.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn issued_id(&self, user: Uuid) -> Result<Option<String>, Error> {
        let row = on!(self.reads(), SUBJECT, |reader| sqlx::query_as::<_, (Option<String>,)>(SUBJECT.text)
            .bind(user)
            .fetch_optional(reader))?;
        let subject = row.and_then(|(subject,)| subject);
        // An issuer's address has no space.
        Ok(subject.and_then(|subject| subject.split_once(' ').map(|(_, id)| id.to_owned())))
    }

    async fn by_subject(&self, subject: &str) -> Result<Option<Account>, Error> {
        self.account_by(BY_SUBJECT, subject).await
    }

    async fn account_by(&self, statement: Statement, key: &str) -> Result<Option<Account>, Error> {
        type AccountRow = (Uuid, String, String, String, String);
        let row = on!(self.reads(), statement, |reader| async {
            let row = sqlx::query_as::<_, AccountRow>(statement.text).bind(key).fetch_optional(reader).await?;
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
