//! Signs one request with AWS' [Signature Version 4](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html). The
//! signature covers the method, path, host, headers and body, for one region and service at one time. Sends nothing.

use std::time::SystemTime;

use aws_sigv4::http_request::{self, SignableBody, SignableRequest, SigningSettings};
use aws_sigv4::sign::v4::SigningParams;
use secrecy::{ExposeSecret, SecretString};
use tracing::subscriber::{NoSubscriber, with_default};
use ureq::http::{HeaderName, HeaderValue};

use super::credentials::Credentials;
use crate::destinations::otlp::exporter::{Signature, Unsigned};

/// The region, service and time for which a signature is valid.
pub(super) struct SigningScope<'a> {
    pub(super) region: &'a str,
    pub(super) service: &'a str,
    /// The signature is valid for five minutes before and after this.
    pub(super) time: SystemTime,
}

/// The headers that sign `request`, and the secrets in them that must not be repeated.
///
/// # Errors
/// The request's address or its headers cannot be sent.
pub(super) fn sign(
    credentials: &Credentials,
    scope: &SigningScope<'_>,
    request: &Unsigned<'_>,
) -> Result<Signature, String> {
    let Credentials { id, secret, token, .. } = credentials;
    let exposed = token.as_ref().map(|token| token.expose_secret().to_owned());
    let keys =
        aws_credential_types::Credentials::new(id.expose_secret(), secret.expose_secret(), exposed, None, "cruddur");
    let identity = keys.into();
    let params = SigningParams::builder()
        .identity(&identity)
        .region(scope.region)
        .name(scope.service)
        .time(scope.time)
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| error.to_string())?
        .into();
    let headers = request.headers.iter().copied();
    let request = SignableRequest::new(request.method, request.url, headers, SignableBody::Bytes(request.body))
        .map_err(|error| error.to_string())?;
    // The signing crate emits trace events that contain its input, including whole key ids.
    let signed = with_default(NoSubscriber::default(), || http_request::sign(request, &params));
    let signed = signed.map_err(|error| error.to_string())?;
    let (instructions, _) = signed.into_parts();
    let mut signature = Signature { headers: Vec::new(), secrets: vec![id.clone(), secret.clone()] };
    signature.secrets.extend(token.clone());
    for (name, value) in instructions.headers() {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| error.to_string())?;
        if name == "authorization" {
            // The remaining parts of the header are not secret, and AWS's error messages may quote them.
            let own = value.rsplit_once("Signature=").map_or(value, |(_, own)| own);
            signature.secrets.push(SecretString::from(own));
        }
        let mut value = HeaderValue::from_str(value).map_err(|error| error.to_string())?;
        value.set_sensitive(name != "x-amz-date");
        signature.headers.push((name, value));
    }
    Ok(signature)
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::process::Command;
    use std::time::Duration;

    use serde_json::Value;

    use super::*;

    /// 2015-08-30T12:36:00Z, the time of AWS' test vectors.
    const TIME: Duration = Duration::from_secs(1_440_938_160);

    /// The folder of AWS' published test vectors, which are part of the signing crate.
    fn vectors() -> PathBuf {
        let metadata = Command::new(env!("CARGO"))
            .args(["metadata", "--format-version", "1", "--locked", "--all-features", "--manifest-path"])
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
            .output()
            .unwrap();
        let metadata: Value = serde_json::from_slice(&metadata.stdout)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&metadata.stderr)));
        let package = metadata["packages"].as_array().unwrap().iter().find(|package| package["name"] == "aws-sigv4");
        let manifest = package.unwrap()["manifest_path"].as_str().unwrap();
        Path::new(manifest).with_file_name("aws-signing-test-suite").join("v4")
    }

    fn credentials(token: Option<&str>) -> Credentials {
        let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
        Credentials::new("AKIDEXAMPLE", secret.into(), token.map(Into::into)).unwrap()
    }

    fn scope() -> SigningScope<'static> {
        SigningScope { region: "us-east-1", service: "service", time: SystemTime::UNIX_EPOCH + TIME }
    }

    fn authorization(token: Option<&str>, request: &Unsigned<'_>) -> String {
        let signature = sign(&credentials(token), &scope(), request).unwrap();
        let of = |name| signature.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.to_str().unwrap());
        assert_eq!(of("x-amz-date"), Some("20150830T123600Z"));
        assert_eq!(of("x-amz-security-token"), token);
        of("authorization").unwrap().to_owned()
    }

    /// Our signature of a test vector's request, and the one that AWS has published. `None` if the vector uses a mode that
    /// X-Ray never needs.
    fn vector(folder: &Path) -> Option<(String, String)> {
        let text = |file| std::fs::read_to_string(folder.join(file)).ok();
        let context: Value = serde_json::from_str(&text("context.json")?).unwrap();
        let normalized = context["normalize"] == true;
        let is_ours = normalized && context["omit_session_token"] != true;
        if !is_ours {
            return None;
        }
        let (request, signed) = (text("request.txt")?, text("header-signed-request.txt")?);
        if signed.lines().next()?.split(' ').count() != 3 || !signed.lines().next()?.is_ascii() {
            // The path must be escaped to be valid in a URL, but is signed as if it were escaped once.
            return None;
        }
        let (head, body) = request.split_once("\n\n").unwrap_or((request.trim_end(), ""));
        // A value on several lines, which HTTP once allowed, means the same as one with spaces.
        let head = head.replace("\n ", " ");
        let mut lines = head.lines();
        let line = lines.next()?;
        let (method, target) = line.strip_suffix(" HTTP/1.1")?.split_once(' ')?;
        let mut headers: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(':')).collect();
        let host = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("host"))?.1.trim();
        let url = format!("https://{host}{target}");
        headers.retain(|(name, _)| !name.eq_ignore_ascii_case("host"));
        // Requests to X-Ray have no separate header for the body's hash. If a vector signs such a header, expect it.
        let hash = signed.lines().find_map(|line| line.strip_prefix("x-amz-content-sha256:"));
        headers.extend(hash.map(|hash| ("x-amz-content-sha256", hash)));
        let request = Unsigned { method, url: &url, headers: &headers, body: body.as_bytes() };
        let ours = authorization(context["credentials"]["token"].as_str(), &request);
        let theirs = signed.lines().find_map(|line| line.strip_prefix("Authorization:"))?;
        Some((ours, theirs.to_owned()))
    }

    #[test]
    fn awss_published_vectors_are_signed_as_aws_does() {
        let vectors = vectors();
        let mut signed = Vec::new();
        for folder in std::fs::read_dir(&vectors).unwrap().map(|entry| entry.unwrap().path()) {
            let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
            if let Some((ours, theirs)) = vector(&folder) {
                assert_eq!(ours, theirs, "{name}");
                signed.push(name);
            }
        }
        assert!(signed.len() >= 20, "{signed:?}");
        for name in [
            "get-vanilla",
            "get-vanilla-query-order-key-case",
            "get-vanilla-with-session-token",
            "post-vanilla",
            "post-header-key-sort",
            "post-sts-header-before",
            "post-x-www-form-urlencoded",
            "post-x-www-form-urlencoded-parameters",
        ] {
            assert!(signed.iter().any(|signed| signed == name), "{name} is not among {signed:?}");
        }
    }

    /// From the first edition of the test suite, in which no header contains the body's hash.
    #[test]
    fn a_body_is_signed_without_a_header_for_its_hash() {
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let url = "https://example.amazonaws.com/";
        let request = Unsigned { method: "POST", url, headers: &headers, body: b"Param1=value1" };
        let expected = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
            SignedHeaders=content-type;host;x-amz-date, \
            Signature=ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a";
        assert_eq!(authorization(None, &request), expected);
    }

    #[test]
    fn every_secret_of_a_signature_is_marked() {
        let request = Unsigned { method: "POST", url: "https://example.org/", headers: &[], body: b"" };
        let signature = sign(&credentials(Some("t0ken")), &scope(), &request).unwrap();
        let shown = format!("{:?}", signature.headers);
        let secrets: Vec<&str> = signature.secrets.iter().map(ExposeSecret::expose_secret).collect();
        for secret in ["AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "t0ken"] {
            assert!(secrets.contains(&secret) && !shown.contains(secret), "{secret} in {shown}");
        }
    }
}
