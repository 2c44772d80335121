//! The keys of the viewer's own language, and what each accepts.

use super::ast::{Expr, Having, Measure, Order, Pattern, Sort, SortKey, SpanField, Term, Test};
use super::fault::QueryFault;
use crate::model::{Code, Kind, Source};

/// The keys, with what follows each in a suggestion.
pub(crate) const FIELDS: [(&str, &str); 16] = [
    ("service", "="),
    ("name", "="),
    ("kind", "="),
    ("status", "="),
    ("source", "="),
    ("database", "="),
    ("span", "="),
    ("parent", "="),
    ("span.dur", ">"),
    ("trace", "="),
    ("root", ":"),
    ("dur", ">"),
    ("spans", ">"),
    ("errors", ">"),
    ("has", ":"),
    ("last", ":"),
];

const ALIASES: [(&str, &str); 6] = [
    ("db", "database"),
    ("span_id", "span"),
    ("span.id", "span"),
    ("trace_id", "trace"),
    ("trace.id", "trace"),
    ("parent_id", "parent"),
];

const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// How a key and a value are joined.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Operator {
    Order(Order),
    /// The colon.
    Contains,
}

/// A value as it is written.
pub(super) struct Written {
    pub(super) text: String,
    pub(super) is_open_before: bool,
    pub(super) is_open_after: bool,
    /// The position of the text.
    pub(super) position: usize,
}

/// A key with a value.
pub(super) struct Pair {
    pub(super) key: String,
    /// A quoted key is an attribute's, whatever its name.
    pub(super) is_quoted: bool,
    pub(super) position: usize,
    pub(super) operator: Operator,
    pub(super) value: Written,
}

/// What a pair means.
pub(super) enum Meaning {
    Condition(Expr),
    Sort(Sort),
}

/// Whether a key denotes an attribute if it is written without quotes.
pub(super) fn is_plain_key(key: &str) -> bool {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "_./@".contains(character);
    let is_special = FIELDS.iter().chain(&ALIASES).any(|(name, _)| *name == key);
    !key.is_empty() && key.chars().all(is_plain) && !is_special && key != "sort" && !key.starts_with("annotation.")
}

impl Pair {
    pub(super) fn meaning(self) -> Result<Meaning, QueryFault> {
        let alias = ALIASES.iter().find(|(alias, _)| *alias == self.key).map(|(_, key)| *key);
        let key = if self.is_quoted { "" } else { alias.unwrap_or(&self.key) };
        let term = match key {
            "service" => self.text(SpanField::Service)?,
            "name" => self.text(SpanField::Name)?,
            "kind" => self.one_of(SpanField::Kind, Kind::NAMES)?,
            "status" => self.one_of(SpanField::Status, Code::NAMES)?,
            "source" => self.one_of(SpanField::Source, Source::NAMES)?,
            "database" => self.text(SpanField::Database)?,
            "span" => self.id(SpanField::Id)?,
            "parent" => self.id(SpanField::Parent)?,
            "dur" => Term::Trace(Measure::Duration, self.order()?, self.duration()?),
            "span.dur" => Term::SpanDuration(self.order()?, self.duration()?),
            "spans" => Term::Trace(Measure::Spans, self.order()?, self.count()?),
            "errors" => Term::Trace(Measure::Errors, self.order()?, self.count()?),
            "trace" => return self.trace().map(Meaning::Condition),
            "root" => Term::Root(self.text_test()?),
            "has" => Term::Has(self.having()?),
            "last" => Term::Last(self.directive()?.duration()?),
            "sort" => return self.sort().map(Meaning::Sort),
            _ => self.attribute()?,
        };
        Ok(Meaning::Condition(Expr::Term(term)))
    }

