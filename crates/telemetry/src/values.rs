//! The types of values that OpenTelemetry's specification defines for its variables: booleans, numbers, and lists of names. A
//! platform may set a variable for every service. So a value of the specification that this crate does not support causes only a
//! warning that says what happens instead. A value that is in no version of the specification is a fault.

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use settings::Settings;

use crate::propagation::Propagators;

/// The longest timeout, in milliseconds: a worker that waits for more than a minute delays the next batch for too long.
pub(crate) const LONGEST_TIMEOUT: u64 = 60_000;

/// A signal's variable that selects its exporters, and what happens if an exporter is not supported.
pub(crate) struct Selection {
    pub(crate) variable: &'static str,
    /// Empty if no value expresses the default.
    pub(crate) default: &'static str,
    /// The warning's end if `otlp` is in the same list.
    pub(crate) beside_otlp: &'static str,
    /// The warning's end otherwise.
    pub(crate) alone: &'static str,
}

pub(crate) const TRACES: Selection = Selection {
    variable: "OTEL_TRACES_EXPORTER",
    default: "otlp",
    beside_otlp: "spans are sent by otlp alone",
    alone: "spans go wherever other variables send them, as if this one were unset",
};
pub(crate) const LOGS: Selection = Selection {
    variable: "OTEL_LOGS_EXPORTER",
    default: "none",
    beside_otlp: "log records are sent by otlp, and logs are on standard error anyway",
    alone: "no log records are sent; logs are on standard error anyway",
};

pub(crate) const METRICS: Selection = Selection {
    variable: "OTEL_METRICS_EXPORTER",
    default: "",
    beside_otlp: "metrics are sent by otlp",
    alone: "no metrics are sent",
};

/// Which exporters a variable selects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exporters {
    /// The variable names only exporters that are not supported.
    Unsupported,
    Otlp,
    None,
}

/// `true` and `false`, in upper or lower case. Any other value means false, with a warning.
pub(crate) fn flag(settings: &mut Settings, variable: &str) -> Option<bool> {
    let text = settings.text(variable)?;
    let is_true = text.eq_ignore_ascii_case("true");
    if !is_true && !text.eq_ignore_ascii_case("false") {
        settings.warn(variable, format!("{text:?} is neither true nor false; false is used"));
    }
    Some(is_true)
}

/// A whole number. A number above `range` becomes its maximum; for one below it, the default applies. Both cause a warning.
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
        settings.warn(variable, format!("{text} is more than the maximum; {high} is used"));
    } else if number < low {
        settings.warn(variable, format!("{text} is less than the minimum of {low}; the default is used"));
        return None;
    }
    Some(number.min(high))
}

/// A timeout in milliseconds. In the specification, 0 means no limit; here it means the longest timeout, with a warning.
pub(crate) fn timeout(settings: &mut Settings, variable: &str) -> Option<Duration> {
    let milliseconds = number(settings, variable, 0..=LONGEST_TIMEOUT, "milliseconds")?;
    if milliseconds == 0 {
        let instead = format!("0 means no limit, which is not supported; {LONGEST_TIMEOUT} is used");
        settings.warn(variable, instead);
        return Some(Duration::from_millis(LONGEST_TIMEOUT));
    }
    Some(Duration::from_millis(milliseconds))
}

/// The names of a comma-separated list, in lower case.
pub(crate) fn names(settings: &mut Settings, variable: &str) -> Option<Vec<String>> {
    let text = settings.text(variable)?;
    Some(text.split(',').map(|name| name.trim().to_ascii_lowercase()).filter(|name| !name.is_empty()).collect())
}

pub(crate) fn exporters(settings: &mut Settings, of: &Selection) -> Exporters {
    settings.note_default(of.variable, of.default);
    let names = names(settings, of.variable).unwrap_or_else(|| vec![of.default.to_owned()]);
    select(settings, of, names)
}

