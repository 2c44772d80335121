//! Reads a text character by character, and knows where it is.

use super::ast::Order;
use super::fault::QueryFault;

/// The deepest nesting of parentheses and negations.
pub(super) const DEPTH: usize = 16;
/// The most terms of a query, each of which a trace's spans are compared with.
pub(super) const TERMS: usize = 60;

pub(super) struct Scanner {
    characters: Vec<char>,
    at: usize,
    terms: usize,
}

impl Scanner {
    pub(super) fn new(text: &str) -> Self {
        Self { characters: text.chars().collect(), at: 0, terms: 0 }
    }

    pub(super) fn position(&self) -> usize {
        self.at
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.characters.get(self.at).copied()
    }

    pub(super) fn is_next(&self, text: &str) -> bool {
        let next = self.characters.get(self.at..).unwrap_or_default();
        text.chars().count() <= next.len() && text.chars().zip(next).all(|(a, b)| a == *b)
    }

    /// Moves past a text, if it is next.
    pub(super) fn skip(&mut self, text: &str) -> bool {
        let is_next = self.is_next(text);
        if is_next {
            self.at += text.chars().count();
        }
        is_next
    }

    pub(super) fn skip_spaces(&mut self) {
        self.take_while(char::is_whitespace);
    }

    /// Moves past the sign of a comparison.
    pub(super) fn order(&mut self) -> Option<Order> {
        let orders = [
            ("!=", Order::Unequal),
            (">=", Order::MoreOrEqual),
            ("<=", Order::LessOrEqual),
            ("=", Order::Equal),
            (">", Order::More),
            ("<", Order::Less),
        ];
        orders.into_iter().find(|(text, _)| self.skip(text)).map(|(_, order)| order)
    }

    pub(super) fn take_while(&mut self, is_part: impl Fn(char) -> bool) -> String {
        let rest = self.characters.get(self.at..).unwrap_or_default();
        let taken: String = rest.iter().copied().take_while(|character| is_part(*character)).collect();
        self.at += taken.chars().count();
        taken
    }

    /// The characters up to the next space or parenthesis, without moving.
    pub(super) fn next_word(&self) -> String {
        let rest = self.characters.get(self.at..).unwrap_or_default();
        rest.iter().take_while(|character| !character.is_whitespace() && !"()".contains(**character)).collect()
    }

    /// A text in quotes, in which `\` escapes the next character.
    pub(super) fn quoted(&mut self) -> Result<String, QueryFault> {
        let start = self.at;
        self.at += 1;
        let mut text = String::new();
        loop {
            let Some(character) = self.peek() else {
                return Err(QueryFault::new(start, "this quote is not closed; add \" at its end"));
            };
            self.at += 1;
            match character {
                '"' => return Ok(text),
                '\\' => text.extend(self.take_one()),
                character => text.push(character),
            }
        }
    }

    fn take_one(&mut self) -> Option<char> {
        let character = self.peek()?;
        self.at += 1;
        Some(character)
    }

    /// Counts a term.
    pub(super) fn count(&mut self, position: usize) -> Result<(), QueryFault> {
        self.terms += 1;
        if self.terms > TERMS {
            return Err(QueryFault::new(position, format!("a query has at most {TERMS} terms; remove some")));
        }
        Ok(())
    }

    /// Checks how deep a part is nested.
    pub(super) fn check(&self, depth: usize) -> Result<(), QueryFault> {
        if depth > DEPTH {
            return Err(QueryFault::new(self.at, format!("parentheses and negations nest at most {DEPTH} deep")));
        }
        Ok(())
    }
}
