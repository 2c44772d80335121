//! Every statement that reads users, or changes their profiles.

use uuid::Uuid;

use super::database::Store;
use super::engine::on;
use super::error::Error;
use super::statement::{Statement, statement};
use crate::domain::{Bio, DisplayName, User};

/// Users that are suggested together.
const SUGGESTED: i64 = 5;

pub(super) type UserRow = (Uuid, String, String, String);

const USER: Statement =
    statement("SELECT", "users", "SELECT uuid, handle, display_name, bio FROM users WHERE handle = $1");
const SUGGEST: Statement = statement(
    "SELECT",
    "users",
    "SELECT uuid, handle, display_name, bio FROM users ORDER BY created_at DESC, uuid DESC LIMIT $1 + 0",
);
/// The newest users, except one and those to whose cruds that user has reacted or replied.
const SUGGEST_TO: Statement = statement(
    "SELECT",
    "users",
    "SELECT u.uuid, u.handle, u.display_name, u.bio FROM users u WHERE u.uuid <> $2 \
     AND NOT EXISTS (SELECT 1 FROM reactions r WHERE r.user_uuid = $2 AND r.owner_uuid = u.uuid) \
     ORDER BY u.created_at DESC, u.uuid DESC LIMIT $1 + 0",
);
const UPDATE: Statement = statement("UPDATE", "users", "UPDATE users SET display_name = $2, bio = $3 WHERE uuid = $1");

impl Store {
    /// The user of this handle.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn user(&self, handle: &str) -> Result<Option<User>, Error> {
        // PostgreSQL's text has no NUL, so no handle has one.
        if handle.contains('\0') {
            return Ok(None);
        }
        let row = on!(self.reads(), USER, |reader| sqlx::query_as::<_, UserRow>(USER.text)
            .bind(handle)
            .fetch_optional(reader))?;
        Ok(row.map(user))
    }

    /// The newest users, except `to` and the users to whose cruds `to` has reacted or replied.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn suggested(&self, to: Option<&User>) -> Result<Vec<User>, Error> {
        let rows = match to {
            None => on!(self.reads(), SUGGEST, |reader| sqlx::query_as::<_, UserRow>(SUGGEST.text)
                .bind(SUGGESTED)
                .fetch_all(reader))?,
            Some(to) => on!(self.reads(), SUGGEST_TO, |reader| sqlx::query_as::<_, UserRow>(SUGGEST_TO.text)
                .bind(SUGGESTED)
                .bind(to.uuid)
                .fetch_all(reader))?,
        };
        Ok(rows.into_iter().map(user).collect())
    }

    /// Keeps a user's display name and bio.
    ///
    /// # Errors
    /// The statement failed; nothing has changed.
    pub async fn describe(&self, user: &User, display_name: DisplayName, bio: Bio) -> Result<User, Error> {
        let described =
            User { display_name: display_name.as_str().to_owned(), bio: bio.as_str().to_owned(), ..user.clone() };
        let store = self.clone();
        self.write(async move {
            on!(store.writes(), UPDATE, described.uuid, &described.display_name, &described.bio)?;
            Ok(described)
        })
        .await
    }
}

pub(super) fn user((uuid, handle, display_name, bio): UserRow) -> User {
    User { uuid, handle, display_name, bio }
}
