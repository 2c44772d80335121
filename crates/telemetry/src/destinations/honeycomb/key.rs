//! Honeycomb's keys. They are recognised by their form, so that a key that cannot send is reported at start instead of by a
//! later 401.
//! The forms are those of Honeycomb's [documentation](https://docs.honeycomb.io/configure/environments/manage-api-keys/).

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

/// The length of an ingest key's id; the secret follows it.
const ID: usize = 32;

/// A key and its purpose. Displayed masked.
#[derive(Debug, Clone)]
pub(crate) struct ApiKey {
    secret: SecretString,
    kind: KeyKind,
}

/// The purpose of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyKind {
    /// `hc?ik_…`, an id and a secret: sends.
    Ingest,
    /// An ingest key's id without its secret.
    IngestId,
    /// 32 hex digits, or `hc?ic_…`: sends to a dataset that must be named.
    Classic,
    /// `hc?lk_…`: configures an environment.
    Configuration,
    /// `hc?mk_…`: manages a team.
    Management,
    /// An example's placeholder instead of a key.
    Placeholder,
    /// Any other form, such as that of older keys of environments, which send.
    Other,
}

impl ApiKey {
    pub(crate) fn new(secret: SecretString) -> Self {
        let kind = KeyKind::of(secret.expose_secret());
        Self { secret, kind }
    }

    /// The purpose of the key.
    pub(crate) fn kind(&self) -> KeyKind {
        self.kind
    }

    /// Why nothing can be sent with the key, and the fix.
    pub(crate) fn problem(&self, has_dataset: bool) -> Option<&'static str> {
        match self.kind {
            KeyKind::Ingest | KeyKind::Other => None,
            KeyKind::Classic if has_dataset => None,
            KeyKind::Classic => Some("is a classic key, which needs a dataset; set HONEYCOMB_DATASET too"),
            KeyKind::IngestId => Some(
                "is the id of an ingest key without its secret; give the whole key, as Honeycomb showed it when it was created",
            ),
            KeyKind::Configuration => {
                Some("is a configuration key, which cannot send; give an ingest key of the same environment")
            }
            KeyKind::Placeholder => Some("is a placeholder; give your own ingest key, or leave it blank"),
            KeyKind::Management => Some("is a management key, which cannot send; give an ingest key of an environment"),
        }
    }
}

impl KeyKind {
    /// Whether events can be sent with such a key.
    pub(crate) fn sends(self) -> bool {
        matches!(self, Self::Ingest | Self::Classic | Self::Other)
    }

    fn of(key: &str) -> Self {
        let bytes = key.as_bytes();
        match bytes {
            [b'h', b'c', b'a'..=b'z', kind @ ..] => match kind {
                [b'i', b'k', b'_', ..] if bytes.len() == ID => Self::IngestId,
                [b'i', b'k', b'_', ..] => Self::Ingest,
                [b'i', b'c', b'_', ..] => Self::Classic,
                [b'l', b'k', b'_', ..] => Self::Configuration,
                [b'm', b'k', b'_', ..] => Self::Management,
                _ => Self::Other,
            },
            _ if settings::is_placeholder(key) => Self::Placeholder,
            _ if bytes.len() == 32 && bytes.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) => {
                Self::Classic
            }
            _ => Self::Other,
        }
    }
}

/// Shows enough to tell keys apart and too little to use one: four characters of an id, or of a long key.
impl fmt::Display for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.secret.expose_secret();
        let shown = match (self.kind, text.len()) {
            (KeyKind::Placeholder, length) => length,
            (KeyKind::Other, 20..) => 4,
            (KeyKind::Other, _) => 0,
            (KeyKind::Classic, 32) => 4,
            (_, 20..) => 10,
            _ => 6,
        };
        write!(f, "{}…", text.get(..shown).unwrap_or_default())
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ingest => "an ingest key",
            Self::IngestId => "an ingest key's id",
            Self::Classic => "a classic key",
            Self::Configuration => "a configuration key",
            Self::Management => "a management key",
            Self::Placeholder => "a placeholder",
            Self::Other => "a key of unknown form",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_recognised_by_its_form_and_displayed_masked() {
        let long = "x".repeat(58);
        for (text, kind, shown) in [
            (format!("hcaik_{long}"), KeyKind::Ingest, "hcaik_xxxx…"),
            (format!("hcbik_{}", &long[..26]), KeyKind::IngestId, "hcbik_xxxx…"),
            ("0123456789abcdef0123456789abcdef".to_owned(), KeyKind::Classic, "0123…"),
            (format!("hcaic_{long}"), KeyKind::Classic, "hcaic_xxxx…"),
            (format!("hcalk_{long}"), KeyKind::Configuration, "hcalk_xxxx…"),
            (format!("hcamk_{long}"), KeyKind::Management, "hcamk_xxxx…"),
            ("AbCdEfGhIjKlMnOpQrStUv".to_owned(), KeyKind::Other, "AbCd…"),
            ("short".to_owned(), KeyKind::Other, "…"),
            ("your-ingest-key".to_owned(), KeyKind::Placeholder, "your-ingest-key…"),
            ("hcaik_xxxxxxxx".to_owned(), KeyKind::Ingest, "hcaik_…"),
            ("hc💣ik_".to_owned(), KeyKind::Other, "…"),
        ] {
            let key = ApiKey::new(text.into());
            assert_eq!((key.kind(), key.to_string().as_str()), (kind, shown));
        }
    }
}
