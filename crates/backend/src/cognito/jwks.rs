//! The keys that an issuer publishes ([RFC 7517](https://www.rfc-editor.org/rfc/rfc7517)): how they are requested and which parts are read. Follows no redirect
//! and uses no proxy. Reads at most 64 KiB of a response. Blocks.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use serde::Deserialize;
use serde_json::Value;

const CONNECT: Duration = Duration::from_secs(2);
const TOTAL: Duration = Duration::from_secs(5);
const MAX_BODY: u64 = 64 * 1024;
const MAX_KEYS: usize = 64;
/// The permitted length of a modulus, in bytes: 2,048 to 8,192 bits.
const MODULUS: std::ops::RangeInclusive<usize> = 256..=1024;

/// An RSA key that signs tokens.
#[derive(Debug)]
pub(super) struct PublicKey {
    pub(super) kid: String,
    n: Vec<u8>,
    e: Vec<u8>,
}

/// Why no keys could be fetched.
#[derive(Debug, thiserror::Error)]
pub enum NoKeys {
    /// The issuer did not respond, or its response was incomplete or too long.
    #[error("cannot fetch {0}: {1}; check AUTH_ISSUER or the user pool's id, and the network")]
    Silent(String, ureq::Error),
    /// The issuer's response had an unexpected status.
    #[error("cannot fetch {0}: its status is {1}; check AUTH_ISSUER or the user pool's id")]
    Status(String, u16),
    /// The issuer's keys cannot be used.
    #[error("cannot use {0}: {1}; check AUTH_ISSUER or the user pool's id")]
    Useless(String, &'static str),
}

impl NoKeys {
    /// The kind of failure, for a span.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Silent(_, ureq::Error::Timeout(_)) => "timeout",
            Self::Silent(_, ureq::Error::HostNotFound) => "host_not_found",
            Self::Silent(_, ureq::Error::Io(_) | ureq::Error::ConnectionFailed) => "io",
            Self::Silent(_, ureq::Error::Tls(_) | ureq::Error::Rustls(_)) => "tls",
            Self::Silent(..) => "_OTHER",
            Self::Status(..) => "status",
            Self::Useless(..) => "no_keys",
        }
    }
}

pub(super) fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .timeout_connect(Some(CONNECT))
        .timeout_global(Some(TOTAL))
        .user_agent(concat!("cruddur-backend/", env!("CARGO_PKG_VERSION")))
        .build()
        .new_agent()
}

/// Requests the keys at `url`; returns at least one.
pub(super) fn fetch(agent: &ureq::Agent, url: &str) -> Result<Vec<PublicKey>, NoKeys> {
    let silent = |error| NoKeys::Silent(url.to_owned(), error);
    let mut answer = agent.get(url).call().map_err(silent)?;
    let status = answer.status().as_u16();
    if status != 200 {
        return Err(NoKeys::Status(url.to_owned(), status));
    }
    let body = answer.body_mut().with_config().limit(MAX_BODY).read_to_vec().map_err(silent)?;
    parse(&body).map_err(|why| NoKeys::Useless(url.to_owned(), why))
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Published {
    kty: String,
    kid: String,
    r#use: Option<String>,
    alg: Option<String>,
    n: String,
    e: String,
}

/// The keys that sign with RS256. Keys for other purposes are skipped, as the RFC requires.
pub(super) fn parse(body: &[u8]) -> Result<Vec<PublicKey>, &'static str> {
    let Ok(Set { keys }) = serde_json::from_slice(body) else { return Err("it is not a set of keys") };
    if keys.len() > MAX_KEYS {
        return Err("it has more than 64 keys");
    }
    let keys: Vec<PublicKey> =
        keys.into_iter().filter_map(|key| PublicKey::of(serde_json::from_value(key).ok()?)).collect();
    if keys.is_empty() { Err("it has no RSA key of 2,048 bits or more that signs") } else { Ok(keys) }
}

