//! Fetches credentials from their source, within the time limit of the [metadata client](MetadataClient).

use std::fs;
use std::time::SystemTime;

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value as Json;
use ureq::http::Request;

use super::credentials::Credentials;
use super::source::{Source, Token};
use crate::address::Url;
use crate::detectors::metadata::{MetadataClient, text};

/// Fetches credentials that are valid now.
///
/// # Errors
/// Why the source provides none. No error contains a part of a response, except an error's name and message.
pub(super) fn fetch(source: &Source) -> Result<Credentials, String> {
    match source {
        Source::Environment(credentials) => Ok(credentials.clone()),
        Source::Profile(profiles, _) => {
            let profile = profiles.read();
            profile.keys.ok_or_else(|| profile.without.join(", "))
        }
        Source::Container(url, token) => {
            let token = match token {
                None => None,
                Some(Token::Text(token)) => Some(token.clone()),
                Some(Token::File(path)) => {
                    let token = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
                    Some(SecretString::from(token.trim()))
                }
            };
            container(url, token.as_ref())
        }
        Source::Instance(url) => instance(url),
    }
}

/// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html>
fn container(url: &Url, token: Option<&SecretString>) -> Result<Credentials, String> {
    let mut request = Request::get(url.as_str());
    if let Some(token) = token {
        request = request.header("authorization", token.expose_secret());
    }
    let response = MetadataClient::new().request(request)?;
    credentials(&serde_json::from_slice(&response).map_err(|_| "the response is not JSON".to_owned())?)
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html>
fn instance(url: &Url) -> Result<Credentials, String> {
    const ROLES: &str = "/latest/meta-data/iam/security-credentials/";
    let client = MetadataClient::new();
    let token = client.token(url)?;
    let request = Request::get(url.join(ROLES).as_str()).header("x-aws-ec2-metadata-token", token.trim());
    let roles = client.request(request).map_err(|why| format!("{why}; does the instance have a role?"))?;
    let roles = String::from_utf8_lossy(&roles);
    let role = roles.lines().next().map(str::trim).filter(|role| !role.is_empty()).ok_or("the instance has no role")?;
    credentials(&client.json(url, &format!("{ROLES}{role}"), Some(&token))?)
}

/// Reads credentials from a JSON response; both services use the same format.
fn credentials(response: &Json) -> Result<Credentials, String> {
    let token = Some(text(response, "Token")).filter(|token| !token.is_empty());
    let keys = Credentials::new(
        &text(response, "AccessKeyId"),
        text(response, "SecretAccessKey").into(),
        token.map(SecretString::from),
    );
    let keys = keys.map_err(|_| {
        let message = [text(response, "Code"), text(response, "message"), text(response, "Message")].concat();
        let message: String = message.chars().filter(|c| !c.is_control()).take(100).collect();
        if message.is_empty() {
            "the response has no credentials".to_owned()
        } else {
            format!("the response is {message:?}")
        }
    })?;
    Ok(Credentials { expires: time(&text(response, "Expiration")), ..keys })
}

/// Parses `2026-11-22T19:10:20Z`, with or without a fraction; `None` for any other text.
fn time(text: &str) -> Option<SystemTime> {
    DateTime::from_str(text, Format::DateTime).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing::endpoint;

    fn id(credentials: &Credentials) -> &str {
        credentials.id.expose_secret()
    }

    #[test]
    fn a_containers_endpoint_receives_its_token() {
        let url = endpoint(|head| {
            if !head.starts_with("get /v4/id ") || !head.lines().any(|line| line == "authorization: t0ken") {
                return ("401 Unauthorized", String::new());
            }
            let body =
                r#"{"AccessKeyId":"ASIAC","SecretAccessKey":"s","Token":"t","Expiration":"2015-08-30T12:36:00Z"}"#;
            ("200 OK", body.to_owned())
        });
        let token = SecretString::from("t0ken");
        let found = container(&url, Some(&token)).unwrap();
        assert_eq!((id(&found), found.token.as_ref().map(ExposeSecret::expose_secret)), ("ASIAC", Some("t")));
        assert_eq!(found.expires, Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_440_938_160)));
        assert!(container(&url, None).unwrap_err().contains("401"));
    }

    #[test]
    fn an_instance_has_the_credentials_of_its_role() {
        let url = endpoint(|head| {
            let has_token = head.lines().any(|line| line == "x-aws-ec2-metadata-token: t0ken");
            let (role, place) = ("cruddur-role", "get /v4/id/latest/meta-data/iam/security-credentials/");
            if head.starts_with("put /v4/id/latest/api/token ") {
                ("200 OK", "t0ken".to_owned())
            } else if has_token && head.starts_with(&format!("{place}{role} ")) {
                ("200 OK", r#"{"Code":"Success","AccessKeyId":"ASIAI","SecretAccessKey":"s","Token":"t"}"#.to_owned())
            } else if has_token && head.starts_with(&format!("{place} ")) {
                ("200 OK", format!("{role}\nanother"))
            } else {
                ("401 Unauthorized", String::new())
            }
        });
        assert_eq!(id(&instance(&url).unwrap()), "ASIAI");
    }

    #[test]
    fn an_invalid_credentials_response_leaks_no_secret() {
        for (response, expected) in [
            (r#"{"Code":"AssumeRoleUnauthorizedAccess","Message":"no trust"}"#, "AssumeRoleUnauthorizedAccess"),
            (r#"{"AccessKeyId":"canary"}"#, "the response has no credentials"),
            (r#"["canary"]"#, "the response has no credentials"),
            ("canary", "is not JSON"),
        ] {
            let url = endpoint(|_| ("200 OK", response.to_owned()));
            let why = fetch(&Source::Container(url, None)).unwrap_err();
            assert!(why.contains(expected) && !why.contains("canary") && !why.contains("127.0.0.1"), "{why}");
        }
    }

    #[test]
    fn an_expiry_must_be_a_valid_time() {
        let since = |text| time(text).map(|time| time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs());
        assert_eq!(since("2024-02-29T23:59:59Z"), Some(1_709_251_199));
        assert_eq!(since("2024-03-01T00:00:00.123Z"), Some(1_709_251_200));
        for wrong in ["2024-13-01T00:00:00Z", "2024-01-01", "2024-01-01T00:00:00", "", "soon"] {
            assert_eq!(since(wrong), None, "{wrong}");
        }
    }
}
