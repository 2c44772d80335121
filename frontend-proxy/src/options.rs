//! The settings of the relay for the page's spans, and of the access log. Opens nothing.
//! `docs/src/configuration.md` describes each variable; a test in `cruddur` compares that page with the code.

use secrecy::SecretString;
use settings::Settings;

/// The least number of characters of a key.
const KEY: usize = 32;
/// Most services, and most bytes of a name.
const SERVICES: usize = 16;
const NAME: usize = 200;

/// How the proxy treats pages, and whether it logs requests.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// The services whose spans are relayed; if empty, none are.
    pub(crate) relay_services: Vec<String>,
    /// The key that signs tokens.
    pub(crate) relay_key: Option<SecretString>,
    /// Whether each request is logged.
    pub(crate) access_log: bool,
}

impl Options {
    /// Reads the options from `settings`, which records the faults.
    pub(crate) fn read(settings: &mut Settings) -> Self {
        let relay_key = settings.text("CRUDDUR_RELAY_KEY");
        if relay_key.as_ref().is_some_and(|key| key.len() < KEY) {
            settings.fault("CRUDDUR_RELAY_KEY", format!("is too short; give at least {KEY} random characters"));
        }
        let access_log = settings.choose_or("CRUDDUR_ACCESS_LOG", &[("on", true), ("off", false)], false);
        Self { relay_services: services(settings), relay_key: relay_key.map(SecretString::from), access_log }
    }
}

fn services(settings: &mut Settings) -> Vec<String> {
    const VARIABLE: &str = "CRUDDUR_RELAY_SERVICES";
    let text = settings.text_or(VARIABLE, "cruddur-page");
    if text == "none" {
        return Vec::new();
    }
    let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
    if names.len() > SERVICES || names.iter().any(|name| name.is_empty() || name.len() > NAME) {
        settings.fault(
            VARIABLE,
            format!("is not a valid list; give at most {SERVICES} names separated by commas, or none"),
        );
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_is_reported_and_no_key_is_quoted() {
        let variables =
            [("CRUDDUR_RELAY_KEY", "canary"), ("CRUDDUR_ACCESS_LOG", "yes"), ("CRUDDUR_RELAY_SERVICES", "a,,b")];
        let mut settings = Settings::from_pairs(&variables);
        let options = Options::read(&mut settings);
        let faults = settings.finish(options).unwrap_err().to_string();
        assert_eq!(faults.lines().count(), 3, "{faults}");
        assert!(!faults.contains("canary"), "{faults}");
    }

    #[test]
    fn only_the_page_is_relayed_by_default() {
        let services =
            |text| Options::read(&mut Settings::from_pairs(&[("CRUDDUR_RELAY_SERVICES", text)])).relay_services;
        assert_eq!(
            (services(""), services("a, b")),
            (vec!["cruddur-page".to_owned()], vec!["a".to_owned(), "b".to_owned()])
        );
        assert_eq!(services("none"), Vec::<String>::new());
    }
}
