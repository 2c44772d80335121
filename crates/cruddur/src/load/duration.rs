//! A duration as people write it: `500ms`, `30s`, `5m`, `1h`. Does no I/O.

use std::time::Duration;

const LONGEST: Duration = Duration::from_secs(60 * 60);

/// Why a text is not a valid duration for a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotADuration {
    #[error("give a whole number and its unit: 500ms, 30s, 5m or 1h")]
    Form,
    #[error("a load lasts at least 1ms and at most 1h")]
    Bounds,
}

/// Parses a duration.
///
/// # Errors
/// The text has no unit, or the duration is out of bounds.
pub(crate) fn duration(text: &str) -> Result<Duration, NotADuration> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let milliseconds: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(NotADuration::Form),
    };
    if number.is_empty() {
        return Err(NotADuration::Form);
    }
    // A number too large for its type is also a duration that is too long.
    let number: u64 = number.parse().map_err(|_| NotADuration::Bounds)?;
    let duration = Duration::from_millis(number.saturating_mul(milliseconds));
    if duration.is_zero() || duration > LONGEST { Err(NotADuration::Bounds) } else { Ok(duration) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_is_read_is_within_bounds(text in "[ -~]{0,30}|[0-9]{1,25}(ms|s|m|h)|\\PC{0,10}") {
            if let Ok(duration) = duration(&text) {
                prop_assert!(!duration.is_zero() && duration <= LONGEST);
            }
        }
    }

    #[test]
    fn a_duration_has_a_unit_and_an_end() {
        for (text, milliseconds) in [("500ms", 500), ("30s", 30_000), ("5m", 300_000), ("1h", 3_600_000)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)));
        }
        for text in ["", "30", "s", "1.5s", "-1s", "30 s", "30S", "1d"] {
            assert_eq!(duration(text), Err(NotADuration::Form), "{text}");
        }
        for text in ["0s", "61m", "2h", "99999999999999999999999s"] {
            assert_eq!(duration(text), Err(NotADuration::Bounds), "{text}");
        }
    }
}
