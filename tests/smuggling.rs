//! Test 8 of the guarantees: the proxy and the servers behind it never frame a request differently. Every case is sent raw,
//! to a proxy before an upstream that records what it receives, and to one before the real backend.

mod h2;
mod table;

use std::collections::BTreeMap;

use table::{Outcome, POSTS, WHOLE};

use crate::support::cruddur::Cruddur;
use crate::support::raw;
use crate::support::recorder::{Message, Recorder};
use crate::support::{self, Folder};

/// Every case's bytes, with its number in its targets, and the expected outcome.
fn cases() -> Vec<(String, Outcome)> {
    let posts = POSTS
        .iter()
        .map(|(head, body, outcome)| (format!("POST /api/{{n}} HTTP/1.1\r\nHost: a\r\n{head}\r\n{body}"), *outcome));
    let whole = WHOLE.iter().map(|(request, outcome)| ((*request).to_owned(), *outcome));
    let numbered = posts.chain(whole).enumerate();
    // Four digits each, so that a case may depend on its target's length.
    numbered.map(|(n, (request, outcome))| (request.replace("{n}", &format!("{:04}", 1000 + n)), outcome)).collect()
}

/// Sends each case and checks the client's response; `passed` accepts the statuses with which the upstream answers a whole request.
fn send_all(proxy: &Cruddur, passed: impl Fn(u16) -> bool) {
    for (request, outcome) in cases() {
        let (whole, refused) = match outcome {
            Outcome::Refused(status) => (0, Some(status)),
            Outcome::Broken => (0, Some(400)),
            Outcome::Passes(bodies) => (bodies.len(), None),
            Outcome::Then(bodies, status) => (bodies.len(), Some(status)),
        };
        let most = if refused.is_some() { usize::MAX } else { whole };
        let (statuses, closed) = raw::exchange(&proxy.page, request.as_bytes(), most);
        assert_eq!(statuses.len(), whole + usize::from(refused.is_some()), "{statuses:?} to {request:?}");
        assert!(statuses[..whole].iter().all(|status| passed(*status)), "{statuses:?} to {request:?}");
        assert_eq!(statuses.get(whole).copied(), refused, "{request:?}");
        assert_eq!(closed, refused.is_some(), "{request:?}");
    }
}

#[test]
fn an_upstream_sees_exactly_the_proxys_requests() {
    let upstream = Recorder::start();
    let proxy = Cruddur::service("frontend-proxy", &[("CRUDDUR_UPSTREAM", &upstream.address)]);
    send_all(&proxy, |status| status == 200);
    assert_eq!(proxy.stop().status.code(), Some(0));
    let mut seen: BTreeMap<String, Vec<Message>> = BTreeMap::new();
    for message in upstream.finish() {
        assert!(!message.whole || message.all("host").count() == 1, "{message:?}");
        seen.entry(message.target.clone()).or_default().push(message);
    }
    for (n, (request, outcome)) in cases().into_iter().enumerate() {
        let seen = seen.remove(&format!("/api/{}", 1000 + n)).unwrap_or_default();
        let bodies: Vec<_> =
            seen.iter().filter(|message| message.whole).map(|message| String::from_utf8_lossy(&message.body)).collect();
        let broken = seen.len() - bodies.len();
        match outcome {
            Outcome::Refused(_) => assert!(seen.is_empty(), "{seen:?} of {request:?}"),
            Outcome::Broken => assert!(bodies.is_empty() && broken <= 1, "{seen:?} of {request:?}"),
            Outcome::Passes(expected) | Outcome::Then(expected, _) => {
                assert_eq!(bodies, expected, "{request:?}");
                assert_eq!(broken, 0, "{request:?}");
            }
        }
    }
    assert!(seen.is_empty(), "smuggled: {seen:?}");
}

#[test]
fn the_backend_answers_exactly_the_proxys_requests() {
    let data = Folder::new();
    let backend = Cruddur::service("backend", &[("CRUDDUR_DATA", data.path().to_str().unwrap())]);
    let proxy = Cruddur::service("frontend-proxy", &[("CRUDDUR_UPSTREAM", &backend.backend)]);
    send_all(&proxy, |status| (200..500).contains(&status));
    // Nothing is left on the pooled connections that could answer other requests.
    for _ in 0..20 {
        assert_eq!(proxy.get("/api/activities/home").status, 200);
    }
}

#[test]
fn http_2_content_that_http_1_cannot_express_is_not_forwarded() {
    let upstream = Recorder::start();
    let proxy = Cruddur::service("frontend-proxy", &[("CRUDDUR_UPSTREAM", &upstream.address)]);
    for (case, (headers, data, outcome)) in h2::CASES.iter().enumerate() {
        let status = support::h2::request(&proxy.page, &h2::with(case, headers), data);
        match outcome {
            Some(body) => assert_eq!(status, Some(200), "{headers:?} with {body:?}"),
            None => assert!(status.is_none_or(|status| status == 400), "{status:?} to {headers:?}"),
        }
    }
    drop(proxy);
    let mut seen = upstream.finish().into_iter().filter(|message| message.whole);
    for (case, (headers, _, outcome)) in h2::CASES.iter().enumerate() {
        if let Some(body) = outcome {
            let message = seen.next().unwrap_or_else(|| panic!("{headers:?} did not arrive"));
            let target = format!("/api/{}", 1000 + case);
            assert_eq!((message.target, message.body.as_slice()), (target, body.as_bytes()), "{headers:?}");
        }
    }
    assert_eq!(seen.next(), None);
}
