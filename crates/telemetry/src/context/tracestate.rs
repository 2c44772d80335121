//! `tracestate` of [W3C Trace Context Level 2](https://www.w3.org/TR/trace-context-2/#tracestate-header): a list of members as
//! one text. Several headers form one list. Empty members are dropped. If two members have one key, only the later one is
//! dropped. A list with an invalid member or with more than 32 is invalid. OpenTelemetry's `TraceState` is not used: it refuses
//! keys of Level 2 (`foo@`, `a@b@c`) and Level 1's longest tenants, and is copied member by member for each span.

use std::sync::Arc;

/// Members of one list.
const MAX_MEMBERS: usize = 32;
/// Bytes of a key, and of a value.
const MAX_LENGTH: usize = 256;

/// A valid list; cloning it copies nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tracestate(Option<Arc<str>>);

impl Tracestate {
    /// Parses the list that these headers form together.
    pub(crate) fn parse<'a>(values: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut list = String::new();
        let mut keys: Vec<&str> = Vec::new();
        for member in values.flat_map(|value| value.split(',')).map(|member| member.trim_matches([' ', '\t'])) {
            if member.is_empty() {
                continue;
            }
            let (key, value) = member.split_once('=')?;
            if !is_key(key) || !is_value(value) {
                return None;
            }
            // The newest members come first in the list.
            if keys.contains(&key) {
                continue;
            }
            if keys.len() == MAX_MEMBERS {
                return None;
            }
            keys.push(key);
            push(&mut list, member);
        }
        Some(Self::of(&list))
    }

    fn of(list: &str) -> Self {
        Self((!list.is_empty()).then(|| list.into()))
    }

    /// The header's value; `None` if the list is empty.
    pub(crate) fn header(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// The value of a member.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        let members = self.0.as_deref()?.split(',');
        members.filter_map(|member| member.split_once('=')).find(|(own, _)| *own == key).map(|(_, value)| value)
    }

    /// The list with this member first, replacing an earlier one with its key. The last member is dropped if there would be too
    /// many.
    #[must_use]
    pub(crate) fn with(&self, key: &str, value: &str) -> Self {
        let mut list = [key, "=", value].concat();
        self.members().filter(|member| !has_key(member, key)).take(MAX_MEMBERS - 1).for_each(|m| push(&mut list, m));
        Self::of(&list)
    }

    /// The list without the member of this key.
    #[must_use]
    pub(crate) fn without(&self, key: &str) -> Self {
        if self.get(key).is_none() {
            return self.clone();
        }
        let mut list = String::new();
        self.members().filter(|member| !has_key(member, key)).for_each(|member| push(&mut list, member));
        Self::of(&list)
    }

    fn members(&self) -> impl Iterator<Item = &str> {
        self.0.as_deref().into_iter().flat_map(|list| list.split(','))
    }
}

fn push(list: &mut String, member: &str) {
    if !list.is_empty() {
        list.push(',');
    }
    list.push_str(member);
}

fn has_key(member: &str, key: &str) -> bool {
    member.strip_prefix(key).is_some_and(|rest| rest.starts_with('='))
}

/// Level 2's rule: `@` is allowed like other characters, but not first.
fn is_key(key: &str) -> bool {
    let first = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9');
    let other = |byte: u8| first(byte) || matches!(byte, b'_' | b'-' | b'*' | b'/' | b'@');
    key.len() <= MAX_LENGTH && key.bytes().next().is_some_and(first) && key.bytes().all(other)
}

