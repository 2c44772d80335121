//! X-Ray's [filter expressions](https://docs.aws.amazon.com/xray/latest/devguide/xray-console-filters.html), as far as a viewer of all spans can decide them:
//! `service("backend") { fault } AND responsetime > 0.2 AND annotation.user_id = "a"`.

use super::ast::{Expr, Measure, Order, Pattern, Query, Sort, SpanField, Term, Test};
use super::fault::QueryFault;
use super::fields::{annotation_key, duration_of};
use super::scanner::Scanner;
use crate::index::fields::number;

const KEYWORDS: &str = "service(\"name\"), responsetime, duration, ok, error, fault, throttle, user, name, http.status, http.url, http.method, http.useragent, \
    http.clientip, annotation[key] and annotation.key";

pub(super) fn parse(text: &str) -> Result<Query, QueryFault> {
    let mut parser = FilterParser { scanner: Scanner::new(text) };
    let filter = parser.alternatives(0, Scope::Trace)?;
    match parser.scanner.peek() {
        None => Ok(Query { filter: Some(filter), sort: Sort::default() }),
        Some(next) => {
            let message = format!("{next} is not expected here; join two conditions by AND or OR");
            Err(QueryFault::new(parser.scanner.position(), message))
        }
    }
}

/// What a keyword is about.
#[derive(Clone, Copy, PartialEq)]
enum Scope {
    Trace,
    /// Within the braces of a service: its spans.
    Service,
}

struct FilterParser {
    scanner: Scanner,
}

/// The value of a comparison.
enum Literal {
    Text(String),
    /// As it is written.
    Number(String),
    Bool(bool),
}

/// The sign of a comparison.
enum Sign {
    Order(Order),
    BeginsWith,
    EndsWith,
    Contains,
}

impl FilterParser {
    fn alternatives(&mut self, depth: usize, scope: Scope) -> Result<Expr, QueryFault> {
        let mut parts = vec![self.conjunction(depth, scope)?];
        while self.skip_word("OR") {
            parts.push(self.conjunction(depth, scope)?);
        }
        self.joined(Expr::or(parts))
    }

    fn conjunction(&mut self, depth: usize, scope: Scope) -> Result<Expr, QueryFault> {
        let mut parts = vec![self.condition(depth, scope)?];
        while self.skip_word("AND") {
            parts.push(self.condition(depth, scope)?);
        }
        self.joined(Expr::and(parts))
    }

    fn joined(&self, joined: Option<Expr>) -> Result<Expr, QueryFault> {
        joined.ok_or_else(|| QueryFault::new(self.scanner.position(), "a condition is missing here"))
    }

    fn condition(&mut self, depth: usize, scope: Scope) -> Result<Expr, QueryFault> {
        self.scanner.check(depth)?;
        if self.skip_word("NOT") || self.scanner.skip("!") {
            return Ok(self.condition(depth + 1, scope)?.not());
        }
        let start = self.scanner.position();
        if self.scanner.skip("(") {
            let inner = self.alternatives(depth + 1, scope)?;
            self.close(")", start)?;
            return Ok(inner);
        }
        self.scanner.count(start)?;
        let name = self.name();
        match name.as_str() {
            "service" if self.scanner.is_next("(") => self.service(depth),
            "edge" => {
                Err(QueryFault::new(start, "edge() is not supported here; GET /api/map has the edges between services"))
            }
            "annotation" if self.scanner.skip("[") => self.annotation_in_brackets(),
            "ok" | "error" | "fault" | "throttle" => self.boolean(&name),
            "responsetime" | "duration" => self.seconds(&name, scope),
            _ => match name.strip_prefix("annotation.") {
                Some(key) if !key.is_empty() => self.compared(&name, &SpanField::Annotation(annotation_key(key))),
                _ => self.keyword(&name, start),
            },
        }
    }

    fn keyword(&mut self, name: &str, start: usize) -> Result<Expr, QueryFault> {
        let field = match name {
            "name" => SpanField::Service,
            "user" | "http.status" | "http.url" | "http.method" | "http.useragent" | "http.clientip" => {
                SpanField::Attribute(name.to_owned())
            }
            "" => return Err(QueryFault::new(start, "a condition is missing here, such as responsetime > 0.2")),
            _ => {
                let mend = if matches!(name, "dur" | "status" | "kind" | "root") {
                    "; the viewer's own language has it, without spaces around its signs, as in dur>200ms".to_owned()
                } else {
                    format!("; supported are {KEYWORDS}")
                };
                return Err(QueryFault::new(
                    start,
                    format!("{name} is not a keyword of X-Ray's filter expressions{mend}"),
                ));
            }
        };
        self.compared(name, &field)
    }

