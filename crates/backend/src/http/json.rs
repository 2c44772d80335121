//! The JSON of the API, as the original frontend reads and writes it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::{self, Profile, Thread};

#[derive(Serialize)]
pub(super) struct Activity {
    uuid: Uuid,
    handle: String,
    display_name: String,
    message: String,
    #[serde(serialize_with = "rfc3339")]
    created_at: DateTime<Utc>,
    #[serde(serialize_with = "rfc3339")]
    expires_at: DateTime<Utc>,
    likes_count: i64,
    replies_count: i64,
    reposts_count: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to_activity_uuid: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replies: Option<Vec<Activity>>,
}

#[derive(Serialize)]
pub(super) struct ProfilePage {
    profile: ProfileHead,
    activities: Vec<Activity>,
}

#[derive(Serialize)]
struct ProfileHead {
    uuid: Uuid,
    handle: String,
    display_name: String,
    bio: String,
    cruds_count: i64,
}

/// `{activity, replies}`
#[derive(Serialize)]
pub(super) struct Status {
    activity: Activity,
    replies: Vec<Activity>,
}

/// A field that is missing is as one that is blank.
#[derive(Deserialize)]
pub(super) struct NewActivity {
    #[serde(default)]
    pub(super) message: Option<String>,
    #[serde(default)]
    pub(super) ttl: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct NewReply {
    #[serde(default)]
    pub(super) message: Option<String>,
}

/// The query of a list.
#[derive(Deserialize)]
pub(super) struct List {
    #[serde(default)]
    pub(super) term: Option<String>,
    #[serde(default)]
    pub(super) limit: Option<String>,
    #[serde(default)]
    pub(super) cursor: Option<String>,
}

impl From<domain::Activity> for Activity {
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
            replies: None,
        }
    }
}

impl From<Thread> for Activity {
    fn from(thread: Thread) -> Self {
        Self { replies: Some(all(thread.replies)), ..thread.activity.into() }
    }
}

impl From<Thread> for Status {
    fn from(thread: Thread) -> Self {
        Self { activity: thread.activity.into(), replies: all(thread.replies) }
    }
}

impl From<Profile> for ProfilePage {
    fn from(Profile { user, cruds_count, activities }: Profile) -> Self {
        Self {
            profile: ProfileHead {
                uuid: user.uuid,
                handle: user.handle,
                display_name: user.display_name,
                bio: user.bio,
                cruds_count,
            },
            activities: all(activities),
        }
    }
}

pub(super) fn all<T: Into<Activity>>(activities: Vec<T>) -> Vec<Activity> {
    activities.into_iter().map(Into::into).collect()
}

fn rfc3339<S: serde::Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&time.format("%Y-%m-%dT%H:%M:%S%.6f+00:00"))
}
