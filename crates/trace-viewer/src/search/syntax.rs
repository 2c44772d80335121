//! The text of a query: two languages, one tree.
//!
//! Which language a text is in follows from the text alone. It is an X-Ray filter expression if, outside of quotes, it has
//! - `service(`, `edge(` or `annotation[` at the start of a word,
//! - the word `BEGINSWITH`, `ENDSWITH` or `CONTAINS`,
//! - a comparison with a space before it, as in `http.status = 200`,
//! - a word `!` or one that starts with `!`,
//! - `responsetime` or `duration` directly followed by a comparison, or
//! - no words but `ok`, `error`, `fault`, `throttle`, `AND`, `OR` and `NOT`, and more than `error` alone.
//!
//! All other texts are in the viewer's language.

pub(crate) mod ast;
mod fault;
mod fields;
mod own;
mod print;
mod scanner;
#[cfg(test)]
pub(super) mod tests;
mod xray;

pub(crate) use self::ast::Query;
pub(crate) use self::fault::QueryFault;
pub(crate) use self::fields::FIELDS;

/// The most characters of a query.
const LENGTH: usize = 2_000;

/// The language of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Language {
    Own,
    Xray,
}

/// Reads a query.
///
/// # Errors
/// The text is not a query, or is too long.
pub(crate) fn parse(text: &str) -> Result<Query, QueryFault> {
    if text.chars().nth(LENGTH).is_some() {
        return Err(QueryFault::new(LENGTH, format!("a query has at most {LENGTH} characters; shorten it")));
    }
    let query = match language(text) {
        Language::Own => own::parse(text),
        Language::Xray => xray::parse(text),
    }?;
    // A keyword of X-Ray may be several terms.
    if query.filter.as_ref().is_some_and(|filter| filter.terms() > scanner::TERMS) {
        return Err(QueryFault::new(
            0,
            format!("these conditions are more than {} terms; remove some", scanner::TERMS),
        ));
    }
    Ok(query)
}

fn language(text: &str) -> Language {
    let bare = without_quoted(text);
    let words: Vec<&str> = bare.split([' ', '\t', '\n', '\r', '(', ')']).filter(|word| !word.is_empty()).collect();
    let starts_word = |start: &str| {
        bare.match_indices(start).any(|(at, _)| {
            let before = bare.get(..at).and_then(|before| before.chars().next_back());
            before.is_none_or(|before| before.is_whitespace() || "(!{".contains(before))
        })
    };
    let is_spaced = words.iter().skip(1).any(|word| word.starts_with(['=', '<', '>']));
    let is_seconds = |word: &str| {
        let after = word.strip_prefix("responsetime").or_else(|| word.strip_prefix("duration"));
        after.is_some_and(|after| after.starts_with(['=', '<', '>', '!']))
    };
    let is_boolean = |word: &&str| ["ok", "error", "fault", "throttle", "AND", "OR", "NOT"].contains(word);
    let is_xray = is_spaced
        || ["service(", "edge(", "annotation["].into_iter().any(starts_word)
        || words.iter().any(|word| {
            ["BEGINSWITH", "ENDSWITH", "CONTAINS"].contains(word) || word.starts_with('!') || is_seconds(word)
        })
        || (words.iter().all(is_boolean) && !words.is_empty() && words != ["error"]);
    if is_xray { Language::Xray } else { Language::Own }
}

/// The text with a `_` for everything in quotes.
fn without_quoted(text: &str) -> String {
    let (mut bare, mut is_quoted, mut is_escaped) = (String::with_capacity(text.len()), false, false);
    for character in text.chars() {
        if is_quoted {
            is_quoted = is_escaped || character != '"';
            is_escaped = character == '\\' && !is_escaped;
        } else if character == '"' {
            (is_quoted, is_escaped) = (true, false);
            bare.push('_');
        } else {
            bare.push(character);
        }
    }
    bare
}
