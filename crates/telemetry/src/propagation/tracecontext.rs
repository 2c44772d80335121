//! [W3C Trace Context Level 2](https://www.w3.org/TR/trace-context-2/): `traceparent` and `tracestate`. An invalid traceparent
//! drops both; an invalid tracestate drops only itself.

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

use super::headers::Headers;
use crate::ascii::Ascii;
use crate::context::{SpanIds, Tracestate};

/// `sampled`, and Level 2's `random`; other flags are cleared.
const KNOWN_FLAGS: u8 = 0x03;

/// The span in the header, and the `tracestate` that came with it.
pub(super) fn extract(headers: &impl Headers) -> Option<(SpanContext, Tracestate)> {
    let mut traceparents = headers.values("traceparent");
    let (trace, span, flags) = parse(traceparents.next()?)?;
    if traceparents.next().is_some() {
        return None;
    }
    let state = Tracestate::parse(headers.values("tracestate")).unwrap_or_default();
    Some((SpanContext::new(trace, span, flags, true, TraceState::default()), state))
}

pub(super) fn traceparent(ids: SpanIds) -> Ascii<55> {
    fill(Ascii(*b"00-00000000000000000000000000000000-0000000000000000-00"), 0, ids)
}

/// `traceparent` as a value of `Server-Timing`.
pub(super) fn server_timing(ids: SpanIds) -> Ascii<74> {
    let empty = *b"traceparent;desc=\"00-00000000000000000000000000000000-0000000000000000-00\"";
    fill(Ascii(empty), "traceparent;desc=\"".len(), ids)
}

fn fill<const N: usize>(text: Ascii<N>, at: usize, ids: SpanIds) -> Ascii<N> {
    let flags = ids.flags.to_u8() & KNOWN_FLAGS;
    let text = text.hex(at + 3, &ids.trace.to_bytes()).hex(at + 36, &ids.span.to_bytes());
    text.hex(at + 53, &[flags])
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn read(traceparents: &[&str], tracestates: &[&str]) -> Option<(SpanContext, Tracestate)> {
        struct TraceHeaders<'g>(&'g [&'g str], &'g [&'g str]);
        impl Headers for TraceHeaders<'_> {
            fn values<'a>(&'a self, name: &'static str) -> impl Iterator<Item = &'a str> {
                if name == "traceparent" { self.0.iter().copied() } else { self.1.iter().copied() }
            }
        }
        extract(&TraceHeaders(traceparents, tracestates))
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
        let (context, _) = read(&["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-ff"], &[]).unwrap();
        assert!(traceparent(SpanIds::from(&context)).ends_with("-03"));
    }

    #[test]
    fn an_invalid_tracestate_drops_only_itself() {
        let header = |states: &[&str]| read(&[VALID], states).unwrap().1.header().map(str::to_owned);
        assert_eq!(header(&["foo=1", "bar=2"]).as_deref(), Some("foo=1,bar=2"));
        assert_eq!(header(&["foo=1", "BAR=2"]), None);
    }

    proptest! {
        #[test]
        fn any_text_is_a_context_or_none(parent in ".{0,80}", state in ".{0,80}") {
            let _ = read(&[&parent], &[&state]);
            let _ = read(&[VALID], &[&state]);
        }

        #[test]
        fn a_context_is_read_back_from_its_text(trace in 1u128.., span in 1u64.., flags in 0u8..4) {
            let context = SpanContext::new(TraceId::from_bytes(trace.to_be_bytes()), SpanId::from_bytes(span.to_be_bytes()),
                TraceFlags::new(flags), true, TraceState::default());
            prop_assert_eq!(read(&[&traceparent(SpanIds::from(&context))], &[]).unwrap().0, context);
        }
    }
}
