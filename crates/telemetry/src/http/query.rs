//! Redacts a query for spans: keeps its keys, but no values. A key that does not look like a name, or a part that is not
//! `key=value`, may be a user's text and is redacted too.

/// Replaces each redacted part, as the conventions specify.
const REDACTED: &str = "REDACTED";
/// The most pairs that are recorded; later pairs are not.
const MAX_PAIRS: usize = 16;
/// The most bytes of a key.
const MAX_KEY: usize = 24;

/// The keys unchanged, each value redacted.
pub(super) fn redacted(query: &str) -> String {
    let mut kept = String::with_capacity(query.len().min(256));
    for pair in query.split('&').filter(|pair| !pair.is_empty()).take(MAX_PAIRS) {
        if !kept.is_empty() {
            kept.push('&');
        }
        if let Some((key, _)) = pair.split_once('=').filter(|(key, _)| is_name(key)) {
            kept.push_str(key);
            kept.push('=');
        }
        kept.push_str(REDACTED);
    }
    kept
}

/// Letters, and the characters that join words. Digits occur in ids, tokens and numbers, rarely in names.
fn is_name(key: &str) -> bool {
    let character = |byte: u8| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'-' | b'.' | b'[' | b']');
    (1..=MAX_KEY).contains(&key.len()) && key.bytes().all(character)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_are_kept_and_values_are_not() {
        for (query, expected) in [
            ("", ""),
            ("q=secret", "q=REDACTED"),
            ("q=a=b&page=2&&filter[user-name]=x", "q=REDACTED&page=REDACTED&filter[user-name]=REDACTED"),
            ("secret", "REDACTED"),
            ("me@example.com=1&d41d8cd98f00b204=&=x", "REDACTED&REDACTED&REDACTED"),
            ("%73ecret=1&caf\u{e9}=1", "REDACTED&REDACTED"),
        ] {
            assert_eq!(redacted(query), expected, "{query}");
        }
        assert_eq!(redacted(&format!("{}=1", "k".repeat(25))), REDACTED);
        assert_eq!(redacted(&"a=1&".repeat(1_000)).matches("a=").count(), 16);
    }

    proptest! {
        #[test]
        fn no_value_is_ever_recorded(keys in prop::collection::vec("[a-z_]{1,8}|.{0,8}", 0..20), value in "[0-9]{6,12}|[a-z]{30,40}") {
            let query = keys.iter().map(|key| format!("{key}={value}")).collect::<Vec<_>>().join("&");
            let kept = redacted(&query);
            prop_assert!(!kept.contains(&value), "{kept}");
            prop_assert!(kept.len() <= 16 * (MAX_KEY + 2 + REDACTED.len()));
        }
    }
}
