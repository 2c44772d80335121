//! The parts of an account, and the credentials that sign in.

use secrecy::{ExposeSecret, SecretString};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::invalid::Invalid;
use super::text::{is_blank, length, line, printable};

/// The name by which users refer to one another: 1 to 30 of `a-z`, `0-9` and `_`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handle(String);

/// The name that others see: one line of 1 to 50 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisplayName(String);

/// A user's self-description: at most 160 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bio(String);

/// An address in lower case. Only sending to it would show whether it exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email(String);

/// The login of a sign-in: a handle, or an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login(String);

/// The secret of a sign-in. Never shown.
#[derive(Debug, Clone)]
pub struct Password(SecretString);

/// The token of a session or of a link: 256 random bits in base64url. Shown only to its owner.
#[derive(Debug, Clone)]
pub struct Token(SecretString);

/// A kind of attempt that is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// The limited action, such as `sign-in`.
    pub kind: &'static str,
    /// The most attempts within a quarter of an hour.
    pub most: i64,
}

impl Handle {
    pub const MAX: usize = 30;

    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let text = text.trim().trim_start_matches('@').to_lowercase();
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        match text.len() {
            0 => Err(Invalid::HandleBlank),
            1..=Self::MAX if text.chars().all(plain) => Ok(Self(text)),
            _ => Err(Invalid::HandleInvalid),
        }
    }

    /// The handle nearest to `text`. From an address it takes the part before the host, because everyone sees a handle.
    pub fn like(text: &str) -> Self {
        let name = text.trim().trim_start_matches('@').split('@').next().unwrap_or_default();
        let plain = name.nfkd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase);
        let plain: String = plain.map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).take(Self::MAX).collect();
        let plain = plain.trim_matches('_');
        Self(if plain.is_empty() { "somebody" } else { plain }.to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl DisplayName {
    pub const MAX: usize = 50;

    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let text = line(text);
        if is_blank(&text) {
            Err(Invalid::DisplayNameBlank)
        } else if length(&text) > Self::MAX {
            Err(Invalid::DisplayNameExceedMaxChars)
        } else {
            Ok(Self(text))
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Bio {
    pub const MAX: usize = 160;

    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let text = printable(text);
        let text = if is_blank(&text) { "" } else { text.trim() };
        if length(text) > Self::MAX { Err(Invalid::BioExceedMaxChars) } else { Ok(Self(text.to_owned())) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Email {
    /// The longest address to which mail can be sent.
    pub const MAX: usize = 254;

    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let text = text.trim().to_lowercase();
        if text.is_empty() {
            return Err(Invalid::EmailBlank);
        }
        let plain = text.len() <= Self::MAX && !text.chars().any(|c| c.is_whitespace() || c.is_control());
        match text.rsplit_once('@') {
            Some((user, host)) if plain && !user.is_empty() && host.len() > 2 && host.contains('.') => Ok(Self(text)),
            _ => Err(Invalid::EmailInvalid),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Login {
    /// A longer text is no user's login.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let text = text.trim().trim_start_matches('@').to_lowercase();
        if text.is_empty() { Err(Invalid::LoginBlank) } else { Ok(Self(text.chars().take(Email::MAX).collect())) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Password {
    pub const MIN: usize = 10;
    pub const MAX: usize = 256;

    /// A password that a user chooses.
    pub fn choose(text: &str) -> Result<Self, Invalid> {
        match text.chars().count() {
            0 => Err(Invalid::PasswordBlank),
            1..Self::MIN => Err(Invalid::PasswordTooShort),
            Self::MIN..=Self::MAX => Ok(Self(text.into())),
            _ => Err(Invalid::PasswordExceedMaxChars),
        }
    }

    /// A password that a user signs in with.
    pub fn given(text: &str) -> Result<Self, Invalid> {
        match text.chars().count() {
            0 => Err(Invalid::PasswordBlank),
            1..=Self::MAX => Ok(Self(text.into())),
            _ => Err(Invalid::PasswordExceedMaxChars),
        }
    }

    /// A generated password.
    pub(crate) fn random(text: &str) -> Self {
        Self(text.into())
    }

    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl Token {
    /// Accepts any text: only the store knows whether it is a token.
    pub fn given(text: &str) -> Self {
        Self(text.into())
    }

    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl Attempt {
    /// Sign-ins as one user from one address, with a wrong password.
    pub const LOGIN_FROM_ADDRESS: Self = Self { kind: "sign-in as, from", most: 10 };
    /// Sign-ins as one user from all addresses from which the user has not signed in lately: a guess from many addresses.
    pub const LOGIN: Self = Self { kind: "sign-in as", most: 100 };
    /// Sign-ins from one address as any user: one password for many.
    pub const ADDRESS: Self = Self { kind: "sign-in from", most: 100 };
    /// Sign-ups from one address.
    pub const SIGN_UP: Self = Self { kind: "sign-up from", most: 100 };
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_handle_is_plain() {
        assert_eq!(Handle::parse(" @Andrew_Brown1 ").unwrap().as_str(), "andrew_brown1");
        assert_eq!(Handle::parse("  "), Err(Invalid::HandleBlank));
        for text in ["andrew brown", "ändrew", "a-b", "a\0b", &"a".repeat(31)] {
            assert_eq!(Handle::parse(text), Err(Invalid::HandleInvalid), "{text}");
        }
    }

    #[test]
    fn a_handle_is_derived_from_any_name() {
        for (text, handle) in [
            ("Andrew_Brown1", "andrew_brown1"),
            ("Žofie Nováková", "zofie_novakova"),
            ("me@example.com", "me"),
            ("Google_1234", "google_1234"),
            ("6fa459ea-ee8a-3ca4-894e-db77e160355e", "6fa459ea_ee8a_3ca4_894e_db77e1"),
            ("日本", "somebody"),
            ("", "somebody"),
        ] {
            assert_eq!(Handle::like(text).as_str(), handle, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_derived_handle_is_valid(text in ".{0,60}") {
            let handle = Handle::like(&text);
            prop_assert_eq!(Handle::parse(handle.as_str()), Ok(handle));
        }
    }

    #[test]
    fn a_display_name_is_one_line() {
        assert_eq!(DisplayName::parse(" Andrew\n\u{7} Brown ").unwrap().as_str(), "Andrew Brown");
        assert_eq!(DisplayName::parse("bayko\u{202e}\u{2066}").unwrap().as_str(), "bayko");
        for text in [" \n", "\u{202e}", "\u{3164}", "\u{300}\u{301}", "\u{200b}\u{2800}"] {
            assert_eq!(DisplayName::parse(text), Err(Invalid::DisplayNameBlank), "{text:?}");
        }
        assert_eq!(DisplayName::parse(&"ä".repeat(51)), Err(Invalid::DisplayNameExceedMaxChars));
    }

    #[test]
    fn an_invisible_bio_is_empty() {
        assert_eq!(Bio::parse(" \u{200b}\u{3164}").unwrap().as_str(), "");
        assert_eq!(Bio::parse(&"x".repeat(161)), Err(Invalid::BioExceedMaxChars));
    }

    #[test]
    fn an_address_has_a_user_and_a_host() {
        assert_eq!(Email::parse(" A@B.example ").unwrap().as_str(), "a@b.example");
        assert_eq!(Email::parse(""), Err(Invalid::EmailBlank));
        for text in ["a", "a@", "@b.example", "a@b", "a b@c.example", "a\0@b.example"] {
            assert_eq!(Email::parse(text), Err(Invalid::EmailInvalid), "{text}");
        }
    }

    #[test]
    fn a_password_is_counted_and_never_shown() {
        assert_eq!(Password::choose("").unwrap_err(), Invalid::PasswordBlank);
        assert_eq!(Password::choose("ninechars").unwrap_err(), Invalid::PasswordTooShort);
        assert_eq!(Password::choose(&"x".repeat(257)).unwrap_err(), Invalid::PasswordExceedMaxChars);
        let password = Password::choose("canary-canary").unwrap();
        assert!(!format!("{password:?}").contains("canary"));
    }
}
