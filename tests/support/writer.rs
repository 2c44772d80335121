//! Clients that write: posts that wait for their response, and posts whose client disconnects before there is one.

use std::io::Write;
use std::thread;
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;
use serde_json::{Value, json};
use uuid::Uuid;

use super::http::{self, Answer, JSON};
use super::person::Person;
use super::raw;

/// A client's headers, with which it may write to any backend on the same database.
#[derive(Clone)]
pub(crate) struct Writer(Vec<(String, String)>);

impl Writer {
    /// Signs up a new user.
    pub(crate) fn at(backend: &str) -> Self {
        Self(vec![("cookie".to_owned(), Person::sign_up(backend).cookie)])
    }

    /// A client without a user, for tests in which the author does not matter.
    pub(crate) fn anonymous() -> Self {
        Self(Vec::new())
    }

    /// A post that waits for its response; an error if none comes.
    pub(crate) fn post(&self, backend: &str, message: &str) -> Result<Answer, ureq::Error> {
        let headers = self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let headers: Vec<_> = headers.chain([JSON]).collect();
        http::try_send("POST", &format!("{backend}/api/activities"), &headers, body(message).to_string().as_bytes())
    }

    /// Posts, and returns the id of the crud that the backend has acknowledged.
    pub(crate) fn keep(&self, backend: &str, message: &str) -> Uuid {
        let answer = self.post(backend, message).unwrap();
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        kept(&answer)
    }

    /// Posts to `path` and resets the connection after `later`.
    pub(crate) fn reset(&self, backend: &str, path: &str, later: Duration) {
        let body = body("the client of this is gone").to_string();
        let mut head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n");
        for (name, value) in &self.0 {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let mut stream = raw::connect(backend);
        stream.write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
        thread::sleep(later);
        // If closed without lingering, a connection is reset.
        set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
    }
}

/// The id of the crud in a response.
pub(crate) fn kept(answer: &Answer) -> Uuid {
    answer.json()["uuid"].as_str().unwrap().parse().unwrap()
}

fn body(message: &str) -> Value {
    json!({"message": message, "ttl": "1-day"})
}
