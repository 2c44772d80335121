//! The requirements of W3C's trace-context suite, both levels at its strictest, for the real proxy with `--trust always`: each of its cases by
//! name, in our own words. `tests/w3c-suite` runs the suite itself.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use crate::support::cruddur::Cruddur;
use crate::support::upstream::{Upstream, values};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

/// The outcome for the trace that a request names.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Trace {
    /// The trace continues, below a span of the proxy's.
    Kept,
    /// A new trace starts.
    New,
}
use Trace::{Kept, New};

/// A case of the suite, or our own: its name; header lines as sent, in which `T` stands for the trace id, `S` for the span id
/// and `V` for a whole valid value; the outcome for the trace; and the forwarded tracestate.
type Row = (&'static str, &'static [&'static str], Trace, &'static str);

const NO_STATE: &str = "";

#[rustfmt::skip]
const ROWS: &[Row] = &[
    ("both_traceparent_and_tracestate_missing", &[], New, NO_STATE),
    ("traceparent_included_tracestate_missing", &["traceparent: V"], Kept, NO_STATE),
    ("traceparent_duplicated", &["traceparent: V", "traceparent: 00-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-S-01"], New, NO_STATE),
    ("traceparent_duplicated", &["traceparent: V", "traceparent: V"], New, NO_STATE),
    ("traceparent_duplicated", &["traceparent: V, V"], New, NO_STATE),
    ("traceparent_header_name", &["trace-parent: V"], New, NO_STATE),
    ("traceparent_header_name", &["trace.parent: V"], New, NO_STATE),
    ("traceparent_header_name_valid_casing", &["TraceParent: V"], Kept, NO_STATE),
    ("traceparent_header_name_valid_casing", &["tRaCePaReNt: V"], Kept, NO_STATE),
    ("traceparent_header_name_valid_casing", &["TRACEPARENT: V"], Kept, NO_STATE),
    ("traceparent_version_0x00", &["traceparent: V."], New, NO_STATE),
    ("traceparent_version_0x00", &["traceparent: V-"], New, NO_STATE),
    ("traceparent_version_0x00", &["traceparent: V-more"], New, NO_STATE),
    ("traceparent_version_0xcc", &["traceparent: cc-T-S-01"], Kept, NO_STATE),
    ("traceparent_version_0xcc", &["traceparent: cc-T-S-01-more-of-it"], Kept, NO_STATE),
    ("traceparent_version_0xcc", &["traceparent: cc-T-S-01.more"], New, NO_STATE),
    ("traceparent_version_0xff", &["traceparent: ff-T-S-01"], New, NO_STATE),
    ("traceparent_version_illegal_characters", &["traceparent: .0-T-S-01"], New, NO_STATE),
    ("traceparent_version_illegal_characters", &["traceparent: 0.-T-S-01"], New, NO_STATE),
    ("traceparent_version_too_long", &["traceparent: 000-T-S-01"], New, NO_STATE),
    ("traceparent_version_too_long", &["traceparent: 0000-T-S-01"], New, NO_STATE),
    ("traceparent_version_too_short", &["traceparent: 0-T-S-01"], New, NO_STATE),
    ("traceparent_trace_id_all_zero", &["traceparent: 00-00000000000000000000000000000000-S-01"], New, NO_STATE),
    ("traceparent_trace_id_illegal_characters", &["traceparent: 00-.bf92f3577b34da6a3ce929d0e0e4736-S-01"], New, NO_STATE),
    ("traceparent_trace_id_illegal_characters", &["traceparent: 00-4bf92f3577b34da6a3ce929d0e0e473.-S-01"], New, NO_STATE),
    ("traceparent_trace_id_illegal_characters", &["traceparent: 00-4BF92F3577B34DA6A3CE929D0E0E4736-S-01"], New, NO_STATE),
    ("traceparent_trace_id_too_long", &["traceparent: 00-T0-S-01"], New, NO_STATE),
    ("traceparent_trace_id_too_short", &["traceparent: 00-4bf92f3577b34da6a3ce929d0e0e473-S-01"], New, NO_STATE),
    ("traceparent_parent_id_all_zero", &["traceparent: 00-T-0000000000000000-01"], New, NO_STATE),
    ("traceparent_parent_id_illegal_characters", &["traceparent: 00-T-.0f067aa0ba902b7-01"], New, NO_STATE),
    ("traceparent_parent_id_illegal_characters", &["traceparent: 00-T-00f067aa0ba902b.-01"], New, NO_STATE),
    ("traceparent_parent_id_too_long", &["traceparent: 00-T-S0-01"], New, NO_STATE),
    ("traceparent_parent_id_too_short", &["traceparent: 00-T-00f067aa0ba902b-01"], New, NO_STATE),
    ("traceparent_trace_flags_illegal_characters", &["traceparent: 00-T-S-.0"], New, NO_STATE),
    ("traceparent_trace_flags_illegal_characters", &["traceparent: 00-T-S-0."], New, NO_STATE),
    ("traceparent_trace_flags_too_long", &["traceparent: 00-T-S-001"], New, NO_STATE),
    ("traceparent_trace_flags_too_short", &["traceparent: 00-T-S-1"], New, NO_STATE),
    ("traceparent_ows_handling", &["traceparent:  V"], Kept, NO_STATE),
    ("traceparent_ows_handling", &["traceparent:\tV"], Kept, NO_STATE),
    ("traceparent_ows_handling", &["traceparent: V "], Kept, NO_STATE),
    ("traceparent_ows_handling", &["traceparent: V\t"], Kept, NO_STATE),
    ("traceparent_ows_handling", &["traceparent: \t V \t"], Kept, NO_STATE),
    ("tracestate_included_traceparent_missing", &["tracestate: a=1"], New, NO_STATE),
    ("tracestate_included_traceparent_missing", &["tracestate: a=1,b=2"], New, NO_STATE),
    ("tracestate_included_traceparent_included", &["traceparent: V", "tracestate: a=1,b=2"], Kept, "a=1,b=2"),
    ("tracestate_header_name", &["traceparent: V", "trace-state: a=1"], Kept, NO_STATE),
    ("tracestate_header_name", &["traceparent: V", "trace.state: a=1"], Kept, NO_STATE),
    ("tracestate_header_name_valid_casing", &["traceparent: V", "TraceState: a=1"], Kept, "a=1"),
    ("tracestate_header_name_valid_casing", &["traceparent: V", "tRaCeStAtE: a=1"], Kept, "a=1"),
    ("tracestate_header_name_valid_casing", &["traceparent: V", "TRACESTATE: a=1"], Kept, "a=1"),
    ("tracestate_empty_header", &["traceparent: V", "tracestate:"], Kept, NO_STATE),
    ("tracestate_empty_header", &["traceparent: V", "tracestate: a=1", "tracestate: "], Kept, "a=1"),
    ("tracestate_empty_header", &["traceparent: V", "tracestate:", "tracestate: a=1"], Kept, "a=1"),
    ("tracestate_multiple_headers_different_keys", &["traceparent: V", "tracestate: a=1,b=2", "tracestate: c=3,d=4", "tracestate: e=5"], Kept, "a=1,b=2,c=3,d=4,e=5"),
    ("tracestate_duplicated_keys", &["traceparent: V", "tracestate: a=1,a=1"], Kept, "a=1"),
    ("tracestate_duplicated_keys", &["traceparent: V", "tracestate: a=1,b=3,a=2"], Kept, "a=1,b=3"),
    ("tracestate_duplicated_keys", &["traceparent: V", "tracestate: a=1", "tracestate: a=1"], Kept, "a=1"),
    ("tracestate_duplicated_keys", &["traceparent: V", "tracestate: a=1", "tracestate: b=3,a=2"], Kept, "a=1,b=3"),
    ("tracestate_all_allowed_characters", &["traceparent: V", "tracestate: KEYS= VALUES"], Kept, "KEYS= VALUES"),
    ("tracestate_all_allowed_characters", &["traceparent: V", "tracestate: KEYS@KEYS= VALUES"], Kept, "KEYS@KEYS= VALUES"),
    ("tracestate_ows_handling", &["traceparent: V", "tracestate: a=1 \t , \t b=2, \t c=3"], Kept, "a=1,b=2,c=3"),
    ("tracestate_ows_handling", &["traceparent: V", "tracestate: a=1\t \t,\t \tb=2,\t \tc=3"], Kept, "a=1,b=2,c=3"),
    ("tracestate_ows_handling", &["traceparent: V", "tracestate:  a=1"], Kept, "a=1"),
    ("tracestate_ows_handling", &["traceparent: V", "tracestate:\ta=1"], Kept, "a=1"),
    ("tracestate_ows_handling", &["traceparent: V", "tracestate: a=1 "], Kept, "a=1"),
    ("tracestate_ows_handling", &["traceparent: V", "tracestate: a=1\t"], Kept, "a=1"),
    ("tracestate_ows_handling", &["traceparent: V", "tracestate: \t a=1 \t"], Kept, "a=1"),
    ("tracestate_key_illegal_characters", &["traceparent: V", "tracestate: a =1"], Kept, NO_STATE),
    ("tracestate_key_illegal_characters", &["traceparent: V", "tracestate: A=1"], Kept, NO_STATE),
    ("tracestate_key_illegal_characters", &["traceparent: V", "tracestate: a.b=1"], Kept, NO_STATE),
    ("tracestate_key_illegal_vendor_format", &["traceparent: V", "tracestate: @a=1,b=2"], Kept, NO_STATE),
    ("tracestate_key_illegal_vendor_format", &["traceparent: V", "tracestate: a@=1,b=2"], Kept, "a@=1,b=2"),
    ("tracestate_key_illegal_vendor_format", &["traceparent: V", "tracestate: a@@b=1,b=2"], Kept, "a@@b=1,b=2"),
    ("tracestate_key_illegal_vendor_format", &["traceparent: V", "tracestate: a@b@c=1,b=2"], Kept, "a@b@c=1,b=2"),
    ("tracestate_member_count_limit", &["traceparent: V", "tracestate: MANY(1-16)", "tracestate: MANY(17-32)"], Kept, "MANY(1-32)"),
    ("tracestate_member_count_limit", &["traceparent: V", "tracestate: MANY(1-16)", "tracestate: MANY(17-33)"], Kept, NO_STATE),
    ("tracestate_key_length_limit", &["traceparent: V", "tracestate: a=1", "tracestate: LONG(256)=1"], Kept, "a=1,LONG(256)=1"),
    ("tracestate_key_length_limit", &["traceparent: V", "tracestate: a=1", "tracestate: LONG(257)=1"], Kept, NO_STATE),
    ("tracestate_key_length_limit", &["traceparent: V", "tracestate: a=1", "tracestate: LONG(241)@LONG(14)=1"], Kept, "a=1,LONG(241)@LONG(14)=1"),
    ("tracestate_key_length_limit", &["traceparent: V", "tracestate: a=1", "tracestate: LONG(254)@z=1"], Kept, "a=1,LONG(254)@z=1"),
    ("tracestate_key_length_limit", &["traceparent: V", "tracestate: a=1", "tracestate: z@LONG(254)=1"], Kept, "a=1,z@LONG(254)=1"),
    ("tracestate_key_length_limit", &["traceparent: V", "tracestate: a=1", "tracestate: LONG(255)@z=1"], Kept, NO_STATE),
    ("tracestate_value_illegal_characters", &["traceparent: V", "tracestate: a=b=c"], Kept, NO_STATE),
    ("tracestate_value_illegal_characters", &["traceparent: V", "tracestate: a=,b=2"], Kept, NO_STATE),
    ("multiple_requests_with_valid_traceparent", &["traceparent: V"], Kept, NO_STATE),
    ("multiple_requests_without_traceparent", &[], New, NO_STATE),
    ("multiple_requests_with_illegal_traceparent", &["traceparent: 00-00000000000000000000000000000000-S-01"], New, NO_STATE),
    ("propagates_random_flag", &["traceparent: 00-T-S-02"], Kept, NO_STATE),
    // Cases beyond the suite.
    ("ours: bytes that are no ASCII", &["traceparent: V", "tracestate: a=caf\u{e9}"], Kept, NO_STATE),
    ("ours: bytes that are no ASCII", &["traceparent: V\u{e9}"], New, NO_STATE),
    ("ours: bytes that are no ASCII", &["traceparent: V", "traceparent: \u{e9}"], New, NO_STATE),
    ("ours: a value's length", &["traceparent: V", "tracestate: a=LONG(256)"], Kept, "a=LONG(256)"),
    ("ours: a value's length", &["traceparent: V", "tracestate: a=LONG(257)"], Kept, NO_STATE),
    ("ours: a value ends in no space, and may hold some", &["traceparent: V", "tracestate: a= 1 2"], Kept, "a= 1 2"),
    ("ours: empty members are none", &["traceparent: V", "tracestate: ,a=1,, ,\t,b=2,"], Kept, "a=1,b=2"),
    ("ours: 512 characters go on, and more", &["traceparent: V", "tracestate: a=LONG(256)", "tracestate: b=LONG(256),c=LONG(256)"], Kept, "a=LONG(256),b=LONG(256),c=LONG(256)"),
    ("ours: unknown flags", &["traceparent: 00-T-S-ff"], Kept, NO_STATE),
    ("ours: an invalid traceparent drops both", &["traceparent: 00-T-S-1", "tracestate: a=1"], New, NO_STATE),
];

/// All cases of the suite's three classes: `TraceContextTest`, `AdvancedTest`, and of level 2 `TraceContext2Test`.
const CASES: [&str; 41] = [
    "both_traceparent_and_tracestate_missing",
    "traceparent_included_tracestate_missing",
    "traceparent_duplicated",
    "traceparent_header_name",
    "traceparent_header_name_valid_casing",
    "traceparent_version_0x00",
    "traceparent_version_0xcc",
    "traceparent_version_0xff",
    "traceparent_version_illegal_characters",
    "traceparent_version_too_long",
    "traceparent_version_too_short",
    "traceparent_trace_id_all_zero",
    "traceparent_trace_id_illegal_characters",
    "traceparent_trace_id_too_long",
    "traceparent_trace_id_too_short",
    "traceparent_parent_id_all_zero",
    "traceparent_parent_id_illegal_characters",
    "traceparent_parent_id_too_long",
    "traceparent_parent_id_too_short",
    "traceparent_trace_flags_illegal_characters",
    "traceparent_trace_flags_too_long",
    "traceparent_trace_flags_too_short",
    "traceparent_ows_handling",
    "tracestate_included_traceparent_missing",
    "tracestate_included_traceparent_included",
    "tracestate_header_name",
    "tracestate_header_name_valid_casing",
    "tracestate_empty_header",
    "tracestate_multiple_headers_different_keys",
    "tracestate_duplicated_keys",
    "tracestate_all_allowed_characters",
    "tracestate_ows_handling",
    "tracestate_key_illegal_characters",
    "tracestate_key_illegal_vendor_format",
    "tracestate_member_count_limit",
    "tracestate_key_length_limit",
    "tracestate_value_illegal_characters",
    "multiple_requests_with_valid_traceparent",
    "multiple_requests_without_traceparent",
    "multiple_requests_with_illegal_traceparent",
    "propagates_random_flag",
];

#[test]
fn every_case_of_the_suite_has_a_row() {
    let rows: BTreeSet<&str> = ROWS.iter().map(|(case, ..)| *case).filter(|case| !case.starts_with("ours: ")).collect();
    let cases = BTreeSet::from(CASES);
    assert_eq!((rows, cases.len()), (cases, 41));
}

/// The abbreviations of a row, written out.
fn expand(text: &str) -> String {
    let keys: String = ('a'..='z').chain('0'..='9').chain("_-*/".chars()).collect();
    let values: String = ('!'..='~').filter(|c| !matches!(c, ',' | '=')).collect();
    // In one pass: expanded text is not expanded again.
    let mut out = String::new();
    let mut rest = text;
    'next: while !rest.is_empty() {
        for (short, long) in [("KEYS", &*keys), ("VALUES", &*values)] {
            if let Some(after) = rest.strip_prefix(short) {
                out.push_str(long);
                rest = after;
                continue 'next;
            }
        }
        if let Some((count, after)) = rest.strip_prefix("LONG(").and_then(|after| after.split_once(')')) {
            out.push_str(&"z".repeat(count.parse().unwrap()));
            rest = after;
            continue;
        }
        if let Some((range, after)) = rest.strip_prefix("MANY(").and_then(|after| after.split_once(')')) {
            let (first, last) = range.split_once('-').unwrap();
            let members = (first.parse::<u8>().unwrap()..=last.parse().unwrap()).map(|n| format!("m{n}={n}"));
            out.push_str(&members.collect::<Vec<_>>().join(","));
            rest = after;
            continue;
        }
        out.extend(rest.chars().next());
        rest = rest.split_at(rest.chars().next().map_or(0, char::len_utf8)).1;
    }
    out
}

