//! The word that a misspelt one was meant to be. Does no I/O.

/// The one of `known` that is closest to `text`: at most two letters are missing, added, changed, or swapped with their neighbour.
pub fn nearest<'k>(text: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    const MOST: usize = 2;
    // The distance is at least the difference of the lengths. A character has at most four bytes.
    let candidates = known.into_iter().filter(|known| text.len().abs_diff(known.len()) <= 4 * MOST);
    let distances = candidates.map(|known| (strsim::osa_distance(text, known), known));
    let (_, nearest) = distances.filter(|(distance, _)| *distance <= MOST).min_by_key(|(distance, _)| *distance)?;
    Some(nearest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KNOWN: [&str; 3] = ["retries", "prefix", "host"];

    #[test]
    fn a_word_with_up_to_two_wrong_letters_is_recognised() {
        for (text, known) in [
            ("retires", Some("retries")),
            ("retrie", Some("retries")),
            ("prefixes", Some("prefix")),
            ("hots", Some("host")),
            ("prfx", Some("prefix")),
            ("RETRIES", None),
            ("timeout", None),
            ("", None),
        ] {
            assert_eq!(nearest(text, KNOWN), known, "{text}");
        }
        assert_eq!(nearest(&"x".repeat(1_000_000), KNOWN), None);
    }

    proptest! {
        #[test]
        fn a_known_word_is_nearest_to_itself(text in "\\PC{0,12}") {
            prop_assert_eq!(nearest(&text, KNOWN.into_iter().chain([&*text])), Some(&*text));
        }
    }
}
