//! The handlers of cruds: each parses the request into the domain's types, calls the store and responds. Each is a span, within the request's and around those
//! of its SQL.

use actix_web::web::{Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use telemetry::span::SpanExt;
use tracing::{Instrument, Span, instrument};
use uuid::Uuid;

use super::body::Body;
use super::feed::Feed;
use super::idempotency::{Idempotency, rendered, respond};
use super::json;
use super::list::{link, list, page};
use super::problem::{Problem, no_such_crud, no_such_user};
use super::requests::{List, NewActivity, NewReply, Search};
use super::schemas::Codes;
use super::session::{SignedIn, Visitor};
use super::state::{HandlerResult, State};
use super::users;
use crate::config::Shape;
use crate::domain::{Activity, Invalid, Message, Page, Term, Thread, Ttl};
use crate::store::{Deletion, Rendered, now};

/// Cruds with their newest replies, newest first
#[utoipa::path(get, path = "/api/activities/home", tag = "cruds", operation_id = "home_activities", params(List),
    responses((status = 200, description = "Each with its replies", body = Vec<json::ActivityJson>)))]
pub(super) async fn home(
    request: HttpRequest,
    state: Data<State>,
    feed: Data<Feed>,
    query: Query<List>,
    _visitor: Visitor,
) -> HandlerResult {
    let page = page(query.limit.as_deref(), query.cursor.as_deref())?;
    // The lesson's manual span. It keeps the lesson's name, although the data is no longer mock data.
    let span = tracing::info_span!("home-activities-mock-data");
    let answer = async {
        let answer = feed.home(&state.store, page).await?;
        let span = Span::current();
        span.record_with(|span| {
            span.set("app.now", &answer.now);
            span.set("app.result_length", answer.length);
        });
        // If this request shared another request's query, the link leads to the span of its SQL.
        if let Some(other) = answer.span.as_ref().filter(|other| span.span_context().as_ref() != Some(other)) {
            span.link(other);
        }
        Ok::<_, Problem>(answer)
    }
    .instrument(span)
    .await?;
    let mut response = HttpResponse::Ok();
    if let Some(link) = link(&request, answer.next) {
        response.insert_header((actix_web::http::header::LINK, link));
    }
    Ok(response.content_type("application/json").body(answer.body.clone()))
}

/// Cruds and replies that have every word of the term, newest first
#[utoipa::path(get, path = "/api/activities/search", tag = "cruds", operation_id = "search_activities", params(Search),
    responses(
        (status = 200, description = "The matches", body = Vec<json::ActivityJson>),
        (status = 422, description = "`search_term_blank`", body = Codes),
    ))]
#[instrument(name = "search-activities", skip_all)]
pub(super) async fn search(
    request: HttpRequest,
    state: Data<State>,
    query: Query<Search>,
    _visitor: Visitor,
) -> HandlerResult {
    let text = query.term.as_deref().unwrap_or_default();
    if text.chars().count() > Term::MAX_CHARS {
        return Err(Problem::bad_request(format!("term must have at most {} characters", Term::MAX_CHARS)));
    }
    let term = Term::parse(text)?;
    let page = page(query.limit.as_deref(), query.cursor.as_deref())?;
    let activities = state.store.search(&term, now(), page).await?;
    Span::current().record_with(|span| {
        span.set("cruddur.search.words", term.words().len());
        span.set("app.result_length", activities.len());
    });
    Ok(list(&request, page.after(&activities), json::all::<_, json::ActivityJson>(activities)))
}

/// A user and their cruds and replies, newest first
#[utoipa::path(get, path = "/api/activities/@{handle}", tag = "cruds", operation_id = "user_activities",
    params(("handle" = String, Path, description = "The user's handle, not blank", pattern = r"\S"), List),
    responses(
        (status = 200, description = "With `CRUDDUR_API=week2` the plain array of the cruds", body = json::ProfilePage),
        (status = 422, description = "`blank_user_handle`", body = Codes),
    ))]