fn is_value(value: &str) -> bool {
    let printable = |byte| matches!(byte, b' '..=b'~') && byte != b',' && byte != b'=';
    (1..=MAX_LENGTH).contains(&value.len()) && value.bytes().all(printable) && !value.ends_with(' ')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(values: &[&str]) -> Option<String> {
        Tracestate::parse(values.iter().copied()).map(|state| state.header().unwrap_or_default().to_owned())
    }

    #[test]
    fn headers_join_in_order_without_white_space_and_empty_members() {
        assert_eq!(read(&["foo=1", " ,bar=2\t,"]).unwrap(), "foo=1,bar=2");
        assert_eq!(read(&["", "foo=1", ""]).unwrap(), "foo=1");
        assert_eq!(read(&["1a-2_f*/@b-c=x y"]).unwrap(), "1a-2_f*/@b-c=x y");
        assert_eq!(read(&[]).unwrap(), "");
    }

    #[test]
    fn one_invalid_member_invalidates_the_list() {
        for bad in
            ["foo=1,foo=2,bar", "FOO=1", "foo", "foo=", "foo=a=b", "foo =1", "@s=1", "=1", "foo.bar=1", "a=1,b=\u{7f}"]
        {
            assert_eq!(read(&[bad]), None, "{bad}");
        }
    }

    #[test]
    fn the_later_of_two_members_with_one_key_is_dropped() {
        assert_eq!(read(&["foo=1,bar=2,foo=3"]).unwrap(), "foo=1,bar=2");
        assert_eq!(read(&["foo=1", "bar=2,foo=1", "foo=3"]).unwrap(), "foo=1,bar=2", "in several headers");
        assert_eq!(read(&["ot=th:c,a=1,ot=th:8"]).unwrap(), "ot=th:c,a=1");
        let many: Vec<String> = (0..33).map(|index| format!("k{}=1", index % 32)).collect();
        assert_eq!(read(&[&many.join(",")]).unwrap(), many[..32].join(","), "it counts once");
    }

    #[test]
    fn keys_of_level_1_and_level_2_are_valid() {
        let long = |count: usize| "z".repeat(count);
        for key in ["foo@", "foo@@bar", "foo@bar@baz", "a@1", &long(256), &format!("{}@{}", long(241), long(14))] {
            assert_eq!(read(&[&format!("{key}=1,bar=2")]).unwrap(), format!("{key}=1,bar=2"));
        }
        assert_eq!(read(&[&format!("{}=1", long(257))]), None);
        assert_eq!(read(&[&format!("a={}", long(256))]).unwrap().len(), 258);
        assert_eq!(read(&[&format!("a={}", long(257))]), None);
    }

    #[test]
    fn a_list_has_at_most_32_members() {
        let many: Vec<String> = (0..33).map(|index| format!("k{index}=1")).collect();
        assert_eq!(read(&[&many.join(",")]), None);
        let full = Tracestate::parse([many[..32].join(",").as_str()].into_iter()).unwrap();
        assert_eq!(full.header().unwrap(), many[..32].join(","));
        assert_eq!(full.with("ot", "th:8").header().unwrap(), format!("ot=th:8,{}", many[..31].join(",")));
    }

    #[test]
    fn a_written_member_comes_first() {
        let state = Tracestate::parse(["a=1,ot=th:c,b=2"].into_iter()).unwrap();
        assert_eq!(state.get("ot"), Some("th:c"));
        assert_eq!(state.get("o"), None);
        assert_eq!(state.with("ot", "th:8").header(), Some("ot=th:8,a=1,b=2"));
        assert_eq!(state.without("ot").header(), Some("a=1,b=2"));
        assert_eq!(state.without("o"), state);
        assert_eq!(Tracestate::default().with("ot", "th:8").without("ot"), Tracestate::default());
    }

    proptest! {
        #[test]
        fn any_text_is_a_list_or_none(values in prop::collection::vec(".{0,80}|[a-z@=, \t0-9]{0,80}|([ab]=1,){0,9}", 0..4)) {
            if let Some(state) = Tracestate::parse(values.iter().map(String::as_str)) {
                let keys: Vec<_> = state.members().filter_map(|member| member.split_once('=')).map(|(key, _)| key).collect();
                prop_assert!((1..keys.len()).all(|index| !keys[..index].contains(&keys[index])), "{:?}", keys);
                // The header's value is read back unchanged.
                prop_assert_eq!(Tracestate::parse(state.header().into_iter()), Some(state.clone()));
                prop_assert_eq!(Tracestate::parse(state.with("ot", "th:8").header().into_iter()), Some(state.with("ot", "th:8")));
                prop_assert_eq!(state.with("ot", "th:8").without("ot"), state.without("ot"));
            }
        }
    }
}
