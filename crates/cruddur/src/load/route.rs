//! The routes that visits request, and one request to a route. Does no I/O.

use std::fmt;

use hyper::Method;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

/// A route's template, under which its requests are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Route {
    Home,
    Notifications,
    Search,
    Profile,
    Show,
    Status,
    Post,
    Reply,
    Like,
    Repost,
    Trending,
    Suggested,
    Groups,
    Conversation,
    Message,
}

impl Route {
    fn parts(self) -> (Method, &'static str) {
        match self {
            Self::Home => (Method::GET, "/api/activities/home"),
            Self::Notifications => (Method::GET, "/api/activities/notifications"),
            Self::Search => (Method::GET, "/api/activities/search"),
            Self::Profile => (Method::GET, "/api/activities/@{handle}"),
            Self::Show => (Method::GET, "/api/activities/{uuid}"),
            Self::Status => (Method::GET, "/api/activities/@{handle}/status/{uuid}"),
            Self::Post => (Method::POST, "/api/activities"),
            Self::Reply => (Method::POST, "/api/activities/{uuid}/reply"),
            Self::Like => (Method::POST, "/api/activities/{uuid}/like"),
            Self::Repost => (Method::POST, "/api/activities/{uuid}/repost"),
            Self::Trending => (Method::GET, "/api/trending"),
            Self::Suggested => (Method::GET, "/api/users/suggested"),
            Self::Groups => (Method::GET, "/api/message_groups"),
            Self::Conversation => (Method::GET, "/api/messages/@{handle}"),
            Self::Message => (Method::POST, "/api/messages"),
        }
    }

    pub(super) fn method(self) -> Method {
        self.parts().0
    }

    /// Whether the route concerns one crud, which may have expired since the visitor saw it.
    pub(super) fn expires(self) -> bool {
        self.parts().1.contains("{uuid}")
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (method, path) = self.parts();
        f.pad(&format!("{method} {path}"))
    }
}

impl Serialize for Route {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A request: its route, its path with the template's names filled in, and its body.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Request {
    pub(super) route: Route,
    pub(super) path: String,
    pub(super) body: Option<Value>,
}

impl Request {
    /// A route whose template has no names to fill in.
    pub(super) fn of(route: Route) -> Self {
        Self::at(route, route.parts().1.to_owned())
    }

    /// A route at a path other than its template.
    pub(super) fn at(route: Route, path: String) -> Self {
        Self { route, path, body: None }
    }

    /// A route with `handle` and `uuid` filled into its template.
    pub(super) fn about(route: Route, handle: &str, uuid: &str) -> Self {
        Self::at(route, route.parts().1.replace("{handle}", handle).replace("{uuid}", uuid))
    }

    /// A search for a word, or for `#` and a hashtag.
    pub(super) fn search(term: &str) -> Self {
        Self::at(Route::Search, format!("{}?term={}", Route::Search.parts().1, term.replace('#', "%23")))
    }

    pub(super) fn with(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    /// A crud that expires soon, since a load's posts are not meant to stay.
    pub(super) fn post(message: &str) -> Self {
        Self::of(Route::Post).with(json!({"message": message, "ttl": "1-hour"}))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_fills_its_template() {
        let status = Request::about(Route::Status, "bayko", "0197");
        assert_eq!(status.path, "/api/activities/@bayko/status/0197");
        assert_eq!(status.route.to_string(), "GET /api/activities/@{handle}/status/{uuid}");
        assert_eq!(Request::search("#tracing").path, "/api/activities/search?term=%23tracing");
        assert_eq!(Request::post("hello").path, "/api/activities");
    }

    #[test]
    fn a_request_for_one_crud_may_find_it_expired() {
        assert!([Route::Show, Route::Status, Route::Reply, Route::Like, Route::Repost].into_iter().all(Route::expires));
        assert!(![Route::Home, Route::Profile, Route::Post, Route::Trending].into_iter().any(Route::expires));
    }
}
