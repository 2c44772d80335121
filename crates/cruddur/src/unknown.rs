//! Variables with a prefix of Cruddur or OpenTelemetry that no service reads, and so are probably misspelt.

use settings::Settings;

/// Variables with these prefixes are Cruddur's or OpenTelemetry's.
pub(crate) const PREFIXES: [&str; 6] = ["AWS_COGNITO_", "AWS_XRAY_", "CRUDDUR_", "HONEYCOMB_", "OTEL_", "TRACE_"];

/// The variables that are set but were not read from `settings`, except those of OpenTelemetry's specification: these have their own
/// warnings, or are read only if other variables are set.
pub(crate) fn unknown(settings: &Settings) -> Vec<&str> {
    let (_, unknown) = settings.set(&PREFIXES);
    unknown.into_iter().filter(|name| !telemetry::config::is_known(name)).collect()
}

/// Suggests the variable that was probably meant, or how to remove the note.
pub(crate) fn note(name: &str, nearest: Option<&str>) -> String {
    match nearest {
        Some(known) => format!("{name} is unknown; did you mean {known}?"),
        None => format!("{name} is unknown; unset it, or correct its name"),
    }
}
