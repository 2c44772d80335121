//! The load's own accounts: signed up before the first visit, signed out after the last. Their handles and passwords are
//! random, so that a second load's handles are not already taken. The passwords are not kept.

use std::collections::BTreeSet;
use std::time::Duration;

use hyper::header::{HeaderValue, RETRY_AFTER, SET_COOKIE};
use hyper::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::connection::{Connection, Message, Response};
use super::error::Error;

/// How long to wait, in all, for a server that limits sign-ups.
const PATIENCE: Duration = Duration::from_secs(30);
const COOKIE: &str = "cruddur_session=";

/// A signed-in account.
pub(super) struct Account {
    pub(super) handle: String,
    /// `Bearer` and the session's token.
    pub(super) authorization: HeaderValue,
}

/// Signs up `count` accounts; fewer if the server limits sign-ups, but at least one.
///
/// # Errors
/// No account could be signed up; the error has the cause.
pub(super) async fn sign_up(connection: &mut Connection, count: usize) -> Result<Vec<Account>, Error> {
    let deadline = Instant::now() + PATIENCE;
    let (mut accounts, mut taken) = (Vec::with_capacity(count), BTreeSet::new());
    while accounts.len() < count {
        let handle = handle();
        if !taken.insert(handle.clone()) {
            continue;
        }
        let sent = connection.send(&Message::post("/api/auth/signup", &application(&handle))).await;
        let response = sent.map_err(|failure| Error::SignUp(format!("no response ({failure})")))?;
        match response.status {
            StatusCode::OK => {
                let authorization = session(&response.headers).ok_or_else(no_session)?;
                accounts.push(Account { handle, authorization });
            }
            // The handle is taken; try another.
            StatusCode::CONFLICT if taken.len() < 2 * count + 10 => {}
            StatusCode::TOO_MANY_REQUESTS => match wait(&response.headers) {
                Some(pause) if Instant::now() + pause < deadline => sleep(pause).await,
                _ if accounts.is_empty() => return Err(refused(&response)),
                _ => return Ok(accounts),
            },
            _ => return Err(refused(&response)),
        }
    }
    Ok(accounts)
}

/// Ends the sessions. If the server no longer responds, it keeps them until they expire.
pub(super) async fn sign_out(connection: &mut Connection, accounts: &[Account]) {
    for account in accounts {
        let nothing = json!({});
        let authorization = Some(&account.authorization);
        let message = Message { authorization, ..Message::post("/api/auth/signout", &nothing) };
        if connection.send(&message).await.is_err() {
            return;
        }
    }
}

/// `load_` and six random characters.
fn handle() -> String {
    const CHARACTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let random = (0..6).map(|_| char::from(CHARACTERS[rand::random_range(0..CHARACTERS.len())]));
    format!("load_{}", random.collect::<String>())
}

fn application(handle: &str) -> Value {
    json!({
        "handle": handle,
        "display_name": format!("Load {}", handle.trim_start_matches("load_")),
        // A domain that RFC 2606 reserves, so that no person can own it.
        "email": format!("{handle}@load.example"),
        "password": format!("{:032x}", rand::random::<u128>()),
    })
}

/// The session's token from its cookie, as a bearer token.
fn session(headers: &HeaderMap) -> Option<HeaderValue> {
    let cookies = headers.get_all(SET_COOKIE).into_iter().filter_map(|cookie| cookie.to_str().ok());
    let token = cookies.filter_map(|cookie| cookie.strip_prefix(COOKIE)).find_map(|rest| rest.split(';').next())?;
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.trim())).ok()?;
    value.set_sensitive(true);
    (!token.trim().is_empty()).then_some(value)
}

fn wait(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn no_session() -> Error {
    Error::SignUp("the response has no session cookie".to_owned())
}

fn refused(response: &Response) -> Error {
    let why = match response.status {
        StatusCode::NOT_FOUND => "the server has no accounts of its own".to_owned(),
        StatusCode::TOO_MANY_REQUESTS => "the server accepts no more sign-ups for now".to_owned(),
        status => format!("the response is {} {}", status.as_u16(), response.excerpt()),
    };
    Error::SignUp(why)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers(name: &hyper::header::HeaderName, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    proptest! {
        #[test]
        fn any_cookie_is_a_session_or_none(cookie in "(cruddur_session=)?[ -~]{0,60}") {
            if let Some(bearer) = session(&headers(&SET_COOKIE, &[&cookie])) {
                let token = bearer.to_str().unwrap().strip_prefix("Bearer ").unwrap();
                prop_assert!(!token.is_empty() && !token.contains(';') && cookie.starts_with(COOKIE));
            }
        }
    }

    #[test]
    fn a_session_cookie_becomes_a_bearer_token() {
        let cookies =
            ["theme=dark; Path=/", "cruddur_session=abc_DEF-1; HttpOnly; SameSite=Lax; Path=/; Max-Age=1209600"];
        let bearer = session(&headers(&SET_COOKIE, &cookies)).unwrap();
        assert_eq!(bearer, "Bearer abc_DEF-1");
        assert!(!format!("{bearer:?}").contains("abc"), "no log shows a token");
        assert_eq!(session(&headers(&SET_COOKIE, &["cruddur_session=; Max-Age=0"])), None);
        assert_eq!(session(&HeaderMap::new()), None);
    }

    #[test]
    fn a_handle_and_a_password_are_valid() {
        for _ in 0..100 {
            let handle = handle();
            assert!(
                handle.len() == 11 && handle.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_')),
                "{handle}"
            );
            let application = application(&handle);
            assert_eq!(application["password"].as_str().unwrap().len(), 32);
            assert_eq!(application["email"], format!("{handle}@load.example"));
        }
    }

    #[test]
    fn a_retry_after_is_read_in_seconds() {
        assert_eq!(wait(&headers(&RETRY_AFTER, &["7"])), Some(Duration::from_secs(7)));
        assert_eq!(wait(&headers(&RETRY_AFTER, &["Fri, 27 Nov 2026 23:00:00 GMT"])), None);
        assert_eq!(wait(&HeaderMap::new()), None);
    }
}
