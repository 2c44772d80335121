//! Credentials, fetched when they are needed. Credentials that expire are fetched again five minutes before they do, those of a
//! file after five minutes, and all except those of the environment after a refusal. If the source does not respond, the held
//! credentials are used until they expire. Only one worker queries the source at a time, and each query has the time limit of a
//! [detector](crate::detectors).

use std::fs;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value as Json;
use ureq::http::Request;

use super::source::{Credentials, Source, Token};
use crate::address::Url;
use crate::detectors::platforms::{Asker, text};

/// How long before they expire credentials are fetched again, and how long after a file was read.
const EARLY: Duration = Duration::from_secs(5 * 60);
/// A source is queried no more often than this, whatever expiry it reports.
const OFTEN: Duration = Duration::from_secs(10);

/// The credentials of one source.
pub(crate) struct Wallet {
    source: Source,
    held: Mutex<Option<Held>>,
}

struct Held {
    credentials: Arc<Credentials>,
    /// When the source is queried again; `None` if the credentials never change.
    ask_again: Option<SystemTime>,
}

impl Wallet {
    pub(crate) fn new(source: Source) -> Self {
        let known = match &source {
            Source::Environment(credentials) | Source::Profile(_, credentials) => Some(credentials.clone()),
            Source::Container(..) | Source::Instance(_) => None,
        };
        let held = known.map(|credentials| Held::new(credentials, &source, SystemTime::now()));
        Self { source, held: Mutex::new(held) }
    }

    /// Returns credentials that are valid now.
    ///
    /// # Errors
    /// Why there are none.
    pub(crate) fn get(&self) -> Result<Arc<Credentials>, String> {
        self.at(SystemTime::now())
    }

    fn at(&self, now: SystemTime) -> Result<Arc<Credentials>, String> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = held.as_ref().filter(|held| held.ask_again.is_none_or(|time| now < time)) {
            return Ok(Arc::clone(&held.credentials));
        }
        match ask(&self.source) {
            Ok(credentials) => {
                let new = held.insert(Held::new(credentials, &self.source, now));
                Ok(Arc::clone(&new.credentials))
            }
            Err(why) => {
                let old = held.as_mut().filter(|held| held.credentials.expires.is_none_or(|end| now < end));
                let old = old.ok_or_else(|| format!("{}: {why}", self.source))?;
                // A source that does not respond takes its whole time limit to fail, and every export would wait for that.
                old.ask_again = Some(now + OFTEN);
                Ok(Arc::clone(&old.credentials))
            }
        }
    }

    /// Forgets refused credentials: the source is queried before the next request.
    pub(crate) fn forget(&self) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(self.source, Source::Environment(_)) {
            *held = None;
        }
    }
}

impl Held {
    fn new(credentials: Credentials, source: &Source, now: SystemTime) -> Self {
        let ask_again = match (source, credentials.expires) {
            (Source::Environment(_), _) => None,
            (_, Some(end)) => Some(end.checked_sub(EARLY).unwrap_or(now).max(now + OFTEN)),
            (_, None) => Some(now + EARLY),
        };
        Self { credentials: Arc::new(credentials), ask_again }
    }
}