/// A header line with the ids filled in, as Latin-1 bytes.
fn line(text: &str) -> Vec<u8> {
    let (name, value) = text.split_once(':').unwrap();
    let value = if name.eq_ignore_ascii_case("tracestate") {
        expand(value)
    } else {
        value.replace('V', "00-T-S-01").replace('T', TRACE).replace('S', SPAN)
    };
    format!("{name}:{value}\r\n").chars().map(|character| u8::try_from(u32::from(character)).unwrap()).collect()
}

/// The head that the upstream gets for these header lines.
fn forwarded(proxy: &Cruddur, upstream: &Upstream, lines: &[&str]) -> Vec<String> {
    let mut client = TcpStream::connect(proxy.page.trim_start_matches("http://")).unwrap();
    let mut request = b"GET /api/x HTTP/1.1\r\nhost: x\r\nconnection: close\r\n".to_vec();
    lines.iter().for_each(|text| request.extend(line(text)));
    request.extend(b"\r\n");
    client.write_all(&request).unwrap();
    let mut status = String::new();
    let mut reader = BufReader::new(client);
    reader.read_line(&mut status).unwrap();
    assert_eq!(status.trim_end(), "HTTP/1.1 200 OK", "{lines:?}");
    reader.read_to_end(&mut Vec::new()).unwrap();
    upstream.head()
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The only traceparent of a head: trace id, span id, flags.
fn traceparent(head: &[String]) -> (String, String, u8) {
    let all = values(head, "traceparent");
    let [one] = all.as_slice() else { panic!("{head:?}") };
    let fields: Vec<&str> = one.split('-').collect();
    let ["00", trace, span, flags] = fields.as_slice() else { panic!("{one}") };
    assert!(is_hex(trace, 32) && is_hex(span, 16) && is_hex(flags, 2), "{one}");
    assert!(!trace.chars().all(|c| c == '0') && !span.chars().all(|c| c == '0'), "{one}");
    ((*trace).to_owned(), (*span).to_owned(), u8::from_str_radix(flags, 16).unwrap())
}

#[test]
fn the_proxy_meets_the_suites_requirements() {
    let upstream = Upstream::start();
    // The command line overrides the variable.
    let proxy = Cruddur::service_with(
        "frontend-proxy",
        &["--trust", "always"],
        &[("CRUDDUR_UPSTREAM", &upstream.address), ("TRACE_TRUST", "never")],
    );
    let mut spans = BTreeSet::new();
    for &(case, lines, expected, state) in ROWS {
        for _ in 0..if case.starts_with("multiple_requests") { 3 } else { 1 } {
            let head = forwarded(&proxy, &upstream, lines);
            let (trace, span, flags) = traceparent(&head);
            let became = if trace == TRACE { Kept } else { New };
            assert_eq!(became, expected, "{case}: {lines:?} gave {head:#?}");
            assert!(span != SPAN && spans.insert(span.clone()), "{case}: each request has a separate parent span");
            assert!(flags & !0x03 == 0, "{case}: unknown flags are not forwarded");
            if case == "propagates_random_flag" {
                assert_eq!(flags, 0x02, "the random flag is kept, and it is not sampled");
            }
            let states = values(&head, "tracestate");
            assert_eq!(states.concat(), expand(state), "{case}: {lines:?}");
            assert!(states.len() <= 1, "{case}: one list, combined");
            let (epoch, rest) = trace.split_at(8);
            let xray = format!("Root=1-{epoch}-{rest};Parent={span};Sampled={}", flags & 1);
            assert_eq!(values(&head, "x-amzn-trace-id"), [xray], "{case}: the other header agrees");
        }
    }
}
