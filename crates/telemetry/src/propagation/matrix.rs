//! Incoming headers and the outgoing headers that result, one line for each case.

use ::http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry_proto::tonic::trace::v1::Span as Recorded;

use super::*;
use crate::http::{self, ServerRequest};
use crate::limits::Limits;
use crate::span::sampler::{Root, Sampler};
use crate::testing::{attribute, recorded};

const ROOT: &str = "1-5759e988-bd862e3fe1be46a994272793";
const TRACE: &str = "5759e988bd862e3fe1be46a994272793";
const PARENT: &str = "53995c3f42cd8ad8";

/// The headers of a request: lines of `name: value`, where `X` stands for X-Ray's header, `T` for traceparent and `R` for a
/// root.
struct Given {
    lines: &'static str,
    trust: &'static str,
    /// The decision of our sampler if no other service has decided.
    samples: bool,
}

/// The result.
#[derive(Debug, PartialEq)]
struct Then {
    /// X-Ray's header of the next request, without the parent: `R` is the incoming root, `N` a new one.
    next: String,
    /// The parent of the SERVER span, if it is recorded.
    parent: Option<String>,
    /// X-Ray's header of the response, written in the same way.
    answer: Option<String>,
    /// `conflict`, and the span that is linked to.
    marks: String,
}

fn headers(lines: &str) -> HeaderMap {
    let expanded =
        lines.replace("X:", "x-amzn-trace-id:").replace("T:", "traceparent:").replace("=R", &format!("={ROOT}"));
    let lines = expanded.split('\n').map(str::trim).filter(|line| !line.is_empty());
    let pair = |line: &str| {
        let (name, value) = line.split_once(':').unwrap();
        (name.trim().parse::<HeaderName>().unwrap(), HeaderValue::from_str(value.trim()).unwrap())
    };
    let mut headers = HeaderMap::new();
    for (name, value) in lines.map(pair) {
        headers.append(name, value);
    }
    headers
}

fn then(given: &Given) -> Then {
    let root = if given.samples { Root::On } else { Root::Off };
    let sampler = Sampler { root, parent_based: true };
    let (mut next, mut answer) = (Vec::new(), None);
    let spans = recorded(sampler, Limits::default(), false, || {
        let incoming = extract(&headers(given.lines), &given.trust.parse().unwrap(), Some([192, 0, 2, 1].into()));
        let server = http::server_span(&REQUEST, &incoming);
        let client = http::client_span(&server, "GET", "http", "next:81", "/");
        next = outgoing(&client);
        answer = super::decision(&server);
        assert_eq!(super::decision(&client), None, "only the span of a request has a decision to report");
    })
    .spans;
    let own = |name: &str| next.iter().find(|(own, _)| *own == name).unwrap().1.clone();
    let (xray, w3c) = (own("x-amzn-trace-id"), own("traceparent"));
    let fields: Vec<_> = w3c.split('-').collect();
    let (epoch, unique) = fields[1].split_at(8);
    let sampled = if fields[3] == "00" || fields[3] == "02" { "0" } else { "1" };
    let ids = format!("Root=1-{epoch}-{unique};Parent={};Sampled={sampled}", fields[2]);
    assert!(xray.starts_with(&ids), "{xray} and {w3c} say the same");
    let spell = |header: &str| match header.replace(ROOT, "R") {
        ours if ours.starts_with("Root=R") => ours,
        new => new.replace(&format!("1-{epoch}-{unique}"), "N"),
    };
    let server = spans.iter().find(|span| span.kind == 2);
    assert_eq!(server.is_some(), sampled == "1", "recorded if the header says so");
    Then {
        next: spell(&xray).replace(&format!(";Parent={}", fields[2]), ""),
        parent: server.map(|span| hex(&span.parent_span_id)).filter(|parent| !parent.is_empty()),
        answer: answer.map(|(name, value)| {
            assert_eq!(name, "x-amzn-trace-id");
            spell(&value)
        }),
        marks: server.map(marks).unwrap_or_default(),
    }
}