#[instrument(name = "user-activities", skip_all)]
pub(super) async fn profile(
    request: HttpRequest,
    state: Data<State>,
    handle: Path<String>,
    query: Query<List>,
    _visitor: Visitor,
) -> HandlerResult {
    if handle.trim().is_empty() {
        return profile_without_handle().await;
    }
    let page = page(query.limit.as_deref(), query.cursor.as_deref())?;
    let (profile, activities) = state.store.profile(&handle, now(), page).await?.ok_or_else(no_such_user)?;
    Span::current().set("app.result_length", activities.len());
    let next = page.after(&activities);
    Ok(match state.shape {
        Shape::Week2 => list(&request, next, json::all::<_, json::ActivityJson>(activities)),
        Shape::Whole => {
            list(&request, next, json::ProfilePage::from((users::shown(&state, profile).await?, activities)))
        }
    })
}

/// `GET /api/activities/@`
pub(super) async fn profile_without_handle() -> HandlerResult {
    Err(Invalid::BlankUserHandle.into())
}

/// A crud with its replies, newest first
#[utoipa::path(get, path = "/api/activities/{uuid}", tag = "cruds", operation_id = "show_activity",
    params(("uuid" = Uuid, Path, description = "The crud's id"), List),
    responses((status = 200, description = "With a page of its `replies`", body = json::ActivityJson)))]
#[instrument(name = "show-activity", skip_all)]
pub(super) async fn show(
    request: HttpRequest,
    state: Data<State>,
    uuid: Path<String>,
    query: Query<List>,
    _visitor: Visitor,
) -> HandlerResult {
    let (thread, next) = thread(&state, &uuid, &query).await?;
    Ok(list(&request, next, json::ActivityJson::from(thread)))
}

/// A crud of this user, with its replies, newest first
#[utoipa::path(get, path = "/api/activities/@{handle}/status/{uuid}", tag = "cruds", operation_id = "show_status",
    params(("handle" = String, Path, description = "The author's handle"), ("uuid" = Uuid, Path, description = "The crud's id"), List),
    responses((status = 200, description = "The crud, and separately a page of its replies", body = json::Status)))]
#[instrument(name = "show-status", skip_all)]
pub(super) async fn status(
    request: HttpRequest,
    state: Data<State>,
    path: Path<(String, String)>,
    query: Query<List>,
    _visitor: Visitor,
) -> HandlerResult {
    let (handle, uuid) = path.into_inner();
    let (thread, next) = thread(&state, &uuid, &query).await?;
    if thread.activity.handle != handle {
        return Err(no_such_crud());
    }
    Ok(list(&request, next, json::Status::from(thread)))
}

/// Post a crud
#[utoipa::path(post, path = "/api/activities", tag = "cruds", operation_id = "create_activity", params(Idempotency),
    request_body(content = NewActivity,
        example = json!({"message": "Which span took longest? #tracing", "ttl": "7-days"})),
    responses(
        (status = 200, description = "The crud", body = json::ActivityJson,
            headers(("location" = String, description = "The path of the crud"))),
        (status = 422, description = "`ttl_blank`, `message_blank`, `message_exceed_max_chars`", body = Codes),
    ),
    security(("session" = []), ("bearer" = [])))]
#[instrument(name = "create-activity", skip_all)]
pub(super) async fn create(
    state: Data<State>,
    me: SignedIn,
    idempotency: Idempotency,
    body: Body<NewActivity>,
) -> HandlerResult {
    let ttl = body.ttl.as_deref().unwrap_or_default().parse::<Ttl>();
    let message = Message::parse(body.message.as_deref().unwrap_or_default(), Message::MAX_CRUD);
    let (ttl, message) = match (ttl, message) {
        (Ok(ttl), Ok(message)) => (ttl, message),
        (ttl, message) => return Err(Problem::Invalid(ttl.err().into_iter().chain(message.err()).collect())),
    };
    Span::current().record_with(|span| {
        span.set("cruddur.activity.ttl_hours", ttl.hours());
        span.set("cruddur.message.length", message.as_str().chars().count());
    });
    let keyed = idempotency.of(&body);
    respond(state.store.create(me.user(), message, ttl, now(), keyed, render).await?)
}

