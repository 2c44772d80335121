//! A token's three parts ([RFC 7519](https://www.rfc-editor.org/rfc/rfc7519)), its signature ([RFC 7515](https://www.rfc-editor.org/rfc/rfc7515), RS256 alone),
//! and its claims. Does no I/O and reads no clock.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::error::TokenError;
use super::jwks::PublicKey;
use crate::config::Issuer;
use crate::domain::Handle;

/// The longest token, in bytes; a user pool's have some 1,000, and more with many groups.
const MAX: usize = 16 * 1024;
/// The permitted difference between the issuer's clock and ours, in seconds.
const LEEWAY: i64 = 30;
/// The longest subject by [OpenID Connect](https://openid.net/specs/openid-connect-core-1_0.html#IDToken).
const MAX_SUBJECT: usize = 255;

/// The bearer of a valid token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bearer {
    /// The issuer and its name for the user: another issuer may mean another user by the same name.
    pub(crate) subject: String,
    /// The preferred handle of the user, if it is free.
    pub(crate) handle: Handle,
}

/// A token of which nothing has been verified.
pub(super) struct Unverified<'a> {
    kid: String,
    signed: &'a str,
    claims: &'a str,
    signature: Vec<u8>,
}

/// The issuer's claims, since its key signed them.
#[derive(Deserialize)]
pub(super) struct Claims {
    iss: String,
    sub: String,
    exp: i64,
    nbf: Option<i64>,
    #[serde(rename = "token_use")]
    purpose: String,
    /// The client of an access token.
    client_id: Option<String>,
    /// The client of an id token.
    aud: Option<Audience>,
    username: Option<String>,
    #[serde(rename = "cognito:username")]
    cognito_username: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    /// Extensions that the recipient must understand. None is supported.
    crit: Option<IgnoredAny>,
}

impl<'a> Unverified<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, TokenError> {
        if text.len() > MAX {
            return Err(TokenError::NotAToken);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(TokenError::NotAToken)?;
        let (header, claims) = signed.split_once('.').ok_or(TokenError::NotAToken)?;
        let header: Header = json(header)?;
        if header.alg != "RS256" {
            return Err(TokenError::Algorithm);
        }
        let kid = header.kid.filter(|_| header.crit.is_none()).ok_or(TokenError::NotAToken)?;
        Ok(Self { kid, signed, claims, signature: bytes(signature)? })
    }

    /// The name of the key that allegedly signed the token.
    pub(super) fn kid(&self) -> &str {
        &self.kid
    }

    pub(super) fn verify(self, key: &PublicKey) -> Result<Claims, TokenError> {
        if key.has_signed(self.signed.as_bytes(), &self.signature) {
            json(self.claims)
        } else {
            Err(TokenError::Signature)
        }
    }
}

impl Claims {
    /// The bearer of the token, if it is for our client and valid now.
    pub(super) fn bearer(self, issuer: &Issuer, now: DateTime<Utc>) -> Result<Bearer, TokenError> {
        if self.iss != issuer.name() {
            return Err(TokenError::AnotherIssuer);
        }
        if !self.is_for(issuer.client()) {
            return Err(TokenError::AnotherClient);
        }
        let now = now.timestamp();
        if now >= self.exp.saturating_add(LEEWAY) {
            return Err(TokenError::Expired);
        }
        if self.nbf.is_some_and(|begin| now < begin.saturating_sub(LEEWAY)) {
            return Err(TokenError::NotYetValid);
        }
        // PostgreSQL's text has no NUL.
        if self.sub.is_empty() || self.sub.len() > MAX_SUBJECT || self.sub.contains('\0') {
            return Err(TokenError::NotAToken);
        }
        let name = self.cognito_username.or(self.username).unwrap_or_default();
        Ok(Bearer { subject: format!("{} {}", self.iss, self.sub), handle: Handle::like(&name) })
    }

    /// A token that is for other clients too is rejected: they could present it.
    fn is_for(&self, client: &str) -> bool {
        match (self.purpose.as_str(), &self.aud) {
            ("access", _) => self.client_id.as_deref() == Some(client),
            ("id", Some(Audience::One(audience))) => audience == client,
            ("id", Some(Audience::Many(audience))) => *audience == [client],
            _ => false,
        }
    }
}

fn json<T: for<'de> Deserialize<'de>>(part: &str) -> Result<T, TokenError> {
    serde_json::from_slice(&bytes(part)?).map_err(|_| TokenError::NotAToken)
}

