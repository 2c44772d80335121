//! Requests that a client may repeat because it received no response. With the same `Idempotency-Key` they act once and get the same response. That response is
//! written in the transaction that acts.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::engine::on;
use super::error::Error;
use super::statement::{Statement, statement};
use super::tx::Tx;

/// 1 to 255 visible characters of ASCII.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

/// A key and the hash of the request sent with it.
#[derive(Debug, Clone)]
pub struct KeyedRequest {
    key: String,
    request_hash: String,
}

/// The response to a write that has made something: the location of the new item, and the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    pub location: String,
    pub body: String,
}

/// The outcome of a write that may be a repetition.
#[derive(Debug)]
pub enum Outcome<T> {
    /// The write was done now: the new item, and the response.
    Done(T, Rendered),
    /// The write had been done before; this was the response.
    Before(Rendered),
    /// The key has been used for a different request.
    AnotherRequest,
}

/// Why a text is not a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Idempotency-Key must be 1 to 255 visible characters of ASCII")]
pub struct NotAKey;

impl FromStr for IdempotencyKey {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        let plain = (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if plain { Ok(Self(text.to_owned())) } else { Err(NotAKey) }
    }
}

impl KeyedRequest {
    /// `request` is whatever distinguishes one request from another: its path and body.
    pub fn new(key: IdempotencyKey, request: &[&[u8]]) -> Self {
        Self { key: key.0, request_hash: sha256(request) }
    }
}

/// In hex. The parts are delimited, so that they cannot be confused with other parts.
pub(super) fn sha256(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

const CLAIM: Statement = statement(
    "INSERT",
    "idempotency_keys",
    "INSERT INTO idempotency_keys (user_uuid, key, request_hash, location, answer, created_at) \
     VALUES ($1, $2, $3, '', '', $4) ON CONFLICT DO NOTHING",
);
const FIND: Statement = statement(
    "SELECT",
    "idempotency_keys",
    "SELECT request_hash, location, answer FROM idempotency_keys WHERE user_uuid = $1 AND key = $2",
);
const KEEP: Statement = statement(
    "UPDATE",
    "idempotency_keys",
    "UPDATE idempotency_keys SET location = $3, answer = $4 WHERE user_uuid = $1 AND key = $2",
);

impl Tx<'_> {
    /// Claims the key of a write, if it has one. Returns the outcome if the key was claimed before.
    pub(super) async fn claim<T>(
        &mut self,
        user: Uuid,
        keyed: Option<&KeyedRequest>,
        now: DateTime<Utc>,
    ) -> Result<Option<Outcome<T>>, Error> {
        let Some(keyed) = keyed else { return Ok(None) };
        if on!(self, CLAIM, user, &keyed.key, &keyed.request_hash, now)? > 0 {
            return Ok(None);
        }
        let (hash, location, body) = on!(self, FIND, |connection| {
            sqlx::query_as::<_, (String, String, String)>(FIND.text).bind(user).bind(&keyed.key).fetch_one(connection)
        })?;
        let is_same = hash == keyed.request_hash;
        Ok(Some(if is_same { Outcome::Before(Rendered { location, body }) } else { Outcome::AnotherRequest }))
    }

    /// Keeps the response to the write that claimed the key.
    pub(super) async fn keep(
        &mut self,
        user: Uuid,
        keyed: Option<&KeyedRequest>,
        answer: &Rendered,
    ) -> Result<(), Error> {
        if let Some(keyed) = keyed {
            on!(self, KEEP, user, &keyed.key, &answer.location, &answer.body)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_visible_ascii() {
        assert!("8e03978e-40d5-43e8-bc93-6894a57f9324".parse::<IdempotencyKey>().is_ok());
        for text in ["", "a b", "ä", "a\n", &"x".repeat(256)] {
            assert_eq!(text.parse::<IdempotencyKey>(), Err(NotAKey), "{text}");
        }
    }

    #[test]
    fn parts_that_are_divided_differently_have_another_hash() {
        assert_ne!(sha256(&[b"ab", b"c"]), sha256(&[b"a", b"bc"]));
        assert_eq!(sha256(&[]), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }
}