    /// `service("name")`, with conditions on its spans in braces.
    fn service(&mut self, depth: usize) -> Result<Expr, QueryFault> {
        let open = self.scanner.position();
        self.scanner.skip("(");
        self.scanner.skip_spaces();
        let position = self.scanner.position();
        if self.scanner.peek() != Some('"') {
            let mend =
                "name one service in quotes, as in service(\"backend\"); id() and an empty service() are not supported";
            return Err(QueryFault::new(position, mend));
        }
        let name = self.scanner.quoted()?;
        self.close(")", open)?;
        let service = Expr::Term(Term::Span(SpanField::Service, Test::Is(Pattern::exact(name))));
        let open = self.scanner.position();
        if !self.scanner.skip("{") {
            return Ok(service);
        }
        let inner = self.alternatives(depth + 1, Scope::Service)?;
        self.close("}", open)?;
        self.joined(Expr::and(vec![service, inner]))
    }

    fn annotation_in_brackets(&mut self) -> Result<Expr, QueryFault> {
        let start = self.scanner.position();
        self.scanner.skip_spaces();
        let key = if self.scanner.peek() == Some('"') {
            self.scanner.quoted()?
        } else {
            self.scanner.take_while(|character| character.is_alphanumeric() || "_.-:/".contains(character))
        };
        if key.is_empty() {
            return Err(QueryFault::new(start, "a key is missing here, as in annotation[user_id]"));
        }
        self.close("]", start.saturating_sub(1))?;
        self.compared(&format!("annotation[{key}]"), &SpanField::Annotation(annotation_key(&key)))
    }

    /// `fault`, or `fault = true`.
    fn boolean(&mut self, name: &str) -> Result<Expr, QueryFault> {
        let condition =
            outcome(name).ok_or_else(|| QueryFault::new(self.scanner.position(), "a condition is missing here"))?;
        let Some((sign, position)) = self.sign() else { return Ok(condition) };
        let value_position = self.scanner.position();
        match (sign, self.literal(name)?) {
            (Sign::Order(Order::Equal), Literal::Bool(true)) | (Sign::Order(Order::Unequal), Literal::Bool(false)) => {
                Ok(condition)
            }
            (Sign::Order(Order::Equal), Literal::Bool(false)) | (Sign::Order(Order::Unequal), Literal::Bool(true)) => {
                Ok(condition.not())
            }
            (Sign::Order(Order::Equal | Order::Unequal), _) => {
                Err(QueryFault::new(value_position, format!("{name} is true or false")))
            }
            _ => Err(QueryFault::new(position, format!("{name} is compared by = or !="))),
        }
    }

    /// A duration in seconds.
    fn seconds(&mut self, name: &str, scope: Scope) -> Result<Expr, QueryFault> {
        let fault = |position, mend: &str| Err(QueryFault::new(position, format!("{name}: {mend}")));
        let position = self.scanner.position();
        let Some((Sign::Order(order), _)) = self.sign() else {
            return fault(position, "compare it with seconds, as in responsetime > 0.2");
        };
        let position = self.scanner.position();
        let Literal::Number(text) = self.literal(name)? else {
            return fault(position, "compare it with a number of seconds");
        };
        let Some(ns) = duration_of(&text, 1_000_000_000) else {
            return fault(position, "the number of seconds is not valid or too large");
        };
        Ok(Expr::Term(match scope {
            Scope::Trace => Term::Trace(Measure::Duration, order, ns),
            Scope::Service => Term::SpanDuration(order, ns),
        }))
    }

    /// A field alone, or compared with a value.
    fn compared(&mut self, name: &str, field: &SpanField) -> Result<Expr, QueryFault> {
        let Some((sign, position)) = self.sign() else {
            return Ok(Expr::Term(Term::Span(field.clone(), Test::Exists)));
        };
        let value_position = self.scanner.position();
        let text = match self.literal(name)? {
            Literal::Text(text) | Literal::Number(text) => text,
            Literal::Bool(flag) => flag.to_string(),
        };
        let is_text = *field == SpanField::Service;
        let pattern = |is_open_before, is_open_after| Pattern { text: text.clone(), is_open_before, is_open_after };
        let test = match sign {
            // Every text starts and ends with nothing.
            Sign::BeginsWith | Sign::EndsWith if text.is_empty() => Test::Exists,
            Sign::Order(Order::Equal) => Test::Is(pattern(false, false)),
            Sign::Order(Order::Unequal) => Test::IsNot(pattern(false, false)),
            Sign::BeginsWith => Test::Is(pattern(false, true)),
            Sign::EndsWith => Test::Is(pattern(true, false)),
            Sign::Contains => Test::Contains(text),
            Sign::Order(_) if is_text => {
                return Err(QueryFault::new(
                    position,
                    format!("{name} is a text; compare it by =, !=, BEGINSWITH, ENDSWITH or CONTAINS"),
                ));
            }
            Sign::Order(order) => match number(&text) {
                Some(number) => Test::Compare(order, number),
                None => {
                    return Err(QueryFault::new(
                        value_position,
                        format!("{name}: compare it with a number, or by = or !="),
                    ));
                }
            },
        };
        Ok(Expr::Term(Term::Span(field.clone(), test)))
    }

