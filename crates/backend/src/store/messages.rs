//! Every statement about messages. A conversation has two members; its id is derived from theirs.

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

use super::database::Store;
use super::engine::on;
use super::error::Error;
use super::idempotency::{KeyedRequest, Outcome, Rendered};
use super::ids::id;
use super::statement::{BEGIN, Statement, statement};
use super::tx::Tx;
use crate::domain::{Conversation, DirectMessage, Message, Page, User};

type MessageRow = (Uuid, Uuid, String, String, String, DateTime<Utc>);

/// Also locks the conversation, so that of two messages the later one is shown as the latest.
const OPEN: Statement = statement(
    "INSERT",
    "message_groups",
    "INSERT INTO message_groups (uuid, latest_at) VALUES ($1, $2) ON CONFLICT (uuid) DO UPDATE SET latest_at = excluded.latest_at",
);
const SEND: Statement = statement(
    "INSERT",
    "messages",
    "INSERT INTO messages (uuid, message_group_uuid, user_uuid, message, created_at) VALUES ($1, $2, $3, $4, $5)",
);
const LIST: Statement = statement(
    "INSERT",
    "message_group_members",
    "INSERT INTO message_group_members (user_uuid, message_group_uuid, other_uuid, latest_at, latest_uuid) \
     VALUES ($1, $2, $3, $4, $5) ON CONFLICT (user_uuid, message_group_uuid) \
     DO UPDATE SET latest_at = excluded.latest_at, latest_uuid = excluded.latest_uuid \
     WHERE message_group_members.latest_at <= excluded.latest_at",
);
const OTHER: Statement = statement(
    "SELECT",
    "message_group_members",
    "SELECT other_uuid FROM message_group_members WHERE user_uuid = $1 AND message_group_uuid = $2",
);
const EXISTS: Statement = statement("SELECT", "message_groups", "SELECT count(*) FROM message_groups WHERE uuid = $1");
const GROUPS: Statement = statement(
    "SELECT",
    "message_group_members",
    "SELECT g.message_group_uuid, u.handle, u.display_name, m.message, g.latest_at FROM message_group_members g \
     JOIN users u ON u.uuid = g.other_uuid JOIN messages m ON m.uuid = g.latest_uuid \
     WHERE g.user_uuid = $1 AND (g.latest_at, g.message_group_uuid) < ($2, $3) \
     ORDER BY g.latest_at DESC, g.message_group_uuid DESC LIMIT $4 + 0",
);
const MESSAGES: Statement = statement(
    "SELECT",
    "messages",
    "SELECT m.uuid, m.message_group_uuid, u.handle, u.display_name, m.message, m.created_at FROM messages m \
     JOIN users u ON u.uuid = m.user_uuid WHERE m.message_group_uuid = $1 AND (m.created_at, m.uuid) < ($2, $3) \
     ORDER BY m.created_at DESC, m.uuid DESC LIMIT $4 + 0",
);

impl Tx<'_> {
    /// Keeps a message from one member of a conversation to the other.
    pub(super) async fn send(&mut self, from: Uuid, to: Uuid, message: &DirectMessage) -> Result<(), Error> {
        on!(self, OPEN, message.group, message.created_at)?;
        on!(self, SEND, message.uuid, message.group, from, &message.message, message.created_at)?;
        for (one, other) in [(from, to), (to, from)] {
            on!(self, LIST, one, message.group, other, message.created_at, message.uuid)?;
        }
        Ok(())
    }
}

/// A user's access to a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// The user is one of the two members; this is the other.
    Member(Uuid),
    /// The conversation belongs to other users.
    Forbidden,
    NotFound,
}

