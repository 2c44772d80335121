//! What a crud is and which ones are allowed. Parses at the edge into types that can be trusted inside. Knows neither SQL nor
//! HTTP, and reads no clock.

use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};
use unicode_normalization::UnicodeNormalization;
use uuid::Uuid;

/// Someone who cruds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub uuid: Uuid,
    pub handle: String,
    pub display_name: String,
    pub bio: String,
}

/// A crud, or a reply to one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activity {
    pub uuid: Uuid,
    pub handle: String,
    pub display_name: String,
    pub message: String,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub likes_count: i64,
    pub replies_count: i64,
    pub reposts_count: i64,
    pub reply_to: Option<Uuid>,
}

/// A crud with its newest replies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thread {
    pub activity: Activity,
    pub replies: Vec<Activity>,
}

/// A user, how many living cruds they have, and a page of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    pub user: User,
    pub cruds_count: i64,
    pub activities: Vec<Activity>,
}

/// What is wrong with an input; the codes are the original's, its spelling too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    #[error("ttl_blank")]
    TtlBlank,
    #[error("message_blank")]
    MessageBlank,
    #[error("message_exceed_max_chars")]
    MessageExceedMaxChars,
    #[error("activity_uuid_blank")]
    ActivityUuidBlank,
    #[error("search_term_blank")]
    SearchTermBlank,
    #[error("blank_user_handle")]
    BlankUserHandle,
}

/// The text of a crud or reply: not blank, in NFC, without control characters but newlines, not too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message(String);

/// How long a crud lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ttl {
    ThirtyDays,
    SevenDays,
    ThreeDays,
    OneDay,
    TwelveHours,
    ThreeHours,
    OneHour,
}

/// What to look for: not blank, in lower case, without control characters, no longer than what can be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term(String);

/// A stretch of a list that is ordered newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    pub limit: Limit,
    pub before: Cursor,
}

/// 1 to 100 items; 20 unless told otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit(u8);

/// The place in a list after which a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    pub created_at: DateTime<Utc>,
    pub uuid: Uuid,
}

/// Why a text is not a limit or a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAPage {
    #[error("limit must be a number from 1 to 100")]
    Limit,
    #[error("cursor must be one that a Link header gave")]
    Cursor,
}

impl Message {
    pub const MAX_CRUD: usize = 280;
    pub const MAX_REPLY: usize = 1024;

    /// Counts characters as Unicode scalar values after NFC.
    pub fn parse(text: &str, max: usize) -> Result<Self, Invalid> {
        let message: String = printable(text);
        let message = message.trim();
        match message.chars().count() {
            0 => Err(Invalid::MessageBlank),
            count if count > max => Err(Invalid::MessageExceedMaxChars),
            _ => Ok(Self(message.to_owned())),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form that a search looks in.
    pub fn folded(&self) -> String {
        self.0.to_lowercase()
    }
}

impl Term {
    pub const MAX: usize = Message::MAX_REPLY;

    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let term: String = printable(text);
        match term.trim() {
            "" => Err(Invalid::SearchTermBlank),
            term => Ok(Self(term.to_lowercase())),
        }
    }

    /// Some message may contain it.
    pub fn fits(&self) -> bool {
        self.0.chars().count() <= Self::MAX
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// In NFC, without control characters but newlines. These go first: they would keep characters apart that belong together.
fn printable(text: &str) -> String {
    text.chars().filter(|c| *c == '\n' || !c.is_control()).nfc().collect()
}

impl Ttl {
    pub fn duration(self) -> TimeDelta {
        TimeDelta::hours(match self {
            Self::ThirtyDays => 30 * 24,
            Self::SevenDays => 7 * 24,
            Self::ThreeDays => 3 * 24,
            Self::OneDay => 24,
            Self::TwelveHours => 12,
            Self::ThreeHours => 3,
            Self::OneHour => 1,
        })
    }
}

impl FromStr for Ttl {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Ok(match text {
            "30-days" => Self::ThirtyDays,
            "7-days" => Self::SevenDays,
            "3-days" => Self::ThreeDays,
            "1-day" => Self::OneDay,
            "12-hours" => Self::TwelveHours,
            "3-hours" => Self::ThreeHours,
            "1-hour" => Self::OneHour,
            _ => return Err(Invalid::TtlBlank),
        })
    }
}

impl Page {
    /// The newest items.
    pub fn first(limit: Limit) -> Self {
        let end_of_time = DateTime::from_timestamp(253_402_300_799, 0).unwrap_or_default();
        Self { limit, before: Cursor { created_at: end_of_time, uuid: Uuid::max() } }
    }

    /// The items that follow a page that ended with `last`; `None` where the page was not full, so that nothing follows.
    pub fn after(self, count: usize, last: Option<&Activity>) -> Option<Self> {
        let last = last.filter(|_| count >= usize::from(self.limit.0))?;
        Some(Self { before: Cursor { created_at: last.created_at, uuid: last.uuid }, ..self })
    }
}

impl Limit {
    pub fn get(self) -> u8 {
        self.0
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(20)
    }
}

impl FromStr for Limit {
    type Err = NotAPage;

    fn from_str(text: &str) -> Result<Self, NotAPage> {
        match text.parse() {
            Ok(limit @ 1..=100) => Ok(Self(limit)),
            _ => Err(NotAPage::Limit),
        }
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.created_at.timestamp_micros(), self.uuid.simple())
    }
}

impl FromStr for Cursor {
    type Err = NotAPage;