    fn name(&mut self) -> String {
        self.scanner.take_while(|character| character.is_alphanumeric() || "_.-:".contains(character))
    }

    /// The sign of a comparison, and its position. Moves to the value.
    fn sign(&mut self) -> Option<(Sign, usize)> {
        self.scanner.skip_spaces();
        let position = self.scanner.position();
        let sign = match self.scanner.order() {
            Some(order) => Sign::Order(order),
            None if self.skip_word("BEGINSWITH") => Sign::BeginsWith,
            None if self.skip_word("ENDSWITH") => Sign::EndsWith,
            None if self.skip_word("CONTAINS") => Sign::Contains,
            None => return None,
        };
        self.scanner.skip_spaces();
        Some((sign, position))
    }

    fn literal(&mut self, name: &str) -> Result<Literal, QueryFault> {
        let position = self.scanner.position();
        let literal = if self.scanner.peek() == Some('"') {
            Literal::Text(self.scanner.quoted()?)
        } else {
            let text = self.scanner.take_while(|character| character.is_alphanumeric() || "_.-+:".contains(character));
            match text.as_str() {
                "true" => Literal::Bool(true),
                "false" => Literal::Bool(false),
                text if number(text).is_some() => Literal::Number(text.to_owned()),
                "" => return Err(QueryFault::new(position, format!("{name}: a value is missing here"))),
                text => return Err(QueryFault::new(position, format!("quote the value: {name} = \"{text}\""))),
            }
        };
        self.scanner.skip_spaces();
        Ok(literal)
    }

    /// Moves past a keyword, in either case, and the spaces around it.
    fn skip_word(&mut self, word: &str) -> bool {
        self.scanner.skip_spaces();
        let next: String = self.scanner.next_word().chars().take_while(char::is_ascii_alphabetic).collect();
        let is_next = next == word || next == word.to_ascii_lowercase();
        if is_next {
            self.scanner.skip(&next);
            self.scanner.skip_spaces();
        }
        is_next
    }

    fn close(&mut self, sign: &str, open: usize) -> Result<(), QueryFault> {
        self.scanner.skip_spaces();
        if !self.scanner.skip(sign) {
            let position = self.scanner.position();
            return Err(QueryFault::new(position, format!("{sign} is missing here, for the sign at {open}")));
        }
        self.scanner.skip_spaces();
        Ok(())
    }
}

/// X-Ray's flags by what either protocol reports: a fault is the server's (status 5xx, or an OTLP span that failed), an error the client's (4xx).
fn outcome(name: &str) -> Option<Expr> {
    let flag =
        |key: &str| Expr::Term(Term::Span(SpanField::Attribute(key.to_owned()), Test::Is(Pattern::exact("true"))));
    let status = |order, limit| {
        Expr::Term(Term::Span(SpanField::Attribute("http.status".to_owned()), Test::Compare(order, limit)))
    };
    let is = |field, value: &str| Expr::Term(Term::Span(field, Test::Is(Pattern::exact(value))));
    let throttle = || [flag("throttle"), is(SpanField::Attribute("http.status".to_owned()), "429")];
    match name {
        "throttle" => Expr::or(throttle().into()),
        "error" => {
            let client = Expr::and(vec![status(Order::MoreOrEqual, 400.0), status(Order::Less, 500.0)])?;
            Expr::or(vec![flag("error"), client])
        }
        "fault" => {
            let failed = Expr::and(vec![is(SpanField::Source, "otlp"), is(SpanField::Status, "error")])?;
            Expr::or(vec![flag("fault"), status(Order::MoreOrEqual, 500.0), failed])
        }
        _ => {
            let parts = ["error", "fault", "throttle"].map(outcome);
            Expr::or(parts.into_iter().flatten().collect()).map(Expr::not)
        }
    }
}
