//! The handlers of cruds: read the request into the domain's types, ask the store, answer.

use actix_web::http::header::{self, HeaderValue};
use actix_web::web::{Data, Json, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use chrono::SecondsFormat;
use telemetry::span::SpanExt;
use tracing::{Instrument, Span};
use uuid::Uuid;

use super::State;
use super::json::{self, List, NewActivity, NewReply};
use super::problem::Problem;
use crate::domain::{Activity, Invalid, Message, Page, Term, Thread, Ttl};
use crate::store::now;

type Answer = Result<HttpResponse, Problem>;

/// `GET /api/activities/home`. The lesson's hand-made span lies around the query: its name is the lesson's too, though the
/// data is no longer mock.
pub(super) async fn home(request: HttpRequest, state: Data<State>, query: Query<List>) -> Answer {
    let page = page(&query)?;
    let span = tracing::info_span!("home-activities-mock-data");
    let threads = async {
        let now = now();
        let span = Span::current();
        span.set("app.now", &now.to_rfc3339_opts(SecondsFormat::Micros, false));
        let threads = state.store.home(now, page).await?;
        span.set("app.result_length", threads.len());
        Ok::<_, Problem>(threads)
    }
    .instrument(span)
    .await?;
    let next = page.after(threads.len(), threads.last().map(|thread: &Thread| &thread.activity));
    Ok(list(&request, next, json::all(threads)))
}

/// `GET /api/activities/search?term=`
pub(super) async fn search(request: HttpRequest, state: Data<State>, query: Query<List>) -> Answer {
    let term = Term::parse(query.term.as_deref().unwrap_or_default())?;
    if !term.fits() {
        return Err(Problem::bad_request(format!("term must have at most {} characters", Term::MAX)));
    }
    let page = page(&query)?;
    let activities = state.store.search(&term, now(), page).await?;
    let next = page.after(activities.len(), activities.last());
    Ok(list(&request, next, json::all(activities)))
}

/// `GET /api/activities/@{handle}`
pub(super) async fn profile(
    request: HttpRequest,
    state: Data<State>,
    handle: Path<String>,
    query: Query<List>,
) -> Answer {
    if handle.trim().is_empty() {
        return profile_of_nobody().await;
    }
    let page = page(&query)?;
    let profile = state.store.profile(&handle, now(), page).await?.ok_or(Problem::not_found("no such user"))?;
    let next = page.after(profile.activities.len(), profile.activities.last());
    Ok(list(&request, next, json::ProfilePage::from(profile)))
}

/// `GET /api/activities/@`
pub(super) async fn profile_of_nobody() -> Answer {
    Err(Invalid::BlankUserHandle.into())
}

/// `GET /api/activities/{uuid}`
pub(super) async fn show(state: Data<State>, uuid: Path<String>) -> Answer {
    let thread = thread(&state, &uuid).await?;
    Ok(HttpResponse::Ok().json(json::Activity::from(thread)))
}

/// `GET /api/activities/@{handle}/status/{uuid}`
pub(super) async fn status(state: Data<State>, path: Path<(String, String)>) -> Answer {
    let (handle, uuid) = path.into_inner();
    let thread = thread(&state, &uuid).await?;
    if thread.activity.handle != handle {
        return Err(no_such_crud());
    }
    Ok(HttpResponse::Ok().json(json::Status::from(thread)))
}

/// `POST /api/activities`
pub(super) async fn create(state: Data<State>, body: Json<NewActivity>) -> Answer {
    acting(&state);
    let ttl = body.ttl.as_deref().unwrap_or_default().parse::<Ttl>();
    let message = Message::parse(body.message.as_deref().unwrap_or_default(), Message::MAX_CRUD);
    let (ttl, message) = match (ttl, message) {
        (Ok(ttl), Ok(message)) => (ttl, message),
        (ttl, message) => return Err(Problem::Invalid(ttl.err().into_iter().chain(message.err()).collect())),
    };
    let activity = state.store.create(&state.author, message, ttl, now()).await?;
    Ok(created(activity))
}

/// `POST /api/activities/{uuid}/reply`
pub(super) async fn reply(state: Data<State>, uuid: Path<String>, body: Json<NewReply>) -> Answer {
    acting(&state);
    let blank = uuid.trim().is_empty().then_some(Invalid::ActivityUuidBlank);
    let message = Message::parse(body.message.as_deref().unwrap_or_default(), Message::MAX_REPLY);
    let message = match (blank, message) {
        (None, Ok(message)) => message,
        (blank, message) => return Err(Problem::Invalid(blank.into_iter().chain(message.err()).collect())),
    };
    let parent = Uuid::try_parse(&uuid).map_err(|_| no_such_crud())?;
    let reply = state.store.reply(&state.author, parent, message, now()).await?.ok_or_else(no_such_crud)?;
    Ok(created(reply))
}

/// `POST /api/activities//reply`
pub(super) async fn reply_to_nothing(state: Data<State>, body: Json<NewReply>) -> Answer {
    reply(state, Path::from(String::new()), body).await
}

/// Says in the request's span who acts.
fn acting(state: &State) {
    Span::current().user(&state.author.uuid.to_string());
}

async fn thread(state: &State, uuid: &str) -> Result<Thread, Problem> {
    let uuid = Uuid::try_parse(uuid).map_err(|_| no_such_crud())?;
    state.store.show(uuid, now()).await?.ok_or_else(no_such_crud)
}

fn no_such_crud() -> Problem {
    Problem::not_found("no such crud, or it has expired")
}

fn created(activity: Activity) -> HttpResponse {
    let location = format!("/api/activities/{}", activity.uuid);
    HttpResponse::Ok().insert_header((header::LOCATION, location)).json(json::Activity::from(activity))
}

fn page(query: &List) -> Result<Page, Problem> {
    let limit = query.limit.as_deref().map(str::parse).transpose()?.unwrap_or_default();
    let first = Page::first(limit);
    Ok(match query.cursor.as_deref() {
        Some(cursor) => Page { before: cursor.parse()?, ..first },
        None => first,
    })
}

/// A list, and in its `Link` header where it goes on.
fn list(request: &HttpRequest, next: Option<Page>, body: impl serde::Serialize) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    let link = next.and_then(|next| {
        let kept = request
            .query_string()
            .split('&')
            .filter(|pair| !pair.is_empty() && !pair.starts_with("cursor=") && !pair.starts_with("limit="));
        let own = [format!("limit={}", next.limit.get()), format!("cursor={}", next.before)];
        let query: Vec<String> = kept.map(str::to_owned).chain(own).collect();
        HeaderValue::from_str(&format!("<{}?{}>; rel=\"next\"", request.path(), query.join("&"))).ok()
    });
    if let Some(link) = link {
        response.insert_header((header::LINK, link));
    }
    response.json(body)
}
