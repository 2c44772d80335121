//! The bodies and queries of requests, as the original frontend writes them, and their schemas. `domain` validates what is in them.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

#[derive(Serialize, Deserialize, ToSchema)]
pub(super) struct NewActivity {
    #[schema(required = true, nullable = false, min_length = 1, max_length = 280)]
    pub(super) message: Option<String>,
    #[schema(required = true, schema_with = super::schemas::ttl)]
    pub(super) ttl: Option<String>,
}

#[derive(Serialize, Deserialize, ToSchema)]
pub(super) struct NewReply {
    #[schema(required = true, nullable = false, min_length = 1, max_length = 1024)]
    pub(super) message: Option<String>,
}

/// To a user by `user_receiver_handle` or `handle`, or into a conversation by `message_group_uuid`
#[derive(Serialize, Deserialize, ToSchema)]
pub(super) struct NewMessage {
    #[schema(required = true, nullable = false, min_length = 1, max_length = 1024)]
    pub(super) message: Option<String>,
    #[schema(pattern = r"[^@\s]")]
    pub(super) user_receiver_handle: Option<String>,
    /// Used if `user_receiver_handle` is absent
    #[schema(pattern = r"[^@\s]")]
    pub(super) handle: Option<String>,
    /// Takes precedence over the handles
    #[schema(min_length = 1, format = Uuid)]
    pub(super) message_group_uuid: Option<String>,
}

#[derive(Deserialize, ToSchema)]
pub(super) struct ProfileUpdate {
    #[schema(required = true, nullable = false, min_length = 1, max_length = 50)]
    pub(super) display_name: Option<String>,
    #[schema(max_length = 160)]
    pub(super) bio: Option<String>,
}

#[derive(Deserialize, ToSchema)]
pub(super) struct SignUp {
    /// Kept in lower case, without `@`
    #[schema(required = true, nullable = false, pattern = "^@*[A-Za-z0-9_]{1,30}$")]
    pub(super) handle: Option<String>,
    #[schema(required = true, nullable = false, min_length = 1, max_length = 50)]
    pub(super) display_name: Option<String>,
    /// Kept in lower case
    #[schema(
        required = true,
        nullable = false,
        max_length = 254,
        pattern = r"^\S+@([^@\s]+\.[^@\s]+|[^@\s]{2,}\.|\.[^@\s]{2,})$"
    )]
    pub(super) email: Option<String>,
    #[schema(required = true, nullable = false, min_length = 10, max_length = 256, format = Password)]
    pub(super) password: Option<String>,
}

/// With a login and its password, or with the token of a link that signs in once
#[derive(Deserialize, ToSchema)]
pub(super) struct SignIn {
    /// A handle or an e-mail address
    #[schema(pattern = r"[^@\s]")]
    pub(super) login: Option<String>,
    #[schema(min_length = 1, max_length = 256, format = Password)]
    pub(super) password: Option<String>,
    /// Takes precedence over the login
    pub(super) token: Option<String>,
}

/// A page of a list
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct List {
    /// The maximum number of items
    #[param(value_type = u8, required = false, minimum = 1, maximum = 100, default = 20)]
    pub(super) limit: Option<String>,
    /// Where the page begins, from the `Link` header of the previous page
    #[param(nullable = false, pattern = "^[0-9]{1,17}-[0-9a-f]{32}$")]
    pub(super) cursor: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Search {
    /// Words that must all occur; `#tag` finds only the hashtag
    #[param(required = true, nullable = false, min_length = 1, max_length = 1024)]
    pub(super) term: Option<String>,
    /// The maximum number of items
    #[param(value_type = u8, required = false, minimum = 1, maximum = 100, default = 20)]
    pub(super) limit: Option<String>,
    /// Where the page begins, from the `Link` header of the previous page
    #[param(nullable = false, pattern = "^[0-9]{1,17}-[0-9a-f]{32}$")]
    pub(super) cursor: Option<String>,
}