fn select(settings: &mut Settings, of: &Selection, names: Vec<String>) -> Exporters {
    const OTHERS: [&str; 8] =
        ["console", "jaeger", "logging", "otlp/stdout", "otlp_file", "otlp_stdout", "prometheus", "zipkin"];
    let (others, names): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| OTHERS.contains(&name.as_str()));
    if let Some(unknown) = names.iter().find(|name| !["otlp", "none"].contains(&name.as_str())) {
        let problem = format!("{unknown:?} is not an exporter of OpenTelemetry's specification; use otlp or none");
        settings.fault(of.variable, problem);
    }
    let has = |wanted: &str| names.iter().any(|name| name == wanted);
    if !others.is_empty() {
        let instead = if has("otlp") { of.beside_otlp } else { of.alone };
        settings.warn(of.variable, format!("{} not supported; {instead}", are(&others)));
    }
    match (has("otlp"), has("none")) {
        (true, true) => {
            settings.warn(of.variable, "none contradicts otlp in the same list; otlp is used");
            Exporters::Otlp
        }
        (true, false) => Exporters::Otlp,
        (false, true) => Exporters::None,
        (false, false) => Exporters::Unsupported,
    }
}

/// The exporters of metrics, and whether `prometheus` is one of them. It opens no port here: a service shows its metrics at an
/// address of its own.
pub(crate) fn metric_exporters(settings: &mut Settings) -> (Exporters, bool) {
    let names = names(settings, METRICS.variable).unwrap_or_default();
    let (prometheus, names): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| name == "prometheus");
    let is_served = !prometheus.is_empty();
    if is_served {
        settings.warn(METRICS.variable, "prometheus opens no port; Prometheus can read the service's own /metrics");
    }
    (select(settings, &METRICS, names), is_served)
}

pub(crate) fn propagators(settings: &mut Settings) -> Propagators {
    const VARIABLE: &str = "OTEL_PROPAGATORS";
    const OTHERS: [&str; 5] = ["b3", "b3multi", "jaeger", "ottrace", "xray-lambda"];
    settings.note_default(VARIABLE, Propagators::default().names().join(","));
    let Some(names) = names(settings, VARIABLE) else { return Propagators::default() };
    let (others, mut names): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| OTHERS.contains(&name.as_str()));
    if names.len() > 1 && names.iter().any(|name| name == "none") {
        names.retain(|name| name != "none");
        settings.warn(VARIABLE, format!("none contradicts the other names of the list; {} used", are(&names)));
    }
    if names.is_empty() {
        names = Propagators::default().names().into_iter().map(str::to_owned).collect();
    }
    if !others.is_empty() {
        settings.warn(VARIABLE, format!("{} not supported; {} used", are(&others), are(&names)));
    }
    let expected = "some of tracecontext, baggage, xray, or none";
    settings.parse_text(VARIABLE, &names.join(","), expected).unwrap_or_default()
}

/// `a is`, `a and b are`, `a, b and c are`
pub(crate) fn are(names: &[impl AsRef<str>]) -> String {
    match names {
        [] => String::new(),
        [name] => format!("{} is", name.as_ref()),
        [others @ .., last] => {
            let others: Vec<&str> = others.iter().map(AsRef::as_ref).collect();
            format!("{} and {} are", others.join(", "), last.as_ref())
        }
    }
}

/// Replaces every byte that may have a meaning in a list of pairs by `%XX`.
pub(crate) fn percent_encode(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// Replaces each `%XX` by its byte. `None` if an escape is malformed or the result is not UTF-8.
pub(crate) fn percent_decode(text: &str) -> Option<String> {
    // The library does not reject a malformed escape.
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
        fn decoding_reverses_encoding(text: String) {
            prop_assert_eq!(percent_decode(&percent_encode(&text)), Some(text));
        }
    }

    #[test]
    fn a_malformed_escape_is_rejected() {
        assert_eq!(percent_decode("a%20%C3%a9").as_deref(), Some("a é"));
        for malformed in ["%", "%2", "%zz", "%2 0", "a%%20", "%ff", "%+1"] {
            assert_eq!(percent_decode(malformed), None, "{malformed}");
        }
    }
}