impl Store {
    /// The conversations of `user`, the one with the latest message first.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn conversations(&self, user: &User, page: Page) -> Result<Vec<Conversation>, Error> {
        type ConversationRow = (Uuid, String, String, String, DateTime<Utc>);
        let rows = on!(self.reads(), GROUPS, |reader| sqlx::query_as::<_, ConversationRow>(GROUPS.text)
            .bind(user.uuid)
            .bind(page.before.created_at)
            .bind(page.before.uuid)
            .bind(i64::from(page.limit.get()))
            .fetch_all(reader))?;
        let conversation = |(uuid, handle, display_name, message, created_at)| Conversation {
            uuid,
            handle,
            display_name,
            message,
            created_at,
        };
        Ok(rows.into_iter().map(conversation).collect())
    }

    /// The access of `user` to a conversation.
    ///
    /// # Errors
    /// A statement failed.
    pub async fn access(&self, user: &User, group: Uuid) -> Result<Access, Error> {
        let other = on!(self.reads(), OTHER, |reader| sqlx::query_as::<_, (Uuid,)>(OTHER.text)
            .bind(user.uuid)
            .bind(group)
            .fetch_optional(reader))?;
        if let Some((other,)) = other {
            return Ok(Access::Member(other));
        }
        let (exists,) =
            on!(self.reads(), EXISTS, |reader| sqlx::query_as::<_, (i64,)>(EXISTS.text).bind(group).fetch_one(reader))?;
        Ok(if exists > 0 { Access::Forbidden } else { Access::NotFound })
    }

    /// The messages of a conversation, newest first. Does not check access: [`Store::access`] does.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn messages(&self, group: Uuid, page: Page) -> Result<Vec<DirectMessage>, Error> {
        let rows = on!(self.reads(), MESSAGES, |reader| sqlx::query_as::<_, MessageRow>(MESSAGES.text)
            .bind(group)
            .bind(page.before.created_at)
            .bind(page.before.uuid)
            .bind(i64::from(page.limit.get()))
            .fetch_all(reader))?;
        let message = |(uuid, group, handle, display_name, message, created_at)| DirectMessage {
            uuid,
            group,
            handle,
            display_name,
            message,
            created_at,
        };
        Ok(rows.into_iter().map(message).collect())
    }

    /// Keeps a message from `user` to `other`.
    ///
    /// # Errors
    /// A statement failed; nothing is kept.
    pub async fn send(
        &self,
        user: &User,
        other: Uuid,
        message: Message,
        now: DateTime<Utc>,
        keyed: Option<KeyedRequest>,
        render: fn(&DirectMessage) -> Rendered,
    ) -> Result<Outcome<DirectMessage>, Error> {
        let message = new(user, other, message.as_str(), now);
        let user = user.uuid;
        self.transact(move |store| {
            let (message, keyed) = (message.clone(), keyed.clone());
            async move {
                let rendered = render(&message);
                let mut tx = store.begin(&BEGIN).await?;
                if let Some(before) = tx.claim(user, keyed.as_ref(), now).await? {
                    return Ok(before);
                }
                tx.send(user, other, &message).await?;
                tx.keep(user, keyed.as_ref(), &rendered).await?;
                tx.commit().await?;
                Ok(Outcome::Done(message, rendered))
            }
        })
        .await
    }
}

pub(super) fn new(user: &User, other: Uuid, message: &str, now: DateTime<Utc>) -> DirectMessage {
    DirectMessage {
        uuid: id(now),
        group: conversation(user.uuid, other),
        handle: user.handle.clone(),
        display_name: user.display_name.clone(),
        message: message.to_owned(),
        created_at: now,
    }
}

/// The id of the conversation between two users, whichever of them starts it.
pub fn conversation(one: Uuid, other: Uuid) -> Uuid {
    let (first, second) = if one < other { (one, other) } else { (other, one) };
    let hash = Sha256::new().chain_update(first.as_bytes()).chain_update(second.as_bytes()).finalize();
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(hash).for_each(|(byte, hashed)| *byte = hashed);
    Builder::from_custom_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_users_share_one_conversation() {
        let (a, b, c) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
        assert_eq!(conversation(a, b), conversation(b, a));
        assert_ne!(conversation(a, b), conversation(a, c));
    }
}
