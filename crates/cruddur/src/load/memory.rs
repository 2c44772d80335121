//! What a visitor has seen and can request: cruds, search words, and the next page of a list. It keeps the newest of each, and
//! only values that need no escaping in a path. Does no I/O.

use std::collections::VecDeque;

use hyper::HeaderMap;
use hyper::header::LINK;
use serde_json::Value;
use uuid::Uuid;

const CRUDS: usize = 64;
const WORDS: usize = 32;

/// A crud that can be requested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Crud {
    pub(super) handle: String,
    pub(super) uuid: String,
}

#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) cruds: VecDeque<Crud>,
    /// Words from cruds, and hashtags with their `#`.
    pub(super) words: VecDeque<String>,
}

impl Memory {
    /// Remembers the cruds of a response of any shape: a list, a profile, a crud or its status. Returns them.
    pub(super) fn see(&mut self, answer: &Value) -> Vec<Crud> {
        let lists = [answer, &answer["activities"]].into_iter().filter_map(Value::as_array).flatten();
        let cruds = lists.chain([answer, &answer["activity"]]);
        let mut seen = Vec::new();
        for value in cruds {
            let Some(crud) = Crud::of(value) else { continue };
            let words = value["message"].as_str().unwrap_or_default().split(|c: char| !c.is_ascii_alphanumeric());
            if let Some(word) = words.filter(|word| (4..=20).contains(&word.len())).max_by_key(|word| word.len()) {
                keep(&mut self.words, WORDS, word.to_owned());
            }
            keep(&mut self.cruds, CRUDS, crud.clone());
            seen.push(crud);
        }
        seen
    }

    /// Remembers the trending hashtags, and returns them.
    pub(super) fn see_trending(&mut self, answer: &Value) -> Vec<String> {
        let names = answer.as_array().into_iter().flatten().filter_map(|trend| trend["hashtag"].as_str());
        let names = names.filter(|name| is_name(name));
        let hashtags: Vec<String> = names.map(|name| format!("#{name}")).collect();
        hashtags.iter().for_each(|hashtag| keep(&mut self.words, WORDS, hashtag.clone()));
        hashtags
    }
}

impl Crud {
    fn of(value: &Value) -> Option<Self> {
        let (handle, uuid) = (value["handle"].as_str()?, value["uuid"].as_str()?);
        // A profile also has both fields, but no message.
        value["message"].as_str()?;
        (is_name(handle) && Uuid::try_parse(uuid).is_ok())
            .then(|| Self { handle: handle.to_owned(), uuid: uuid.to_owned() })
    }
}

/// The next page of a list, from `Link: <PATH>; rel="next"`; only if it is a path of the API.
pub(super) fn next(headers: &HeaderMap) -> Option<String> {
    let links = headers.get_all(LINK).into_iter().filter_map(|link| link.to_str().ok());
    let next = links.flat_map(|link| link.split(',')).find(|link| link.contains("rel=\"next\""))?;
    let path = next.trim().strip_prefix('<')?.split_once('>')?.0;
    let is_path = path.starts_with("/api/") && path.bytes().all(|byte| byte.is_ascii_graphic());
    is_path.then(|| path.to_owned())
}

fn is_name(text: &str) -> bool {
    (1..=30).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn keep<T: PartialEq>(kept: &mut VecDeque<T>, most: usize, new: T) {
    if kept.contains(&new) {
        return;
    }
    if kept.len() == most {
        kept.pop_front();
    }
    kept.push_back(new);
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const UUID: &str = "0197f3a0-0000-7000-8000-000000000001";

    fn crud(handle: &str, uuid: &str) -> Value {
        json!({"uuid": uuid, "handle": handle, "message": "Traces are #tracing"})
    }

    fn link(value: &str) -> Option<String> {
        next(&HeaderMap::from_iter([(LINK, HeaderValue::from_str(value).unwrap())]))
    }

    proptest! {
        #[test]
        fn any_link_is_a_path_or_none(value in "[ -~]{0,60}|<[ -~]{0,30}>; rel=\"next\"") {
            if let Some(path) = link(&value) {
                prop_assert!(path.starts_with("/api/") && !path.contains(char::is_whitespace) && value.contains(&path), "{path}");
            }
        }

        #[test]
        fn memory_is_bounded(uuids in proptest::collection::vec(any::<u128>(), 1..200)) {
            let mut memory = Memory::default();
            for uuid in uuids {
                memory.see(&crud("bayko", &Uuid::from_u128(uuid).to_string()));
                memory.see_trending(&json!([{"hashtag": format!("tag{}", uuid % 100), "count": 1}]));
            }
            prop_assert!(memory.cruds.len() <= CRUDS && memory.words.len() <= WORDS);
        }
    }

    #[test]
    fn cruds_are_found_in_every_shape_of_response() {
        let (one, expected) = (crud("bayko", UUID), vec![Crud { handle: "bayko".to_owned(), uuid: UUID.to_owned() }]);
        let profile = json!({"uuid": UUID, "handle": "bayko", "display_name": "Bayko", "cruds_count": 1});
        for answer in [
            one.clone(),
            json!([one]),
            json!({"profile": profile, "activities": [one]}),
            json!({"activity": one, "replies": []}),
        ] {
            let mut memory = Memory::default();
            assert_eq!(memory.see(&answer), expected, "{answer}");
            assert_eq!(memory.words, ["tracing"]);
        }
    }

    #[test]
    fn a_value_that_needs_escaping_in_a_path_is_ignored() {
        for (handle, uuid) in [("../admin", UUID), ("a b", UUID), ("", UUID), ("bayko", "1/../2"), ("bayko", "")] {
            assert_eq!(Memory::default().see(&crud(handle, uuid)), vec![], "{handle} {uuid}");
        }
        for nothing in [json!(null), json!(1), json!([[]]), json!({"activities": 1})] {
            assert_eq!(Memory::default().see(&nothing), vec![]);
        }
        let trending = json!([{"hashtag": "tracing", "count": 3}, {"hashtag": "a&b"}, {"hashtag": "ü"}]);
        assert_eq!(Memory::default().see_trending(&trending), ["#tracing"]);
    }

    #[test]
    fn the_next_page_is_the_links_path() {
        let path = "/api/activities/home?limit=20&cursor=abc";
        assert_eq!(link(&format!("<{path}>; rel=\"next\"")).as_deref(), Some(path));
        assert_eq!(link(&format!("</api/x>; rel=\"prev\", <{path}>; rel=\"next\"")).as_deref(), Some(path));
        for none in
            ["<http://elsewhere/>; rel=\"next\"", "<//elsewhere>; rel=\"next\"", "<>; rel=\"next\"", "rel=\"next\""]
        {
            assert_eq!(link(none), None, "{none}");
        }
    }
}
