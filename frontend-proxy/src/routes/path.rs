//! Whether a path stays within the route that its text chooses. Does no I/O.

use memchr::{memchr_iter, memchr2};

/// Whether a path has no `.` or `..` segment in any spelling. A client removes such segments
/// ([RFC 3986 §5.2.4](https://www.rfc-editor.org/rfc/rfc3986#section-5.2.4)). If they were forwarded, an upstream might follow
/// them out of the chosen route.
pub(crate) fn is_straight(path: &str) -> bool {
    // Most paths have none of these characters and need no further check.
    let bytes = path.as_bytes();
    let follows_slash = |dot: usize| dot == 0 || bytes.get(dot - 1) == Some(&b'/');
    if memchr2(b'%', b'\\', bytes).is_none() && !memchr_iter(b'.', bytes).any(follows_slash) {
        return true;
    }
    // Some servers read a backslash as a slash, and a segment may have parameters.
    let name = |segment: &str| segment.split(';').next().is_some_and(|name| matches!(name, "." | ".."));
    let leads_away = |path: &str| path.split(['/', '\\']).any(name);
    if !path.contains('%') {
        return !leads_away(path);
    }
    let decoded =
        path.to_ascii_lowercase().replace("%2e", ".").replace("%2f", "/").replace("%5c", "\\").replace("%3b", ";");
    !leads_away(&decoded)
}

#[cfg(test)]
mod tests {
    use super::is_straight;

    #[test]
    fn a_path_with_dot_segments_is_not_straight() {
        for path in ["/", "/api/x", "/api/...", "/a.b/.well-known/..a/a..", "/api/%2e%2e%2e", "//", "/%2f"] {
            assert!(is_straight(path), "{path}");
        }
        for path in [
            "/.",
            "/..",
            "/api/../x",
            "/api/./x",
            "/api/%2e%2E/x",
            "/api/.%2e",
            "/api/%2e",
            "/api/..%2Fx",
            "/api/x%2f%2e%2e",
            "/a\\..\\b",
            "/api/..;/x",
            "/api/.;a=b/x",
            "/api/%2e.%3Ba/x",
        ] {
            assert!(!is_straight(path), "{path}");
        }
    }
}
