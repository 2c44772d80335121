//! The kinds of values that OpenTelemetry's specification has for its variables: booleans, numbers, and lists of names. A value
//! that the specification has but this crate does not support is a warning with what happens instead, so that a variable which
//! a platform sets for every service stops none. A value that no version of the specification has is a fault.

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use settings::Settings;

use crate::propagation::Propagators;

/// The longest timeout, a minute: a worker that waits longer delays the next batch for too long.
const LONGEST_TIMEOUT: u64 = 60_000;

/// A signal's variable that selects its exporters, and what happens instead of those that are not supported.
pub(crate) struct Selection {
    pub(crate) variable: &'static str,
    /// What happens if `otlp` is in the same list.
    pub(crate) beside_otlp: &'static str,
    /// What happens otherwise.
    pub(crate) alone: &'static str,
}

pub(crate) const TRACES: Selection = Selection {
    variable: "OTEL_TRACES_EXPORTER",
    beside_otlp: "spans are sent by otlp alone",
    alone: "spans go wherever other variables send them, as if this one were unset",
};
pub(crate) const LOGS: Selection = Selection {
    variable: "OTEL_LOGS_EXPORTER",
    beside_otlp: "log records are sent by otlp, and logs are on standard error anyway",
    alone: "no log records are sent; logs are on standard error anyway",
};

/// Which exporters a variable selects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exporters {
    /// The variable is unset, or names only exporters that are not supported.
    Default,
    Otlp,
    None,
}

/// `true` in either case is true. Anything else is false, and a warning unless it is `false`.
pub(crate) fn flag(settings: &mut Settings, variable: &str) -> Option<bool> {
    let text = settings.text(variable)?;
    let is_true = text.eq_ignore_ascii_case("true");
    if !is_true && !text.eq_ignore_ascii_case("false") {
        settings.warn(variable, format!("{text:?} is neither true nor false; it counts as false"));
    }
    Some(is_true)
}

/// A whole number. A number above `range` becomes its highest; one below it leaves the default. Both are warnings.
pub(crate) fn number(settings: &mut Settings, variable: &str, range: RangeInclusive<u64>, of: &str) -> Option<u64> {
    let text = settings.text(variable)?;
    let (low, high) = range.into_inner();
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        settings.fault(variable, format!("{text:?} is not a whole number; give {of} from {low} to {high}"));
        return None;
    }
    // Digits that do not fit in a number are above any bound.
    let number = text.parse().unwrap_or(u64::MAX);
    if number > high {
        settings.warn(variable, format!("{text} is more than {high}, the highest here; {high} is used"));
    } else if number < low {
        settings.warn(variable, format!("{text} is less than {low}, the lowest here; the default is used"));
        return None;
    }
    Some(number.min(high))
}

/// Milliseconds; the specification's 0 means no limit.
pub(crate) fn timeout(settings: &mut Settings, variable: &str) -> Option<Duration> {
    let milliseconds = number(settings, variable, 0..=LONGEST_TIMEOUT, "milliseconds")?;
    if milliseconds == 0 {
        let instead = format!("0 means no limit, and there is always one here; {LONGEST_TIMEOUT} is used");
        settings.warn(variable, instead);
        return Some(Duration::from_millis(LONGEST_TIMEOUT));
    }
    Some(Duration::from_millis(milliseconds))
}

/// The names of a list, in lower case.
pub(crate) fn names(settings: &mut Settings, variable: &str) -> Option<Vec<String>> {
    let text = settings.text(variable)?;
    Some(text.split(',').map(|name| name.trim().to_ascii_lowercase()).filter(|name| !name.is_empty()).collect())
}

pub(crate) fn exporters(settings: &mut Settings, of: &Selection) -> Exporters {
    const OTHERS: [&str; 8] =
        ["console", "jaeger", "logging", "otlp/stdout", "otlp_file", "otlp_stdout", "prometheus", "zipkin"];
    let names = names(settings, of.variable).unwrap_or_default();
    let (others, names): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| OTHERS.contains(&name.as_str()));
    if let Some(unknown) = names.iter().find(|name| !["otlp", "none"].contains(&name.as_str())) {
        let problem = format!("{unknown:?} is no exporter that OpenTelemetry knows; give otlp or none");
        settings.fault(of.variable, problem);
    }
    let has = |wanted: &str| names.iter().any(|name| name == wanted);
    if !others.is_empty() {
        let instead = if has("otlp") { of.beside_otlp } else { of.alone };
        settings.warn(of.variable, format!("{} is not supported; {instead}", others.join(", ")));
    }
    match (has("otlp"), has("none")) {
        (true, true) => {
            settings.warn(of.variable, "none contradicts otlp, which stands next to it; otlp is used");
            Exporters::Otlp
        }
        (true, false) => Exporters::Otlp,
        (false, true) => Exporters::None,
        (false, false) => Exporters::Default,
    }
}

/// No metrics are exported, whatever the variable requests.
pub(crate) fn metrics(settings: &mut Settings) {
    const VARIABLE: &str = "OTEL_METRICS_EXPORTER";
    let names = names(settings, VARIABLE).unwrap_or_default();
    if names.iter().any(|name| name != "none") {
        settings.warn(
            VARIABLE,
            format!("{} exports no metrics here; the ledger is at /metrics, in Prometheus's format", names.join(", ")),
        );
    }
}

pub(crate) fn propagators(settings: &mut Settings) -> Propagators {
    const VARIABLE: &str = "OTEL_PROPAGATORS";
    const OTHERS: [&str; 5] = ["b3", "b3multi", "jaeger", "ottrace", "xray-lambda"];
    let Some(names) = names(settings, VARIABLE) else { return Propagators::default() };
    let (others, mut names): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| OTHERS.contains(&name.as_str()));
    if names.len() > 1 && names.iter().any(|name| name == "none") {
        names.retain(|name| name != "none");
        settings.warn(VARIABLE, format!("none contradicts what stands next to it; {} is used", names.join(", ")));
    }
    let ours = if names.is_empty() { "tracecontext, baggage, xray".to_owned() } else { names.join(", ") };
    if !others.is_empty() {
        settings.warn(VARIABLE, format!("{} is not supported; {ours} is used", others.join(", ")));
    }
    let expected = "some of tracecontext, baggage, xray, or none";
    settings.parse_text(VARIABLE, &ours, expected).unwrap_or_default()
}

/// Writes `%XX` for every byte that may have a meaning in a list of pairs.
pub(crate) fn percent_encode(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// Replaces `%XX` by the byte it stands for; `None` if an escape is broken or the result is not UTF-8.
pub(crate) fn percent_decode(text: &str) -> Option<String> {
    // The library leaves a broken escape as it is.
    let is_escape = |after: &str| after.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    let decoded = text.split('%').skip(1).all(is_escape).then(|| percent_decode_str(text).decode_utf8())?;
    decoded.ok().map(Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_encoded_text_is_decoded(text: String) {
            prop_assert_eq!(percent_decode(&percent_encode(&text)), Some(text));
        }
    }

    #[test]
    fn a_broken_escape_is_no_text() {
        assert_eq!(percent_decode("a%20%C3%a9").as_deref(), Some("a é"));
        for broken in ["%", "%2", "%zz", "%2 0", "a%%20", "%ff", "%+1"] {
            assert_eq!(percent_decode(broken), None, "{broken}");
        }
    }
}
