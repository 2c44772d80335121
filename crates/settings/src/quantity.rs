//! Parses and displays durations and sizes in settings: a whole number directly followed by its unit. Does no I/O.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// `500ms`, `2s`, `10m`, `1h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timespan(pub Duration);

/// `0B`, `512B`, `64KiB`, `1MiB`, `2GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

/// Why a text is not a valid duration or size.
#[derive(Debug, thiserror::Error)]
#[error("it is not a whole number followed by {0}")]
pub struct NotAQuantity(&'static str);

/// The largest unit comes first, so that the displayed value is short.
const DURATIONS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
const SIZES: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl FromStr for Timespan {
    type Err = NotAQuantity;

    fn from_str(text: &str) -> Result<Self, NotAQuantity> {
        quantity(text, &DURATIONS).map(Duration::from_millis).map(Self).ok_or(NotAQuantity("ms, s, m or h"))
    }
}

impl FromStr for Size {
    type Err = NotAQuantity;

    fn from_str(text: &str) -> Result<Self, NotAQuantity> {
        quantity(text, &SIZES).map(Self).ok_or(NotAQuantity("B, KiB, MiB or GiB"))
    }
}

fn quantity(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (number, unit) = text.split_at(text.find(|character: char| !character.is_ascii_digit())?);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// Writes the value in the largest unit that divides it.
fn shown(value: u64, units: &[(&str, u64)], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let largest = units.iter().find(|(_, factor)| value >= *factor && value.is_multiple_of(*factor));
    let (unit, factor) = largest.or(units.last()).copied().unwrap_or(("", 1));
    write!(f, "{}{unit}", value / factor)
}

impl fmt::Display for Timespan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        shown(u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX), &DURATIONS, f)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        shown(self.0, &SIZES, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_quantity_is_a_whole_number_followed_by_its_unit() {
        let duration = |text: &str| text.parse::<Timespan>().ok().map(|span| span.0.as_millis());
        for (text, milliseconds) in [("500ms", 500), ("2s", 2_000), ("10m", 600_000), ("1h", 3_600_000), ("0s", 0)] {
            assert_eq!(duration(text), Some(milliseconds), "{text}");
        }
        let size = |text: &str| text.parse::<Size>().ok().map(|size| size.0);
        assert_eq!(["0B", "512B", "64KiB", "1MiB"].map(size), [Some(0), Some(512), Some(65_536), Some(1_048_576)]);
        for text in ["", "2", "s", " 2s", "2 s", "2s ", "-2s", "+2s", "2.5s", "2S", "2d", "٢s", "99999999999999999999s"]
        {
            assert_eq!(duration(text), None, "{text}");
        }
        for text in ["1", "1KB", "1kib", "1 MiB", "-1B", "99999999999GiB"] {
            assert_eq!(size(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_quantity_survives_its_text(value in 0u64..1 << 40) {
            let (span, size) = (Timespan(Duration::from_millis(value)), Size(value));
            prop_assert_eq!(span.to_string().parse::<Timespan>().unwrap(), span);
            prop_assert_eq!(size.to_string().parse::<Size>().unwrap(), size);
        }

        #[test]
        fn any_text_is_a_quantity_or_an_error(text in ".{0,20}|[0-9]{0,21}(ms|s|m|h|B|KiB|GiB)?") {
            if let Ok(span) = text.parse::<Timespan>() {
                prop_assert_eq!(span.to_string().parse::<Timespan>().unwrap(), span);
            }
            let _ = text.parse::<Size>();
        }
    }
}
