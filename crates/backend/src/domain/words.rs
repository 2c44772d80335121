//! The words by which a text can be found. A word is a run of letters, digits, marks and `_`, or one symbol such as `💣`. A hashtag is a word with a letter in
//! it after a `#`, and can be found both with its sign and without. Case does not matter.

use std::collections::BTreeSet;

use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

use super::invalid::Invalid;
use super::text::{is_blank, printable};

/// The most words that are kept of a text; its remaining words cannot be found.
const MAX_WORDS: usize = 256;
/// The most characters that count in a word.
const MAX_CHARS: usize = 64;

/// A word by which a crud can be found, in lower case; a hashtag's begins with `#`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Word(String);

/// A search term: words that must all occur.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term(Vec<Word>);

impl Word {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_hashtag(&self) -> bool {
        self.0.starts_with('#')
    }
}

/// Each word of a text, once.
pub fn words(text: &str) -> Vec<Word> {
    let mut words = BTreeSet::new();
    each_word(text, |word, hashtag| {
        if hashtag {
            words.insert(Word(format!("#{word}")));
        }
        words.insert(Word(word));
    });
    words.into_iter().take(MAX_WORDS).collect()
}

impl Term {
    /// Of more words, only the longest are looked for, because they are the rarest.
    pub const MAX_WORDS: usize = 8;
    pub const MAX_CHARS: usize = 1024;

    /// # Errors
    /// The term has no visible character.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let text = printable(text);
        if is_blank(&text) {
            return Err(Invalid::SearchTermBlank);
        }
        let mut words = BTreeSet::new();
        each_word(&text, |word, hashtag| {
            words.insert(if hashtag { Word(format!("#{word}")) } else { Word(word) });
        });
        let mut words: Vec<_> = words.into_iter().collect();
        words.sort_by_key(|word| std::cmp::Reverse(word.0.chars().count()));
        words.truncate(Self::MAX_WORDS);
        Ok(Self(words))
    }

    /// The rarest words first, by their length. Empty if nothing can be found by the term, as with `?!`.
    pub fn words(&self) -> &[Word] {
        &self.0
    }
}

/// Calls `each` with every word in lower case, and whether it is a hashtag's.
fn each_word(text: &str, mut each: impl FnMut(String, bool)) {
    let mut rest = text;
    let mut sign = false;
    while let Some(c) = rest.chars().next() {
        let length = if in_word(c) { rest.find(|c| !in_word(c)).unwrap_or(rest.len()) } else { c.len_utf8() };
        let (piece, after) = rest.split_at(length);
        if in_word(c) {
            let word: String = piece.chars().take(MAX_CHARS).collect();
            let hashtag = sign && word.chars().any(char::is_alphabetic);
            each(word.to_lowercase(), hashtag);
        } else if !c.is_ascii() && c.general_category_group() == GeneralCategoryGroup::Symbol {
            each(piece.to_owned(), false);
        }
        sign = c == '#';
        rest = after;
    }
}

fn in_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric() || c.general_category_group() == GeneralCategoryGroup::Mark
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(text: &str) -> Vec<String> {
        words(text).into_iter().map(|word| word.0).collect()
    }

    #[test]
    fn a_text_is_found_by_its_words() {
        assert_eq!(all("One, two; ÜNÏCODE one"), ["one", "two", "ünïcode"]);
        assert_eq!(all("100% of spans_arrive!"), ["100", "of", "spans_arrive"]);
        assert_eq!(all("boom 💣💣"), ["boom", "💣"]);
        assert_eq!(all("?! … —"), [""; 0]);
        assert_eq!(all(&"x".repeat(100)), ["x".repeat(64)]);
    }

    #[test]
    fn a_hashtag_is_a_word_too() {
        assert_eq!(all("#Tracing now"), ["#tracing", "now", "tracing"]);
        assert_eq!(all("we are #1, a#b ## #"), ["#b", "1", "a", "are", "b", "we"]);
    }

    #[test]
    fn a_term_is_its_longest_words() {
        let term = Term::parse("a bb #ccc dddd").unwrap();
        assert_eq!(term.words().iter().map(Word::as_str).collect::<Vec<_>>(), ["#ccc", "dddd", "bb", "a"]);
        assert_eq!(Term::parse("1 2 3 4 5 6 7 8 nine").unwrap().words().len(), 8);
        assert!(Term::parse("?!").unwrap().words().is_empty());
        assert_eq!(Term::parse(" \u{0}\u{200b}"), Err(Invalid::SearchTermBlank));
    }

    proptest! {
        #[test]
        fn a_text_is_found_by_itself_as_a_term(text in ".{0,300}") {
            // In the form that is kept: a message's text.
            let kept = words(&printable(&text));
            if let Ok(term) = Term::parse(&text) {
                prop_assert!(term.words().iter().all(|word| kept.contains(word)));
            }
        }
    }
}
