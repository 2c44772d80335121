//! A pattern of a sampling rule: `*` matches any text, `?` matches one character, and case is ignored, as in AWS's SDKs. Matching
//! takes at most the time of the two lengths multiplied, and allocates no memory.

use std::fmt;

/// The longest pattern, in characters. AWS accepts 128 characters for a path, and fewer for other fields.
const LONGEST: usize = 256;

/// The pattern that a field of a request is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    folded: Vec<char>,
}

impl Pattern {
    /// The pattern that matches every text.
    pub fn any() -> Self {
        Self { text: "*".to_owned(), folded: vec!['*'] }
    }

    /// Returns `None` if `text` is empty or longer than 256 characters.
    pub(super) fn new(text: &str) -> Option<Self> {
        let folded: Vec<char> = text.chars().take(LONGEST + 1).map(fold).collect();
        (1..=LONGEST).contains(&folded.len()).then(|| Self { text: text.to_owned(), folded })
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether all of `text` matches this pattern.
    pub fn matches(&self, text: &str) -> bool {
        let (mut pattern, mut left) = (self.folded.as_slice(), text.chars());
        // The pattern after the last star, and the text from which it was last tried. An earlier star never has to match more.
        let mut star = None;
        loop {
            if let Some(('*', rest)) = pattern.split_first() {
                if rest.is_empty() {
                    return true;
                }
                star = Some((rest, left.clone()));
                pattern = rest;
                continue;
            }
            let mut after = left.clone();
            match (pattern.split_first(), after.next()) {
                (None, None) => return true,
                (Some((wanted, rest)), Some(found)) if *wanted == '?' || *wanted == fold(found) => {
                    (pattern, left) = (rest, after);
                }
                (Some(_), None) => return false,
                _ => match &mut star {
                    None => return false,
                    Some((rest, tried)) => {
                        tried.next();
                        (pattern, left) = (*rest, tried.clone());
                    }
                },
            }
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Returns the lower-case form, if that is one character.
fn fold(character: char) -> char {
    let mut lower = character.to_lowercase();
    match (lower.next(), lower.next()) {
        (Some(one), None) => one,
        _ => character,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::new(pattern).unwrap().matches(text)
    }

    #[test]
    fn a_star_matches_any_text_and_a_question_mark_one_character() {
        for (pattern, text) in [
            ("*", ""),
            ("*", "/api"),
            ("/api/*", "/api/"),
            ("/API/*/x", "/api/a/b/X"),
            ("a?c", "aÉc"),
            ("*.example.org", "a.example.org.example.org"),
            ("GET", "get"),
            ("É", "é"),
            ("**a", "ba"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("/api/*", "/api"), ("?", ""), ("a?c", "ac"), ("a", "ab"), ("*a", "ab"), ("a*a", "a")] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn a_pattern_is_neither_empty_nor_too_long() {
        assert!(Pattern::new("").is_none() && Pattern::new(&"x".repeat(257)).is_none());
        assert!(Pattern::new(&"é".repeat(256)).is_some());
        assert_eq!(Pattern::new("*"), Some(Pattern::any()));
    }

    #[test]
    fn a_pathological_pattern_is_fast() {
        let pattern = Pattern::new(&"*a".repeat(128)).unwrap();
        assert!(!pattern.matches(&format!("{}b", "a".repeat(8_000))));
    }

    /// Matches by the definition, in exponential time.
    fn naive(pattern: &[char], text: &[char]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some(('*', rest)), _) => (0..=text.len()).any(|taken| naive(rest, &text[taken..])),
            (Some((wanted, rest)), Some((found, left))) => {
                (*wanted == '?' || wanted.eq_ignore_ascii_case(found)) && naive(rest, left)
            }
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn matching_agrees_with_the_definition(pattern in "[abA*?]{1,8}", text in "[abB]{0,10}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(matches(&pattern, &text), naive(&chars(&pattern), &chars(&text)), "{} {}", pattern, text);
        }

        #[test]
        fn any_text_matches_itself(text in "[^*?]{1,40}") {
            prop_assert!(matches(&text, &text));
        }
    }
}