/// Reply to a crud
#[utoipa::path(post, path = "/api/activities/{uuid}/reply", tag = "cruds", operation_id = "create_reply",
    params(("uuid" = Uuid, Path, description = "The crud's id"), Idempotency),
    request_body(content = NewReply, example = json!({"message": "The one that talks to the database."})),
    responses(
        (status = 200, description = "The reply", body = json::ActivityJson,
            headers(("location" = String, description = "The path of the reply"))),
        (status = 422, description = "`activity_uuid_blank`, `message_blank`, `message_exceed_max_chars`", body = Codes),
    ),
    security(("session" = []), ("bearer" = [])))]
#[instrument(name = "create-reply", skip_all)]
pub(super) async fn reply(
    state: Data<State>,
    uuid: Path<String>,
    me: SignedIn,
    idempotency: Idempotency,
    body: Body<NewReply>,
) -> HandlerResult {
    let blank = uuid.trim().is_empty().then_some(Invalid::ActivityUuidBlank);
    let message = Message::parse(body.message.as_deref().unwrap_or_default(), Message::MAX_REPLY);
    let message = match (blank, message) {
        (None, Ok(message)) => message,
        (blank, message) => return Err(Problem::Invalid(blank.into_iter().chain(message.err()).collect())),
    };
    Span::current().set("cruddur.message.length", message.as_str().chars().count());
    let parent = Uuid::try_parse(&uuid).map_err(|_| no_such_crud())?;
    let keyed = idempotency.of(&body);
    let replied = state.store.reply(me.user(), parent, message, now(), keyed, render).await?;
    respond(replied.ok_or_else(no_such_crud)?)
}

/// `POST /api/activities//reply`
pub(super) async fn reply_to_nothing(
    state: Data<State>,
    me: SignedIn,
    idempotency: Idempotency,
    body: Body<NewReply>,
) -> HandlerResult {
    reply(state, Path::from(String::new()), me, idempotency, body).await
}

/// Delete a crud of mine, with its replies
#[utoipa::path(delete, path = "/api/activities/{uuid}", tag = "cruds", operation_id = "delete_activity",
    params(("uuid" = Uuid, Path, description = "The crud's id")),
    responses((status = 204, description = "The crud is deleted")), security(("session" = []), ("bearer" = [])))]
#[instrument(name = "delete-activity", skip_all)]
pub(super) async fn delete(state: Data<State>, uuid: Path<String>, me: SignedIn) -> HandlerResult {
    let uuid = Uuid::try_parse(&uuid).map_err(|_| no_such_crud())?;
    match state.store.delete(me.user(), uuid, now()).await? {
        Deletion::Done => Ok(HttpResponse::NoContent().finish()),
        Deletion::Forbidden => Err(Problem::forbidden("this crud belongs to another user")),
        Deletion::NotFound => Err(no_such_crud()),
    }
}

/// A crud with a page of its replies, and the page that follows.
async fn thread(state: &State, uuid: &str, query: &List) -> Result<(Thread, Option<Page>), Problem> {
    let page = page(query.limit.as_deref(), query.cursor.as_deref())?;
    let uuid = Uuid::try_parse(uuid).map_err(|_| no_such_crud())?;
    let thread = state.store.show(uuid, now(), page).await?.ok_or_else(no_such_crud)?;
    let next = page.after(&thread.replies);
    Ok((thread, next))
}

/// The response to the client that posted a crud or a reply.
fn render(activity: &Activity) -> Rendered {
    rendered(format!("/api/activities/{}", activity.uuid), &json::ActivityJson::from(activity.clone()))
}