    fn attribute(&self) -> Result<Term, QueryFault> {
        let test = match self.operator {
            Operator::Order(Order::Equal | Order::Unequal) | Operator::Contains => self.text_test()?,
            Operator::Order(order) => Test::Compare(order, self.number()?),
        };
        let annotation = self.key.strip_prefix("annotation.").filter(|key| !self.is_quoted && !key.is_empty());
        let field = annotation
            .map_or_else(|| SpanField::Attribute(self.key.clone()), |key| SpanField::Annotation(annotation_key(key)));
        Ok(Term::Span(field, test))
    }

    fn text(&self, field: SpanField) -> Result<Term, QueryFault> {
        Ok(Term::Span(field, self.text_test()?))
    }

    fn one_of(&self, field: SpanField, values: &[&str]) -> Result<Term, QueryFault> {
        let mut pattern = self.pattern();
        pattern.text.make_ascii_lowercase();
        if pattern.is_exact() && self.operator != Operator::Contains && !values.contains(&&*pattern.text) {
            let what = if self.key == "status" { "; the status of HTTP is http.status" } else { "" };
            return Err(self.value_fault(&format!("it is {}{what}", values.join(", "))));
        }
        Ok(Term::Span(field, self.test_of(pattern)?))
    }

    fn id(&self, field: SpanField) -> Result<Term, QueryFault> {
        let mut pattern = self.pattern();
        pattern.text.make_ascii_lowercase();
        Ok(Term::Span(field, self.test_of(pattern)?))
    }

    fn text_test(&self) -> Result<Test, QueryFault> {
        self.test_of(self.pattern())
    }

    fn test_of(&self, pattern: Pattern) -> Result<Test, QueryFault> {
        let is_any = pattern.text.is_empty() && !pattern.is_exact();
        match self.operator {
            Operator::Order(Order::Equal) if is_any => Ok(Test::Exists),
            Operator::Order(Order::Unequal) if is_any => {
                let mend = format!("write -{}=* for traces without it", self.key);
                Err(self.value_fault(&mend))
            }
            Operator::Order(Order::Equal) => Ok(Test::Is(pattern)),
            Operator::Order(Order::Unequal) => Ok(Test::IsNot(pattern)),
            Operator::Contains if is_any => Ok(Test::Exists),
            Operator::Contains => Ok(Test::Contains(pattern.text)),
            Operator::Order(_) => Err(self.operator_fault("it is a text; compare it by =, != or :")),
        }
    }

    fn pattern(&self) -> Pattern {
        let Written { text, is_open_before, is_open_after, .. } = &self.value;
        Pattern { text: text.clone(), is_open_before: *is_open_before, is_open_after: *is_open_after }
    }

    fn trace(&self) -> Result<Expr, QueryFault> {
        let mut pattern = self.pattern();
        if let Term::TraceId(id) = Term::word(pattern.text.clone()) {
            pattern.text = id.text;
        }
        pattern.text.make_ascii_lowercase();
        match self.operator {
            Operator::Order(Order::Equal) => Ok(Expr::Term(Term::TraceId(pattern))),
            Operator::Order(Order::Unequal) => Ok(Expr::Term(Term::TraceId(pattern)).not()),
            Operator::Contains => {
                let pattern = Pattern { is_open_before: true, is_open_after: true, ..pattern };
                Ok(Expr::Term(Term::TraceId(pattern)))
            }
            Operator::Order(_) => Err(self.operator_fault("it is a text; compare it by =, != or :")),
        }
    }

    fn having(&self) -> Result<Having, QueryFault> {
        let text = &self.directive()?.value.text;
        if text.is_empty() {
            return Err(self.value_fault("name what the trace has, such as error, exception or a key"));
        }
        Ok(match text.as_str() {
            "error" => Having::Error,
            "exception" => Having::Exception,
            "browser" => Having::Browser,
            "document" => Having::Document,
            "dropped" => Having::Dropped,
            _ => Having::Key(text.clone()),
        })
    }

