//! What a crud is and which ones are allowed. Parses at the edge into types that can be trusted inside. Knows neither SQL nor
//! HTTP, and reads no clock.

mod account;
mod message;
mod page;
mod text;
mod words;

pub use account::{Attempt, Bio, DisplayName, Email, Handle, Login, Password, Token};
pub use message::{Message, Ttl};
pub use page::{Cursor, Limit, NotAPage, Page};
pub use text::printable;
pub use words::{Term, Word, words};

use chrono::{DateTime, Utc};
use uuid::Uuid;

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

/// An item whose position in a list depends on when it was made.
pub trait Listed {
    fn place(&self) -> Cursor;
}

/// A fault in an input. The codes are the original's, including its spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    #[error("ttl_blank")]
    TtlBlank,
    #[error("message_blank")]
    MessageBlank,
    #[error("message_exceed_max_chars")]
    MessageExceedMaxChars,
    #[error("activity_uuid_blank")]
    ActivityUuidBlank,
    #[error("search_term_blank")]
    SearchTermBlank,
    #[error("blank_user_handle")]
    BlankUserHandle,
    #[error("user_reciever_handle_blank")]
    UserReceiverHandleBlank,
    #[error("message_group_uuid_blank")]
    MessageGroupUuidBlank,
    #[error("handle_blank")]
    HandleBlank,
    #[error("handle_invalid")]
    HandleInvalid,
    #[error("display_name_blank")]
    DisplayNameBlank,
    #[error("display_name_exceed_max_chars")]
    DisplayNameExceedMaxChars,
    #[error("bio_exceed_max_chars")]
    BioExceedMaxChars,
    #[error("email_blank")]
    EmailBlank,
    #[error("email_invalid")]
    EmailInvalid,
    #[error("login_blank")]
    LoginBlank,
    #[error("password_blank")]
    PasswordBlank,
    #[error("password_too_short")]
    PasswordTooShort,
    #[error("password_exceed_max_chars")]
    PasswordExceedMaxChars,
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
