//! Who asks: by the session's cookie, or by the same token as a bearer's. A request that another site made does not act on a cookie.

use std::future::Future;
use std::pin::Pin;

use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::dev::Payload;
use actix_web::http::Method;
use actix_web::http::header::AUTHORIZATION;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};

use super::State;
use super::problem::Problem;
use crate::domain::{Token, User};
use crate::store::{Session, now};

const COOKIE: &str = "cruddur_session";

/// Whoever asks, signed in or not.
pub(super) struct Visitor(Option<SignedIn>);

/// Somebody who is signed in. A request of anybody else is answered with 401.
pub(super) struct SignedIn {
    pub(super) session: Session,
    /// What it was known by; none where an issuer's token was.
    pub(super) token: Option<Token>,
}

impl Visitor {
    pub(super) fn user(&self) -> Option<&User> {
        self.0.as_ref().map(SignedIn::user)
    }
}

impl SignedIn {
    pub(super) fn user(&self) -> &User {
        &self.session.account.user
    }
}

type Extracted<T> = Pin<Box<dyn Future<Output = Result<T, Problem>>>>;

impl FromRequest for Visitor {
    type Error = Problem;
    type Future = Extracted<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { identify(&request).await.map(Self) })
    }
}

impl FromRequest for SignedIn {
    type Error = Problem;
    type Future = Extracted<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { identify(&request).await?.ok_or_else(Problem::unauthorized) })
    }
}

/// What a request says it is by.
pub(super) fn token(request: &HttpRequest) -> Result<Option<Token>, Problem> {
    // Another scheme is meant for somebody before us.
    let authorization = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = authorization.and_then(|value| value.split_once(' '));
    if let Some((_, token)) = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")) {
        return Ok(Some(Token::given(token.trim())));
    }
    let Some(cookie) = request.cookie(COOKIE) else { return Ok(None) };
    let reads = [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method());
    let from_elsewhere = request.headers().get("sec-fetch-site").is_some_and(|site| site == "cross-site");
    if !reads && from_elsewhere {
        return Err(Problem::forbidden("another site made this request"));
    }
    Ok(Some(Token::given(cookie.value())))
}

async fn identify(request: &HttpRequest) -> Result<Option<SignedIn>, Problem> {
    let (Some(token), Some(state)) = (token(request)?, request.app_data::<Data<State>>()) else {
        return Ok(None);
    };
    let session = state.store.session(&token, now()).await?;
    Ok(session.map(|session| SignedIn { session, token: Some(token) }))
}

/// Keeps a token with the browser, where no script reads it and no other site sends it along.
pub(super) fn cookie<'a>(request: &HttpRequest, token: &'a Token) -> Cookie<'a> {
    cookie_of(request, token.expose(), Duration::seconds(Session::MAX_AGE))
}

/// Takes it away again.
pub(super) fn no_cookie(request: &HttpRequest) -> Cookie<'static> {
    cookie_of(request, "", Duration::ZERO)
}

fn cookie_of<'a>(request: &HttpRequest, value: &'a str, max_age: Duration) -> Cookie<'a> {
    Cookie::build(COOKIE, value)
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(request.connection_info().scheme() == "https")
        .max_age(max_age)
        .finish()
}
