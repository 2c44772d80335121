//! Stretches of lists, which are ordered newest first.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// A stretch of a list that is ordered newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Page {
    pub limit: Limit,
    pub before: Cursor,
}

/// 1 to 100 items; 20 by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limit(u8);

/// The position in a list after which a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cursor {
    pub created_at: DateTime<Utc>,
    pub uuid: Uuid,
}

/// An item whose position in a list depends on when it was made.
pub trait Listed {
    fn place(&self) -> Cursor;
}

/// Why a text is not a limit or a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAPage {
    #[error("limit must be a number from 1 to 100")]
    Limit,
    #[error("cursor must come from a Link header")]
    Cursor,
}

impl Page {
    /// The newest items.
    pub fn first(limit: Limit) -> Self {
        let end_of_time = DateTime::from_timestamp(253_402_300_799, 0).unwrap_or_default();
        Self { limit, before: Cursor { created_at: end_of_time, uuid: Uuid::max() } }
    }

    /// The items that follow a page; `None` if the page was not full, so that nothing follows.
    pub fn after<T: Listed>(self, items: &[T]) -> Option<Self> {
        let last = items.last().filter(|_| items.len() >= usize::from(self.limit.0))?;
        Some(Self { before: last.place(), ..self })
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

    #[test]
    fn a_limit_is_1_to_100() {
        assert_eq!("100".parse::<Limit>().unwrap().get(), 100);
        for text in ["0", "101", "-1", "x", ""] {
            assert_eq!(text.parse::<Limit>(), Err(NotAPage::Limit));
        }
    }

    proptest! {
        #[test]
        fn a_cursor_is_read_back_as_written(micros in 0i64..253_402_300_800_000_000, uuid in any::<u128>()) {
            let cursor = Cursor {
                created_at: DateTime::from_timestamp_micros(micros).unwrap(), uuid: Uuid::from_u128(uuid),
            };
            prop_assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
        }

        #[test]
        fn any_text_is_a_cursor_or_an_error(text in ".{0,80}") {
            let _ = text.parse::<Cursor>();
        }
    }
}