fn marks(span: &Recorded) -> String {
    let conflict = attribute(&span.attributes, "trace.context.conflict").map(|_| "conflict".to_owned());
    let links = span.links.iter().map(|link| format!("link {}", hex(&link.span_id)));
    conflict.into_iter().chain(links).collect::<Vec<_>>().join(" ")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const REQUEST: ServerRequest<'_> = ServerRequest {
    method: "GET",
    route: None,
    path: "/",
    query: None,
    scheme: "http",
    host: None,
    peer: None,
    peer_port: None,
    client: None,
    user_agent: None,
    version: None,
};

/// Our sampler samples every trace for which no service has decided.
const ON: bool = true;
const OFF: bool = false;
const NO_PARENT: &str = "";
const NO_ANSWER: &str = "";

type Case = (&'static str, &'static str, bool, &'static str, &'static str, &'static str, &'static str);

/// Headers, trust, our sampler; then the next request's header, the span's parent, the answer and the marks.
#[rustfmt::skip]
const CASES: &[Case] = &[
    // The root alone, as a load balancer sends it.
    ("X: Root=R", "always", ON, "Root=R;Sampled=1", NO_PARENT, NO_ANSWER, ""),
    ("X: Root=R", "always", OFF, "Root=R;Sampled=0", NO_PARENT, NO_ANSWER, ""),
    ("X: Self=1-67891234-12456789abcdef012345678;Root=R", "always", ON, "Root=R;Sampled=1", NO_PARENT, NO_ANSWER, ""),
    ("X: Root=R;Self=1-67891234-12456789abcdef012345678", "always", ON, "Root=R;Sampled=1", NO_PARENT, NO_ANSWER, ""),
    ("X: Root=R;Sampled=1", "always", OFF, "Root=R;Sampled=1", NO_PARENT, NO_ANSWER, ""),
    ("X: Root=R;Sampled=0", "always", ON, "Root=R;Sampled=0", NO_PARENT, NO_ANSWER, ""),
    ("X: Root=R;Sampled=?", "always", ON, "Root=R;Sampled=1", NO_PARENT, "Root=R;Sampled=1", ""),
    ("X: Root=R;Sampled=?", "always", OFF, "Root=R;Sampled=0", NO_PARENT, "Root=R;Sampled=0", ""),
    ("X: Root=R;Sampled=yes", "always", ON, "Root=R;Sampled=1", NO_PARENT, NO_ANSWER, ""),
    // With a parent, in any order and with spaces.
    ("X: Root=R;Parent=53995c3f42cd8ad8;Sampled=1", "always", OFF, "Root=R;Sampled=1", PARENT, NO_ANSWER, ""),
    ("X: Root=R;Parent=53995c3f42cd8ad8;Sampled=0", "always", ON, "Root=R;Sampled=0", NO_PARENT, NO_ANSWER, ""),
    ("X: Root=R;Parent=53995c3f42cd8ad8", "always", ON, "Root=R;Sampled=1", PARENT, NO_ANSWER, ""),
    ("X: Root=R;Parent=53995c3f42cd8ad8", "always", OFF, "Root=R;Sampled=0", NO_PARENT, NO_ANSWER, ""),
    ("X: Sampled=? ; Parent = 53995c3f42cd8ad8;Root=R", "always", ON, "Root=R;Sampled=1", PARENT, "Root=R;Sampled=1", ""),
    ("X: Root=R;Parent=0000000000000000;Sampled=1", "always", ON, "Root=R;Sampled=1", NO_PARENT, NO_ANSWER, ""),
    ("X: Root=R;Parent=none;Sampled=0", "always", ON, "Root=R;Sampled=0", NO_PARENT, NO_ANSWER, ""),
    // The lineage is propagated unchanged; if it is invalid, only the lineage is lost.
    ("X: Root=R;Lineage=a87bd80c:1|68fd508a:5;Sampled=1", "always", ON,
     "Root=R;Sampled=1;Lineage=a87bd80c:1|68fd508a:5", NO_PARENT, NO_ANSWER, ""),
    ("X: Root=R;Lineage=1:b:0;Sampled=?", "always", OFF, "Root=R;Sampled=0;Lineage=1:b:0", NO_PARENT, "Root=R;Sampled=0", ""),
    ("X: Root=R;Lineage=a b;Sampled=1", "always", ON, "Root=R;Sampled=1", NO_PARENT, NO_ANSWER, ""),
    ("X: Root=R;Unknown=1;Unknown=2;x;=;Sampled=1", "always", ON, "Root=R;Sampled=1", NO_PARENT, NO_ANSWER, ""),
    // A field or header that comes twice, or with an invalid id, counts as missing.
    ("X: Root=R\nX: Root=R", "always", ON, "Root=N;Sampled=1", NO_PARENT, NO_ANSWER, ""),
    ("X: Root=R\nX: Root=1-11111111-222222222222222222222222", "always", ON, "Root=N;Sampled=1", NO_PARENT, NO_ANSWER, ""),
    ("X: Root=R, Root=R", "always", ON, "Root=N;Sampled=1", NO_PARENT, NO_ANSWER, ""),
    ("X: Root=R;Root=R", "always", ON, "Root=N;Sampled=1", NO_PARENT, NO_ANSWER, ""),
    ("X: Root=R;Sampled=0;Sampled=0", "always", ON, "Root=N;Sampled=1", NO_PARENT, NO_ANSWER, ""),
    ("X: Root=1-00000000-000000000000000000000000", "always", ON, "Root=N;Sampled=1", NO_PARENT, NO_ANSWER, ""),
    ("X: Parent=53995c3f42cd8ad8;Sampled=?", "always", ON, "Root=N;Sampled=1", NO_PARENT, NO_ANSWER, ""),
    // The header of an X-Ray SDK for a request that is not recorded has ids of zeros.
    ("X: Root=1-00000000-000000000000000000000000;Parent=0000000000000000;Sampled=0", "always", ON,
     "Root=N;Sampled=0", NO_PARENT, NO_ANSWER, ""),
    ("X: Root=1-00000000-000000000000000000000000;Parent=0000000000000000;Sampled=1", "always", OFF,
     "Root=N;Sampled=0", NO_PARENT, NO_ANSWER, ""),
    ("X: Root=1-00000000-000000000000000000000000;Parent=0000000000000000;Sampled=0", "link", ON,
     "Root=N;Sampled=1", NO_PARENT, NO_ANSWER, ""),
    ("T: 00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01\nX: Root=1-00000000-000000000000000000000000;Sampled=0", "always", ON,
     "Root=R;Sampled=1", PARENT, NO_ANSWER, ""),
    // W3C wins; an X-Ray header of the same trace adds what W3C cannot express.
    ("T: 00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-00\nX: Root=R;Sampled=1", "always", ON,
     "Root=R;Sampled=0", NO_PARENT, NO_ANSWER, ""),
    ("T: 00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01\nX: Root=R;Sampled=?;Lineage=1:b:0", "always", OFF,
     "Root=R;Sampled=1;Lineage=1:b:0", PARENT, "Root=R;Sampled=1", ""),
    ("T: 00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01\nX: Root=R;Parent=aaaaaaaaaaaaaaaa;Lineage=1:b:0", "always", ON,
     "Root=R;Sampled=1;Lineage=1:b:0", PARENT, NO_ANSWER, "conflict link aaaaaaaaaaaaaaaa"),
    ("T: 00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01
      X: Root=1-11111111-222222222222222222222222;Sampled=?;Lineage=1:b:0", "always", ON,
     "Root=R;Sampled=1", PARENT, NO_ANSWER, "conflict"),
    ("T: 00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01
      X: Root=1-11111111-222222222222222222222222;Parent=aaaaaaaaaaaaaaaa", "always", ON,
     "Root=R;Sampled=1", PARENT, NO_ANSWER, "conflict link aaaaaaaaaaaaaaaa"),
    ("T: 00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01\nX: Root=1;Lineage=1:b:0", "always", ON,
     "Root=R;Sampled=1", PARENT, NO_ANSWER, ""),
    ("T: 00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01\ntracestate: vendor=1", "always", ON,
     "Root=R;Sampled=1", PARENT, NO_ANSWER, ""),
    ("T: 00-not-one-01\nX: Root=R;Sampled=0", "always", ON, "Root=R;Sampled=0", NO_PARENT, NO_ANSWER, ""),
    // An untrusted caller chooses nothing, and without a span there is nothing to link to.
    ("X: Root=R;Sampled=?;Lineage=1:b:0", "link", OFF, "Root=N;Sampled=0", NO_PARENT, NO_ANSWER, ""),
    ("X: Root=R;Sampled=0", "link", ON, "Root=N;Sampled=1", NO_PARENT, NO_ANSWER, ""),
    ("X: Root=R;Parent=53995c3f42cd8ad8;Sampled=0", "link", ON, "Root=N;Sampled=1", NO_PARENT, NO_ANSWER, "link 53995c3f42cd8ad8"),
    ("X: Root=R;Sampled=0", "10.0.0.0/8", ON, "Root=N;Sampled=1", NO_PARENT, NO_ANSWER, ""),
    ("X: Root=R;Sampled=0", "192.0.2.0/24", ON, "Root=R;Sampled=0", NO_PARENT, NO_ANSWER, ""),
    ("X: Root=R;Parent=53995c3f42cd8ad8;Sampled=?", "never", ON, "Root=N;Sampled=1", NO_PARENT, NO_ANSWER, ""),
];

