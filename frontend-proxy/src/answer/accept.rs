//! What a client accepts: media types and encodings with their qualities,
//! [RFC 9110 §12.5](https://www.rfc-editor.org/rfc/rfc9110#section-12.5), and the entity tags that it has. Reads any text; an
//! invalid part counts as absent.

use http::HeaderMap;
use http::header::{ACCEPT_ENCODING, HeaderValue, IF_NONE_MATCH};

/// A quality in thousandths.
type Quality = u16;

const BEST: Quality = 1_000;

/// Whether the client prefers HTML to JSON. A client that accepts anything counts as a program.
pub(crate) fn prefers_html(accept: Option<&HeaderValue>) -> bool {
    let Some(accept) = accept.and_then(|accept| accept.to_str().ok()) else { return false };
    let json = ["application/problem+json", "application/json"].map(|kind| quality_of_type(accept, kind));
    quality_of_type(accept, "text/html") > json.into_iter().max().unwrap_or_default()
}

/// Whether the client accepts a response in gzip, and prefers it.
pub(crate) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let mut gzip = None;
    let mut identity = None;
    let mut any = None;
    let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    for (coding, quality) in values.flat_map(items) {
        match coding {
            _ if coding.eq_ignore_ascii_case("gzip") || coding.eq_ignore_ascii_case("x-gzip") => gzip = Some(quality),
            _ if coding.eq_ignore_ascii_case("identity") => identity = Some(quality),
            "*" => any = Some(quality),
            _ => {}
        }
    }
    let gzip = gzip.or(any).unwrap_or_default();
    gzip > 0 && gzip >= identity.unwrap_or_default()
}

/// Whether the client has the version named by `tag`, by the weak comparison that `If-None-Match` requires.
pub(crate) fn has(headers: &HeaderMap, tag: &str) -> bool {
    let values = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(Tags).any(|own| own == "*" || own == tag)
}

/// The quality that `accept` gives `kind`, by its most specific matching range.
fn quality_of_type(accept: &str, kind: &str) -> Quality {
    let main = kind.split('/').next().unwrap_or_default();
    let rank = |range: &str| match range.split_once('/') {
        _ if range.eq_ignore_ascii_case(kind) => 3,
        Some((own, "*")) if own.eq_ignore_ascii_case(main) => 2,
        Some(("*", "*")) => 1,
        _ => 0,
    };
    let ranges = items(accept).map(|(range, quality)| (rank(range), quality)).filter(|(rank, _)| *rank > 0);
    ranges.max_by_key(|(rank, _)| *rank).map_or(0, |(_, quality)| quality)
}

/// The items of a list, each with its `q`; other parameters do not matter here.
fn items(list: &str) -> impl Iterator<Item = (&str, Quality)> {
    list.split(',').filter_map(|item| {
        let mut parts = item.split(';').map(str::trim);
        let name = parts.next().filter(|name| !name.is_empty())?;
        let quality = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        Some((name, quality.map_or(Some(BEST), quality_of)?))
    })
}

/// `0`, `1`, or up to three digits after a dot.
fn quality_of(text: &str) -> Option<Quality> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = part.len() <= 3 && part.bytes().all(|byte| byte.is_ascii_digit());
    let part: Quality = format!("{part:0<3}").parse().ok().filter(|_| digits)?;
    match whole {
        "0" => Some(part),
        "1" if part == 0 => Some(BEST),
        _ => None,
    }
}

/// The entity tags of a list, without the prefix that marks a weak one. A tag may contain a comma.
struct Tags<'a>(&'a str);

impl<'a> Iterator for Tags<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = self.0.trim_start_matches([' ', '\t', ',']);
        if rest.starts_with('*') {
            self.0 = "";
            return Some("*");
        }
        let opaque = rest.strip_prefix("W/").unwrap_or(rest);
        let length = opaque.strip_prefix('"')?.find('"')? + 2;
        let (tag, rest) = opaque.split_at_checked(length)?;
        self.0 = rest;
        Some(tag)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers(name: &http::header::HeaderName, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn a_browser_prefers_html_and_a_program_does_not() {
        let prefers = |accept: &str| prefers_html(HeaderValue::from_str(accept).ok().as_ref());
        let chromium = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";
        for accept in [chromium, "text/html", "text/*;q=0.3", "application/json;q=0.5, text/html;q=0.6", "TEXT/HTML"] {
            assert!(prefers(accept), "{accept}");
        }
        for accept in
            ["", "*/*", "application/json", "text/html;q=0", "text/html;q=0.4,*/*;q=0.5", "text/html;q=2", "html"]
        {
            assert!(!prefers(accept), "{accept}");
        }
        assert!(!prefers_html(None));
    }

    #[test]
    fn gzip_is_for_clients_that_accept_and_prefer_it() {
        let accepts = |values: &[&str]| accepts_gzip(&headers(&ACCEPT_ENCODING, values));
        for values in
            [&["gzip, deflate, br, zstd"][..], &["*"], &["deflate", "GZIP;q=0.5"], &["identity;q=0.5, *;q=0.7"]]
        {
            assert!(accepts(values), "{values:?}");
        }
        for values in [&[][..], &["br"], &["gzip;q=0"], &["gzip;q=0, *"], &["identity, gzip;q=0.5"], &["*;q=0.000"]] {
            assert!(!accepts(values), "{values:?}");
        }
    }

    #[test]
    fn a_tag_is_found_in_a_list_even_if_marked_weak() {
        let knows = |values: &[&str]| has(&headers(&IF_NONE_MATCH, values), "\"b\"");
        for values in [&["\"b\""][..], &["*"], &["\"a,x\", W/\"b\""], &["\"a\"", "\"b\" , \"c\""]] {
            assert!(knows(values), "{values:?}");
        }
        for values in [&[][..], &["b"], &["\"a\""], &["\"b-gzip\""], &["\"a, \"b"]] {
            assert!(!knows(values), "{values:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "[ -~]{0,60}") {
            let value = HeaderValue::from_str(&text).unwrap();
            prefers_html(Some(&value));
            accepts_gzip(&headers(&ACCEPT_ENCODING, &[&text]));
            has(&headers(&IF_NONE_MATCH, &[&text]), "\"b\"");
        }

        #[test]
        fn a_quality_is_read_as_written(thousandths in 0u16..=1_000) {
            let text = format!("{}.{:03}", thousandths / 1_000, thousandths % 1_000);
            prop_assert_eq!(quality_of(&text), Some(thousandths));
        }
    }
}
