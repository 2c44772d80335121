//! The viewer's own language: `service=backend dur>200ms -name=health (has:exception OR root:GET) sort:dur`.

use super::ast::{Expr, Query, Sort, Term};
use super::fault::QueryFault;
use super::fields::{Meaning, Operator, Pair, Written};
use super::scanner::Scanner;

const MIDDLE_STAR: &str = "a * stands at the start or end of a value; quote the value to search for the character";

pub(super) fn parse(text: &str) -> Result<Query, QueryFault> {
    let mut parser = QueryParser { scanner: Scanner::new(text), sort: None };
    parser.scanner.skip_spaces();
    let filter = if parser.scanner.peek().is_none() { None } else { parser.alternatives(0)? };
    if parser.scanner.peek().is_some() {
        return Err(QueryFault::new(parser.scanner.position(), "there is no ( for this ); remove it"));
    }
    Ok(Query { filter, sort: parser.sort.map(|(sort, _)| sort).unwrap_or_default() })
}

struct QueryParser {
    scanner: Scanner,
    /// With its position.
    sort: Option<(Sort, usize)>,
}

impl QueryParser {
    /// Up to the end or a closing parenthesis. `None` if there are only directives.
    fn alternatives(&mut self, depth: usize) -> Result<Option<Expr>, QueryFault> {
        let has_sort = self.sort.is_some();
        let start = self.scanner.position();
        let mut parts = vec![self.conjunction(depth)?];
        while self.scanner.next_word() == "OR" {
            self.scanner.skip("OR");
            parts.push(self.conjunction(depth)?);
        }
        if let Some((_, position)) = self.sort.filter(|_| depth > 0 && !has_sort) {
            return Err(QueryFault::new(
                position,
                "sort: applies to the whole query; put it outside of the parentheses",
            ));
        }
        if parts.len() > 1 && parts.iter().any(Option::is_none) {
            return Err(QueryFault::new(start, "OR needs a term on each side, and sort: is none"));
        }
        Ok(Expr::or(parts.into_iter().flatten().collect()))
    }

    fn conjunction(&mut self, depth: usize) -> Result<Option<Expr>, QueryFault> {
        let mut parts = Vec::new();
        let (mut is_empty, mut joins) = (true, false);
        loop {
            self.scanner.skip_spaces();
            let position = self.scanner.position();
            let word = self.scanner.next_word();
            let is_end = self.scanner.peek().is_none_or(|next| next == ')') || word == "OR";
            if is_end && (is_empty || joins) {
                return Err(QueryFault::new(position, "a term is missing here, such as service=backend"));
            }
            if is_end {
                return Ok(Expr::and(parts));
            }
            if word == "AND" {
                if is_empty || joins {
                    return Err(QueryFault::new(
                        position,
                        "AND needs a term on each side; quote it to search for the word",
                    ));
                }
                self.scanner.skip("AND");
                joins = true;
                continue;
            }
            parts.extend(self.item(depth)?);
            (is_empty, joins) = (false, false);
        }
    }

    fn item(&mut self, depth: usize) -> Result<Option<Expr>, QueryFault> {
        self.scanner.check(depth)?;
        let position = self.scanner.position();
        let is_word = self.scanner.next_word() == "NOT";
        if self.scanner.skip(if is_word { "NOT" } else { "-" }) {
            if is_word {
                self.scanner.skip_spaces();
            }
            if self.scanner.peek().is_none_or(|next| next.is_whitespace() || next == ')') {
                return Err(QueryFault::new(
                    position,
                    "a negation needs a term directly after it; quote it to search for the text",
                ));
            }
            return match self.item(depth + 1)? {
                Some(inner) => Ok(Some(inner.not())),
                None => Err(QueryFault::new(position, "sort: has no negation; write sort:dur:asc for the other order")),
            };
        }
        if !self.scanner.skip("(") {
            return self.term();
        }
        let inner = self.alternatives(depth + 1)?;
        if !self.scanner.skip(")") {
            return Err(QueryFault::new(position, "this ( is not closed; add )"));
        }
        Ok(inner)
    }