    fn sort(&self) -> Result<Sort, QueryFault> {
        let text = &self.directive()?.value.text;
        let (key, is_ascending) = match text.split_once(':') {
            None => (text.as_str(), false),
            Some((key, "desc")) => (key, false),
            Some((key, "asc")) => (key, true),
            Some(_) => return Err(self.value_fault("the order is asc or desc")),
        };
        let by = match key {
            "start" => SortKey::Start,
            "dur" => SortKey::Duration,
            "spans" => SortKey::Spans,
            "errors" => SortKey::Errors,
            _ => return Err(self.value_fault("sort by start, dur, spans or errors")),
        };
        Ok(Sort { by, is_ascending })
    }

    /// Checks that the operator is a colon, or the equals sign that many write instead.
    fn directive(&self) -> Result<&Self, QueryFault> {
        match self.operator {
            Operator::Contains | Operator::Order(Order::Equal) => Ok(self),
            Operator::Order(_) => Err(self.operator_fault(&format!("write {}: and a value", self.key))),
        }
    }

    fn order(&self) -> Result<Order, QueryFault> {
        match self.operator {
            Operator::Order(order) => Ok(order),
            Operator::Contains => Err(self.operator_fault("it is a number; compare it by =, !=, >, >=, < or <=")),
        }
    }

    fn number(&self) -> Result<f64, QueryFault> {
        self.check_stars()?;
        let number = crate::index::fields::number(&self.value.text);
        number.ok_or_else(|| self.value_fault("compare it with a number, without a unit"))
    }

    fn count(&self) -> Result<u64, QueryFault> {
        self.check_stars()?;
        self.value.text.parse().map_err(|_| self.value_fault("compare it with a whole number"))
    }

    fn duration(&self) -> Result<u64, QueryFault> {
        self.check_stars()?;
        let text = &self.value.text;
        let digits = text.chars().take_while(|character| character.is_ascii_digit() || *character == '.').count();
        let (number, unit) = text.split_at(digits);
        let fault = |position: usize, mend: &str| QueryFault::new(position, format!("{self}: {mend}"));
        if digits == 0 {
            return Err(fault(self.value.position, "give a duration such as 200ms"));
        }
        let Some((_, ns)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            let mend = if unit.is_empty() { "give a unit such as ms" } else { "the unit is ns, us, ms, s, m, h or d" };
            return Err(fault(self.value.position + digits, mend));
        };
        duration_of(number, *ns).ok_or_else(|| fault(self.value.position, "the number is not valid or too large"))
    }

    /// A number has no stars.
    fn check_stars(&self) -> Result<(), QueryFault> {
        let has_star = self.value.is_open_before || self.value.is_open_after;
        if has_star { Err(self.value_fault("remove the *, which only texts have")) } else { Ok(()) }
    }

    fn operator_fault(&self, mend: &str) -> QueryFault {
        QueryFault::new(self.position + self.key.chars().count(), format!("{self}: {mend}"))
    }

    fn value_fault(&self, mend: &str) -> QueryFault {
        QueryFault::new(self.value.position, format!("{self}: {mend}"))
    }
}

/// Nanoseconds of a decimal number of units.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a fraction of a unit need not be exact, and the range is checked"
)]
pub(super) fn duration_of(number: &str, unit: u64) -> Option<u64> {
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(unit);
    }
    let ns = (number.parse::<f64>().ok()? * unit as f64).round();
    (0.0..1e18).contains(&ns).then_some(ns as u64)
}

/// A key as it is in annotations.
pub(super) fn annotation_key(key: &str) -> String {
    key.chars().map(|character| if character.is_ascii_alphanumeric() { character } else { '_' }).collect()
}

/// The pair as it was written, except for quotes.
impl std::fmt::Display for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let star = |is_open| if is_open { "*" } else { "" };
        write!(f, "{}", self.key)?;
        match self.operator {
            Operator::Order(order) => write!(f, "{order}")?,
            Operator::Contains => f.write_str(":")?,
        }
        write!(f, "{}{}{}", star(self.value.is_open_before), self.value.text, star(self.value.is_open_after))
    }
}
