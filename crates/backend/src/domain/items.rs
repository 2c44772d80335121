//! Users, cruds and what belongs to them, as they are read.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::page::{Cursor, Listed};

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub uuid: Uuid,
    pub handle: String,
    pub display_name: String,
    pub bio: String,
}

/// A user's own data, as shown to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub user: User,
    pub email: String,
}

/// A crud, or a reply to one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activity {
    pub uuid: Uuid,
    pub handle: String,
    pub display_name: String,
    pub message: String,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub likes_count: i64,
    pub replies_count: i64,
    pub reposts_count: i64,
    pub reply_to: Option<Uuid>,
}

/// A crud with its newest replies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thread {
    pub activity: Activity,
    pub replies: Vec<Activity>,
}

/// A user, and how many living cruds they have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    pub user: User,
    pub cruds_count: i64,
}

/// A reaction to another user's crud.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaction {
    Like,
    Repost,
}

/// A notification: another user reacted or replied to a crud of the reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    pub uuid: Uuid,
    /// `reply`, `like` or `repost`.
    pub kind: String,
    pub handle: String,
    pub display_name: String,
    pub created_at: DateTime<Utc>,
    /// The reply, or the reader's crud.
    pub activity: Activity,
}

/// A hashtag of living cruds, without its sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trend {
    pub hashtag: String,
    pub count: i64,
}

/// A conversation as one of the two sees it in their list: the other member, and the latest message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    pub uuid: Uuid,
    pub handle: String,
    pub display_name: String,
    pub message: String,
    pub created_at: DateTime<Utc>,
}

/// A message from one of the two members to the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectMessage {
    pub uuid: Uuid,
    pub group: Uuid,
    pub handle: String,
    pub display_name: String,
    pub message: String,
    pub created_at: DateTime<Utc>,
}

impl Reaction {
    /// The form in which it is kept.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Like => "like",
            Self::Repost => "repost",
        }
    }
}

impl Listed for Activity {
    fn place(&self) -> Cursor {
        Cursor { created_at: self.created_at, uuid: self.uuid }
    }
}

impl Listed for Thread {
    fn place(&self) -> Cursor {
        self.activity.place()
    }
}

impl Listed for Notification {
    fn place(&self) -> Cursor {
        Cursor { created_at: self.created_at, uuid: self.uuid }
    }
}

impl Listed for Conversation {
    fn place(&self) -> Cursor {
        Cursor { created_at: self.created_at, uuid: self.uuid }
    }
}

impl Listed for DirectMessage {
    fn place(&self) -> Cursor {
        Cursor { created_at: self.created_at, uuid: self.uuid }
    }
}
