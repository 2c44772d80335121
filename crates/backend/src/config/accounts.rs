//! Which accounts are accepted: Cruddur's own, or those of an issuer of tokens. Opens nothing.

use std::str::FromStr;

use settings::Settings;
use telemetry::Url;

/// Which accounts are accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accounts {
    /// Cruddur's own: users sign up here, and have sessions.
    Own,
    /// An issuer's: users present one of its tokens.
    Issued(Issuer),
}

/// Whose tokens are valid: those of an Amazon Cognito user pool, or of another issuer that makes them in the same way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    address: Address,
    client: String,
}

/// An issuer by its address, exactly as in `iss`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Address(String);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Local,
    Cognito,
}

/// A user pool's id, such as `us-east-1_AbCdEf123`.
struct Pool(String);

/// A region, such as `us-east-1`.
struct Region(String);

impl Accounts {
    /// Reads every variable in every mode, so that an invalid one is reported before it matters.
    pub(super) fn read(settings: &mut Settings) -> Self {
        let mode = Mode::read(settings);
        let client = settings.text("AWS_COGNITO_USER_POOL_CLIENT_ID");
        let pool = settings.text("AWS_COGNITO_USER_POOL_ID");
        let own_address = settings.text("AUTH_ISSUER").is_some();
        let expected = "the tokens' iss, an https address (or http on this machine) without a user or query";
        let address = match settings.parse("AUTH_ISSUER", expected) {
            None if mode == Mode::Cognito && !own_address => pool_address(settings, pool),
            address => address,
        };
        if mode == Mode::Cognito && client.is_none() {
            let fix = "is not set, and AUTH_MODE is cognito; give the id of the app client for which tokens are issued";
            settings.fault("AWS_COGNITO_USER_POOL_CLIENT_ID", fix);
        }
        match (mode, address, client) {
            (Mode::Cognito, Some(address), Some(client)) => Self::Issued(Issuer { address, client }),
            _ => Self::Own,
        }
    }
}

/// Whether an issuer has the accounts, even if one of its settings is missing.
pub(super) fn are_issued(settings: &mut Settings) -> bool {
    Mode::read(settings) == Mode::Cognito
}

impl Mode {
    fn read(settings: &mut Settings) -> Self {
        settings.choose_or("AUTH_MODE", &[("local", Self::Local), ("cognito", Self::Cognito)], Self::Local)
    }
}

/// A pool's id begins with its region; an emulator's pool id may not.
fn pool_address(settings: &mut Settings, pool: Option<String>) -> Option<Address> {
    let fix = "give the user pool's id, such as us-east-1_AbCdEf123, or another issuer in AUTH_ISSUER";
    let Some(pool) = pool else {
        settings.fault("AWS_COGNITO_USER_POOL_ID", format!("is not set, and AUTH_MODE is cognito; {fix}"));
        return None;
    };
    let Some(Pool(pool)) = Pool::parse(pool) else {
        settings.fault("AWS_COGNITO_USER_POOL_ID", format!("is not a user pool's id; {fix}"));
        return None;
    };
    let expected = "a region such as us-east-1";
    let own = pool.split_once('_').and_then(|(region, _)| region.parse().ok());
    let region = own
        .or_else(|| settings.parse("AWS_REGION", expected))
        .or_else(|| settings.parse("AWS_DEFAULT_REGION", expected));
    let Some(Region(region)) = region else {
        settings.fault("AWS_COGNITO_USER_POOL_ID", "does not begin with a region; set AWS_REGION to the pool's region");
        return None;
    };
    Some(Address(format!("https://cognito-idp.{region}.amazonaws.com/{pool}")))
}

impl Issuer {
    /// The issuer's name, as in the tokens' `iss`.
    pub fn name(&self) -> &str {
        &self.address.0
    }

    /// The address of the issuer's keys.
    pub fn keys(&self) -> String {
        format!("{}/.well-known/jwks.json", self.address.0.trim_end_matches('/'))
    }

    /// The client for which the tokens must be issued.
    pub fn client(&self) -> &str {
        &self.client
    }
}

/// Why a text is not a region.
#[derive(Debug, thiserror::Error)]
#[error("it is not a region's name")]
struct NotARegion;

/// Why a text is not an issuer's address.
#[derive(Debug, thiserror::Error)]
enum NotAnIssuer {
    #[error("it does not begin with https://, or http:// on this machine")]
    Scheme,
    #[error("it has a user, a query or a fragment")]
    TooMuch,
    #[error(transparent)]
    Address(#[from] telemetry::NotAnAddress),
}

impl FromStr for Address {
    type Err = NotAnIssuer;

    fn from_str(text: &str) -> Result<Self, NotAnIssuer> {
        if text.contains(['@', '?', '#']) {
            return Err(NotAnIssuer::TooMuch);
        }
        let has_scheme = text.starts_with("https://") || text.starts_with("http://");
        let url: Url = text.parse()?;
        if has_scheme && (url.is_encrypted() || url.is_loopback()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotAnIssuer::Scheme)
        }
    }
}

