//! Every statement about sessions. Tokens are kept only as hashes.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use rand::Rng;
use telemetry::span::SpanExt;
use tracing::Span;
use uuid::Uuid;

use super::database::Store;
use super::engine::on;
use super::error::Error;
use super::idempotency::sha256;
use super::statement::{Statement, statement};
use super::users::user;
use crate::domain::{Account, Password, Token};

/// How long a user who does not come back stays signed in.
const LIFE: TimeDelta = TimeDelta::days(30);
/// The age at which a session gets another token.
const ROTATE: TimeDelta = TimeDelta::days(1);
/// How long the previous token stays valid, for requests that are on their way.
const OVERLAP: TimeDelta = TimeDelta::minutes(1);
const LINK: TimeDelta = TimeDelta::hours(1);

const BEGIN: Statement = statement(
    "INSERT",
    "sessions",
    "INSERT INTO sessions (token_hash, user_uuid, created_at, expires_at) VALUES ($1, $2, $3, $4)",
);
const FIND: Statement = statement(
    "SELECT",
    "sessions",
    "SELECT u.uuid, u.handle, u.display_name, u.bio, u.email, s.created_at FROM sessions s \
     JOIN users u ON u.uuid = s.user_uuid WHERE s.token_hash = $1 AND s.expires_at > $2",
);
const END: Statement =
    statement("UPDATE", "sessions", "UPDATE sessions SET expires_at = $2 WHERE token_hash = $1 AND expires_at > $2");
const OFFER: Statement = statement(
    "INSERT",
    "sign_in_links",
    "INSERT INTO sign_in_links (token_hash, user_uuid, expires_at) SELECT $1, uuid, $3 FROM users WHERE handle = $2",
);
const REDEEM: Statement = statement(
    "DELETE",
    "sign_in_links",
    "DELETE FROM sign_in_links WHERE token_hash = $1 AND expires_at > $2 RETURNING user_uuid",
);

/// A signed-in user.
#[derive(Debug, Clone)]
pub struct Session {
    pub account: Account,
    since: DateTime<Utc>,
}

impl Session {
    /// How long a browser keeps the token, in seconds.
    pub const MAX_AGE: i64 = LIFE.num_seconds();

    /// Whether the session is due for another token.
    pub fn is_old(&self, now: DateTime<Utc>) -> bool {
        now - self.since > ROTATE
    }
}

impl Store {
    /// Signs `user` in. Reveals the token only here, once.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn begin_session(&self, user: Uuid, now: DateTime<Utc>) -> Result<Token, Error> {
        let (store, token) = (self.clone(), token());
        self.write(async move {
            let hash = hash(&token);
            on!(store.writes(), BEGIN, &hash, user, now, now + LIFE)?;
            Ok(token)
        })
        .await
    }

    /// The session of this token. From here on the request's spans name its user: this statement's span and the spans around it too.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn session(&self, token: &Token, now: DateTime<Utc>) -> Result<Option<Session>, Error> {
        type SessionRow = (Uuid, String, String, String, String, DateTime<Utc>);
        let hash = hash(token);
        let row = on!(self.reads(), FIND, |reader| async {
            let row = sqlx::query_as::<_, SessionRow>(FIND.text).bind(&hash).bind(now).fetch_optional(reader).await?;
            if let Some((user, ..)) = &row {
                Span::current().user(&user.to_string());
            }
            Ok(row)
        })?;
        Ok(row.map(|(uuid, handle, display_name, bio, email, since)| Session {
            account: Account { user: user((uuid, handle, display_name, bio)), email },
            since,
        }))
    }

    /// Gives a session another token; the previous one stays valid for a minute more.
    ///
    /// # Errors
    /// A statement failed.
    pub async fn rotate(&self, session: &Session, token: &Token, now: DateTime<Utc>) -> Result<Token, Error> {
        let next = self.begin_session(session.account.user.uuid, now).await?;
        self.end_session(token, now + OVERLAP).await?;
        Ok(next)
    }

    /// Ends the token's session at `when`. Does nothing for a token without a session.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn end_session(&self, token: &Token, when: DateTime<Utc>) -> Result<(), Error> {
        let (store, hash) = (self.clone(), hash(token));
        self.write(async move {
            on!(store.writes(), END, &hash, when)?;
            Ok(())
        })
        .await
    }

    /// A token that signs in the user of this handle, once, within an hour; `None` if there is no such user.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn offer_sign_in(&self, handle: &str, now: DateTime<Utc>) -> Result<Option<Token>, Error> {
        let (store, token, handle) = (self.clone(), token(), handle.to_owned());
        self.write(async move {
            let hash = hash(&token);
            let offered = on!(store.writes(), OFFER, &hash, &handle, now + LINK)?;
            Ok((offered > 0).then_some(token))
        })
        .await
    }

    /// Signs in with a token from [`Store::offer_sign_in`]; `None` if the token is unknown or was used.
    ///
    /// # Errors
    /// A statement failed.
    pub async fn redeem(&self, offered: &Token, now: DateTime<Utc>) -> Result<Option<Token>, Error> {
        let (store, hash) = (self.clone(), hash(offered));
        let user = self
            .write(async move {
                let rows = on!(store.writes(), REDEEM, |pool| sqlx::query_as::<_, (Uuid,)>(REDEEM.text)
                    .bind(&hash)
                    .bind(now)
                    .fetch_all(pool))?;
                Ok(rows.into_iter().next())
            })
            .await?;
        match user {
            Some((user,)) => self.begin_session(user, now).await.map(Some),
            None => Ok(None),
        }
    }
}

fn token() -> Token {
    Token::given(&random::<32>())
}

/// 96 random bits.
pub(super) fn random_password() -> Password {
    Password::random(&random::<12>())
}

/// In base64url.
fn random<const BYTES: usize>() -> String {
    let mut bits = [0_u8; BYTES];
    rand::rng().fill_bytes(&mut bits);
    BASE64_URL_SAFE_NO_PAD.encode(bits)
}

fn hash(token: &Token) -> String {
    sha256(&[token.expose().as_bytes()])
}