fn bytes(part: &str) -> Result<Vec<u8>, TokenError> {
    BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::NotAToken)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use settings::Settings;

    use super::*;
    use crate::config::{Accounts, Config};

    /// Made by `openssl`; its private key has been deleted. Expires at 1,800,003,600.
    const N: &str = "\
        2lsZWlgJN6MjeBA5Yu4aLb7rqlTYEqRFcicddh_XOTKcvJMO_9HMlLTFAWykycbjmm9C0Qeq4glnxPF2Lzrg0xD1Ppj9DcOftnP3\
        IBROqCWnrFO4do9MqGzUcBeEeNY4SFCYjAUCRLs7A6SA-nt17WBkx_OXLQrxRMC5RpdnMKglLvxZSMPZxUsiNxL_UFJzDWx6ZgFn\
        99Veou7dFQiVW_HDyNW2A9NLIC-YnzbbRgywpiXc66iw3W83kk91fVRMmyB_Tmon9LoySmg4ZhkOzlE7VUOK7E9eDZ47UhKrmmVf\
        ICmtXA4XhZ9eX60SIFOFuf1OweYdk_d73s8OMU3PbQ";
    const TOKEN: &str = "\
        eyJraWQiOiJvbmUiLCJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhYWFhYWFhYS1iYmJiLWNjY2MtZGRkZC1lZWVlZWVlZWVlZWUiLCJ\
        0b2tlbl91c2UiOiJhY2Nlc3MiLCJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUvcG9vbCIsImNsaWVudF9pZCI6ImEtY2xpZW50Iiw\
        iZXhwIjoxODAwMDAzNjAwLCJpYXQiOjE4MDAwMDAwMDAsInVzZXJuYW1lIjoiWm9maWUifQ.saD9pE2xkkA1VBy6o15U7jUnn1__\
        9ws5s1Mqub70yOkLcxli4_JyV-I-B2wVuDD7PqVgAuQ8QPuPVzHSVihzT_6rUCVzMySYn9LpT8Pmj0cDPST1wTW7vKNDu1ug7Wwr\
        haKO6OYQ_5K3VYOE44ZLeBFtG9ALDNZYbIOmuJdT1EAesHmbTTSPXRw_9229wR_BMCgBmw_fW2VCNelMLCIiUbQ9Zbd4xPGQ7hPR\
        yTpD39-UoAm5id4-BsuGj1-frCA4dVy90PNi78uJsO9KWxmT23NfgfKCuWhG6SmlRePOblr7628ow_96B0ruDkpDgD82m_VryAsn\
        8vFrfASYanXK_Q";

    fn issuer() -> Issuer {
        let mut settings = Settings::from_pairs(&[
            ("AUTH_MODE", "cognito"),
            ("AUTH_ISSUER", "https://id.example/pool"),
            ("AWS_COGNITO_USER_POOL_CLIENT_ID", "a-client"),
        ]);
        match Config::read(&mut settings).accounts {
            Accounts::Issued(issuer) => issuer,
            Accounts::Own => panic!("{:?}", settings.faults().collect::<Vec<_>>()),
        }
    }

    fn key() -> PublicKey {
        let keys = json!({"keys": [{"kty": "RSA", "kid": "one", "n": N, "e": "AQAB"}]}).to_string();
        super::super::jwks::parse(keys.as_bytes()).unwrap().remove(0)
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn bearer(token: &str, now: DateTime<Utc>) -> Result<Bearer, TokenError> {
        Unverified::parse(token)?.verify(&key())?.bearer(&issuer(), now)
    }

    fn claimed(change: Value) -> Result<Bearer, TokenError> {
        let mut claims = json!({"iss": "https://id.example/pool", "sub": "a", "exp": 1_000, "token_use": "access",
            "client_id": "a-client"});
        let Value::Object(change) = change else { panic!("{change}") };
        for (name, value) in change {
            claims[name] = value;
        }
        serde_json::from_value::<Claims>(claims).map_err(|_| TokenError::NotAToken)?.bearer(&issuer(), at(1_000))
    }

    #[test]
    fn a_token_is_valid_until_it_expires() {
        let zofie = Bearer {
            subject: "https://id.example/pool aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee".to_owned(),
            handle: Handle::parse("zofie").unwrap(),
        };
        let end = at(1_800_003_600);
        assert_eq!(Unverified::parse(TOKEN).ok().unwrap().kid(), "one");
        assert_eq!(bearer(TOKEN, end - TimeDelta::hours(1)), Ok(zofie.clone()));
        assert_eq!(bearer(TOKEN, end + TimeDelta::seconds(LEEWAY - 1)), Ok(zofie));
        assert_eq!(bearer(TOKEN, end + TimeDelta::seconds(LEEWAY)), Err(TokenError::Expired));
    }

    #[test]
    fn claims_must_be_for_this_client_and_now() {
        let good = [
            json!({}),
            json!({"aud": "a-resource"}),
            json!({"token_use": "id", "aud": "a-client", "client_id": null}),
            json!({"token_use": "id", "aud": ["a-client"]}),
            json!({"nbf": 1_000 + LEEWAY}),
            json!({"exp": i64::MAX, "nbf": i64::MIN}),
        ];
        for change in good {
            assert!(claimed(change.clone()).is_ok(), "{change}");
        }
        for (change, refused) in [
            (json!({"iss": "https://id.example/pool/"}), TokenError::AnotherIssuer),
            (json!({"client_id": "another"}), TokenError::AnotherClient),
            (json!({"client_id": null, "aud": "a-client"}), TokenError::AnotherClient),
            (json!({"token_use": "id"}), TokenError::AnotherClient),
            (json!({"token_use": "id", "aud": "another"}), TokenError::AnotherClient),
            (json!({"token_use": "id", "aud": ["a-client", "another"]}), TokenError::AnotherClient),
            (json!({"token_use": "id", "aud": []}), TokenError::AnotherClient),
            (json!({"token_use": "refresh"}), TokenError::AnotherClient),
            (json!({"exp": 1_000 - LEEWAY}), TokenError::Expired),
            (json!({"exp": i64::MIN}), TokenError::Expired),
            (json!({"nbf": 1_001 + LEEWAY}), TokenError::NotYetValid),
            (json!({"exp": "1001"}), TokenError::NotAToken),
            (json!({"exp": null}), TokenError::NotAToken),
            (json!({"exp": 1e30}), TokenError::NotAToken),
            (json!({"sub": ""}), TokenError::NotAToken),
            (json!({"sub": "a\0"}), TokenError::NotAToken),
            (json!({"sub": "a".repeat(256)}), TokenError::NotAToken),
            (json!({"sub": 1}), TokenError::NotAToken),
            (json!({"aud": {}}), TokenError::NotAToken),
        ] {
            assert_eq!(claimed(change.clone()), Err(refused), "{change}");
        }
    }

    #[test]
    fn the_handle_comes_from_either_kind_of_token() {
        let handle = |change| claimed(change).unwrap().handle;
        assert_eq!(handle(json!({"username": "Access"})).as_str(), "access");
        assert_eq!(handle(json!({"cognito:username": "me@example.com"})).as_str(), "me");
        assert_eq!(handle(json!({})).as_str(), "somebody");
    }

    #[test]
    fn a_header_must_name_rs256_and_a_key_and_no_critical_extension() {
        let encode = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
        for (header, refused) in [
            (r#"{"alg":"none","kid":"one"}"#, TokenError::Algorithm),
            (r#"{"alg":"HS256","kid":"one"}"#, TokenError::Algorithm),
            (r#"{"alg":"rs256","kid":"one"}"#, TokenError::Algorithm),
            (r#"{"alg":"RS256"}"#, TokenError::NotAToken),
            (r#"{"alg":"RS256","kid":1}"#, TokenError::NotAToken),
            (r#"{"alg":"RS256","kid":"one","crit":["exp"]}"#, TokenError::NotAToken),
            (r#"{"alg":"RS256","alg":"none","kid":"one"}"#, TokenError::NotAToken),
            (r#"{"kid":"one"}"#, TokenError::NotAToken),
            ("[]", TokenError::NotAToken),
            ("", TokenError::NotAToken),
        ] {
            let (_, rest) = TOKEN.split_once('.').unwrap();
            let refusal = Unverified::parse(&format!("{}.{rest}", encode(header))).err();
            assert_eq!(refusal, Some(refused), "{header}");
        }
        assert_eq!(Unverified::parse(&format!("{TOKEN}{}", "A".repeat(MAX))).err(), Some(TokenError::NotAToken));
    }

    proptest! {
        #[test]
        fn arbitrary_text_is_refused(text in "[A-Za-z0-9_.{}=-]{0,200}|\\PC{0,60}|(e30|[A-Za-z0-9]{0,9})(\\.e30){0,4}") {
            prop_assert!(bearer(&text, at(0)).is_err());
        }

        #[test]
        fn a_token_with_another_letter_is_refused(index in 0..TOKEN.len(), other in "[A-Za-z0-9_.-]") {
            let mut token = TOKEN.to_owned();
            token.replace_range(index..=index, &other);
            prop_assert_eq!(bearer(&token, at(0)).is_ok(), token == TOKEN);
        }
    }
}
