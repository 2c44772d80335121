//! [W3C Baggage](https://www.w3.org/TR/baggage/): a list of members that is propagated unchanged, with its percent-encoding
//! and properties. Baggage over the limits is dropped whole, never cut within a member.

use std::borrow::Cow;
use std::sync::Arc;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use super::headers::Headers;

/// Members of one list.
const MAX_MEMBERS: usize = 64;
/// Bytes of one list.
const MAX_BYTES: usize = 8_192;

/// What a value may not contain as it is; `%` begins an encoded byte.
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b',').add(b';').add(b'\\').add(b'%');

/// The members whose keys `keep` accepts; `None` if there are none, or if the list is over its limits or invalid.
pub(super) fn extract(headers: &impl Headers, keep: impl Fn(&str) -> bool) -> Option<Arc<str>> {
    let mut kept = String::new();
    let (mut members, mut bytes) = (0, 0);
    for value in headers.values("baggage") {
        bytes += value.len() + 1;
        for member in value.split(',').map(|member| member.trim_matches([' ', '\t'])) {
            if member.is_empty() {
                continue;
            }
            members += 1;
            let key = key(member)?;
            if keep(key) {
                if !kept.is_empty() {
                    kept.push(',');
                }
                kept.push_str(member);
            }
        }
    }
    // The separator before the first value was counted too.
    (members <= MAX_MEMBERS && bytes <= MAX_BYTES + 1 && !kept.is_empty()).then(|| kept.into())
}

/// A member of a valid list.
pub(crate) struct BaggageMember<'a> {
    pub(crate) key: &'a str,
    /// Decoded.
    pub(crate) value: Cow<'a, str>,
    /// What follows the first semicolon.
    pub(crate) properties: &'a str,
}

/// The members of a list that [`extract`] or [`with_member`] returned.
pub(crate) fn members(list: &str) -> impl Iterator<Item = BaggageMember<'_>> {
    list.split(',').filter_map(|member| {
        let (pair, properties) = member.split_once(';').unwrap_or((member, ""));
        let (key, value) = pair.split_once('=')?;
        let value = percent_decode_str(value.trim_matches([' ', '\t'])).decode_utf8_lossy();
        Some(BaggageMember { key: key.trim_matches([' ', '\t']), value, properties })
    })
}

/// The list with this member, which replaces those with its key; `None` if it would be over the limits or invalid.
pub(crate) fn with_member(list: &str, key: &str, value: &str, properties: &str) -> Option<Arc<str>> {
    let kept = list.split(',').filter(|member| {
        let name = member.split(['=', ';']).next().unwrap_or_default();
        !member.is_empty() && name.trim_matches([' ', '\t']) != key
    });
    let separator = if properties.is_empty() { "" } else { ";" };
    let own = format!("{key}={}{separator}{properties}", utf8_percent_encode(value, ENCODED));
    self::key(&own).filter(|parsed| *parsed == key)?;
    let members: Vec<&str> = kept.chain([own.as_str()]).collect();
    let list = members.join(",");
    (members.len() <= MAX_MEMBERS && list.len() <= MAX_BYTES).then(|| list.into())
}

/// The key of a member, if its characters are those of the standard.
fn key(member: &str) -> Option<&str> {
    let (pair, properties) = member.split_once(';').unwrap_or((member, ""));
    let (key, value) = pair.split_once('=')?;
    let key = key.trim_matches([' ', '\t']);
    let is_token =
        !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
    let octet = |byte: u8| matches!(byte, b'!' | b'#'..=b'+' | b'-'..=b':' | b'<'..=b'[' | b']'..=b'~');
    let valid = value.trim_matches([' ', '\t']).bytes().all(octet);
    let printable = properties.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t'));
    (is_token && valid && printable).then_some(key)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct BaggageHeaders(Vec<String>);

    impl Headers for BaggageHeaders {
        fn values<'a>(&'a self, _: &'static str) -> impl Iterator<Item = &'a str> {
            self.0.iter().map(String::as_str)
        }
    }

    fn read(values: &[&str]) -> Option<String> {
        let given = BaggageHeaders(values.iter().map(|value| (*value).to_owned()).collect());
        extract(&given, |_| true).map(|kept| kept.to_string())
    }

    #[test]
    fn members_are_propagated_unchanged() {
        assert_eq!(read(&["a=b%20c;p=1 , d = e", "f=g"]).unwrap(), "a=b%20c;p=1,d = e,f=g");
        assert_eq!(read(&["", " , "]), None);
        for bad in ["a", "=b", "a b=c", "a=b c", "a=\"b\"", "a=b\\"] {
            assert_eq!(read(&[bad]), None, "{bad}");
        }
        let given = BaggageHeaders(vec!["keep=1,drop=2".to_owned()]);
        assert_eq!(extract(&given, |key| key == "keep").as_deref(), Some("keep=1"));
    }

    #[test]
    fn a_list_over_the_limits_is_dropped_whole() {
        let members = |count: usize| (0..count).map(|index| format!("k{index}=v")).collect::<Vec<_>>().join(",");
        assert!(read(&[&members(64)]).is_some());
        assert!(read(&[&members(65)]).is_none());
        assert!(read(&[&format!("a={}", "x".repeat(8_190))]).is_some());
        assert!(read(&[&format!("a={}", "x".repeat(8_191))]).is_none());
    }

    #[test]
    fn a_member_is_written_and_read() {
        let one = with_member("a=1;p,b=2", "b", "ü, \"x\"", "").unwrap();
        assert_eq!(&*one, "a=1;p,b=%C3%BC%2C%20%22x%22");
        let read: Vec<_> = members(&one).map(|member| (member.key.to_owned(), member.value.into_owned())).collect();
        assert_eq!(read, [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "ü, \"x\"".to_owned())]);
        assert_eq!(members(&one).next().unwrap().properties, "p");
        assert_eq!(with_member("", "a", "1", "p=2").as_deref(), Some("a=1;p=2"));
        for bad in ["", "a b", "a=b", "a,b", "é"] {
            assert_eq!(with_member("", bad, "1", ""), None, "{bad}");
        }
        let full = (0..64).map(|index| format!("k{index}=v")).collect::<Vec<_>>().join(",");
        assert!(with_member(&full, "k0", "w", "").is_some() && with_member(&full, "k64", "w", "").is_none());
        assert_eq!(with_member("", "a", &"x".repeat(8_191), ""), None);
    }

    proptest! {
        #[test]
        fn any_value_of_a_member_is_read_back(value in ".{0,80}", other in "([ab]=1,){0,3}") {
            let list = with_member(&other, "key", &value, "").unwrap();
            prop_assert_eq!(members(&list).last().unwrap().value, value.as_str());
            prop_assert_eq!(read(&[&list]), Some(list.to_string()));
        }

        #[test]
        fn any_text_is_baggage_or_none(text in ".{0,200}|([a-z=;, %]{0,200})") {
            if let Some(kept) = read(&[&text]) {
                // The kept list is read back unchanged.
                prop_assert_eq!(read(&[&kept]), Some(kept));
            }
        }
    }
}
