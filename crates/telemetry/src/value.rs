//! The value of an attribute of a span, an event or a log record.

use std::borrow::Cow;

/// The value of an attribute. Code that records one passes any type that is [`IntoValue`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A text, cut at the limit.
    Text(&'a str),
    /// Values of one kind. Each text is cut at the limit. Values beyond 64 KiB of encoding are omitted, and so are arrays within an array.
    Array(&'a [Value<'a>]),
}

/// A number that JSON cannot represent, as [protobuf's JSON mapping](https://protobuf.dev/programming-guides/json/) writes it.
pub(crate) fn not_finite(number: f64) -> Option<&'static str> {
    match number {
        f64::INFINITY => Some("Infinity"),
        f64::NEG_INFINITY => Some("-Infinity"),
        _ => number.is_nan().then_some("NaN"),
    }
}

/// A type that an attribute can be set to: texts, booleans, every integer and float, an `Option`, and slices, arrays and vectors of texts,
/// booleans, integers and floats. An integer beyond an `i64` is recorded as its decimal text. `None` sets nothing, and leaves an earlier
/// value.
///
/// ```
/// use telemetry::span::SpanExt;
/// let span = tracing::info_span!("work");
/// span.set("rows", 3_u64);
/// span.set("author", format!("{}-{}", "andrew", 1));
/// span.set("cursor", None::<&str>);
/// span.set("tables", ["activities", "users"]);
/// ```
pub trait IntoValue {
    /// Calls `set` with the value, at most once.
    fn apply(self, set: impl FnOnce(Value<'_>));
}

/// A type that an array of values can consist of.
pub trait Item {
    /// The value of this item.
    fn value(&self) -> Value<'_>;

    /// The decimal text of an integer beyond an `i64`, which is then the value.
    fn text(&self) -> Option<String> {
        None
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl IntoValue for Value<'_> {
    #[inline(always)]
    fn apply(self, set: impl FnOnce(Value<'_>)) {
        set(self);
    }
}

impl IntoValue for &str {
    #[inline(always)]
    fn apply(self, set: impl FnOnce(Value<'_>)) {
        set(Value::Text(self));
    }
}

impl IntoValue for &&str {
    fn apply(self, set: impl FnOnce(Value<'_>)) {
        set(Value::Text(self));
    }
}

impl IntoValue for &String {
    #[inline(always)]
    fn apply(self, set: impl FnOnce(Value<'_>)) {
        set(Value::Text(self));
    }
}

impl IntoValue for String {
    fn apply(self, set: impl FnOnce(Value<'_>)) {
        set(Value::Text(&self));
    }
}

impl IntoValue for Cow<'_, str> {
    fn apply(self, set: impl FnOnce(Value<'_>)) {
        set(Value::Text(&self));
    }
}

impl IntoValue for f64 {
    #[inline(always)]
    fn apply(self, set: impl FnOnce(Value<'_>)) {
        set(Value::Float(self));
    }
}

impl IntoValue for f32 {
    fn apply(self, set: impl FnOnce(Value<'_>)) {
        set(Value::Float(self.into()));
    }
}

impl IntoValue for bool {
    #[inline(always)]
    fn apply(self, set: impl FnOnce(Value<'_>)) {
        set(Value::Bool(self));
    }
}

macro_rules! integers_within_i64 {
    ($($integer:ty),*) => {$(
        impl IntoValue for $integer {
            #[inline(always)]
            fn apply(self, set: impl FnOnce(Value<'_>)) {
                set(Value::Int(self.into()));
            }
        }
    )*};
}
integers_within_i64!(i8, i16, i32, i64, u8, u16, u32);

macro_rules! integers_beyond_i64 {
    ($($integer:ty),*) => {$(
        impl IntoValue for $integer {
            #[inline]
            fn apply(self, set: impl FnOnce(Value<'_>)) {
                match i64::try_from(self) {
                    Ok(number) => set(Value::Int(number)),
                    Err(_) => set(Value::Text(&self.to_string())),
                }
            }
        }
    )*};
}
integers_beyond_i64!(i128, isize, u64, u128, usize);

impl<T: IntoValue> IntoValue for Option<T> {
    #[inline]
    fn apply(self, set: impl FnOnce(Value<'_>)) {
        if let Some(value) = self {
            value.apply(set);
        }
    }
}

impl<T: Item> IntoValue for &[T] {
    fn apply(self, set: impl FnOnce(Value<'_>)) {
        let texts: Vec<Option<String>> = self.iter().map(Item::text).collect();
        let items = self.iter().zip(&texts);
        let values: Vec<_> =
            items.map(|(item, text)| text.as_deref().map_or_else(|| item.value(), Value::Text)).collect();
        set(Value::Array(&values));
    }
}

impl<T: Item> IntoValue for &Vec<T> {
    fn apply(self, set: impl FnOnce(Value<'_>)) {
        self.as_slice().apply(set);
    }
}

impl<T: Item> IntoValue for Vec<T> {
    fn apply(self, set: impl FnOnce(Value<'_>)) {
        self.as_slice().apply(set);
    }
}

impl<T: Item, const N: usize> IntoValue for &[T; N] {
    fn apply(self, set: impl FnOnce(Value<'_>)) {
        self.as_slice().apply(set);
    }
}

impl<T: Item, const N: usize> IntoValue for [T; N] {
    fn apply(self, set: impl FnOnce(Value<'_>)) {
        self.as_slice().apply(set);
    }
}

impl Item for Value<'_> {
    fn value(&self) -> Value<'_> {
        *self
    }
}

impl Item for &str {
    fn value(&self) -> Value<'_> {
        Value::Text(self)
    }
}

impl Item for String {
    fn value(&self) -> Value<'_> {
        Value::Text(self)
    }
}

impl Item for Cow<'_, str> {
    fn value(&self) -> Value<'_> {
        Value::Text(self)
    }
}

impl<T: Item> Item for &T {
    fn value(&self) -> Value<'_> {
        T::value(self)
    }

    fn text(&self) -> Option<String> {
        T::text(self)
    }
}

macro_rules! items {
    ($($scalar:ty => $kind:ident),*) => {$(
        impl Item for $scalar {
            fn value(&self) -> Value<'_> {
                Value::$kind((*self).into())
            }
        }
    )*};
}
items!(
    bool => Bool, f32 => Float, f64 => Float, i8 => Int, i16 => Int, i32 => Int, i64 => Int, u8 => Int, u16 => Int, u32 => Int
);

macro_rules! wide_items {
    ($($integer:ty),*) => {$(
        impl Item for $integer {
            fn value(&self) -> Value<'_> {
                Value::Int(i64::try_from(*self).unwrap_or_default())
            }

            fn text(&self) -> Option<String> {
                i64::try_from(*self).is_err().then(|| self.to_string())
            }
        }
    )*};
}
wide_items!(i128, isize, u64, u128, usize);

#[cfg(test)]
mod tests {
    use super::*;

    /// The form of a value in a failure's message, or `None` if nothing is set.
    fn applied(value: impl IntoValue) -> Option<String> {
        let mut applied = None;
        value.apply(|value| applied = Some(format!("{value:?}")));
        applied
    }

    #[test]
    fn every_integer_is_a_number_or_its_decimal_text() {
        let int = Some("Int(7)".to_owned());
        let signed = [applied(7_i8), applied(7_i16), applied(7_i32), applied(7_i64), applied(7_i128), applied(7_isize)];
        let unsigned =
            [applied(7_u8), applied(7_u16), applied(7_u32), applied(7_u64), applied(7_u128), applied(7_usize)];
        assert_eq!((signed, unsigned), ([(); 6].map(|()| int.clone()), [(); 6].map(|()| int.clone())));
        assert_eq!(applied(u64::MAX).unwrap(), r#"Text("18446744073709551615")"#);
        assert_eq!(applied(i128::MIN).unwrap(), format!("Text(\"{}\")", i128::MIN));
    }

    #[test]
    fn none_sets_nothing_and_some_sets_its_value() {
        assert_eq!(applied(None::<u64>), None);
        assert_eq!(applied(None::<&[i64]>), None);
        assert_eq!(applied(Some("a".to_owned())).unwrap(), r#"Text("a")"#);
    }

    #[test]
    fn slices_arrays_and_vectors_are_arrays_of_values() {
        let texts = Some(r#"Array([Text("a"), Text("b")])"#.to_owned());
        let owned = vec!["a".to_owned(), "b".to_owned()];
        assert_eq!(
            [applied(["a", "b"]), applied(["a", "b"].as_slice()), applied(&owned), applied(owned)],
            [(); 4].map(|()| texts.clone())
        );
        assert_eq!(applied([1.5_f64].as_slice()).unwrap(), "Array([Float(1.5)])");
        assert_eq!(applied(vec![true, false]).unwrap(), "Array([Bool(true), Bool(false)])");
        assert_eq!(applied([1_u32, 2]).unwrap(), "Array([Int(1), Int(2)])");
        assert_eq!(applied([1_u8, 2].as_slice()).unwrap(), "Array([Int(1), Int(2)])");
        assert_eq!(applied([1_u64, u64::MAX]).unwrap(), r#"Array([Int(1), Text("18446744073709551615")])"#);
        assert_eq!(applied([1_usize]).unwrap(), "Array([Int(1)])");
        assert_eq!(applied([&"a".to_owned()]).unwrap(), r#"Array([Text("a")])"#);
    }
}
