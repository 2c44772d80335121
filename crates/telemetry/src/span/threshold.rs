//! Ratios as thresholds over a trace id's 56 random bits, and the entry of tracestate that carries them.

use opentelemetry::trace::TraceId;

/// The number of thresholds: 2^56.
pub(super) const RANGE: u64 = 1 << 56;
/// Our entry of tracestate.
pub(super) const ENTRY: &str = "ot";

/// The part of [`RANGE`] that a ratio does not sample. A trace is sampled if its random bits are at least this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Threshold(pub(super) u64);

impl Threshold {
    /// `ratio` from 0 to 1.
    pub(crate) fn of(ratio: f64) -> Self {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 2^56, rounded")]
        Self(((1.0 - ratio) * 2f64.powi(56)).round() as u64)
    }

    /// Whether a trace of these 56 random bits is sampled.
    pub(crate) fn samples(self, random: u64) -> bool {
        random >= self.0
    }
}

/// 14 hex digits without trailing zeros.
pub(super) fn hex(threshold: u64) -> String {
    let digits = format!("{threshold:014x}");
    let significant = digits.trim_end_matches('0');
    if significant.is_empty() { "0".to_owned() } else { significant.to_owned() }
}

/// A trace's 56 random bits.
pub(super) fn random(trace: TraceId) -> u64 {
    let [.., a, b, c, d, e, f, g] = trace.to_bytes();
    u64::from_be_bytes([0, a, b, c, d, e, f, g])
}

/// The rate that an entry's threshold means for `trace`.
pub(super) fn rate_of_entry(entry: &str, trace: TraceId) -> Option<i64> {
    let digits = value(entry, "th:").filter(|digits| (1..=14).contains(&digits.len()))?;
    rate(number(&format!("{digits:0<14}"))?, incoming_random(entry).unwrap_or_else(|| random(trace)))
}

/// The random bits in an incoming entry, by which other services decided.
pub(super) fn incoming_random(entry: &str) -> Option<u64> {
    value(entry, "rv:").filter(|digits| digits.len() == 14).and_then(number)
}

fn value<'a>(entry: &'a str, name: &str) -> Option<&'a str> {
    entry.split(';').find_map(|part| part.strip_prefix(name))
}

fn number(digits: &str) -> Option<u64> {
    let is_hex = digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    u64::from_str_radix(is_hex.then_some(digits)?, 16).ok()
}

/// How many requests a sampled trace stands for; `None` if that is one. With `RANGE / taken` = n + r / `taken`, it is n + 1 for r of
/// the `taken` random values that are sampled, and n for the others.
pub(super) fn rate(threshold: u64, random: u64) -> Option<i64> {
    let taken = RANGE.checked_sub(threshold).filter(|taken| *taken > 0)?;
    let place = random.wrapping_sub(threshold) % taken;
    let rate = RANGE / taken + u64::from(place < RANGE % taken);
    i64::try_from(rate).ok().filter(|rate| *rate > 1)
}
