//! The handlers of likes, reposts and notifications.

use actix_web::web::{Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use telemetry::span::SpanExt;
use tracing::{Span, instrument};
use uuid::Uuid;

use super::json;
use super::list::{list, page};
use super::problem::no_such_crud;
use super::requests::List;
use super::session::SignedIn;
use super::state::{HandlerResult, State};
use crate::domain::{Activity, Reaction};
use crate::store::now;

/// Like a crud
#[utoipa::path(post, path = "/api/activities/{uuid}/like", tag = "reactions", operation_id = "like_activity",
    params(("uuid" = Uuid, Path, description = "The crud's id")),
    responses((status = 200, description = "The crud with its new counts", body = json::ActivityJson)),
    security(("session" = []), ("bearer" = [])))]
pub(super) async fn like(state: Data<State>, uuid: Path<String>, me: SignedIn) -> HandlerResult {
    react(&state, &uuid, &me, Reaction::Like).await
}

/// Take back my like
#[utoipa::path(delete, path = "/api/activities/{uuid}/like", tag = "reactions", operation_id = "unlike_activity",
    params(("uuid" = Uuid, Path, description = "The crud's id")),
    responses((status = 200, description = "The crud with its new counts", body = json::ActivityJson)),
    security(("session" = []), ("bearer" = [])))]
pub(super) async fn unlike(state: Data<State>, uuid: Path<String>, me: SignedIn) -> HandlerResult {
    retract(&state, &uuid, &me, Reaction::Like).await
}

/// Repost a crud
#[utoipa::path(post, path = "/api/activities/{uuid}/repost", tag = "reactions", operation_id = "repost_activity",
    params(("uuid" = Uuid, Path, description = "The crud's id")),
    responses((status = 200, description = "The crud with its new counts", body = json::ActivityJson)),
    security(("session" = []), ("bearer" = [])))]
pub(super) async fn repost(state: Data<State>, uuid: Path<String>, me: SignedIn) -> HandlerResult {
    react(&state, &uuid, &me, Reaction::Repost).await
}

/// Take back my repost
#[utoipa::path(delete, path = "/api/activities/{uuid}/repost", tag = "reactions", operation_id = "unrepost_activity",
    params(("uuid" = Uuid, Path, description = "The crud's id")),
    responses((status = 200, description = "The crud with its new counts", body = json::ActivityJson)),
    security(("session" = []), ("bearer" = [])))]
pub(super) async fn unrepost(state: Data<State>, uuid: Path<String>, me: SignedIn) -> HandlerResult {
    retract(&state, &uuid, &me, Reaction::Repost).await
}

/// What others did with my cruds, newest first
#[utoipa::path(get, path = "/api/activities/notifications", tag = "reactions", operation_id = "notifications",
    params(List),
    responses((status = 200, description = "Each with its `notification`", body = Vec<json::ActivityJson>)),
    security(("session" = []), ("bearer" = [])))]
#[instrument(name = "notifications", skip_all)]
pub(super) async fn notifications(
    request: HttpRequest,
    state: Data<State>,
    me: SignedIn,
    query: Query<List>,
) -> HandlerResult {
    let page = page(query.limit.as_deref(), query.cursor.as_deref())?;
    let notifications = state.store.notifications(me.user(), now(), page).await?;
    Span::current().set("app.result_length", notifications.len());
    Ok(list(&request, page.after(&notifications), json::all::<_, json::ActivityJson>(notifications)))
}

#[instrument(name = "react", skip_all, fields(cruddur.reaction = reaction.as_str()))]
async fn react(state: &State, uuid: &str, me: &SignedIn, reaction: Reaction) -> HandlerResult {
    let uuid = Uuid::try_parse(uuid).map_err(|_| no_such_crud())?;
    counted(state.store.react(me.user(), uuid, reaction, now()).await?)
}

#[instrument(name = "retract", skip_all, fields(cruddur.reaction = reaction.as_str()))]
async fn retract(state: &State, uuid: &str, me: &SignedIn, reaction: Reaction) -> HandlerResult {
    let uuid = Uuid::try_parse(uuid).map_err(|_| no_such_crud())?;
    counted(state.store.retract(me.user(), uuid, reaction, now()).await?)
}

fn counted(activity: Option<Activity>) -> HandlerResult {
    let activity = activity.ok_or_else(no_such_crud)?;
    Ok(HttpResponse::Ok().json(json::ActivityJson::from(activity)))
}
