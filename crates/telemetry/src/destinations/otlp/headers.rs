//! The list of `OTEL_EXPORTER_OTLP_HEADERS`. A fault never quotes a value, because each may be a key.

use std::str::FromStr;

use ::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use ::http::{HeaderName, HeaderValue};
use secrecy::SecretString;
use settings::Settings;

use crate::values::percent_decode;

pub(crate) type HeaderList = Vec<(HeaderName, SecretString)>;

/// Quotes that a shell would remove but a list in a compose file keeps.
pub(crate) const QUOTES: [char; 2] = ['"', '\''];

/// Headers that describe the body. Only the exporter sets them.
const OF_BODY: [HeaderName; 4] = [CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING];

/// The value of the first header of this name.
pub(crate) fn find(headers: &HeaderList, name: &str) -> Option<SecretString> {
    headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.clone())
}

/// Parses `name=value,…` with percent-encoded values. Of two entries with the same name the last one wins, as in other SDKs.
pub(crate) fn headers(settings: &mut Settings, variable: &str) -> HeaderList {
    let text = settings.text(variable).unwrap_or_default();
    let mut headers = HeaderList::new();
    for (index, member) in text.split(',').enumerate().filter(|(_, member)| !member.trim().is_empty()) {
        match header(member) {
            Ok((name, _)) if OF_BODY.contains(&name) => {
                settings.warn(variable, format!("{name} is not sent as given: the exporter sets it for each request"));
            }
            Ok((name, value)) => {
                if headers.iter().any(|(own, _)| *own == name) {
                    settings.warn(variable, format!("{name} is given more than once; the last value is used"));
                    headers.retain(|(own, _)| *own != name);
                }
                headers.push((name, value));
            }
            Err(problem) => settings.fault(variable, format!("entry {} {problem}", index + 1)),
        }
    }
    headers
}

fn header(member: &str) -> Result<(HeaderName, SecretString), String> {
    let no_pair = || "is not a valid name=value pair; write it like x-honeycomb-team=KEY".to_owned();
    let (name, value) = member.split_once('=').ok_or_else(no_pair)?;
    let (name, value) = (name.trim(), value.trim());
    // The specification's format, that of W3C's baggage, does not allow `"` in a value. Quotes in a header's name are never
    // intended.
    if name.contains(QUOTES) || value.contains('"') || value.starts_with('\'') || value.ends_with('\'') {
        return Err("has a quote, which would become part of it; remove it, or write %22 or %27 to send it".to_owned());
    }
    let name = HeaderName::from_str(name).map_err(|_| no_pair())?;
    let value = percent_decode(value).ok_or("is not valid percent-encoding of UTF-8; write %25 for a % itself")?;
    if value.is_empty() || HeaderValue::from_str(&value).is_err() {
        return Err(no_pair());
    }
    Ok((name, SecretString::from(value)))
}