    fn from_str(text: &str) -> Result<Self, NotAPage> {
        let parse = || {
            let (micros, uuid) = text.split_once('-')?;
            let created_at = DateTime::from_timestamp_micros(micros.parse().ok()?)?;
            // The years that both databases can hold.
            (0..253_402_300_800).contains(&created_at.timestamp()).then_some(())?;
            Some(Self { created_at, uuid: Uuid::try_parse(uuid).ok()? })
        };
        parse().ok_or(NotAPage::Cursor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn crud(text: &str) -> Result<Message, Invalid> {
        Message::parse(text, Message::MAX_CRUD)
    }

    #[test]
    fn a_message_is_counted_as_a_person_counts() {
        // "e" and a combining accent are one character after NFC.
        assert!(crud(&"e\u{301}".repeat(280)).is_ok());
        assert_eq!(crud(&"é".repeat(281)), Err(Invalid::MessageExceedMaxChars));
        assert!(crud(&"💣".repeat(280)).is_ok());
    }

    #[test]
    fn a_message_of_nothing_to_see_is_blank() {
        for text in ["", " \n\t ", "\u{0}\u{7}"] {
            assert_eq!(crud(text), Err(Invalid::MessageBlank));
        }
        assert_eq!(crud(" a\r\n\u{7}b ").unwrap().as_str(), "a\nb");
        assert_eq!(crud("e\u{7}\u{301}").unwrap().as_str(), "é");
    }

    #[test]
    fn a_ttl_is_one_of_seven() {
        for (text, hours) in [
            ("30-days", 720),
            ("7-days", 168),
            ("3-days", 72),
            ("1-day", 24),
            ("12-hours", 12),
            ("3-hours", 3),
            ("1-hour", 1),
        ] {
            assert_eq!(text.parse::<Ttl>().unwrap().duration(), TimeDelta::hours(hours));
        }
        for text in ["", "1-hours", "365-days"] {
            assert_eq!(text.parse::<Ttl>(), Err(Invalid::TtlBlank));
        }
    }

    #[test]
    fn a_limit_is_1_to_100() {
        assert_eq!("100".parse::<Limit>().unwrap().get(), 100);
        for text in ["0", "101", "-1", "x", ""] {
            assert_eq!(text.parse::<Limit>(), Err(NotAPage::Limit));
        }
    }

    proptest! {
        #[test]
        fn a_cursor_survives_its_text(micros in 0i64..253_402_300_800_000_000, uuid in any::<u128>()) {
            let cursor = Cursor {
                created_at: DateTime::from_timestamp_micros(micros).unwrap(), uuid: Uuid::from_u128(uuid),
            };
            prop_assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
        }

        #[test]
        fn any_text_is_valid_or_an_error(text in ".{0,300}") {
            if let Ok(message) = crud(&text) {
                prop_assert!((1..=280).contains(&message.as_str().chars().count()));
            }
            let _ = text.parse::<Cursor>();
            let _ = Term::parse(&text);
        }
    }
}
