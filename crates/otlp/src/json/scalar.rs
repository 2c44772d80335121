//! Scalars in [protobuf's JSON mapping](https://protobuf.dev/programming-guides/json/): `null` is the default, a number may be written as text, and an
//! integer may have an exponent or a zero fraction. OTLP's exceptions: ids are hex, and enumerations are always numbers.

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::fault::Fault;

/// A value's raw JSON, and the name of its field.
#[derive(Clone, Copy)]
pub(crate) struct Raw<'a> {
    pub(crate) field: &'static str,
    pub(crate) json: &'a RawValue,
}

const WHOLE: &str = "is not a whole number";
const RANGE: &str = "is out of range";
const NUMBER: &str = "is not a number";
/// The most digits that an integer with an exponent may have; 64 bits need 20.
const DIGITS: usize = 32;

impl<'a> Raw<'a> {
    pub(crate) fn fault(self, why: &'static str) -> Fault {
        Fault { field: self.field, why }
    }

    pub(crate) fn is_null(self) -> bool {
        self.json.get() == "null"
    }

    fn is_text(self) -> bool {
        self.json.get().starts_with('"')
    }

    pub(crate) fn text(self) -> Result<Cow<'a, str>, Fault> {
        #[derive(Deserialize)]
        struct Text<'t>(#[serde(borrow)] Cow<'t, str>);

        if self.is_null() {
            return Ok(Cow::Borrowed(""));
        }
        serde_json::from_str(self.json.get()).map(|Text(text)| text).map_err(|_| self.fault("is not a text"))
    }

    pub(crate) fn boolean(self) -> Result<bool, Fault> {
        match self.json.get() {
            "true" => Ok(true),
            "false" | "null" => Ok(false),
            _ => Err(self.fault("is not true or false")),
        }
    }

    pub(crate) fn signed(self) -> Result<i64, Fault> {
        self.integer()?.try_into().map_err(|_| self.fault(RANGE))
    }

    pub(crate) fn unsigned(self) -> Result<u64, Fault> {
        self.integer()?.try_into().map_err(|_| self.fault(RANGE))
    }

    pub(crate) fn unsigned_32(self) -> Result<u32, Fault> {
        self.integer()?.try_into().map_err(|_| self.fault(RANGE))
    }

    /// The number of an enumeration.
    pub(crate) fn enumeration(self) -> Result<u64, Fault> {
        if self.is_text() {
            return Err(self.fault("is a text; enumerations are numbers in OTLP/JSON"));
        }
        self.unsigned()
    }

    fn integer(self) -> Result<i128, Fault> {
        let text = self.number_text()?;
        match text.parse() {
            Ok(number) if !text.starts_with('+') => Ok(number),
            _ => decimal(&text).map_err(|why| self.fault(why)),
        }
    }

    pub(crate) fn double(self) -> Result<f64, Fault> {
        let text = self.number_text()?;
        match &*text {
            "NaN" if self.is_text() => Ok(f64::NAN),
            "Infinity" if self.is_text() => Ok(f64::INFINITY),
            "-Infinity" if self.is_text() => Ok(f64::NEG_INFINITY),
            _ if !is_number(&text) => Err(self.fault(NUMBER)),
            _ => text.parse().ok().filter(|number: &f64| number.is_finite()).ok_or(self.fault(RANGE)),
        }
    }

    /// The digits of a number, or of a text instead of one.
    fn number_text(self) -> Result<Cow<'a, str>, Fault> {
        match self.json.get() {
            "null" => Ok(Cow::Borrowed("0")),
            text if text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) => Ok(Cow::Borrowed(text)),
            _ if self.is_text() => self.text(),
            _ => Err(self.fault(NUMBER)),
        }
    }

    /// Base64 of either alphabet, padded or not.
    pub(crate) fn bytes(self) -> Result<Vec<u8>, Fault> {
        let text = self.text()?;
        let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
        let alphabet = if text.contains(['-', '_']) { URL_SAFE } else { STANDARD };
        GeneralPurpose::new(&alphabet, config).decode(&*text).map_err(|_| self.fault("is not base64"))
    }

    /// An id in hex of either case; all zero if missing.
    pub(crate) fn id<const N: usize>(self, why: &'static str) -> Result<[u8; N], Fault> {
        let text = self.text()?;
        let mut id = [0; N];
        if text.is_empty() {
            return Ok(id);
        }
        if text.len() != 2 * N || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(self.fault(why));
        }
        for (byte, digits) in id.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let digits = str::from_utf8(digits).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok());
            *byte = digits.ok_or(self.fault(why))?;
        }
        Ok(id)
    }
}

/// Whether a text is a number by JSON's grammar.
fn is_number(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text)
        .is_ok_and(|_| text.starts_with(|first: char| first == '-' || first.is_ascii_digit()))
}

