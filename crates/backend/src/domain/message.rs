//! Texts that users write, and how long their cruds live.

use std::str::FromStr;

use chrono::TimeDelta;

use super::invalid::Invalid;
use super::text::{is_blank, length, printable};

/// The text of a crud, a reply or a message: [`printable`], not blank and not too long.
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

impl Message {
    pub const MAX_CRUD: usize = 280;
    pub const MAX_REPLY: usize = 1024;
    pub const MAX_DIRECT: usize = 1024;

    /// Parses a text of at most `max` characters.
    pub fn parse(text: &str, max: usize) -> Result<Self, Invalid> {
        let message = printable(text);
        let message = message.trim();
        if is_blank(message) {
            Err(Invalid::MessageBlank)
        } else if length(message) > max {
            Err(Invalid::MessageExceedMaxChars)
        } else {
            Ok(Self(message.to_owned()))
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Ttl {
    /// All lifetimes, from the longest to the shortest.
    pub const ALL: [Self; 7] = [
        Self::ThirtyDays,
        Self::SevenDays,
        Self::ThreeDays,
        Self::OneDay,
        Self::TwelveHours,
        Self::ThreeHours,
        Self::OneHour,
    ];

    pub fn hours(self) -> i64 {
        match self {
            Self::ThirtyDays => 30 * 24,
            Self::SevenDays => 7 * 24,
            Self::ThreeDays => 3 * 24,
            Self::OneDay => 24,
            Self::TwelveHours => 12,
            Self::ThreeHours => 3,
            Self::OneHour => 1,
        }
    }

    pub fn duration(self) -> TimeDelta {
        TimeDelta::hours(self.hours())
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
        assert!(crud(&"👨\u{200d}👩\u{200d}👧".repeat(280)).is_ok());
        assert_eq!(crud(&"👨\u{200d}👩\u{200d}👧".repeat(281)), Err(Invalid::MessageExceedMaxChars));
    }

    #[test]
    fn an_invisible_message_is_blank() {
        for text in ["", " \n\t ", "\u{0}\u{7}", "\u{200b}", "\u{3164} \u{2800}", "\u{301}"] {
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
            let ttl = text.parse::<Ttl>().unwrap();
            assert_eq!(ttl.duration(), TimeDelta::hours(hours));
            assert!(Ttl::ALL.contains(&ttl));
        }
        for text in ["", "1-hours", "365-days"] {
            assert_eq!(text.parse::<Ttl>(), Err(Invalid::TtlBlank));
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_message_or_an_error(text in ".{0,300}") {
            if let Ok(message) = crud(&text) {
                prop_assert!((1..=280).contains(&length(message.as_str())));
            }
        }
    }
}
