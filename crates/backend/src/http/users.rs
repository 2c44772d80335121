//! The handlers of users, and of trends.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use tracing::instrument;

use super::body::Body;
use super::json;
use super::problem::{Problem, no_such_user};
use super::requests::ProfileUpdate;
use super::schemas::Codes;
use super::session::{SignedIn, Visitor};
use super::state::{HandlerResult, State};
use crate::domain::{Bio, DisplayName, Profile};
use crate::store::now;

/// A user, without the bio
#[utoipa::path(get, path = "/api/users/@{handle}/short", tag = "users", operation_id = "user_short",
    params(("handle" = String, Path, description = "The user's handle")),
    responses((status = 200, description = "The user", body = json::ShortUser)))]
#[instrument(name = "user-short", skip_all)]
pub(super) async fn short(state: Data<State>, handle: Path<String>, _visitor: Visitor) -> HandlerResult {
    let user = state.store.user(&handle).await?.ok_or_else(no_such_user)?;
    Ok(HttpResponse::Ok().json(json::ShortUser::from(user)))
}

/// At most five new users to whose cruds I have not reacted or replied
#[utoipa::path(get, path = "/api/users/suggested", tag = "users", operation_id = "suggested_users",
    responses((status = 200, description = "The newest first", body = Vec<json::ShortUser>)),
    security((), ("session" = []), ("bearer" = [])))]
#[instrument(name = "suggested-users", skip_all)]
pub(super) async fn suggested(state: Data<State>, visitor: Visitor) -> HandlerResult {
    let users = state.store.suggested(visitor.user()).await?;
    Ok(HttpResponse::Ok().json(json::all::<_, json::ShortUser>(users)))
}

/// The ten most frequent hashtags of the newest living cruds
#[utoipa::path(get, path = "/api/trending", tag = "cruds", operation_id = "trending",
    responses((status = 200, description = "The most frequent first", body = Vec<json::TrendJson>)))]
#[instrument(name = "trending", skip_all)]
pub(super) async fn trending(state: Data<State>, _visitor: Visitor) -> HandlerResult {
    let trends = state.store.trending(now()).await?;
    Ok(HttpResponse::Ok().json(json::all::<_, json::TrendJson>(trends)))
}

/// A profile in the form of a response.
pub(super) async fn shown(state: &State, profile: Profile) -> Result<json::ProfileJson, Problem> {
    let issued_id =
        if state.credentials.are_issued() { Some(state.store.issued_id(profile.user.uuid).await?) } else { None };
    Ok(json::ProfileJson::new(profile, issued_id))
}

/// Update my profile
#[utoipa::path(method(post, put), path = "/api/profile/update", tag = "users", operation_id = "update_profile",
    request_body(content = ProfileUpdate, example = json!({"display_name": "Zoë", "bio": "Reads traces."})),
    responses(
        (status = 200, description = "The updated profile", body = json::ProfileJson),
        (status = 422, body = Codes,
            description = "`display_name_blank`, `display_name_exceed_max_chars`, `bio_exceed_max_chars`"),
    ),
    security(("session" = []), ("bearer" = [])))]
#[instrument(name = "update-profile", skip_all)]
pub(super) async fn update(state: Data<State>, me: SignedIn, body: Body<ProfileUpdate>) -> HandlerResult {
    let display_name = DisplayName::parse(body.display_name.as_deref().unwrap_or_default());
    let bio = Bio::parse(body.bio.as_deref().unwrap_or_default());
    let (display_name, bio) = match (display_name, bio) {
        (Ok(display_name), Ok(bio)) => (display_name, bio),
        (display_name, bio) => {
            return Err(Problem::Invalid(display_name.err().into_iter().chain(bio.err()).collect()));
        }
    };
    let user = state.store.describe(me.user(), display_name, bio).await?;
    let cruds_count = state.store.cruds_count(user.uuid, now()).await?;
    Ok(HttpResponse::Ok().json(shown(&state, Profile { user, cruds_count }).await?))
}
