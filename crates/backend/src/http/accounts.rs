//! The handlers that sign up, in and out. Attempts are bounded by login, by address and by both, and the narrowest bound refuses first. A response
//! discloses neither whether a login exists nor how near a password was.

use actix_web::http::header;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use telemetry::actix::client;
use telemetry::forwarded::network;
use telemetry::span::SpanExt;
use tracing::{Span, instrument};

use super::body::Body;
use super::json;
use super::problem::Problem;
use super::requests::{SignIn, SignUp};
use super::schemas::Codes;
use super::session::{SignedIn, cookie, no_cookie, token};
use super::state::{HandlerResult, State};
use crate::domain::{Account, Attempt, DisplayName, Email, Handle, Invalid, Login, Password, Token};
use crate::store::{Bound, Place, Registration, Taken, now};

/// Sign up
#[utoipa::path(post, path = "/api/auth/signup", tag = "accounts", operation_id = "sign_up",
    request_body(content = SignUp, example = json!({
        "handle": "zoe", "display_name": "Zoë", "email": "zoe@cruddur.example", "password": "correct horse battery",
    })),
    responses(
        (status = 200, description = "The new account, signed in", body = json::AccountJson,
            headers(("set-cookie" = String, description = "The session"))),
        (status = 422, body = Codes, description = "`handle_blank`, `handle_invalid`, `display_name_blank`, \
            `display_name_exceed_max_chars`, `email_blank`, `email_invalid`, `password_blank`, `password_too_short`, \
            `password_exceed_max_chars`"),
    ))]
#[instrument(name = "sign-up", skip_all)]
pub(super) async fn sign_up(request: HttpRequest, state: Data<State>, body: Body<SignUp>) -> HandlerResult {
    let registration = registration(&body)?;
    let (now, address) = (now(), address(&request));
    let place = admit(&state, &[(Attempt::SIGN_UP, &[&address])], &address, now).await?;
    match state.store.register(place, registration, now).await? {
        Ok(account) => {
            let token = state.store.begin_session(account.user.uuid, now).await?;
            Ok(signed_in(&request, account, &token))
        }
        Err(Taken) => Err(Problem::conflict("this handle or e-mail address is already taken")),
    }
}

/// Sign in
#[utoipa::path(post, path = "/api/auth/signin", tag = "accounts", operation_id = "sign_in",
    request_body(content = SignIn, example = json!({"login": "zoe", "password": "correct horse battery"})),
    responses(
        (status = 200, description = "The account", body = json::AccountJson,
            headers(("set-cookie" = String, description = "The session"))),
        (status = 422, body = Codes,
            description = "`login_blank`, `password_blank`, `password_exceed_max_chars`"),
    ))]
#[instrument(name = "sign-in", skip_all)]
pub(super) async fn sign_in(request: HttpRequest, state: Data<State>, body: Body<SignIn>) -> HandlerResult {
    let now = now();
    let address = address(&request);
    let (account, session) = match body.token.as_deref() {
        Some(offered) => {
            let bounds: [Bound<'_>; 1] = [(Attempt::ADDRESS, &[&address])];
            refuse(state.store.refused_until(&bounds, now).await?, now)?;
            count(&state, &bounds, now).await?;
            let session = state.store.redeem(&Token::given(offered), now).await?.ok_or_else(no_such_link)?;
            let signed_in = state.store.session(&session, now).await?.ok_or_else(no_such_link)?;
            (signed_in.account, session)
        }
        None => {
            let login = Login::parse(body.login.as_deref().unwrap_or_default());
            let password = Password::given(body.password.as_deref().unwrap_or_default());
            let (login, password) = match (login, password) {
                (Ok(login), Ok(password)) => (login, password),
                (login, password) => return Err(invalid([login.err(), password.err(), None, None])),
            };
            let account = authenticate(&state, &login, password, &address, now).await?;
            let session = state.store.begin_session(account.user.uuid, now).await?;
            (account, session)
        }
    };
    // A user who was signed in here before is signed out.
    if let Ok(Some(before)) = token(&request) {
        state.store.end_session(&before, now).await?;
    }
    Ok(signed_in(&request, account, &session))
}

/// Sign out
#[utoipa::path(post, path = "/api/auth/signout", tag = "accounts", operation_id = "sign_out",
    responses((status = 204, description = "The token is no longer valid",
        headers(("set-cookie" = String, description = "Removes the session from the browser")))))]
#[instrument(name = "sign-out", skip_all)]
pub(super) async fn sign_out(request: HttpRequest, state: Data<State>) -> HandlerResult {
    if let Some(token) = token(&request)? {
        state.store.end_session(&token, now()).await?;
    }
    Ok(HttpResponse::NoContent().cookie(no_cookie(&request)).finish())
}

