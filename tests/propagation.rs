//! X-Ray's header through real services: a load balancer's root is kept, a request for a sampling decision is answered, a lineage is passed on.

use std::io::Write;
use std::net::TcpListener;
use std::thread;

use serde_json::Value;

use crate::proxy::read_head;
use crate::support::Folder;
use crate::support::cruddur::Cruddur;
use crate::support::http::{self, Answer};

const ROOT: &str = "1-6b02f03a-54f4980499a5c1872558fcbf";
const TRACE: &str = "6b02f03a54f4980499a5c1872558fcbf";

fn request(url: &str, header: &str) -> Answer {
    http::request("GET", url, &[("x-amzn-trace-id", header)])
}

#[test]
fn a_load_balancers_root_is_kept_from_the_page_to_the_viewer() {
    let data = Folder::new();
    let cruddur = Cruddur::up(&data, &[]);
    let page = request(&cruddur.page, &format!("Root={ROOT}"));
    let api = format!("{}/api/activities/home", cruddur.page);
    let home = request(&api, &format!("Self=1-67891234-12456789abcdef012345678;Root={ROOT}"));
    assert_eq!((page.trace_id().as_str(), home.trace_id().as_str()), (TRACE, TRACE));
    assert_eq!((page.header("x-amzn-trace-id"), home.header("x-amzn-trace-id")), ("", ""), "no decision was requested");

    let spans = cruddur.spans(TRACE, 6);
    for source in ["otlp", "xray"] {
        let of = |span: &&Value| span["source"] == source;
        let roots: Vec<_> = spans.iter().filter(of).filter(|span| span["parent_span_id"].is_null()).collect();
        assert_eq!(roots.len(), 2, "the page's and the API's, of {source}: {spans:#?}");
        assert!(roots.iter().all(|span| span["service"] == "frontend-proxy"));
        let others = spans.iter().filter(of).filter(|span| !span["parent_span_id"].is_null());
        for span in others {
            let is_parent = |other: &Value| other["source"] == source && other["span_id"] == span["parent_span_id"];
            assert!(spans.iter().any(is_parent), "every other span has its parent: {span:#}");
        }
    }
}

#[test]
fn a_request_for_the_sampling_decision_is_answered() {
    for (sampler, decision) in [("parentbased_always_on", "1"), ("parentbased_always_off", "0")] {
        let data = Folder::new();
        let cruddur = Cruddur::up(&data, &[("OTEL_TRACES_SAMPLER", sampler)]);
        let expected = format!("Root={ROOT};Sampled={decision}");
        for service in [&cruddur.page, &cruddur.backend] {
            let url = format!("{service}/api/activities/home");
            let answer = request(&url, &format!("Root={ROOT};Sampled=?"));
            assert_eq!((answer.status, answer.header("x-amzn-trace-id")), (200, expected.as_str()), "{url}");
            assert_eq!(
                request(&url, &format!("Root={ROOT}")).header("x-amzn-trace-id"),
                "",
                "no decision was requested"
            );
            let unknown = request(&format!("{service}/api/none"), &format!("Root={ROOT};Sampled=?"));
            assert_eq!((unknown.status, unknown.header("x-amzn-trace-id")), (404, expected.as_str()));
        }
    }
}

/// The head that an upstream gets from a proxy with these variables, and the proxy's response.
fn forwarded(variables: &[(&str, &str)], header: &str) -> (Vec<String>, Answer) {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = upstream.local_addr().unwrap().to_string();
    let variables: Vec<_> = variables.iter().copied().chain([("CRUDDUR_UPSTREAM", address.as_str())]).collect();
    let proxy = Cruddur::service("frontend-proxy", &variables);
    let served = thread::spawn(move || {
        let (mut stream, _) = upstream.accept().unwrap();
        let head = read_head(&stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap();
        head
    });
    let answer = request(&format!("{}/api/x", proxy.page), header);
    (served.join().unwrap(), answer)
}

/// The values of a header.
fn values<'a>(head: &'a [String], name: &str) -> Vec<&'a str> {
    let lines = head.iter().filter_map(|line| line.split_once(": "));
    lines.filter(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
}

#[test]
fn lineage_is_propagated_and_self_is_not() {
    let header = format!("Lineage=1:a87bd80c:0;Self=1-67891234-12456789abcdef012345678;Root={ROOT};Sampled=0");
    let (head, _) = forwarded(&[], &header);
    let traceparent = values(&head, "traceparent")[0].to_owned();
    let span = traceparent.split('-').nth(2).unwrap();
    let expected = format!("Root={ROOT};Parent={span};Sampled=0;Lineage=1:a87bd80c:0");
    assert_eq!(values(&head, "x-amzn-trace-id"), [expected]);
}

#[test]
fn without_its_propagator_the_header_is_neither_read_nor_sent() {
    let (head, answer) = forwarded(&[("OTEL_PROPAGATORS", "tracecontext")], &format!("Root={ROOT};Sampled=?"));
    assert_eq!(values(&head, "x-amzn-trace-id"), Vec::<&str>::new());
    assert_eq!(answer.header("x-amzn-trace-id"), "");
    assert_ne!(answer.trace_id(), TRACE);
}