    /// `None` for a directive.
    fn term(&mut self) -> Result<Option<Expr>, QueryFault> {
        let position = self.scanner.position();
        self.scanner.count(position)?;
        let is_quoted = self.scanner.peek() == Some('"');
        let key = if is_quoted { self.scanner.quoted()? } else { self.key() };
        let Some(operator) = self.operator() else {
            self.check_end()?;
            return word(key, is_quoted, position).map(|term| Some(Expr::Term(term)));
        };
        if key.is_empty() {
            return Err(QueryFault::new(position, "a key is missing here, such as service=backend"));
        }
        let value = self.value(&key)?;
        match (Pair { key, is_quoted, position, operator, value }).meaning()? {
            Meaning::Condition(condition) => Ok(Some(condition)),
            Meaning::Sort(_) if self.sort.is_some() => {
                Err(QueryFault::new(position, "sort: is there twice; remove one"))
            }
            Meaning::Sort(sort) => {
                self.sort = Some((sort, position));
                Ok(None)
            }
        }
    }

    /// The characters up to an operator, or of a word.
    fn key(&mut self) -> String {
        let mut key = self.scanner.take_while(is_of_key);
        // An exclamation mark without an equals sign belongs to the word.
        while self.scanner.peek() == Some('!') && !self.scanner.is_next("!=") {
            self.scanner.skip("!");
            key.push('!');
            key.push_str(&self.scanner.take_while(is_of_key));
        }
        key
    }

    fn operator(&mut self) -> Option<Operator> {
        self.scanner.order().map(Operator::Order).or_else(|| self.scanner.skip(":").then_some(Operator::Contains))
    }

    fn value(&mut self, key: &str) -> Result<Written, QueryFault> {
        let start = self.scanner.position();
        let is_open_before = self.scanner.skip("*");
        let position = self.scanner.position();
        if self.scanner.peek() == Some('"') {
            let text = self.scanner.quoted()?;
            let is_open_after = self.scanner.skip("*");
            self.check_end()?;
            return Ok(Written { text, is_open_before, is_open_after, position });
        }
        let mut text = self.scanner.take_while(|character| !character.is_whitespace() && !"()\"".contains(character));
        let is_open_after = text.ends_with('*');
        if is_open_after {
            text.pop();
        }
        if text.is_empty() && !is_open_before && !is_open_after {
            return Err(QueryFault::new(
                start,
                format!("{key} has no value; write one directly after the sign, or \"\""),
            ));
        }
        self.check_end()?;
        if let Some(at) = text.chars().position(|character| character == '*') {
            return Err(QueryFault::new(position + at, MIDDLE_STAR));
        }
        let position = if text.is_empty() { start } else { position };
        Ok(Written { text, is_open_before, is_open_after, position })
    }

    /// A term ends with a space or a parenthesis.
    fn check_end(&self) -> Result<(), QueryFault> {
        match self.scanner.peek() {
            Some(next) if !next.is_whitespace() && next != ')' => {
                let message = format!("put a space before {next}, or quote the whole text that has it");
                Err(QueryFault::new(self.scanner.position(), message))
            }
            _ => Ok(()),
        }
    }
}

fn is_of_key(character: char) -> bool {
    !character.is_whitespace() && !"()\"=<>:!".contains(character)
}

fn word(text: String, is_quoted: bool, position: usize) -> Result<Term, QueryFault> {
    // A word is found anywhere, so that a star at its end adds nothing.
    let text = if is_quoted { text } else { text.trim_matches('*').to_owned() };
    if text.is_empty() {
        return Err(QueryFault::new(position, "a word is missing here; an empty one is in every trace"));
    }
    match text.chars().position(|character| character == '*') {
        Some(at) if !is_quoted => Err(QueryFault::new(position + at, MIDDLE_STAR)),
        _ => Ok(Term::word(text)),
    }
}
