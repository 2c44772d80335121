//! Ratios as thresholds for a trace id's 56 random bits, and the tracestate entry that propagates them.

use opentelemetry::trace::TraceId;

use crate::context::Tracestate;

/// The number of thresholds: 2^56.
pub(super) const RANGE: u64 = 1 << 56;
/// The key of OpenTelemetry's entry in tracestate.
pub(super) const ENTRY: &str = "ot";
/// The most bytes of the entry.
const MAX_ENTRY: usize = 256;

/// The number of random values, out of [`RANGE`], that a ratio does not sample. A trace is sampled if its random bits are at
/// least this number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Threshold(pub(super) u64);

impl Threshold {
    /// The threshold of `ratio`, from 0 to 1.
    pub(crate) fn of(ratio: f64) -> Self {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 2^56, rounded")]
        Self(((1.0 - ratio) * 2f64.powi(56)).round() as u64)
    }

    /// Whether a trace with these 56 random bits is sampled.
    pub(crate) fn samples(self, random: u64) -> bool {
        random >= self.0
    }
}

/// A trace's 56 random bits.
pub(super) fn random(trace: TraceId) -> u64 {
    let [.., a, b, c, d, e, f, g] = trace.to_bytes();
    u64::from_be_bytes([0, a, b, c, d, e, f, g])
}

/// The random bits in an incoming entry, which other services used for their decisions.
pub(super) fn incoming_random(entry: &str) -> Option<u64> {
    value(entry, "rv:").and_then(bits)
}

fn bits(digits: &str) -> Option<u64> {
    if digits.len() == 14 { number(digits) } else { None }
}

/// Whether an entry has a threshold, valid or not.
pub(super) fn has_threshold(entry: &str) -> bool {
    value(entry, "th:").is_some()
}

fn value<'a>(entry: &'a str, name: &str) -> Option<&'a str> {
    entry.split(';').find_map(|part| part.strip_prefix(name))
}

fn number(digits: &str) -> Option<u64> {
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    u64::from_str_radix(is_hex.then_some(digits)?, 16).ok()
}

/// `state` with this threshold, or without any. The entry's other valid values are kept.
pub(super) fn with_threshold(state: &Tracestate, threshold: Option<u64>) -> Tracestate {
    let incoming = state.get(ENTRY);
    if incoming.is_none() && threshold.is_none() {
        return state.clone();
    }
    let incoming = incoming.unwrap_or_default();
    let others = incoming.split(';').filter(|part| part.contains(':') && !part.contains(' '));
    let others = others.filter(|part| !part.starts_with("th:") && !part.starts_with("rv:"));
    let threshold = threshold.map(|at| format!("th:{}", hex(at)));
    let random = value(incoming, "rv:").filter(|digits| bits(digits).is_some()).map(|digits| format!("rv:{digits}"));
    let own = threshold.as_deref().into_iter().chain(random.as_deref());
    let mut entry = String::new();
    for part in own.chain(others) {
        // A longer entry would make the tracestate invalid.
        if entry.len() + 1 + part.len() <= MAX_ENTRY {
            entry.push_str(if entry.is_empty() { "" } else { ";" });
            entry.push_str(part);
        }
    }
    if entry.is_empty() { state.without(ENTRY) } else { state.with(ENTRY, &entry) }
}

/// 14 hex digits without trailing zeros.
fn hex(threshold: u64) -> String {
    let digits = format!("{threshold:014x}");
    let significant = digits.trim_end_matches('0');
    if significant.is_empty() { "0".to_owned() } else { significant.to_owned() }
}

/// How many requests a sampled trace represents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rate {
    Known(u64),
    /// There is no valid threshold, or the trace would not have been sampled by it.
    Unknown,
}

impl Rate {
    /// With `RANGE / taken` = n + r / `taken`, it is n + 1 for r of the `taken` random values that are sampled, and n for the
    /// others.
    pub(super) fn of(threshold: u64, random: u64) -> Self {
        let Some(place) = random.checked_sub(threshold) else { return Self::Unknown };
        let taken = RANGE.saturating_sub(threshold).max(1);
        Self::Known(RANGE / taken + u64::from(place < RANGE % taken))
    }

    /// The rate of `trace` according to an entry's threshold.
    pub(super) fn of_entry(entry: &str, trace: TraceId) -> Self {
        let digits = value(entry, "th:").filter(|digits| (1..=14).contains(&digits.len()));
        let threshold = digits.and_then(|digits| number(&format!("{digits:0<14}")));
        threshold.map_or(Self::Unknown, |at| Self::of(at, incoming_random(entry).unwrap_or_else(|| random(trace))))
    }

    /// The value for Honeycomb; `None` if it is one, or unknown.
    pub(super) fn count(self) -> Option<i64> {
        match self {
            Self::Known(rate) => i64::try_from(rate).ok().filter(|rate| *rate > 1),
            Self::Unknown => None,
        }
    }
}
