//! [W3C Trace Context Level 2](https://www.w3.org/TR/trace-context-2/): `traceparent` and `tracestate`. An invalid traceparent
//! drops both, an invalid tracestate only itself.

use std::str::FromStr;

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

use super::Headers;

/// `sampled`, and Level 2's `random`; other flags are cleared.
const KNOWN_FLAGS: u8 = 0x03;
const MAX_MEMBERS: usize = 32;

pub(super) fn extract(headers: &impl Headers) -> Option<SpanContext> {
    let mut traceparents = headers.values("traceparent");
    let (trace, span, flags) = parse(traceparents.next()?)?;
    if traceparents.next().is_some() {
        return None;
    }
    let state = state(headers.values("tracestate")).unwrap_or_default();
    Some(SpanContext::new(trace, span, flags, true, state))
}

pub(super) fn traceparent(context: &SpanContext) -> String {
    let flags = context.trace_flags().to_u8() & KNOWN_FLAGS;
    format!("00-{}-{}-{flags:02x}", context.trace_id(), context.span_id())
}

fn parse(text: &str) -> Option<(TraceId, SpanId, TraceFlags)> {
    let mut fields = text.splitn(5, '-');
    let version = u8::try_from(hex(fields.next()?, 2)?).ok()?;
    let trace = TraceId::from_bytes(hex(fields.next()?, 32)?.to_be_bytes());
    let span = SpanId::from_bytes(u64::try_from(hex(fields.next()?, 16)?).ok()?.to_be_bytes());
    let flags = u8::try_from(hex(fields.next()?, 2)?).ok()?;
    let more = fields.next().is_some();
    let valid = version != 0xff && !(version == 0 && more) && trace != TraceId::INVALID && span != SpanId::INVALID;
    valid.then(|| (trace, span, TraceFlags::new(flags & KNOWN_FLAGS)))
}

/// Exactly `digits` lower-case hex digits.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let valid = text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    valid.then(|| u128::from_str_radix(text, 16).ok())?
}

/// Several headers are one list; empty members are allowed, doubled keys are not.
fn state<'a>(values: impl Iterator<Item = &'a str>) -> Option<TraceState> {
    let mut members: Vec<(&str, &str)> = Vec::new();
    for member in values.flat_map(|value| value.split(',')).map(|member| member.trim_matches([' ', '\t'])) {
        if member.is_empty() {
            continue;
        }
        let (key, value) = member.split_once('=')?;
        let doubled = members.iter().any(|(other, _)| *other == key);
        if !is_key(key) || !is_value(value) || doubled || members.len() == MAX_MEMBERS {
            return None;
        }
        members.push((key, value));
    }
    let joined: Vec<String> = members.iter().map(|(key, value)| format!("{key}={value}")).collect();
    TraceState::from_str(&joined.join(",")).ok()
}

fn is_key(key: &str) -> bool {
    let tail =
        |text: &str| text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/'));
    let starts = |text: &str, digit: bool| {
        text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase() || (digit && byte.is_ascii_digit()))
    };
    match key.split_once('@') {
        None => key.len() <= 256 && starts(key, true) && tail(key),
        Some((tenant, system)) => {
            (tenant.len() <= 241 && starts(tenant, true) && tail(tenant))
                && (system.len() <= 14 && starts(system, false) && tail(system))
        }
    }
}

fn is_value(value: &str) -> bool {
    let printable = |byte| matches!(byte, b' '..=b'~') && byte != b',' && byte != b'=';
    (1..=256).contains(&value.len()) && value.bytes().all(printable) && !value.ends_with(' ')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn read(traceparents: &[&str], tracestates: &[&str]) -> Option<SpanContext> {
        struct Given<'g>(&'g [&'g str], &'g [&'g str]);
        impl Headers for Given<'_> {
            fn values<'a>(&'a self, name: &'static str) -> impl Iterator<Item = &'a str> {
                if name == "traceparent" { self.0.iter().copied() } else { self.1.iter().copied() }
            }
        }
        extract(&Given(traceparents, tracestates))
    }

    #[test]
    fn a_traceparent_is_read_strictly() {
        for valid in [VALID, "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more"] {
            assert!(read(&[valid], &[]).is_some(), "{valid}");
        }
        for invalid in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
            "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01more",
            "0-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert!(read(&[invalid], &[]).is_none(), "{invalid}");
        }
        assert!(read(&[VALID, VALID], &[]).is_none(), "two headers");
    }

    #[test]
    fn unknown_flags_are_cleared() {
        let context = read(&["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-ff"], &[]).unwrap();
        assert!(traceparent(&context).ends_with("-03"));
    }

    #[test]
    fn tracestates_join_in_order_and_a_bad_one_drops_only_itself() {
        let header = |states: &[&str]| read(&[VALID], states).unwrap().trace_state().header();
        assert_eq!(header(&["foo=1", " ,bar=2\t,"]), "foo=1,bar=2");
        assert_eq!(header(&["1a-2_f*/@b-c=x"]), "1a-2_f*/@b-c=x");
        for bad in ["foo=1,foo=2", "FOO=1", "foo", "foo=", "foo=a=b", "foo@=1", "@s=1", "a@1=1"] {
            assert_eq!(header(&[bad]), "", "{bad}");
        }
        let many: Vec<String> = (0..33).map(|index| format!("k{index}=1")).collect();
        assert_eq!(header(&[&many.join(",")]), "");
        assert_eq!(header(&[&many[..32].join(",")]), many[..32].join(","));
    }

    proptest! {
        #[test]
        fn any_text_is_a_context_or_none(parent in ".{0,80}", state in ".{0,80}") {
            let _ = read(&[&parent], &[&state]);
            let _ = read(&[VALID], &[&state]);
        }

        #[test]
        fn a_context_survives_its_text(trace in 1u128.., span in 1u64.., flags in 0u8..4) {
            let context = SpanContext::new(TraceId::from_bytes(trace.to_be_bytes()), SpanId::from_bytes(span.to_be_bytes()),
                TraceFlags::new(flags), true, TraceState::default());
            prop_assert_eq!(read(&[&traceparent(&context)], &[]).unwrap(), context);
        }
    }
}