#[test]
fn each_header_has_its_documented_effect() {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    for &(lines, trust, samples, next, parent, answer, marks) in CASES {
        let expected =
            Then { next: next.to_owned(), parent: some(parent), answer: some(answer), marks: marks.to_owned() };
        assert_eq!(then(&Given { lines, trust, samples }), expected, "{lines} (trust {trust})");
    }
}

#[test]
fn a_lineage_is_not_written_into_w3c_headers() {
    let mut next = Vec::new();
    recorded(Sampler::default(), Limits::default(), false, || {
        let lines = format!("T: 00-{TRACE}-{PARENT}-01\ntracestate: vendor=1\nX: Root=R;Lineage=1:b:0");
        let incoming = extract(&headers(&lines), &Trust::ALWAYS, None);
        next = outgoing(&http::server_span(&REQUEST, &incoming));
    });
    let names: Vec<_> = next.iter().filter(|(_, value)| value.contains("1:b:0")).map(|(name, _)| *name).collect();
    assert_eq!(names, ["x-amzn-trace-id"]);
    let own = next.iter().find(|(name, _)| *name == "x-amzn-trace-id").unwrap();
    assert!(!own.1.contains("vendor"), "{own:?}");
}

#[test]
fn any_w3c_id_is_written_in_x_rays_form() {
    let mut next = Vec::new();
    recorded(Sampler::default(), Limits::default(), false, || {
        let incoming = extract(&headers(&format!("T: 00-{}-{PARENT}-01", "f".repeat(32))), &Trust::ALWAYS, None);
        next = outgoing(&http::server_span(&REQUEST, &incoming));
    });
    let own = next.iter().find(|(name, _)| *name == "x-amzn-trace-id").unwrap();
    assert!(own.1.starts_with("Root=1-ffffffff-ffffffffffffffffffffffff;Parent="), "{own:?}");
}

#[test]
fn a_header_without_its_propagator_is_ignored() {
    let both = headers("X: Root=R;Sampled=?;Lineage=1:b:0\nbaggage: a=b");
    let propagators: Propagators = "tracecontext".parse().unwrap();
    assert_eq!(propagators.extract(&both, &Trust::ALWAYS, None), Incoming::default());
}
