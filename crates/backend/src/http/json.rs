//! The JSON of responses, as the original frontend reads it, and its schemas.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::{self, Thread};

/// A crud, or a reply to one
#[derive(Serialize, ToSchema)]
#[schema(as = Activity)]
pub(super) struct ActivityJson {
    uuid: Uuid,
    handle: String,
    display_name: String,
    message: String,
    #[serde(serialize_with = "rfc3339")]
    created_at: DateTime<Utc>,
    #[serde(serialize_with = "rfc3339")]
    expires_at: DateTime<Utc>,
    #[schema(minimum = 0)]
    likes_count: i64,
    #[schema(minimum = 0)]
    replies_count: i64,
    #[schema(minimum = 0)]
    reposts_count: i64,
    /// The crud that this is a reply to
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reply_to_activity_uuid: Option<Uuid>,
    /// The newest replies, newest first, in lists that include replies; otherwise empty
    #[schema(no_recursion)]
    replies: Vec<ActivityJson>,
    /// Only in notifications
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    notification: Option<NotificationJson>,
}

/// What another user did with a crud of mine
#[derive(Serialize, ToSchema)]
#[schema(as = Notification)]
pub(super) struct NotificationJson {
    #[schema(pattern = "^(reply|like|repost)$")]
    kind: String,
    handle: String,
    display_name: String,
    #[serde(serialize_with = "rfc3339")]
    created_at: DateTime<Utc>,
}

/// A user, and a page of their cruds and replies
#[derive(Serialize, ToSchema)]
pub(super) struct ProfilePage {
    profile: ProfileJson,
    activities: Vec<ActivityJson>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Profile)]
pub(super) struct ProfileJson {
    uuid: Uuid,
    handle: String,
    display_name: String,
    bio: String,
    #[schema(minimum = 0)]
    cruds_count: i64,
    /// Present if an issuer has the accounts: the user's `sub` there, or null for a user who has never presented a token
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, required = false)]
    cognito_user_uuid: Option<Option<String>>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Status {
    activity: ActivityJson,
    replies: Vec<ActivityJson>,
}

/// A user, without the bio
#[derive(Serialize, ToSchema)]
pub(super) struct ShortUser {
    uuid: Uuid,
    handle: String,
    display_name: String,
}

/// The caller's own account
#[derive(Serialize, ToSchema)]
#[schema(as = Account)]
pub(super) struct AccountJson {
    uuid: Uuid,
    handle: String,
    display_name: String,
    bio: String,
    email: String,
}

/// A hashtag, and how many of the newest living cruds have it
#[derive(Serialize, ToSchema)]
#[schema(as = Trend)]
pub(super) struct TrendJson {
    /// Without `#`
    hashtag: String,
    #[schema(minimum = 1)]
    count: i64,
}

/// A conversation: the other member, and the latest message
#[derive(Serialize, ToSchema)]
pub(super) struct MessageGroup {
    uuid: Uuid,
    display_name: String,
    handle: String,
    message: String,
    #[serde(serialize_with = "rfc3339")]
    created_at: DateTime<Utc>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Message)]
pub(super) struct MessageJson {
    uuid: Uuid,
    display_name: String,
    handle: String,
    message: String,
    #[serde(serialize_with = "rfc3339")]
    created_at: DateTime<Utc>,
    message_group_uuid: Uuid,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Health {
    pub(super) success: bool,
    pub(super) ver: u8,
    /// The faults that are injected; absent if there are none
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(required = false)]
    pub(super) faults: String,
    /// `issued` if an issuer has the accounts; absent otherwise
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) accounts: Option<&'static str>,
    /// In week 2 mode, the handle of the user that pages of configured origins act as without signing in; absent otherwise
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) acts_as: Option<&'static str>,
}

impl From<domain::Activity> for ActivityJson {
    fn from(activity: domain::Activity) -> Self {
        Self {
            uuid: activity.uuid,
            handle: activity.handle,
            display_name: activity.display_name,
            message: activity.message,
            created_at: activity.created_at,
            expires_at: activity.expires_at,
            likes_count: activity.likes_count,
            replies_count: activity.replies_count,
            reposts_count: activity.reposts_count,
            reply_to_activity_uuid: activity.reply_to,
            replies: Vec::new(),
            notification: None,
        }
    }
}

impl From<Thread> for ActivityJson {
    fn from(thread: Thread) -> Self {
        Self { replies: all(thread.replies), ..thread.activity.into() }
    }
}

impl From<domain::Notification> for ActivityJson {
    fn from(notification: domain::Notification) -> Self {
        let domain::Notification { kind, handle, display_name, created_at, activity, .. } = notification;
        let notification = NotificationJson { kind, handle, display_name, created_at };
        Self { notification: Some(notification), ..activity.into() }
    }
}

impl From<Thread> for Status {
    fn from(thread: Thread) -> Self {
        Self { activity: thread.activity.into(), replies: all(thread.replies) }
    }
}

impl ProfileJson {
    /// `issued_id` is the issuer's id of the user, if an issuer has the accounts.
    pub(super) fn new(
        domain::Profile { user, cruds_count }: domain::Profile,
        issued_id: Option<Option<String>>,
    ) -> Self {
        Self {
            uuid: user.uuid,
            handle: user.handle,
            display_name: user.display_name,
            bio: user.bio,
            cruds_count,
            cognito_user_uuid: issued_id,
        }
    }
}

impl From<(ProfileJson, Vec<domain::Activity>)> for ProfilePage {
    fn from((profile, activities): (ProfileJson, Vec<domain::Activity>)) -> Self {
        Self { profile, activities: all(activities) }
    }
}

impl From<domain::User> for ShortUser {
    fn from(user: domain::User) -> Self {
        Self { uuid: user.uuid, handle: user.handle, display_name: user.display_name }
    }
}

impl From<domain::Account> for AccountJson {
    fn from(domain::Account { user, email }: domain::Account) -> Self {
        Self { uuid: user.uuid, handle: user.handle, display_name: user.display_name, bio: user.bio, email }
    }
}

impl From<domain::Trend> for TrendJson {
    fn from(domain::Trend { hashtag, count }: domain::Trend) -> Self {
        Self { hashtag, count }
    }
}

impl From<domain::Conversation> for MessageGroup {
    fn from(conversation: domain::Conversation) -> Self {
        Self {
            uuid: conversation.uuid,
            display_name: conversation.display_name,
            handle: conversation.handle,
            message: conversation.message,
            created_at: conversation.created_at,
        }
    }
}

impl From<domain::DirectMessage> for MessageJson {
    fn from(message: domain::DirectMessage) -> Self {
        Self {
            uuid: message.uuid,
            display_name: message.display_name,
            handle: message.handle,
            message: message.message,
            created_at: message.created_at,
            message_group_uuid: message.group,
        }
    }
}

pub(super) fn all<T: Into<U>, U>(items: Vec<T>) -> Vec<U> {
    items.into_iter().map(Into::into).collect()
}

fn rfc3339<S: serde::Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&time.to_rfc3339_opts(SecondsFormat::Micros, false))
}
