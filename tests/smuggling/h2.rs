//! Requests of HTTP/2 that HTTP/1 could not say, or would say otherwise.

type HeaderFields = [(&'static str, &'static str)];

/// Headers that replace a valid request's or are added to it, DATA, and the forwarded body; `None` if the request is refused.
/// `{n}` is the case's number, and a value of `-` leaves a header out.
pub(super) const CASES: &[(&HeaderFields, &str, Option<&str>)] = &[
    (&[], "", Some("")),
    (&[], "hello", Some("hello")),
    (&[("te", "trailers")], "", Some("")),
    (&[("host", "a")], "", Some("")),
    (&[("content-length", "5")], "hello", Some("hello")),
    (&[("cookie", "a=1"), ("cookie", "b=2")], "", Some("")),
    // What is for one connection alone.
    (&[("connection", "close")], "", None),
    (&[("connection", "content-length")], "hello", None),
    (&[("proxy-connection", "close")], "", None),
    (&[("keep-alive", "1")], "", None),
    (&[("upgrade", "websocket")], "", None),
    (&[("transfer-encoding", "chunked")], "0\r\n\r\nGET /api/smuggled HTTP/1.1\r\n\r\n", None),
    (&[("te", "gzip")], "", None),
    // Lengths.
    (&[("content-length", "4")], "hello", None),
    (&[("content-length", "6")], "hello", None),
    (&[("content-length", "5")], "", None),
    (&[("content-length", "+5")], "hello", None),
    (&[("content-length", "5"), ("content-length", "0")], "hello", None),
    // Lines within lines.
    (&[("x", "y\r\ntransfer-encoding: chunked")], "", None),
    (&[("x", "y\nz: 1")], "", None),
    (&[("x", "y\0")], "", None),
    (&[("x\r\ny", "z")], "", None),
    (&[("x: y", "z")], "", None),
    (&[("", "z")], "", None),
    (&[("X", "y")], "", None),
    (&[("x_y", "z")], "", None),
    (&[("_refused", "1")], "", None),
    (&[(":path", "/api/{n} HTTP/1.1\r\nx: y")], "", None),
    (&[(":path", "/api/{n} HTTP/1.1")], "", None),
    (&[(":path", "")], "", None),
    (&[(":path", "-")], "", None),
    (&[(":path", "api/{n}")], "", None),
    (&[(":method", "GET /api/smuggled HTTP/1.1\r\n")], "", None),
    (&[(":method", "GET ")], "", None),
    (&[(":method", "-")], "", None),
    (&[(":method", "CONNECT")], "", None),
    (&[(":scheme", "-")], "", None),
    // Whom it is for.
    (&[(":authority", "-")], "", None),
    (&[(":authority", "-"), ("host", "a")], "", Some("")),
    (&[("host", "b")], "", None),
    (&[("host", "a"), ("host", "a")], "", None),
    (&[(":authority", "me@a")], "", None),
    (&[(":authority", "a/b")], "", None),
    (&[(":authority", "a\r\nx: y")], "", None),
    // Pseudo-headers.
    (&[("x", "y"), (":path", "/api/{n}")], "", None),
    (&[(":status", "200")], "", None),
    (&[(":protocol", "websocket")], "", None),
    (&[(":x", "y")], "", None),
];

/// A valid request's headers, with these replaced or added.
pub(super) fn with(case: usize, headers: &HeaderFields) -> Vec<(String, String)> {
    let good = [(":method", "POST"), (":scheme", "http"), (":authority", "a"), (":path", "/api/{n}")];
    // A pseudo-header that follows another one keeps its position.
    let misplaced = headers.first().is_some_and(|(name, _)| !name.starts_with(':'));
    let given = |name: &str| !misplaced && headers.iter().any(|(other, _)| *other == name);
    let (pseudo, others): (Vec<_>, Vec<_>) = headers.iter().partition(|(name, _)| name.starts_with(':') && !misplaced);
    let all = good.into_iter().filter(|(name, _)| !given(name)).chain(pseudo).chain(others);
    let number = (1000 + case).to_string();
    all.filter(|(_, value)| *value != "-")
        .map(|(name, value)| (name.to_owned(), value.replace("{n}", &number)))
        .collect()
}
