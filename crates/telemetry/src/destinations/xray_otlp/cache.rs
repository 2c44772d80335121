//! A cache of credentials, which are fetched when they are needed. Credentials that expire are fetched again five minutes
//! before that, those of a file after five minutes, and all except those of the environment after a refusal. If the source does
//! not respond, the cached credentials are used until they expire. Only one worker fetches at a time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use super::credentials::Credentials;
use super::fetch::fetch;
use super::source::Source;

/// Credentials are fetched again this long before they expire, and a file is read again after this time.
const EARLY: Duration = Duration::from_secs(5 * 60);
/// A source is queried at most once in this time, whatever expiry it reports.
const OFTEN: Duration = Duration::from_secs(10);

/// The credentials of one source.
pub(crate) struct CredentialsCache {
    source: Source,
    held: Mutex<Option<Held>>,
}

struct Held {
    credentials: Arc<Credentials>,
    /// When to query the source again; `None` if the credentials never change.
    fetch_again: Option<SystemTime>,
}

impl CredentialsCache {
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
        if let Some(held) = held.as_ref().filter(|held| held.fetch_again.is_none_or(|time| now < time)) {
            return Ok(Arc::clone(&held.credentials));
        }
        match fetch(&self.source) {
            Ok(credentials) => {
                let new = held.insert(Held::new(credentials, &self.source, now));
                Ok(Arc::clone(&new.credentials))
            }
            Err(why) => {
                let old = held.as_mut().filter(|held| held.credentials.expires.is_none_or(|end| now < end));
                let old = old.ok_or_else(|| format!("{}: {why}", self.source))?;
                // A source that does not respond fails only after its whole time limit, and every export would wait for that.
                old.fetch_again = Some(now + OFTEN);
                Ok(Arc::clone(&old.credentials))
            }
        }
    }

    /// Forgets refused credentials, so that the source is queried before the next request.
    pub(crate) fn forget(&self) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(self.source, Source::Environment(_)) {
            *held = None;
        }
    }
}

impl Held {
    fn new(credentials: Credentials, source: &Source, now: SystemTime) -> Self {
        let fetch_again = match (source, credentials.expires) {
            (Source::Environment(_), _) => None,
            (_, Some(end)) => Some(end.checked_sub(EARLY).unwrap_or(now).max(now + OFTEN)),
            (_, None) => Some(now + EARLY),
        };
        Self { credentials: Arc::new(credentials), fetch_again }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use secrecy::ExposeSecret;

    use super::super::profile::Profiles;
    use super::*;
    use crate::testing::endpoint;

    fn id(credentials: &Credentials) -> &str {
        credentials.id.expose_secret()
    }

    #[test]
    fn credentials_are_fetched_again_before_they_expire() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_440_938_160);
        let requests = std::sync::atomic::AtomicUsize::new(0);
        let url = endpoint(move |_| {
            let end = match requests.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
                0 => "12:46:00",
                1 => "12:56:00",
                _ => return ("500 Internal Server Error", String::new()),
            };
            let body = format!(r#"{{"AccessKeyId":"A{end}","SecretAccessKey":"s","Expiration":"2015-08-30T{end}Z"}}"#);
            ("200 OK", body)
        });
        let cache = CredentialsCache::new(Source::Container(url, None));
        let at = |minutes: u64| cache.at(now + Duration::from_secs(minutes * 60)).map(|found| id(&found).to_owned());
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
        let cache = CredentialsCache::new(Source::Profile(profiles.clone(), profiles.read().keys.unwrap()));
        let now = SystemTime::now();
        let at = |after: Duration| cache.at(now + after).map(|found| id(&found).to_owned());
        write("A2");
        assert_eq!(at(Duration::ZERO).as_deref(), Ok("A1"));
        assert_eq!(at(EARLY * 2).as_deref(), Ok("A2"));
        write("A3");
        cache.forget();
        assert_eq!(at(Duration::ZERO).as_deref(), Ok("A3"));
        fs::remove_file(&path).unwrap();
        assert_eq!(at(EARLY).as_deref(), Ok("A3"), "cached credentials are used if the source has none");
        cache.forget();
        assert!(at(Duration::ZERO).unwrap_err().contains("no such file"));
    }
}
