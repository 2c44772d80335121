//! Whether, and how long, a connection may wait for another request after a response: the headers `Connection` and
//! `Keep-Alive`. Does no I/O.

use std::time::Duration;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// The proxy stops reusing a connection this long before the server would close it: a later request would cross the close.
const MARGIN: Duration = Duration::from_secs(1);

/// Removes the headers that the values of `Connection` name, and returns whether one of the values is `close`.
pub(super) fn remove_named(headers: &mut HeaderMap, values: &[HeaderValue]) -> bool {
    let mut closes = false;
    for option in values.iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b',')) {
        let option = option.trim_ascii();
        closes |= option.eq_ignore_ascii_case(b"close");
        match HeaderName::from_bytes(option) {
            // `Content-Length` frames the message, and whether to keep `Upgrade` is decided by the status.
            Ok(header::CONTENT_LENGTH | header::UPGRADE) | Err(_) => {}
            Ok(name) => drop(headers.remove(name)),
        }
    }
    closes
}

/// How long a connection may wait according to a [`Keep-Alive`](https://www.rfc-editor.org/rfc/rfc2068#section-19.7.1.1) such
/// as `timeout=5, max=100`, less a margin. Zero if `max` leaves no request. Other parameters do not matter.
pub(super) fn keep_alive(value: &[u8]) -> Duration {
    let mut wait = Duration::MAX;
    for parameter in value.split(|byte| matches!(byte, b',' | b';')) {
        let mut parts = parameter.splitn(2, |byte| *byte == b'=').map(<[u8]>::trim_ascii);
        let (Some(name), Some(Some(number))) = (parts.next(), parts.next().map(decimal)) else { continue };
        if name.eq_ignore_ascii_case(b"timeout") {
            let timeout = Duration::from_secs(number);
            wait = wait.min(timeout.saturating_sub(MARGIN).max(timeout / 2));
        } else if name.eq_ignore_ascii_case(b"max") && number == 0 {
            return Duration::ZERO;
        }
    }
    wait
}

/// Only digits; a list of several equal values is not accepted.
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    digits.then(|| str::from_utf8(text).ok()?.parse().ok())?
}
