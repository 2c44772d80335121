//! Completes a query at a cursor: the keys that occur, or the values of a key, by the number of spans that have them.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::syntax::FIELDS;
use crate::index::fields;
use crate::model::Span;
use crate::store::{Store, Wanted};

/// The most spans that are read, the latest traces' first, and the most time.
const SPANS: usize = 20_000;
const TIME: Duration = Duration::from_millis(200);
/// The traces of a slice.
const SLICE: usize = 128;
/// The most keys or values that are counted; others are left out.
const DISTINCT: usize = 5_000;
/// The most suggestions.
const SUGGESTIONS: usize = 50;
/// Longer values, in bytes, are of no use in a list.
const LONGEST: usize = 256;

/// Values that are known without traces.
const HAVING: [&str; 5] = ["error", "exception", "browser", "document", "dropped"];
const SORTS: [&str; 8] = ["dur", "dur:asc", "start", "start:asc", "spans", "spans:asc", "errors", "errors:asc"];
const LASTS: [&str; 4] = ["5m", "15m", "1h", "24h"];

#[derive(Debug, Serialize)]
pub(crate) struct Suggestions {
    /// The key whose values are suggested; `None` if keys are.
    pub(crate) key: Option<String>,
    /// The characters of the query that a suggestion replaces: from this one,
    pub(crate) from: usize,
    /// to before this one.
    pub(crate) to: usize,
    pub(crate) suggestions: Vec<Suggestion>,
    /// The spans that were counted.
    pub(crate) spans: usize,
}

#[derive(Debug, Serialize)]
pub(crate) struct Suggestion {
    pub(crate) text: String,
    /// The spans that have it.
    pub(crate) count: usize,
}

/// Suggests what may be at a character of a query.
pub(crate) fn suggest(store: &Store, text: &str, cursor: usize) -> Suggestions {
    let token = Token::at(text, cursor);
    let (counts, spans) = match token.key.as_deref() {
        Some("has") => (fixed(&HAVING), 0),
        Some("sort") => (fixed(&SORTS), 0),
        Some("last") => (fixed(&LASTS), 0),
        key => count(store, key),
    };
    let prefix = token.prefix.to_ascii_lowercase();
    let mut counts: Vec<(String, usize)> =
        counts.into_iter().filter(|(text, _)| text.to_ascii_lowercase().contains(&prefix)).collect();
    // Those that start with the prefix come first.
    let rank = |text: &str| !text.to_ascii_lowercase().starts_with(&prefix);
    counts.sort_by(|a, b| rank(&a.0).cmp(&rank(&b.0)).then(b.1.cmp(&a.1)).then_with(|| a.0.cmp(&b.0)));
    counts.truncate(SUGGESTIONS);
    let suggestions =
        counts.into_iter().map(|(text, count)| Suggestion { text: written(text, token.key.is_some()), count });
    Suggestions { suggestions: suggestions.collect(), from: token.from, to: token.to, key: token.key, spans }
}

fn fixed(values: &[&str]) -> HashMap<String, usize> {
    values.iter().map(|value| ((*value).to_owned(), 0)).collect()
}

/// A key with its sign, or a value, with quotes if it needs them.
fn written(text: String, is_value: bool) -> String {
    let is_plain = |character: char| !character.is_whitespace() && !"()\"*\\".contains(character);
    let is_plain_key = |character: char| is_plain(character) && !"=<>:!".contains(character);
    if is_value {
        let is_plain = !text.is_empty() && text.chars().all(is_plain);
        return if is_plain { text } else { quoted(&text) };
    }
    match FIELDS.iter().find(|(name, _)| *name == text) {
        Some((name, sign)) => format!("{name}{sign}"),
        None if text == "sort" => "sort:".to_owned(),
        None if text.chars().all(is_plain_key) && !text.starts_with('-') => format!("{text}="),
        None => format!("{}=", quoted(&text)),
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The part of a query in which a cursor is.
struct Token {
    key: Option<String>,
    prefix: String,
    from: usize,
    to: usize,
}

impl Token {
    fn at(text: &str, cursor: usize) -> Self {
        let characters: Vec<char> = text.chars().collect();
        let cursor = cursor.min(characters.len());
        let is_end = |character: &char| character.is_whitespace() || "()".contains(*character);
        let (mut start, mut sign, mut is_quoted, mut is_escaped) = (0, None, false, false);
        for (at, character) in characters.iter().enumerate().take(cursor) {
            let is_outside = !is_quoted;
            match character {
                _ if is_escaped => is_escaped = false,
                '\\' if is_quoted => is_escaped = true,
                '"' => is_quoted = !is_quoted,
                character if is_outside && is_end(character) => (start, sign) = (at + 1, None),
                '-' if is_outside && at == start => start = at + 1,
                '=' | '<' | '>' | ':' | '!' if is_outside && sign.is_none() => sign = Some(at),
                _ => {}
            }
        }
        let from = sign.map_or(start, |sign| {
            let signs = characters.iter().take(cursor).skip(sign).take_while(|character| "=<>:!".contains(**character));
            sign + signs.count()
        });
        // A quote that is open reaches as far as the query.
        let after = characters.iter().skip(cursor).take_while(|character| is_quoted || !is_end(character)).count();
        let part = |from: usize, to: usize| -> String {
            characters.iter().take(to).skip(from).filter(|character| !"\"*".contains(**character)).collect()
        };
        Self { key: sign.map(|sign| part(start, sign)), prefix: part(from, cursor), from, to: cursor + after }
    }
}

/// Counts keys, or the values of a key, in the latest traces. Also returns how many spans were read.
fn count(store: &Store, key: Option<&str>) -> (HashMap<String, usize>, usize) {
    let deadline = Instant::now() + TIME;
    let mut counts = HashMap::new();
    if key.is_none() {
        counts.extend(FIELDS.iter().map(|(name, _)| ((*name).to_owned(), 0)));
        counts.insert("sort".to_owned(), 0);
    }
    let (mut cursor, mut spans) = (None, 0);
    loop {
        let slice = store.slice(&mut cursor, SLICE, |_, _| Wanted::Spans);
        for span in slice.traces.iter().flat_map(|trace| &trace.spans) {
            match key {
                Some(key) => count_values(span, key, &mut counts),
                None => fields::visit(span.details.get(), &mut |key, _| add(&mut counts, key)),
            }
            spans += 1;
        }
        if slice.visited == 0 || spans >= SPANS || Instant::now() >= deadline {
            return (counts, spans);
        }
    }
}

fn count_values(span: &Span, key: &str, counts: &mut HashMap<String, usize>) {
    let value = match key {
        "service" => span.service.as_deref(),
        "name" | "root" => Some(&*span.name),
        "database" | "db" => span.database.as_deref(),
        "kind" => Some(span.kind.name()),
        "status" => Some(span.outcome.name()),
        "source" => Some(span.source.name()),
        _ => {
            fields::visit(span.details.get(), &mut |found, value| {
                if found == key {
                    add(counts, value.text());
                }
            });
            None
        }
    };
    value.into_iter().for_each(|value| add(counts, value));
}

fn add(counts: &mut HashMap<String, usize>, text: &str) {
    if let Some(count) = counts.get_mut(text) {
        *count += 1;
    } else if counts.len() < DISTINCT && text.len() <= LONGEST {
        counts.insert(text.to_owned(), 1);
    }
}

#[cfg(test)]
mod tests;
