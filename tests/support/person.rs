//! A signed-in user, who acts through the page's address or the backend's.

use serde_json::{Value, json};
use uuid::Uuid;

use super::http::{self, Answer, JSON};

/// The password of every test user.
pub(crate) const PASSWORD: &str = "correct horse battery";

pub(crate) struct Person {
    base: String,
    /// The value for a `Cookie` header.
    pub(crate) cookie: String,
    pub(crate) handle: String,
    pub(crate) uuid: String,
}

impl Person {
    /// Signs up a new user.
    pub(crate) fn sign_up(base: &str) -> Self {
        let handle = format!("p{}", &Uuid::now_v7().simple().to_string()[8..32]);
        let account = json!({
            "handle": handle, "display_name": format!("Person {handle}"), "email": format!("{handle}@cruddur.example"),
            "password": PASSWORD,
        });
        Self::answered(base, &http::post(&format!("{base}/api/auth/signup"), &account))
    }

    /// The user that the response to a sign-up or sign-in is about.
    pub(crate) fn answered(base: &str, answer: &Answer) -> Self {
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        let text = |key: &str| answer.json()[key].as_str().unwrap().to_owned();
        let cookie = answer.header("set-cookie").split(';').next().unwrap().to_owned();
        Self { base: base.to_owned(), cookie, handle: text("handle"), uuid: text("uuid") }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.request("GET", path)
    }

    /// A request without a body.
    pub(crate) fn request(&self, method: &str, path: &str) -> Answer {
        http::request(method, &self.url(path), &[("cookie", &self.cookie)])
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_with(path, &[], body)
    }

    pub(crate) fn post_with(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let own = [JSON, ("cookie", self.cookie.as_str())];
        http::send(&self.url(path), &[&own, headers].concat(), body.to_string().as_bytes())
    }

    /// A crud of this user's that lives for a while.
    pub(crate) fn crud(&self, message: &str) -> Value {
        let answer = self.post("/api/activities", &json!({"message": message, "ttl": "7-days"}));
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        answer.json()
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}