/// My account. A session older than a day gets another token
#[utoipa::path(get, path = "/api/auth/me", tag = "accounts", operation_id = "me",
    responses((status = 200, description = "My account", body = json::AccountJson,
        headers(("set-cookie" = String, description = "Another token, if this one is older than a day")))),
    security(("session" = []), ("bearer" = [])))]
#[instrument(name = "me", skip_all)]
pub(super) async fn me(request: HttpRequest, state: Data<State>, me: SignedIn) -> HandlerResult {
    let now = now();
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    if let SignedIn::Session(session, token) = &me
        && session.is_old(now)
    {
        let next = state.store.rotate(session, token, now).await?;
        response.cookie(cookie(&request, &next));
    }
    Ok(response.json(json::AccountJson::from(me.into_account())))
}

/// If an issuer has the accounts, no user signs up, in or out here.
pub(super) async fn not_here() -> Problem {
    Problem::not_found("accounts are the issuer's: sign up, in and out there, and send its token")
}

/// A correct password shows that the caller owns the login, resets the login's count, and makes the address known. From there, guesses from elsewhere do not
/// count. The address's count stays: otherwise the owner of one account could guess the passwords of others without limit.
async fn authenticate(
    state: &State,
    login: &Login,
    password: Password,
    address: &str,
    now: DateTime<Utc>,
) -> Result<Account, Problem> {
    let by = &[login.as_str(), address];
    // The narrowest bound refuses first.
    let mut bounds: Vec<Bound<'_>> = vec![(Attempt::LOGIN_FROM_ADDRESS, by)];
    if !state.store.is_known(login.as_str(), address, now).await? {
        bounds.push((Attempt::LOGIN, &by[..1]));
    }
    bounds.push((Attempt::ADDRESS, &by[1..]));
    let place = admit(state, &bounds, address, now).await?;
    let account = state.store.authenticate(place, login, password).await?.ok_or_else(wrong_password)?;
    state.store.record_sign_in(login.as_str(), address, now).await?;
    Ok(account)
}

/// Reserves a place in the line for a hasher, if the attempt is within its bounds. A refused attempt does not count.
async fn admit(state: &State, bounds: &[Bound<'_>], address: &str, now: DateTime<Utc>) -> Result<Place, Problem> {
    refuse(state.store.refused_until(bounds, now).await?, now)?;
    let place = Place::take(address).ok_or_else(crowded)?;
    count(state, bounds, now).await?;
    Ok(place)
}

async fn count(state: &State, bounds: &[Bound<'_>], now: DateTime<Utc>) -> Result<(), Problem> {
    if state.store.count_attempt(bounds, now).await? {
        return Ok(());
    }
    // A concurrent attempt was the last one that the bound allows.
    refuse(state.store.refused_until(bounds, now).await?.or(Some(now)), now)
}

fn registration(body: &SignUp) -> Result<Registration, Problem> {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let handle = Handle::parse(&text(&body.handle));
    let display_name = DisplayName::parse(&text(&body.display_name));
    let email = Email::parse(&text(&body.email));
    let password = Password::choose(&text(&body.password));
    match (handle, display_name, email, password) {
        (Ok(handle), Ok(display_name), Ok(email), Ok(password)) => {
            Ok(Registration { handle, display_name, email, password })
        }
        (handle, display_name, email, password) => {
            Err(invalid([handle.err(), display_name.err(), email.err(), password.err()]))
        }
    }
}

fn invalid(codes: [Option<Invalid>; 4]) -> Problem {
    Problem::Invalid(codes.into_iter().flatten().collect())
}

fn refuse(until: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Result<(), Problem> {
    let Some(until) = until else { return Ok(()) };
    Err(Problem::TooMany { seconds: (until - now).num_seconds().max(0).unsigned_abs() + 1 })
}

fn crowded() -> Problem {
    Problem::unavailable("too many sign-ins at the same time; try again")
}

/// The client's address in the form that limits count.
fn address(request: &HttpRequest) -> String {
    network(client(request).address).to_string()
}

fn wrong_password() -> Problem {
    Problem::unauthorized_because("wrong login or password")
}

fn no_such_link() -> Problem {
    Problem::unauthorized_because("this link has expired or was used: it works once, for an hour")
}

fn signed_in(request: &HttpRequest, account: Account, token: &Token) -> HttpResponse {
    Span::current().user(&account.user.uuid.to_string());
    HttpResponse::Ok()
        .cookie(cookie(request, token))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(json::AccountJson::from(account))
}
