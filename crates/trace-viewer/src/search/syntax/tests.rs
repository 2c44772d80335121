use proptest::prelude::*;

use super::ast::{Expr, Having, Measure, Order, Pattern, Query, Sort, SortKey, SpanField, Term, Test};
use super::*;

fn printed(text: &str) -> String {
    parse(text).unwrap_or_else(|fault| panic!("{text}: {fault}")).to_string()
}

#[test]
fn the_viewers_language_is_read() {
    for (text, expected) in [
        ("", ""),
        (
            r#"service=backend http.route="/api/activities/{uuid}""#,
            r#"service="backend" http.route="/api/activities/{uuid}""#,
        ),
        ("dur>200ms status=ERROR -name=health", r#"dur>200000000ns status="error" -name="health""#),
        ("has:exception root:GET last:15m sort:dur", r#"has:exception root:"GET" last:900000000000ns sort:dur:desc"#),
        ("sort:start:asc", "sort:start:asc"),
        ("sort:start", ""),
        (r#"time*out "two words" C++"#, "x"),
        ("*timeout* \"two words\" C++ hello!", r#""timeout" "two words" "C++" "hello!""#),
        ("name=GET* name=*ies name!=*ctiv* k=* k:* k=\"*\"", r#"name="GET"* name=*"ies" name!=*"ctiv"* k=* k=* k="*""#),
        ("a b OR c AND d", r#""a" "b" OR "c" "d""#),
        ("(a OR b) NOT (c d) --e", r#"("a" OR "b") -("c" "d") -(-"e")"#),
        ("http.status>=500 n<-0.5", "http.status>=500 n<-0.5"),
        ("span.dur<=1.5ms spans>10 errors=0", "span.dur<=1500000ns spans>10 errors=0"),
        ("db=sqlite trace.id=ABC* span_id=a1", r#"database="sqlite" trace="abc"* span="a1""#),
        (r#""service"=a "odd key"=b"#, r#""service"="a" "odd key"="b""#),
        ("1-5759e988-bd862e3fe1be46a994272793", r#"trace="5759e988bd862e3fe1be46a994272793""#),
        ("annotation.user_id=a", r#"annotation.user_id="a""#),
        ("url=http://x/?a=b:c", r#"url="http://x/?a=b:c""#),
    ] {
        if expected == "x" {
            assert!(parse(text).is_err(), "{text}");
        } else {
            assert_eq!(printed(text), expected, "{text}");
        }
    }
}

#[test]
fn xrays_filter_expressions_are_read() {
    for (text, expected) in [
        (r#"service("backend") AND responsetime > 0.2"#, r#"service="backend" dur>200000000ns"#),
        (r#"service("backend") { responsetime >= 1 }"#, r#"service="backend" span.dur>=1000000000ns"#),
        ("duration<5", "dur<5000000000ns"),
        ("http.status = 200 OR http.method = \"GET\"", r#"http.status="200" OR http.method="GET""#),
        ("http.url CONTAINS \"api\" AND user BEGINSWITH \"a\"", r#"http.url:"api" user="a"*"#),
        ("annotation[user.id] = \"x\"", r#"annotation.user_id="x""#),
        ("annotation.age > 29 AND annotation.ok = true", r#"annotation.age>29 annotation.ok="true""#),
        ("annotation[age]", "annotation.age=*"),
        ("http.url ENDSWITH \"/\"", r#"http.url=*"/""#),
        ("throttle", r#""throttle"="true" OR http.status="429""#),
        ("!throttle = true", "x"),
        ("name != \"a\"", r#"service!="a""#),
    ] {
        assert_eq!(language(text), Language::Xray, "{text}");
        let expected = expected.replace("\"throttle\"=", "throttle=");
        match parse(text) {
            Ok(query) if expected != "x" => assert_eq!(query.to_string(), expected, "{text}"),
            Ok(_) => {}
            Err(fault) => panic!("{text}: {fault}"),
        }
    }
    assert_eq!(printed("fault"), printed("fault = true"));
    assert_eq!(printed("!fault"), printed("fault = false"));
    assert_eq!(printed("NOT ok"), printed("!(ok)"));
}

#[test]
fn the_language_follows_from_the_text() {
    for text in [
        "",
        "error",
        "error backend",
        "service=backend",
        "a AND b",
        "x=\"service(\" y",
        "durations>5",
        "microservice(",
        "dur>5s",
        "a!",
    ] {
        assert_eq!(language(text), Language::Own, "{text}");
    }
    for text in [
        "service(\"a\")",
        "a OR service(\"b\")",
        "edge(\"a\", \"b\")",
        "ok",
        "fault AND error",
        "!error",
        "responsetime>1",
        "x = 1",
    ] {
        assert_eq!(language(text), Language::Xray, "{text}");
    }
}

#[test]
fn a_fault_points_at_its_character_and_names_the_mend() {
    let long = format!("é{}", "a".repeat(LENGTH));
    let deep = "(".repeat(40);
    let many = "a ".repeat(61);
    for (text, position, message) in [
        ("dur>200", 7, "dur>200: give a unit such as ms"),
        ("é dur>200", 9, "give a unit such as ms"),
        ("dur>fast", 4, "give a duration such as 200ms"),
        ("dur>5parsecs", 5, "the unit is ns, us"),
        ("dur>5ms*", 4, "remove the *"),
        ("dur:5s", 3, "compare it by ="),
        ("name>a", 4, "it is a text"),
        ("n>abc", 2, "compare it with a number"),
        ("spans>1.5", 6, "whole number"),
        ("status=500", 7, "http.status"),
        ("kind=servr", 5, "internal, server"),
        ("service=", 8, "service has no value"),
        ("=a", 0, "a key is missing"),
        ("a=b*c", 3, "quote the value"),
        ("a=\"b", 2, "this quote is not closed"),
        ("a=b(c)", 3, "put a space before ("),
        ("(a", 0, "not closed"),
        ("a)", 1, "no ( for this )"),
        ("()", 1, "a term is missing"),
        ("a OR", 4, "a term is missing"),
        ("AND a", 0, "AND needs a term on each side"),
        ("a - b", 2, "directly after it"),
        ("sort:name", 5, "sort by start, dur"),
        ("sort:dur sort:dur", 9, "twice"),
        ("(sort:dur a)", 1, "outside of the parentheses"),
        ("-sort:dur", 0, "sort:dur:asc"),
        ("last:0", 6, "give a unit"),
        ("n!=*", 3, "write -n=*"),
        (&long, LENGTH, "at most 2000 characters"),
        (&deep, 17, "at most 16 deep"),
        (&many, 120, "at most 60 terms"),
        ("edge(\"a\", \"b\")", 0, "edge() is not supported here; GET /api/map"),
        ("service(id(name: \"a\"))", 8, "name one service in quotes"),
        ("responsetime > fast", 15, "quote the value"),
        ("dur > 200ms", 0, "without spaces around its signs"),
        ("availabilityzone = \"a\"", 0, "supported are service"),
        ("http.status = ", 14, "a value is missing"),
        ("fault = 3", 8, "true or false"),
        ("service(\"a\"", 11, ") is missing"),
        ("service(\"a\") service(\"b\")", 13, "join two conditions"),
        ("ok OR ok OR ok OR ok OR ok OR ok OR ok OR ok", 0, "more than 60 terms"),
    ] {
        let fault = parse(text).expect_err(text);
        assert_eq!(fault.position, position, "{text}: {fault}");
        assert!(fault.to_string().contains(message), "{text}: {fault}");
    }
}

const TEXTS: [&str; 12] =
    ["backend", "GET /", "x", "500", "2e2", "200", "É\"\\", "", "true", "*a b*", "-OR", "00000000000000a1"];
const KEYS: [&str; 7] = ["http.route", "n", "user.id", "http.status", "odd key", "service", "exception.type"];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![4 => proptest::sample::select(&TEXTS[..]).prop_map(str::to_owned), 1 => ".{0,6}"]
}

fn pattern() -> impl Strategy<Value = Pattern> {
    (text(), any::<bool>(), any::<bool>()).prop_map(|(text, is_open_before, is_open_after)| {
        let is_exact = text.is_empty();
        Pattern { text, is_open_before: is_open_before && !is_exact, is_open_after: is_open_after && !is_exact }
    })
}

fn order() -> impl Strategy<Value = Order> {
    use Order::{Equal, Less, LessOrEqual, More, MoreOrEqual, Unequal};
    proptest::sample::select(vec![Equal, Unequal, More, MoreOrEqual, Less, LessOrEqual])
}

fn test() -> impl Strategy<Value = Test> {
    prop_oneof![
        Just(Test::Exists),
        pattern().prop_map(Test::Is),
        pattern().prop_map(Test::IsNot),
        text().prop_map(Test::Contains),
    ]
}

fn attribute_test() -> impl Strategy<Value = Test> {
    use Order::{Less, LessOrEqual, More, MoreOrEqual};
    let compare = (proptest::sample::select(vec![Less, LessOrEqual, More, MoreOrEqual]), -1_000_000..1_000_000);
    prop_oneof![3 => test(), 1 => compare.prop_map(|(order, number)| Test::Compare(order, f64::from(number) / 8.0))]
}

fn term() -> impl Strategy<Value = Term> {
    let field = proptest::sample::select(vec![SpanField::Service, SpanField::Name, SpanField::Database]);
    let status = proptest::sample::select(vec!["unset", "ok", "error"]);
    let having = prop_oneof![
        proptest::sample::select(vec![
            Having::Error,
            Having::Exception,
            Having::Browser,
            Having::Document,
            Having::Dropped
        ]),
        proptest::sample::select(&KEYS[..4]).prop_map(|key| Having::Key(key.to_owned())),
    ];
    let measure = proptest::sample::select(vec![Measure::Duration, Measure::Spans, Measure::Errors]);
    let key = proptest::sample::select(&KEYS[..]);
    prop_oneof![
        text().prop_filter("empty words are faults", |text| !text.is_empty()).prop_map(Term::word),
        (field, test()).prop_map(|(field, test)| Term::Span(field, test)),
        status.prop_map(|status| Term::Span(SpanField::Status, Test::Is(Pattern::exact(status)))),
        (key, attribute_test()).prop_map(|(key, test)| Term::Span(SpanField::Attribute(key.to_owned()), test)),
        attribute_test().prop_map(|test| Term::Span(SpanField::Annotation("user_id".to_owned()), test)),
        (order(), 0..2_000_u64).prop_map(|(order, ns)| Term::SpanDuration(order, ns)),
        (measure, order(), 0..2_000_u64).prop_map(|(measure, order, limit)| Term::Trace(measure, order, limit)),
        test().prop_map(Term::Root),
        having.prop_map(Term::Has),
        any::<u64>().prop_map(Term::Last),
        "[0-9a-f]{1,31}".prop_map(|id| Term::TraceId(Pattern { text: id, is_open_before: false, is_open_after: true })),
    ]
}

fn expr() -> impl Strategy<Value = Expr> {
    let fallback = || Expr::Term(Term::Has(Having::Error));
    term().prop_map(Expr::Term).prop_recursive(3, 12, 3, move |inner| {
        let parts = proptest::collection::vec(inner.clone(), 1..4);
        prop_oneof![
            parts.clone().prop_map(move |parts| Expr::and(parts).unwrap_or_else(fallback)),
            parts.prop_map(move |parts| Expr::or(parts).unwrap_or_else(fallback)),
            inner.prop_map(Expr::not),
        ]
    })
}

/// Queries over few keys and texts.
pub(in crate::search) fn query() -> impl Strategy<Value = Query> {
    let sort = proptest::sample::select(vec![SortKey::Start, SortKey::Duration, SortKey::Spans, SortKey::Errors]);
    (proptest::option::of(expr()), sort, any::<bool>())
        .prop_map(|(filter, by, is_ascending)| Query { filter, sort: Sort { by, is_ascending } })
}

/// The texts and keys of [`query`].
pub(in crate::search) fn vocabulary() -> (&'static [&'static str], &'static [&'static str]) {
    (&KEYS, &TEXTS)
}

proptest! {
    #[test]
    fn a_printed_query_is_read_as_the_same(query in query()) {
        let text = query.to_string();
        prop_assert_eq!(own::parse(&text), Ok(query), "{}", text);
    }

    #[test]
    fn any_text_is_a_query_or_a_fault_within_it(text in prop_oneof![
        ".{0,60}",
        "([a-z.]{1,4}|[-()\"*=<>!:{}\\[\\] é]|AND|OR|NOT|service\\(|annotation\\[|dur>|200ms|BEGINSWITH| = ){0,24}",
    ]) {
        for result in [parse(&text), own::parse(&text), xray::parse(&text)] {
            if let Err(fault) = result {
                prop_assert!(fault.position <= text.chars().count(), "{}: {}", text, fault);
            }
        }
    }
}