impl PublicKey {
    fn of(Published { kty, kid, r#use, alg, n, e }: Published) -> Option<Self> {
        let signs = kty == "RSA" && r#use.is_none_or(|r#use| r#use == "sig") && alg.is_none_or(|alg| alg == "RS256");
        let (n, e) = (number(&n)?, number(&e)?);
        (signs && MODULUS.contains(&n.len()) && (1..=5).contains(&e.len())).then_some(Self { kid, n, e })
    }

    /// Whether this key's owner made `signature` of `message`, with RSASSA-PKCS1-v1_5 and SHA-256.
    pub(super) fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let key = RsaPublicKeyComponents { n: &self.n, e: &self.e };
        key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature).is_ok()
    }
}

/// Decodes a big-endian number, without the leading zeros that some issuers write.
fn number(text: &str) -> Option<Vec<u8>> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
    let first = bytes.iter().position(|byte| *byte != 0)?;
    bytes.get(first..).map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn published(change: &[(&str, Value)]) -> Value {
        let n = BASE64_URL_SAFE_NO_PAD.encode([0xc5; 256]);
        let mut key = json!({"kty": "RSA", "kid": "one", "alg": "RS256", "use": "sig", "n": n, "e": "AQAB"});
        for (name, value) in change {
            key[*name] = value.clone();
        }
        key
    }

    fn kids(keys: &[Value]) -> Result<Vec<String>, &'static str> {
        let keys = parse(json!({ "keys": keys }).to_string().as_bytes())?;
        Ok(keys.into_iter().map(|key| key.kid).collect())
    }

    #[test]
    fn keys_for_other_purposes_are_skipped() {
        let of_bytes = |length| Value::from(BASE64_URL_SAFE_NO_PAD.encode(vec![0xc5; length]));
        let others = [
            published(&[("kty", "EC".into())]),
            published(&[("use", "enc".into())]),
            published(&[("alg", "RS512".into())]),
            published(&[("kid", Value::Null)]),
            published(&[("n", of_bytes(128))]),
            published(&[("n", of_bytes(1_025))]),
            published(&[("n", "A+/=".into())]),
            published(&[("e", "AA".into())]),
            published(&[("e", of_bytes(6))]),
            json!("a text"),
            json!(null),
        ];
        for other in &others {
            assert!(kids(std::slice::from_ref(other)).is_err(), "{other}");
        }
        let plain = json!({"kty": "RSA", "kid": "two", "n": published(&[])["n"], "e": "AAEAAQ"});
        assert_eq!(
            kids(&[&others[..], &[published(&[]), plain]].concat()),
            Ok(vec!["one".to_owned(), "two".to_owned()])
        );
    }

    #[test]
    fn more_than_64_keys_are_refused() {
        assert_eq!(kids(&vec![published(&[]); 64]).map(|kids| kids.len()), Ok(64));
        assert_eq!(kids(&vec![published(&[]); 65]), Err("it has more than 64 keys"));
    }

    #[test]
    fn leading_zeros_do_not_count() {
        assert_eq!(number("AAEAAQ"), Some(vec![1, 0, 1]));
        assert_eq!(number("AQAB"), Some(vec![1, 0, 1]));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_no_keys(body in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(parse(&body).is_err());
        }

        #[test]
        fn an_odd_key_still_refuses_a_forged_signature(
            n in prop::collection::vec(any::<u8>(), 256..=300),
            e in prop::collection::vec(any::<u8>(), 1..=5),
            signature in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let encode = |bytes: &[u8]| Value::from(BASE64_URL_SAFE_NO_PAD.encode(bytes));
            let set = json!({"keys": [published(&[("n", encode(&n)), ("e", encode(&e))])]}).to_string();
            for key in parse(set.as_bytes()).unwrap_or_default() {
                prop_assert!(!key.has_signed(b"a message", &signature));
            }
        }
    }
}
