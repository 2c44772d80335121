//! [W3C Baggage](https://www.w3.org/TR/baggage/): a list of members that is propagated unchanged, with its percent-encoding
//! and properties. Baggage over the limits is dropped whole, never cut within a member.

use std::sync::Arc;

use super::headers::Headers;

/// Members of one list.
const MAX_MEMBERS: usize = 64;
/// Bytes of one list.
const MAX_BYTES: usize = 8_192;

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

    proptest! {
        #[test]
        fn any_text_is_baggage_or_none(text in ".{0,200}|([a-z=;, %]{0,200})") {
            if let Some(kept) = read(&[&text]) {
                // The kept list is read back unchanged.
                prop_assert_eq!(read(&[&kept]), Some(kept));
            }
        }
    }
}
