//! The handlers of messages. A conversation's content is disclosed only to its two members.

use actix_web::HttpRequest;
use actix_web::web::{Data, Path, Query};
use telemetry::span::SpanExt;
use tracing::{Span, instrument};
use uuid::Uuid;

use super::body::Body;
use super::idempotency::{Idempotency, rendered, respond};
use super::json;
use super::list::{list, page};
use super::problem::{Problem, no_such_user};
use super::requests::{List, NewMessage};
use super::schemas::Codes;
use super::session::SignedIn;
use super::state::{HandlerResult, State};
use crate::domain::{DirectMessage, Invalid, Message};
use crate::store::{Access, Rendered, conversation, now};

/// My conversations, the one with the latest message first
#[utoipa::path(get, path = "/api/message_groups", tag = "messages", operation_id = "message_groups", params(List),
    responses((status = 200, description = "The newest first", body = Vec<json::MessageGroup>)),
    security(("session" = []), ("bearer" = [])))]
#[instrument(name = "message-groups", skip_all)]
pub(super) async fn groups(
    request: HttpRequest,
    state: Data<State>,
    me: SignedIn,
    query: Query<List>,
) -> HandlerResult {
    let page = page(query.limit.as_deref(), query.cursor.as_deref())?;
    let groups = state.store.conversations(me.user(), page).await?;
    Ok(list(&request, page.after(&groups), json::all::<_, json::MessageGroup>(groups)))
}

/// The newest messages of a conversation, oldest first; `Link` leads to older ones
#[utoipa::path(get, path = "/api/messages/{message_group_uuid}", tag = "messages", operation_id = "messages",
    params(("message_group_uuid" = Uuid, Path, description = "The conversation's id"), List),
    responses((status = 200, description = "The oldest first", body = Vec<json::MessageJson>)),
    security(("session" = []), ("bearer" = [])))]
#[instrument(name = "messages", skip_all)]
pub(super) async fn messages(
    request: HttpRequest,
    state: Data<State>,
    group: Path<String>,
    me: SignedIn,
    query: Query<List>,
) -> HandlerResult {
    let group = Uuid::try_parse(&group).map_err(|_| no_such_conversation())?;
    match state.store.access(me.user(), group).await? {
        Access::Member(_) => read(&request, &state, group, &query).await,
        Access::Forbidden => Err(Problem::forbidden("this conversation belongs to other users")),
        Access::NotFound => Err(no_such_conversation()),
    }
}

/// The newest messages between this user and me, oldest first; empty if there are none
#[utoipa::path(get, path = "/api/messages/@{handle}", tag = "messages", operation_id = "messages_with",
    params(("handle" = String, Path, description = "The other user's handle"), List),
    responses((status = 200, description = "The oldest first", body = Vec<json::MessageJson>)),
    security(("session" = []), ("bearer" = [])))]
#[instrument(name = "messages-with", skip_all)]
pub(super) async fn messages_with(
    request: HttpRequest,
    state: Data<State>,
    handle: Path<String>,
    me: SignedIn,
    query: Query<List>,
) -> HandlerResult {
    let other = state.store.user(&handle).await?.ok_or_else(no_such_user)?;
    read(&request, &state, conversation(me.user().uuid, other.uuid), &query).await
}

/// Send a message
#[utoipa::path(post, path = "/api/messages", tag = "messages", operation_id = "create_message", params(Idempotency),
    request_body(content = NewMessage, example = json!({"message": "Which span took longest?", "handle": "bayko"})),
    responses(
        (status = 200, description = "The message", body = json::MessageJson,
            headers(("location" = String, description = "The path of the conversation"))),
        (status = 422, body = Codes, description = "`message_blank`, `message_exceed_max_chars`, \
            `user_reciever_handle_blank`, `message_group_uuid_blank`"),
    ),
    security(("session" = []), ("bearer" = [])))]
#[instrument(name = "create-message", skip_all)]
pub(super) async fn send(
    state: Data<State>,
    me: SignedIn,
    idempotency: Idempotency,
    body: Body<NewMessage>,
) -> HandlerResult {
    let message = Message::parse(body.message.as_deref().unwrap_or_default(), Message::MAX_DIRECT);
    let (message, to) = match (message, To::read(&body)) {
        (Ok(message), Ok(to)) => (message, to),
        (message, to) => return Err(Problem::Invalid(message.err().into_iter().chain(to.err()).collect())),
    };
    Span::current().set("cruddur.message.length", message.as_str().chars().count());
    let other = match to {
        To::Handle(handle) => state.store.user(handle).await?.ok_or_else(no_such_user)?.uuid,
        To::Group(group) => {
            let group = Uuid::try_parse(group).map_err(|_| no_such_conversation())?;
            match state.store.access(me.user(), group).await? {
                Access::Member(other) => other,
                Access::Forbidden => return Err(Problem::forbidden("this conversation belongs to other users")),
                Access::NotFound => return Err(no_such_conversation()),
            }
        }
    };
    let keyed = idempotency.of(&body);
    respond(state.store.send(me.user(), other, message, now(), keyed, render).await?)
}

/// The recipient of a message, as the request names it.
enum To<'a> {
    Handle(&'a str),
    Group(&'a str),
}

impl<'a> To<'a> {
    /// A named conversation takes precedence, as in the original, which distinguished its two kinds of requests that way.
    fn read(body: &'a NewMessage) -> Result<Self, Invalid> {
        if let Some(group) = body.message_group_uuid.as_deref() {
            return if group.trim().is_empty() { Err(Invalid::MessageGroupUuidBlank) } else { Ok(Self::Group(group)) };
        }
        let handle = body.user_receiver_handle.as_deref().or(body.handle.as_deref()).unwrap_or_default();
        let handle = handle.trim().trim_start_matches('@');
        if handle.is_empty() { Err(Invalid::UserReceiverHandleBlank) } else { Ok(Self::Handle(handle)) }
    }
}

async fn read(request: &HttpRequest, state: &State, group: Uuid, query: &List) -> HandlerResult {
    let page = page(query.limit.as_deref(), query.cursor.as_deref())?;
    let mut messages = state.store.messages(group, page).await?;
    Span::current().set("app.result_length", messages.len());
    let next = page.after(&messages);
    messages.reverse();
    Ok(list(request, next, json::all::<_, json::MessageJson>(messages)))
}

fn no_such_conversation() -> Problem {
    Problem::not_found("no such conversation")
}

/// The response to the client that sent a message.
fn render(message: &DirectMessage) -> Rendered {
    rendered(format!("/api/messages/{}", message.group), &json::MessageJson::from(message.clone()))
}
