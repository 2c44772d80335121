//! Decides who may send spans of a trace: a client that got the trace's token when the proxy served it. A token is a time and a
//! keyed hash of the time and the trace id. So nothing has to be remembered, and several proxies with one key accept each
//! other's tokens. A token is valid for a quarter of an hour and for one trace.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// How long a token is valid, and the page's spans can be sent.
const VALID: Duration = Duration::from_secs(15 * 60);
/// How far another proxy's clock may be ahead.
const AHEAD: Duration = Duration::from_secs(60);
/// The length of the hash, in bytes; the remaining bytes are not needed.
const HASH: usize = 16;
/// The key's purpose, so that the same key may serve other purposes too.
const PURPOSE: &[u8] = b"cruddur trace token 1\0";

/// Issues tokens, and checks them.
pub(crate) struct Tokens(Hmac<Sha256>);

impl Tokens {
    /// Uses this key, or a random one of this process.
    pub(crate) fn new(key: Option<&SecretString>) -> Self {
        let random: [u8; 32] = rand::random();
        let key = key.map_or(&random[..], |key| key.expose_secret().as_bytes());
        // HMAC accepts a key of any length, so the fallback is never used.
        Self(Hmac::new_from_slice(key).unwrap_or_else(|_| Hmac::new(&Default::default())))
    }

    /// The token of a trace, given the trace id in hex: milliseconds since 1970, and the hash.
    pub(crate) fn issue(&self, trace: &str, now: SystemTime) -> String {
        let time = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let hash = self.hash(trace, &time.to_string()).finalize().into_bytes();
        let mut token = format!("{time}-");
        for byte in hash.iter().take(HASH) {
            // Writing to a String does not fail.
            let _ = write!(token, "{byte:02x}");
        }
        token
    }

    /// Whether `token` is valid for this trace and not too old.
    pub(crate) fn admit(&self, trace: &str, token: &str, now: SystemTime) -> bool {
        let Some((time, hash)) = token.split_once('-') else { return false };
        let Some(hash) = unhex(hash) else { return false };
        let Ok(issued) = time.parse::<u64>().map(Duration::from_millis) else { return false };
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let is_valid = issued <= now + AHEAD && now.saturating_sub(issued) <= VALID;
        is_valid && self.hash(trace, time).verify_truncated_left(&hash).is_ok()
    }

    fn hash(&self, trace: &str, time: &str) -> Hmac<Sha256> {
        let mut hash = self.0.clone();
        for part in [PURPOSE, trace.as_bytes(), b"\0", time.as_bytes()] {
            hash.update(part);
        }
        hash
    }
}

fn unhex(text: &str) -> Option<[u8; HASH]> {
    let number = u128::from_str_radix(text, 16).ok()?;
    (text.len() == 2 * HASH && !text.starts_with('+')).then(|| number.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRACE: &str = "6b02f03a54f4980499a5c1872558fcbf";

    #[test]
    fn a_token_is_valid_for_its_trace_and_for_a_time() {
        let tokens = Tokens::new(None);
        let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let token = tokens.issue(TRACE, now);
        for (trace, token, at, valid) in [
            (TRACE, token.as_str(), now, true),
            (TRACE, &token, now + VALID, true),
            (TRACE, &token, now - AHEAD, true),
            (TRACE, &token, now + VALID + Duration::from_secs(1), false),
            (TRACE, &token, now - AHEAD - Duration::from_secs(1), false),
            ("6b02f03a54f4980499a5c1872558fcbe", &token, now, false),
            (TRACE, &token.replace("1700000000000", "1700000000001"), now, false),
            (TRACE, &token[..token.len() - 1], now, false),
        ] {
            assert_eq!(tokens.admit(trace, token, at), valid, "{trace} {token}");
        }
        assert!(!Tokens::new(None).admit(TRACE, &token, now), "another process has another key");
        let key = SecretString::from("a key that two proxies share".to_owned());
        let [one, other] = [Tokens::new(Some(&key)), Tokens::new(Some(&key))];
        assert!(other.admit(TRACE, &one.issue(TRACE, now), now));
    }

    proptest! {
        #[test]
        fn no_other_text_is_a_token(text in "[ -~]{0,60}|[0-9]{13}-[0-9a-f]{32}") {
            prop_assert!(!Tokens::new(None).admit(TRACE, &text, SystemTime::now()));
        }
    }
}
