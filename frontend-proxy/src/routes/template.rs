//! Templates of paths, such as `/api/activities/{uuid}`. They name spans, so that no path ever does. Matched segment by segment
//! against the path as it arrived, without decoding.

use std::fmt;
use std::str::FromStr;

/// Largest prefix or template, in bytes.
pub(super) const MAX_PATH: usize = 256;

/// A path with open segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    text: String,
    segments: Vec<Segment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(String),
    /// `{name}`: at least one character, after the text before the brace.
    Open {
        before: String,
    },
    /// `*` at the end: one or more segments, which may be empty.
    Rest,
}

/// Why a text is not a valid template.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotATemplate {
    #[error("it does not start with /")]
    NoSlash,
    #[error("a {{name}} must end its segment, and consist of letters, digits and _")]
    Brace,
    #[error("a * must be the whole last segment")]
    Star,
    #[error("it has a character that is invalid in a path, or more than 256 bytes")]
    Character,
}

impl Template {
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn fits(&self, path: &str) -> bool {
        let mut parts = path.as_bytes().split(|byte| *byte == b'/').skip(1);
        for segment in &self.segments {
            let Some(part) = parts.next() else { return false };
            match segment {
                Segment::Literal(text) if text.as_bytes() == part => {}
                Segment::Open { before } if part.len() > before.len() && part.starts_with(before.as_bytes()) => {}
                Segment::Rest => return true,
                _ => return false,
            }
        }
        parts.next().is_none()
    }
}

impl FromStr for Template {
    type Err = NotATemplate;

    fn from_str(text: &str) -> Result<Self, NotATemplate> {
        let path = text.strip_prefix('/').ok_or(NotATemplate::NoSlash)?;
        let character = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'"' | b'\\');
        if text.len() > MAX_PATH || !text.bytes().all(character) {
            return Err(NotATemplate::Character);
        }
        let segments: Vec<Segment> = path.split('/').map(segment).collect::<Result<_, _>>()?;
        let stars = segments.iter().filter(|segment| **segment == Segment::Rest).count();
        if stars > 1 || (stars == 1 && segments.last() != Some(&Segment::Rest)) {
            return Err(NotATemplate::Star);
        }
        Ok(Self { text: text.to_owned(), segments })
    }
}

fn segment(text: &str) -> Result<Segment, NotATemplate> {
    let name = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    match text.split_once('{') {
        _ if text == "*" => Ok(Segment::Rest),
        _ if text.contains('*') => Err(NotATemplate::Star),
        Some((before, rest)) if !before.contains('}') && rest.strip_suffix('}').is_some_and(name) => {
            Ok(Segment::Open { before: before.to_owned() })
        }
        None if !text.contains('}') => Ok(Segment::Literal(text.to_owned())),
        _ => Err(NotATemplate::Brace),
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fits(template: &str, path: &str) -> bool {
        template.parse::<Template>().unwrap().fits(path)
    }

    #[test]
    fn a_template_fits_segment_by_segment() {
        for (template, path) in [
            ("/", "/"),
            ("/api/activities/home", "/api/activities/home"),
            ("/api/activities/{uuid}", "/api/activities/0197"),
            ("/api/activities/{uuid}", "/api/activities/%2f"),
            ("/api/activities/@{handle}/status/{uuid}", "/api/activities/@andrew/status/1"),
            ("/api/activities//reply", "/api/activities//reply"),
            ("/api/*", "/api/"),
            ("/api/*", "/api/a/b//c/"),
        ] {
            assert!(fits(template, path), "{template} {path}");
        }
        for (template, path) in [
            ("/api/activities/{uuid}", "/api/activities/"),
            ("/api/activities/{uuid}", "/api/activities/1/"),
            ("/api/activities/{uuid}", "/api/activities"),
            ("/api/activities/@{handle}", "/api/activities/@"),
            ("/api/activities/@{handle}", "/api/activities/andrew"),
            ("/api/activities/{uuid}/reply", "/api/activities//reply"),
            ("/api/*", "/api"),
            ("/api/home", "/api/home/"),
        ] {
            assert!(!fits(template, path), "{template} {path}");
        }
    }

    #[test]
    fn an_invalid_template_is_refused_with_the_reason() {
        for (text, why) in [
            ("", NotATemplate::NoSlash),
            ("api", NotATemplate::NoSlash),
            ("/{", NotATemplate::Brace),
            ("/}", NotATemplate::Brace),
            ("/{}", NotATemplate::Brace),
            ("/{a}b", NotATemplate::Brace),
            ("/{a}{b}", NotATemplate::Brace),
            ("/}{a}", NotATemplate::Brace),
            ("/{a b}", NotATemplate::Character),
            ("/a*", NotATemplate::Star),
            ("/*/a", NotATemplate::Star),
            ("/a?b", NotATemplate::Character),
            ("/caf\u{e9}", NotATemplate::Character),
        ] {
            assert_eq!(text.parse::<Template>().unwrap_err(), why, "{text}");
        }
        assert!(format!("/{}", "a".repeat(256)).parse::<Template>().is_err());
    }

    proptest! {
        #[test]
        fn a_template_fits_the_path_that_it_was_made_from(parts in prop::collection::vec("[a-z0-9%@.-]{0,6}", 1..6), open in any::<u8>()) {
            let path: String = parts.iter().map(|part| format!("/{part}")).collect();
            let template: String = parts.iter().enumerate().map(|(index, part)| {
                if open >> (index % 8) & 1 == 1 && !part.is_empty() { format!("/{}{{x}}", &part[..part.len() - 1]) } else { format!("/{part}") }
            }).collect();
            let template: Template = template.parse().unwrap();
            prop_assert!(template.fits(&path), "{template} {path}");
            let longer = template.fits(&[&*path, "/x"].concat());
            prop_assert!(!longer, "{template} {path}");
        }

        #[test]
        fn any_text_is_a_template_or_an_error(text in ".{0,40}|/[a-z{}*/]{0,40}", path in "[/a-z]{0,40}") {
            if let Ok(template) = text.parse::<Template>() {
                let _ = template.fits(&path);
                prop_assert_eq!(template.to_string().parse::<Template>().unwrap(), template);
            }
        }
    }
}
