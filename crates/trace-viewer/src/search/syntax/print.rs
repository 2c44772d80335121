//! Writes a tree in the viewer's own language. Reading it again gives the same tree.

use std::fmt::{self, Display, Formatter};

use super::ast::{Expr, Having, Measure, Order, Pattern, Query, Sort, SortKey, SpanField, Term, Test};
use super::fields;

impl Display for Query {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(filter) = &self.filter {
            match filter {
                Expr::Or(_) if self.sort != Sort::default() => write!(f, "({filter})")?,
                filter => write!(f, "{filter}")?,
            }
        }
        if self.sort == Sort::default() {
            return Ok(());
        }
        let separator = if self.filter.is_some() { " " } else { "" };
        write!(f, "{separator}sort:{}:{}", self.sort.by, if self.sort.is_ascending { "asc" } else { "desc" })
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::And(parts) => joined(f, parts, " ", |part| matches!(part, Self::Or(_))),
            Self::Or(parts) => joined(f, parts, " OR ", |_| false),
            Self::Not(part) => match **part {
                Self::Term(_) => write!(f, "-{part}"),
                _ => write!(f, "-({part})"),
            },
            Self::Term(term) => write!(f, "{term}"),
        }
    }
}

fn joined(
    f: &mut Formatter<'_>,
    parts: &[Expr],
    separator: &str,
    needs_parentheses: impl Fn(&Expr) -> bool,
) -> fmt::Result {
    for (at, part) in parts.iter().enumerate() {
        if at > 0 {
            f.write_str(separator)?;
        }
        if needs_parentheses(part) { write!(f, "({part})")? } else { write!(f, "{part}")? }
    }
    Ok(())
}

impl Display for Term {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(text) => Quoted(text).fmt(f),
            Self::Span(field, test) => write!(f, "{field}{test}"),
            Self::SpanDuration(order, ns) => write!(f, "span.dur{order}{ns}ns"),
            Self::Trace(Measure::Duration, order, ns) => write!(f, "dur{order}{ns}ns"),
            Self::Trace(Measure::Spans, order, count) => write!(f, "spans{order}{count}"),
            Self::Trace(Measure::Errors, order, count) => write!(f, "errors{order}{count}"),
            Self::TraceId(pattern) => write!(f, "trace={pattern}"),
            Self::Root(test) => write!(f, "root{test}"),
            Self::Has(having) => write!(f, "has:{having}"),
            Self::Last(ns) => write!(f, "last:{ns}ns"),
        }
    }
}

impl Display for SpanField {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Service => "service",
            Self::Name => "name",
            Self::Kind => "kind",
            Self::Status => "status",
            Self::Source => "source",
            Self::Database => "database",
            Self::Id => "span",
            Self::Parent => "parent",
            Self::Annotation(key) => return write!(f, "annotation.{key}"),
            Self::Attribute(key) if fields::is_plain_key(key) => key,
            Self::Attribute(key) => return Quoted(key).fmt(f),
        })
    }
}

impl Display for Test {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists => f.write_str("=*"),
            Self::Is(pattern) => write!(f, "={pattern}"),
            Self::IsNot(pattern) => write!(f, "!={pattern}"),
            Self::Contains(text) => write!(f, ":{}", Quoted(text)),
            Self::Compare(order, number) => write!(f, "{order}{number}"),
        }
    }
}

impl Display for Pattern {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let star = |is_open| if is_open { "*" } else { "" };
        write!(f, "{}{}{}", star(self.is_open_before), Quoted(&self.text), star(self.is_open_after))
    }
}

impl Display for Order {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "=",
            Self::Unequal => "!=",
            Self::More => ">",
            Self::MoreOrEqual => ">=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
        })
    }
}

impl Display for Having {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error => f.write_str("error"),
            Self::Exception => f.write_str("exception"),
            Self::Browser => f.write_str("browser"),
            Self::Document => f.write_str("document"),
            Self::Dropped => f.write_str("dropped"),
            Self::Key(key) => Quoted(key).fmt(f),
        }
    }
}

impl Display for SortKey {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "start",
            Self::Duration => "dur",
            Self::Spans => "spans",
            Self::Errors => "errors",
        })
    }
}

/// A text in quotes.
struct Quoted<'a>(&'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.replace('\\', "\\\\").replace('"', "\\\""))
    }
}