impl Pool {
    /// Allows only plain characters, because the id becomes part of an address.
    fn parse(text: String) -> Option<Self> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        (text.contains('_') && text.chars().all(plain)).then_some(Self(text))
    }
}

impl FromStr for Region {
    type Err = NotARegion;

    fn from_str(text: &str) -> Result<Self, NotARegion> {
        let mut labels: Vec<&str> = text.split('-').collect();
        let number = labels.pop().unwrap_or_default();
        let letters = |label: &&str| !label.is_empty() && label.chars().all(|c| c.is_ascii_lowercase());
        let is_region = labels.len() >= 2 && labels.iter().all(letters) && number.parse::<u8>().is_ok();
        if is_region { Ok(Self(text.to_owned())) } else { Err(NotARegion) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODE: (&str, &str) = ("AUTH_MODE", "cognito");
    const CLIENT: (&str, &str) = ("AWS_COGNITO_USER_POOL_CLIENT_ID", "a-client");

    fn read(pairs: &[(&str, &str)]) -> Result<Accounts, String> {
        let mut settings = Settings::from_pairs(pairs);
        let accounts = Accounts::read(&mut settings);
        settings.finish(accounts).map_err(|faults| faults.to_string())
    }

    fn issuer(pairs: &[(&str, &str)]) -> String {
        match read(&[&[MODE, CLIENT], pairs].concat()).unwrap() {
            Accounts::Issued(issuer) => issuer.name().to_owned(),
            Accounts::Own => panic!("the accounts are our own"),
        }
    }

    #[test]
    fn a_pool_is_an_issuer_in_its_region() {
        let pool = ("AWS_COGNITO_USER_POOL_ID", "us-east-1_AbC123");
        let of_us = "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_AbC123";
        assert_eq!(issuer(&[pool]), of_us);
        assert_eq!(issuer(&[pool, ("AWS_REGION", "eu-west-1")]), of_us, "the pool's id names its region");
        let emulated = ("AWS_COGNITO_USER_POOL_ID", "local_AbC123");
        let of_eu = "https://cognito-idp.eu-west-1.amazonaws.com/local_AbC123";
        for region in ["AWS_REGION", "AWS_DEFAULT_REGION"] {
            assert_eq!(issuer(&[emulated, (region, "eu-west-1")]), of_eu);
        }
    }

    #[test]
    fn a_custom_issuer_is_used_verbatim() {
        for address in ["https://id.example/", "https://id.example/a/pool", "http://127.0.0.1:9229/local_x"] {
            assert_eq!(issuer(&[("AUTH_ISSUER", address)]), address);
        }
        let Ok(Accounts::Issued(issuer)) = read(&[MODE, CLIENT, ("AUTH_ISSUER", "https://id.example/")]) else {
            panic!("no issuer")
        };
        assert_eq!(issuer.keys(), "https://id.example/.well-known/jwks.json");
    }

    #[test]
    fn accounts_are_our_own_by_default() {
        assert_eq!(read(&[]), Ok(Accounts::Own));
        let of_the_lesson = [("AWS_COGNITO_USER_POOL_ID", "us-east-1_AbC123"), CLIENT, ("AUTH_MODE", "local")];
        assert_eq!(read(&of_the_lesson), Ok(Accounts::Own));
    }

    #[test]
    fn a_missing_or_invalid_variable_is_reported_with_its_fix() {
        let named = |pairs: &[(&str, &str)]| -> Vec<String> {
            let faults = read(pairs).unwrap_err();
            assert!(!faults.contains("canary"), "{faults}");
            faults.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.to_owned()).collect()
        };
        assert_eq!(named(&[MODE]), ["AWS_COGNITO_USER_POOL_ID", "AWS_COGNITO_USER_POOL_CLIENT_ID"]);
        assert_eq!(named(&[("AUTH_MODE", "none")]), ["AUTH_MODE"]);
        for pool in ["us-east-1", "us-east-1_a/../b", "us-east-1_a.example"] {
            assert_eq!(named(&[MODE, CLIENT, ("AWS_COGNITO_USER_POOL_ID", pool)]), ["AWS_COGNITO_USER_POOL_ID"]);
        }
        assert_eq!(named(&[MODE, CLIENT, ("AWS_COGNITO_USER_POOL_ID", "local_x")]), ["AWS_COGNITO_USER_POOL_ID"]);
        let everywhere = [
            "http://id.example",
            "id.example",
            "localhost:9229",
            "https://me:canary@id.example",
            "https://id.example/?key=canary",
            "https://id.example/#part",
            "ftp://id.example",
            "https://",
        ];
        for address in everywhere {
            assert_eq!(named(&[MODE, CLIENT, ("AUTH_ISSUER", address)]), ["AUTH_ISSUER"], "{address}");
        }
        assert_eq!(named(&[("AUTH_ISSUER", "id.example")]), ["AUTH_ISSUER"], "in every mode");
    }
}
