//! Identifies the caller: by the session's cookie or by the same token as a bearer token. If an issuer has the accounts, only by one of its tokens. A write
//! from a page of another origin does not act on a cookie, unless that origin is configured.

use std::future::{Ready, ready};

use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::dev::Payload;
use actix_web::http::header::{self, AUTHORIZATION};
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};
use futures_util::FutureExt;
use futures_util::future::{Either, LocalBoxFuture};
use telemetry::actix::client;

use super::guard;
use super::problem::Problem;
use super::state::{Credentials, State};
use crate::cognito::Bearer;
use crate::config::Shape;
use crate::domain::{Account, FIRST_USER, Token, User};
use crate::store::{Session, now};

const COOKIE: &str = "cruddur_session";

/// The caller, signed in or not. Boxed, since the futures of handlers hold it more than once.
pub(super) struct Visitor(Option<Box<SignedIn>>);

/// A signed-in caller. Requests of other callers get 401.
pub(super) enum SignedIn {
    /// By a session; with the token that identifies it.
    Session(Session, Token),
    /// By an issuer's token.
    Bearer(Account),
    /// In week 2 mode, only by the origin of the page.
    Week2(Account),
}

impl Visitor {
    pub(super) fn user(&self) -> Option<&User> {
        self.0.as_deref().map(SignedIn::user)
    }
}

impl SignedIn {
    pub(super) fn user(&self) -> &User {
        match self {
            Self::Session(session, _) => &session.account.user,
            Self::Bearer(account) | Self::Week2(account) => &account.user,
        }
    }

    pub(super) fn into_account(self) -> Account {
        match self {
            Self::Session(session, _) => session.account,
            Self::Bearer(account) | Self::Week2(account) => account,
        }
    }
}

/// At once for a caller without credentials: identifying one takes a large future.
type Extracted<T> = Either<Ready<Result<T, Problem>>, LocalBoxFuture<'static, Result<T, Problem>>>;

impl FromRequest for Visitor {
    type Error = Problem;
    type Future = Extracted<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        if is_anonymous(request) {
            return Either::Left(ready(Ok(Self(None))));
        }
        let request = request.clone();
        // A caller that cannot be identified still sees what everyone may see.
        Either::Right(async move { Ok(Self(identify(&request).await?.ok().map(Box::new))) }.boxed_local())
    }
}

impl FromRequest for SignedIn {
    type Error = Problem;
    type Future = Extracted<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        if is_anonymous(request) {
            return Either::Left(ready(Err(Problem::unauthorized())));
        }
        let request = request.clone();
        Either::Right(async move { identify(&request).await? }.boxed_local())
    }
}

/// Whether nothing in the request can identify its caller.
fn is_anonymous(request: &HttpRequest) -> bool {
    let headers = request.headers();
    let is_week2 = request.app_data::<Data<State>>().is_some_and(|state| state.shape == Shape::Week2);
    !is_week2 && !headers.contains_key(AUTHORIZATION) && !headers.contains_key(header::COOKIE)
}

/// The token of a request's session.
pub(super) fn token(request: &HttpRequest) -> Result<Option<Token>, Problem> {
    if let Some(token) = bearer(request) {
        return Ok(Some(token));
    }
    let Some(cookie) = request.cookie(COOKIE) else { return Ok(None) };
    let configured = request.app_data::<Data<State>>().map_or(&[][..], |state| state.origins.allowed());
    if !guard::is_read(request.method()) && !guard::is_ours(request, configured) {
        let detail = "a page of another origin made this request; set FRONTEND_URL to that origin if it may";
        return Err(Problem::forbidden(detail));
    }
    Ok(Some(Token::given(cookie.value())))
}

/// The token of an `Authorization: Bearer` header. Any other scheme is meant for a proxy in front of this server.
fn bearer(request: &HttpRequest) -> Option<Token> {
    let value = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (_, token) = value.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))?;
    Some(Token::given(token.trim()))
}

/// The caller, or why it cannot be identified; such a caller is treated as not signed in. The outer error ends the request.
async fn identify(request: &HttpRequest) -> Result<Result<SignedIn, Problem>, Problem> {
    let Some(state) = request.app_data::<Data<State>>() else { return Ok(Err(Problem::unauthorized())) };
    match &state.credentials {
        Credentials::Sessions => {
            let Some(token) = token(request)? else {
                return Ok(week2(request, state).await?.ok_or_else(Problem::unauthorized));
            };
            let session = state.store.session(&token, now()).await?;
            Ok(session.map(|session| SignedIn::Session(session, token)).ok_or_else(Problem::unauthorized))
        }
        Credentials::Tokens(tokens) => {
            let Some(token) = bearer(request) else { return Ok(Err(Problem::unauthorized())) };
            let now = now();
            match tokens.bearer(&token, now).await {
                Ok(Bearer { subject, handle }) => {
                    Ok(Ok(SignedIn::Bearer(state.store.admit(&subject, &handle, now).await?)))
                }
                Err(refused) => Ok(Err(refused.into())),
            }
        }
    }
}

/// The first user, if this request without credentials may act as that user. The original frontend of week 2 has a mock sign-in, and its backend treated
/// every request as this user's.
async fn week2(request: &HttpRequest, state: &State) -> Result<Option<SignedIn>, Problem> {
    if state.shape != Shape::Week2 || !state.origins.made(request) {
        return Ok(None);
    }
    Ok(state.store.account(FIRST_USER).await?.map(SignedIn::Week2))
}

/// Keeps a token in the browser, out of reach of scripts and of other sites' requests.
pub(super) fn cookie<'a>(request: &HttpRequest, token: &'a Token) -> Cookie<'a> {
    cookie_of(request, token.expose(), Duration::seconds(Session::MAX_AGE))
}

/// Removes the token from the browser.
pub(super) fn no_cookie(request: &HttpRequest) -> Cookie<'static> {
    cookie_of(request, "", Duration::ZERO)
}

fn cookie_of<'a>(request: &HttpRequest, value: &'a str, max_age: Duration) -> Cookie<'a> {
    Cookie::build(COOKIE, value)
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(client(request).scheme == "https")
        .max_age(max_age)
        .finish()
}
