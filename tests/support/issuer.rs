//! A fake of an Amazon Cognito user pool, which needs an account and the internet. The part of the real contract that it covers
//! (from the documentation of tokens and of how to verify them): it publishes its keys at `/.well-known/jwks.json`
//! below its address, and signs access and id tokens with RS256 by one of them, whose `kid` the header names.
//!
//! A test can also make it sign with another key, publish something else, or be away. It has no users: a test decides what a
//! token claims.

use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use chrono::Utc;
use hmac::{Hmac, KeyInit, Mac};
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};
use sha2::Sha256;
use uuid::Uuid;

use super::cannot_run;
use super::fake::{self, Request};

/// The client for which it issues tokens.
pub(crate) const CLIENT: &str = "5example2of3the4tests";

/// A running fake.
pub(crate) struct Issuer {
    pub(crate) url: String,
    state: Arc<IssuerState>,
}

struct IssuerState {
    keys: Mutex<Vec<Pair>>,
    /// The end of a status line and a body, which replace its keys.
    replacement: Mutex<Option<(String, String)>>,
    away: Mutex<bool>,
    requests: Mutex<Vec<String>>,
}

/// A key and its name.
struct Pair {
    kid: String,
    key: RsaKeyPair,
}

impl Issuer {
    /// `None` without `openssl`.
    pub(crate) fn start() -> Option<Self> {
        let keys = Mutex::new(vec![Pair::make()?]);
        let replacement = Mutex::default();
        let state = Arc::new(IssuerState { keys, replacement, away: Mutex::new(false), requests: Mutex::default() });
        let address = fake::listen(&state, |stream, state| serve(&stream, state));
        let url = format!("http://{address}/local_pool");
        Some(Self { url, state })
    }

    /// The variables with which a backend accepts its tokens.
    pub(crate) fn variables(&self) -> [(&'static str, &str); 3] {
        [("AUTH_MODE", "cognito"), ("AUTH_ISSUER", &self.url), ("AWS_COGNITO_USER_POOL_CLIENT_ID", CLIENT)]
    }

    /// The claims of an access token for a user of this name.
    pub(crate) fn access(&self, name: &str) -> Value {
        let now = Utc::now().timestamp();
        json!({
            "sub": format!("{:x}", number_of(name)), "iss": self.url, "client_id": CLIENT, "token_use": "access", "scope": "openid",
            "username": name, "auth_time": now, "iat": now, "exp": now + 3_600, "jti": Uuid::now_v7(), "cognito:groups": ["cruddur"],
        })
    }

    /// The claims of an id token for the same user.
    pub(crate) fn id(&self, name: &str) -> Value {
        let now = Utc::now().timestamp();
        json!({
            "sub": format!("{:x}", number_of(name)), "iss": self.url, "aud": CLIENT, "token_use": "id", "cognito:username": name,
            "email": format!("{name}@canary.example"), "email_verified": true, "auth_time": now, "iat": now, "exp": now + 3_600,
        })
    }

    /// Signs the claims with its newest key.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        let keys = self.state.keys.lock().unwrap();
        let pair = keys.last().unwrap();
        pair.sign(&json!({"kid": pair.kid, "alg": "RS256"}), claims)
    }

    /// Signs the claims with a custom header.
    pub(crate) fn sign_with(&self, header: &Value, claims: &Value) -> String {
        self.state.keys.lock().unwrap().last().unwrap().sign(header, claims)
    }

    /// A forgery that any client can make: HS256, with the published public key as its secret.
    pub(crate) fn forge(&self, claims: &Value) -> String {
        let keys = self.state.keys.lock().unwrap();
        let pair = keys.last().unwrap();
        let signed = format!("{}.{}", part(&json!({"kid": pair.kid, "alg": "HS256"})), part(claims));
        let secret = pair.published()["n"].as_str().unwrap().to_owned();
        let mut mac = Hmac::<Sha256>::new_from_slice(&BASE64.decode(secret).unwrap()).unwrap();
        mac.update(signed.as_bytes());
        format!("{signed}.{}", BASE64.encode(mac.finalize().into_bytes()))
    }

    /// The name of its newest key.
    pub(crate) fn kid(&self) -> String {
        self.state.keys.lock().unwrap().last().unwrap().kid.clone()
    }

    /// Signs with a new key from now on. The previous key is still published.
    pub(crate) fn rotate(&self) {
        let pair = Pair::make().unwrap();
        self.state.keys.lock().unwrap().push(pair);
    }

    /// Sets a response instead of its keys: the end of the status line, with headers if needed, and a body.
    pub(crate) fn answers(&self, status: &str, body: impl Into<String>) {
        *self.state.replacement.lock().unwrap() = Some((status.to_owned(), body.into()));
    }

    /// Sets whether it closes every connection without a response.
    pub(crate) fn is_away(&self, away: bool) {
        *self.state.away.lock().unwrap() = away;
    }

    /// The heads of all requests so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.state.requests.lock().unwrap().clone()
    }
}

impl Pair {
    fn make() -> Option<Self> {
        let arguments = ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-outform", "DER"];
        let Ok(made) = Command::new("openssl").args(arguments).output() else {
            cannot_run("openssl", "openssl is not installed");
            return None;
        };
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        // As DER, some versions of OpenSSL write PKCS #1 and others PKCS #8.
        let key = RsaKeyPair::from_pkcs8(&made.stdout).or_else(|_| RsaKeyPair::from_der(&made.stdout)).unwrap();
        Some(Self { kid: Uuid::now_v7().to_string(), key })
    }

    fn published(&self) -> Value {
        let PublicKeyComponents { n, e } = PublicKeyComponents::<Vec<u8>>::from(self.key.public());
        json!({"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.kid, "n": BASE64.encode(n), "e": BASE64.encode(e)})
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let signed = format!("{}.{}", part(header), part(claims));
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
        format!("{signed}.{}", BASE64.encode(signature))
    }
}

/// A value as JSON in base64url.
pub(crate) fn part(value: &Value) -> String {
    BASE64.encode(value.to_string())
}

/// Returns the same number for the same name.
fn number_of(name: &str) -> u128 {
    let bytes = <sha2::Sha256 as sha2::Digest>::digest(name);
    u128::from_be_bytes(bytes[..16].try_into().unwrap())
}

fn serve(mut stream: &TcpStream, state: &IssuerState) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let request = Request::read(&mut reader)?;
        state.requests.lock().unwrap().push(request.lines.join("\n"));
        if *state.away.lock().unwrap() {
            return Ok(());
        }
        // A real user pool is some distance away.
        sleep(Duration::from_millis(50));
        let keys = || state.keys.lock().unwrap().iter().map(Pair::published).collect::<Vec<_>>();
        let (status, body) = match (request.lines[0].as_str(), state.replacement.lock().unwrap().clone()) {
            (_, Some(replacement)) => replacement,
            ("GET /local_pool/.well-known/jwks.json HTTP/1.1", None) => {
                ("200 OK".to_owned(), json!({ "keys": keys() }).to_string())
            }
            _ => ("404 Not Found".to_owned(), json!({"message": "no such pool"}).to_string()),
        };
        let length = body.len();
        let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n");
        stream.write_all(&[head.as_bytes(), body.as_bytes()].concat())?;
    }
}