fn ask(source: &Source) -> Result<Credentials, String> {
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
    let answer = Asker::new().ask(request)?;
    credentials(&serde_json::from_slice(&answer).map_err(|_| "what was answered is not JSON".to_owned())?)
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html>
fn instance(url: &Url) -> Result<Credentials, String> {
    const ROLES: &str = "/latest/meta-data/iam/security-credentials/";
    let asker = Asker::new();
    let token = asker.token(url)?;
    let request = Request::get(url.join(ROLES).as_str()).header("x-aws-ec2-metadata-token", token.trim());
    let roles = asker.ask(request).map_err(|why| format!("{why}; has the instance a role?"))?;
    let roles = String::from_utf8_lossy(&roles);
    let role = roles.lines().next().map(str::trim).filter(|role| !role.is_empty()).ok_or("the instance has no role")?;
    credentials(&asker.json(url, &format!("{ROLES}{role}"), Some(&token))?)
}

/// Reads credentials from the JSON of a response, whose format both services share.
fn credentials(answer: &Json) -> Result<Credentials, String> {
    let token = Some(text(answer, "Token")).filter(|token| !token.is_empty());
    let keys = Credentials::new(
        &text(answer, "AccessKeyId"),
        text(answer, "SecretAccessKey").into(),
        token.map(SecretString::from),
    );
    let keys = keys.map_err(|_| {
        let message = [text(answer, "Code"), text(answer, "message"), text(answer, "Message")].concat();
        let message: String = message.chars().filter(|c| !c.is_control()).take(100).collect();
        if message.is_empty() { "no credentials were answered".to_owned() } else { format!("it answered {message:?}") }
    })?;
    Ok(Credentials { expires: time(&text(answer, "Expiration")), ..keys })
}

/// Parses `2026-11-22T19:10:20Z`, with or without a fraction; `None` for any other text.
fn time(text: &str) -> Option<SystemTime> {
    let (date, clock) = text.strip_suffix('Z')?.split_once('T')?;
    let clock = clock.split_once('.').map_or(clock, |(clock, _)| clock);
    let mut parts = date.split('-').chain(clock.split(':')).map(|part| part.parse::<u64>().ok());
    let mut next = |range: std::ops::RangeInclusive<u64>| parts.next()?.filter(|part| range.contains(part));
    let (year, month, day) = (next(1970..=9999)?, next(1..=12)?, next(1..=31)?);
    let (hour, minute, second) = (next(0..=23)?, next(0..=59)?, next(0..=60)?);
    // Years are counted from March, so that a leap day is a year's last: http://howardhinnant.github.io/date_algorithms.html
    let year = if month <= 2 { year - 1 } else { year };
    let days = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = year * 365 + year / 4 - year / 100 + year / 400 + days;
    let seconds = days.checked_sub(719_468)? * 86_400 + hour * 3_600 + minute * 60 + second;
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::profile::Profiles;
    use super::*;
    use crate::testing::endpoint;

    fn id(credentials: &Credentials) -> &str {
        credentials.id.expose_secret()
    }

    #[test]
    fn a_container_is_asked_with_its_token() {
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
    fn an_instance_is_asked_for_its_roles_credentials() {
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
    fn what_is_no_credentials_is_told_without_its_content() {
        for (answer, expected) in [
            (r#"{"Code":"AssumeRoleUnauthorizedAccess","Message":"no trust"}"#, "AssumeRoleUnauthorizedAccess"),
            (r#"{"AccessKeyId":"canary"}"#, "no credentials were answered"),
            (r#"["canary"]"#, "no credentials were answered"),
            ("canary", "is not JSON"),
        ] {
            let url = endpoint(|_| ("200 OK", answer.to_owned()));
            let why = Wallet::new(Source::Container(url, None)).get().unwrap_err();
            assert!(why.contains(expected) && !why.contains("canary") && !why.contains("127.0.0.1"), "{why}");
        }
    }

    #[test]
    fn credentials_are_asked_for_again_before_their_end() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_440_938_160);
        let asked = std::sync::atomic::AtomicUsize::new(0);
        let url = endpoint(move |_| {
            let end = match asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
                0 => "12:46:00",
                1 => "12:56:00",
                _ => return ("500 Internal Server Error", String::new()),
            };
            let body = format!(r#"{{"AccessKeyId":"A{end}","SecretAccessKey":"s","Expiration":"2015-08-30T{end}Z"}}"#);
            ("200 OK", body)
        });
        let wallet = Wallet::new(Source::Container(url, None));
        let at = |minutes: u64| wallet.at(now + Duration::from_secs(minutes * 60)).map(|found| id(&found).to_owned());
        assert_eq!(at(0).as_deref(), Ok("A12:46:00"));
        assert_eq!(at(4).as_deref(), Ok("A12:46:00"));
        assert_eq!(at(5).as_deref(), Ok("A12:56:00"), "five minutes before the end of the first");
        // The source fails from now on.
        assert_eq!(at(19).as_deref(), Ok("A12:56:00"));
        let why = at(20).unwrap_err();
        assert!(why.starts_with("the container's endpoint: ") && why.contains("500"), "{why}");
    }

    #[test]
    fn a_profile_is_read_again_after_five_minutes_and_after_a_refusal() {
        let path = std::env::temp_dir().join(format!("cruddur-profile-{}", rand::random::<u64>()));
        let write = |id: &str| {
            fs::write(&path, format!("[default]\naws_access_key_id={id}\naws_secret_access_key=s\n")).unwrap();
        };
        let profiles = Profiles { name: "default".to_owned(), credentials: Some(path.clone()), config: None };
        write("A1");
        let wallet = Wallet::new(Source::Profile(profiles.clone(), profiles.read().keys.unwrap()));
        let now = SystemTime::now();
        let at = |after: Duration| wallet.at(now + after).map(|found| id(&found).to_owned());
        write("A2");
        assert_eq!(at(Duration::ZERO).as_deref(), Ok("A1"));
        assert_eq!(at(EARLY * 2).as_deref(), Ok("A2"));
        write("A3");
        wallet.forget();
        assert_eq!(at(Duration::ZERO).as_deref(), Ok("A3"));
        fs::remove_file(&path).unwrap();
        assert_eq!(at(EARLY).as_deref(), Ok("A3"), "what is held is good where nothing better is found");
        wallet.forget();
        assert!(at(Duration::ZERO).unwrap_err().contains("no such file"));
    }

    proptest! {
        #[test]
        fn any_text_is_a_time_or_none(text in "[0-9TZ:.+-]{0,30}|[ -~]{0,30}") {
            let _ = time(&text);
        }

        #[test]
        fn a_day_follows_the_day_before(year in 1970u64..2400, month in 1u64..=12, day in 1u64..28, hour in 0u64..24) {
            let of = |day| time(&format!("{year}-{month:02}-{day:02}T{hour:02}:00:00.5Z")).unwrap();
            prop_assert_eq!(of(day + 1).duration_since(of(day)).unwrap(), Duration::from_secs(86_400));
        }
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        let since = |text| time(text).map(|time| time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs());
        assert_eq!(since("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(since("2024-02-29T23:59:59Z"), Some(1_709_251_199));
        assert_eq!(since("2024-03-01T00:00:00.123Z"), Some(1_709_251_200));
        assert_eq!(since("2100-03-01T00:00:00Z"), Some(4_107_542_400));
        for wrong in [
            "2024-13-01T00:00:00Z",
            "2024-01-01T24:00:00Z",
            "2024-01-01",
            "2024-01-01T00:00:00",
            "1969-12-31T00:00:00Z",
        ] {
            assert_eq!(since(wrong), None, "{wrong}");
        }
    }
}