/// The exact value of an integer with a fraction or an exponent.
fn decimal(text: &str) -> Result<i128, &'static str> {
    if !is_number(text) {
        return Err(WHOLE);
    }
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let fraction = fraction.trim_end_matches('0');
    let is_zero = fraction.is_empty() && whole.trim_start_matches('-').trim_matches('0').is_empty();
    if is_zero {
        return Ok(0);
    }
    // An exponent that does not fit 32 bits leaves no 64-bit integer.
    let exponent: i64 = exponent.parse::<i32>().map_err(|_| RANGE)?.into();
    let shift = exponent - i64::try_from(fraction.len()).map_err(|_| WHOLE)?;
    let mut digits = format!("{whole}{fraction}");
    if let Ok(zeros) = usize::try_from(shift) {
        if digits.len().saturating_add(zeros) > DIGITS {
            return Err(RANGE);
        }
        digits.extend(std::iter::repeat_n('0', zeros));
    } else {
        // A negative exponent may only remove zeros.
        for _ in 0..shift.unsigned_abs() {
            if digits.pop() != Some('0') {
                return Err(WHOLE);
            }
        }
    }
    digits.parse().map_err(|_| RANGE)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read<'j, T>(json: &'j str, read: impl FnOnce(Raw<'j>) -> Result<T, Fault>) -> Result<T, &'static str> {
        let json: &'j RawValue = serde_json::from_str(json).unwrap();
        read(Raw { field: "x", json }).map_err(|fault| fault.why)
    }

    #[test]
    fn an_integer_may_be_written_as_text() {
        for (json, number) in [
            ("3", 3),
            ("-3", -3),
            ("\"3\"", 3),
            ("null", 0),
            ("3.0", 3),
            ("1e3", 1_000),
            ("1.5E1", 15),
            ("\"2.50e+2\"", 250),
            ("100e-2", 1),
            ("-0.0", 0),
            ("0e999", 0),
            ("0.000e-7", 0),
            ("9223372036854775807", i64::MAX),
            ("\"-9223372036854775808\"", i64::MIN),
        ] {
            assert_eq!(read(json, Raw::signed), Ok(number), "{json}");
        }
        for json in ["1.5", "\"\"", "\"x\"", "\" 3\"", "\"+3\"", "\"0x3\"", "1e-1", "\"1_000\"", "\"NaN\""] {
            assert_eq!(read(json, Raw::signed), Err(WHOLE), "{json}");
        }
        for json in ["9223372036854775808", "1e19", "1e99", "1e99999999999", "\"1e30\""] {
            assert_eq!(read(json, Raw::signed), Err(RANGE), "{json}");
        }
        for json in ["true", "[]", "{}"] {
            assert_eq!(read(json, Raw::signed), Err(NUMBER), "{json}");
        }
        assert_eq!(read("-1", Raw::unsigned), Err(RANGE));
        assert_eq!(read("\"18446744073709551615\"", Raw::unsigned), Ok(u64::MAX));
    }

    #[test]
    fn a_double_may_be_written_as_text() {
        for (json, number) in [("1", 1.0), ("\"1.5\"", 1.5), ("null", 0.0), ("\"-2e3\"", -2_000.0), ("5e-324", 5e-324)]
        {
            assert_eq!(read(json, Raw::double), Ok(number), "{json}");
        }
        assert!(read("\"NaN\"", Raw::double).is_ok_and(f64::is_nan));
        assert_eq!(read("\"Infinity\"", Raw::double), Ok(f64::INFINITY));
        assert_eq!(read("\"-Infinity\"", Raw::double), Ok(f64::NEG_INFINITY));
        for json in ["\"nan\"", "\"inf\"", "\"+Infinity\"", "\"\"", "\"1,5\"", "true"] {
            assert_eq!(read(json, Raw::double), Err(NUMBER), "{json}");
        }
        assert_eq!(read("1e999", Raw::double), Err(RANGE));
    }

    #[test]
    fn an_enumeration_is_its_number() {
        assert_eq!(read("2", Raw::enumeration), Ok(2));
        assert_eq!(read("null", Raw::enumeration), Ok(0));
        assert!(read("\"SPAN_KIND_SERVER\"", Raw::enumeration).is_err());
    }

    #[test]
    fn bytes_are_base64_of_either_alphabet() {
        for json in ["\"+/8=\"", "\"-_8=\"", "\"-_8\"", "\"+/8\""] {
            assert_eq!(read(json, Raw::bytes), Ok(vec![0xfb, 0xff]), "{json}");
        }
        assert_eq!(read("null", Raw::bytes), Ok(vec![]));
        assert!(read("\"~\"", Raw::bytes).is_err());
    }

    #[test]
    fn an_id_is_hex_of_either_case() {
        let id = |json: &str| read(json, |raw| raw.id::<2>("is not an id"));
        assert_eq!((id("\"0aF1\""), id("\"\""), id("null")), (Ok([0x0a, 0xf1]), Ok([0, 0]), Ok([0, 0])));
        for json in ["\"0aF\"", "\"0aF1a\"", "\"0ag1\"", "\"+af1\"", "1", "\"\u{e9}\u{e9}\""] {
            assert!(id(json).is_err(), "{json}");
        }
    }

    proptest! {
        #[test]
        fn any_json_is_a_scalar_or_a_fault(text in "[-+0-9.eE]{0,24}|\\PC{0,12}") {
            for json in [text.clone(), serde_json::to_string(&text).unwrap()] {
                if let Ok(raw) = serde_json::from_str::<&RawValue>(&json) {
                    let raw = Raw { field: "x", json: raw };
                    let _ = (raw.signed().is_ok(), raw.unsigned_32().is_ok(), raw.bytes().is_ok(), raw.id::<8>("").is_ok());
                    let _ = (raw.double().is_ok(), raw.boolean().is_ok(), raw.text().is_ok(), raw.enumeration().is_ok());
                }
            }
        }

        #[test]
        fn an_exponent_moves_the_point(number in -1_000_000_i64..1_000_000, zeros in 0u32..6) {
            let power = 10_i64.pow(zeros);
            prop_assert_eq!(read(&format!("{number}e{zeros}"), Raw::signed), Ok(number * power));
            prop_assert_eq!(read(&format!("{}e-{zeros}", number * power), Raw::signed), Ok(number));
        }
    }
}
