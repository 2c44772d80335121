//! The viewer's page in a browser: documents, links between traces, and spans that share an id.

use std::net::UdpSocket;

use fantoccini::Locator;
use serde_json::{Value, json};

use crate::support::browser::Browser;
use crate::support::cruddur::Cruddur;
use crate::support::{DEADLINE, eventually, http};

/// The trace of [`markup`] in its two spellings.
const TRACE: &str = "5759e988bd862e3fe1be46a994272793";
const XRAY_TRACE: &str = "1-5759e988-bd862e3fe1be46a994272793";

/// A segment in which every text is markup, and a subsegment of its trace that is sent separately.
fn markup() -> [Value; 2] {
    let image = "<img src=x onerror=\"document.title='broken'\">";
    let nested =
        json!({"id": "00000000000000b1", "name": image, "start_time": 1_700_000_000.1, "end_time": 1_700_000_000.2});
    let segment = json!({"id": "00000000000000a1", "name": image, "trace_id": XRAY_TRACE, "start_time": 1_700_000_000.0,
        "end_time": 1_700_000_000.25, "fault": true, "user": image, "annotations": {"key": image}, "metadata": {image: {image: image}},
        "subsegments": [nested]});
    let alone = json!({"id": "00000000000000c1", "name": "</script>", "trace_id": XRAY_TRACE, "type": "subsegment",
        "parent_id": "00000000000000a1", "start_time": 1_700_000_000.2, "in_progress": true});
    [segment, alone]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_x_ray_document_is_shown_with_its_size_next_to_the_otlp_span() {
    let Some(browser) = Browser::start().await else { return };
    let viewer = Cruddur::service("trace-viewer", &[]);
    let client = &browser.client;
    let find = async |css: &str| client.wait().at_most(DEADLINE).for_element(Locator::Css(css)).await.unwrap();
    let script = async |script: &str| client.execute(script, vec![]).await.unwrap();

    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let [segment, alone] = markup();
    for document in [&segment, &alone] {
        let datagram = format!("{{\"format\": \"json\", \"version\": 1}}\n{document}");
        socket.send_to(datagram.as_bytes(), &viewer.xray).unwrap();
    }
    let span = json!({"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": TRACE, "spanId": "00000000000000a1", "name": "GET /",
        "startTimeUnixNano": "1700000000000000000", "endTimeUnixNano": "1700000000250000000"}]}]}]});
    assert_eq!(tokio::task::block_in_place(|| http::post(&format!("{}/v1/traces", viewer.viewer), &span)).status, 200);
    let url = format!("{}/api/traces/{TRACE}", viewer.viewer);
    let have_arrived = || (http::get(&url).json()["sources"]["xray"] == 3).then_some(());
    tokio::task::block_in_place(|| eventually("three parts of two documents", have_arrived));

    client.goto(&format!("{}/#{TRACE}/00000000000000a1", viewer.viewer)).await.unwrap();
    let differs = find("[data-testid=twin] tr.differs").await.text().await.unwrap();
    assert!(differs.contains("GET /") && differs.contains("<img"), "the name differs: {differs}");
    let fetched = "return performance.getEntriesByType('resource').filter(e => e.name.endsWith('/xray')).length";
    assert_eq!(script(fetched).await, json!(0), "documents are fetched on demand");

    find("[data-testid=document-link]").await.click().await.unwrap();
    let shown = find("[data-testid=document-json]").await;
    find("[data-testid=document-json] details").await;
    assert!(client.current_url().await.unwrap().as_str().ends_with(&format!("#{TRACE}/xray/00000000000000a1")));
    let shown = shown.text().await.unwrap();
    assert!(shown.contains("<img src=x onerror=\\\"document.title='broken'\\\">"), "as it was sent: {shown}");
    let rows = client.find_all(Locator::Css("[data-testid=document-row]")).await.unwrap();
    let mut texts = Vec::new();
    for row in &rows {
        texts.push(row.text().await.unwrap());
    }
    let [first, nested, last] = texts.as_slice() else { panic!("{texts:?}") };
    let size = segment.to_string().len();
    assert!(first.contains(&format!("{size} B")) && first.contains("fault") && first.contains("segment"), "{first}");
    assert!(nested.contains("nested") && last.contains("separate") && last.contains("in progress"), "{texts:?}");

    rows[1].click().await.unwrap();
    let nested = Locator::XPath("//*[@data-testid='document-details']//h3[contains(., 'Its part')]");
    client.wait().at_most(DEADLINE).for_element(nested).await.unwrap();
    // A permalink opens the span from which it was copied.
    client.goto(&format!("{}/?again#{TRACE}/xray/00000000000000c1", viewer.viewer)).await.unwrap();
    let details = find("[data-testid=document-details]:not([hidden])").await.text().await.unwrap();
    assert!(details.contains("</script>") && details.contains("00000000000000c1"), "{details}");
    let built = "return [document.querySelectorAll('main img, main script').length, document.title.includes('broken')]";
    assert_eq!(script(built).await, json!([0, false]), "markup in a document is text");
    browser.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_opens_the_span_of_another_trace() {
    let Some(browser) = Browser::start().await else { return };
    let viewer = Cruddur::service("trace-viewer", &[]);
    let client = &browser.client;
    let find = async |css: &str| client.wait().at_most(DEADLINE).for_element(Locator::Css(css)).await.unwrap();

    let other = TRACE.replace('3', "4");
    let span = |trace: &str, name: &str, links: Value| {
        json!({"traceId": trace, "spanId": "00000000000000a1", "name": name, "links": links,
            "startTimeUnixNano": "1700000000000000000", "endTimeUnixNano": "1700000000250000000"})
    };
    let spans = [
        span(TRACE, "batch member", json!([{"traceId": other, "spanId": "00000000000000a1"}])),
        span(&other, "batch query", json!([])),
    ];
    let body = json!({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]});
    assert_eq!(tokio::task::block_in_place(|| http::post(&format!("{}/v1/traces", viewer.viewer), &body)).status, 200);

    client.goto(&format!("{}/#{TRACE}/00000000000000a1", viewer.viewer)).await.unwrap();
    let link = find("[data-testid=links] a").await;
    assert!(link.text().await.unwrap().contains(&other));
    link.click().await.unwrap();
    let there = Locator::XPath("//*[@data-testid='span-details']//h2[.='batch query']");
    client.wait().at_most(DEADLINE).for_element(there).await.unwrap();
    assert!(client.find_all(Locator::Css("[data-testid=links]")).await.unwrap().is_empty(), "it has no link");
    assert_eq!(browser.console().await, Vec::<String>::new());
    browser.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn client_and_server_spans_with_one_id_are_two_rows_and_integers_are_exact() {
    let Some(browser) = Browser::start().await else { return };
    let viewer = Cruddur::service("trace-viewer", &[]);
    let client = &browser.client;
    let of = |service: &str, spans: Value| {
        let name = json!([{"key": "service.name", "value": {"stringValue": service}}]);
        json!({"resource": {"attributes": name}, "scopeSpans": [{"spans": spans}]})
    };
    let span = |id: &str, parent: &str, name: &str, kind: u8, start: u64, attributes: Value| {
        json!({"traceId": TRACE, "spanId": id, "parentSpanId": parent, "name": name, "kind": kind, "attributes": attributes,
            "startTimeUnixNano": (1_700_000_000_000_000_000 + start).to_string(), "endTimeUnixNano": "1700000000250000000"})
    };
    let attribute = |key: &str, value: Value| json!({"key": key, "value": value});
    let integers = json!([
        attribute("n", json!({"intValue": "9007199254740993"})),
        attribute("least", json!({"intValue": "-9223372036854775808"})),
        attribute(
            "list",
            json!({"arrayValue": {"values": [{"intValue": "9223372036854775807"}, {"doubleValue": 0.5}]}})
        ),
        attribute("text", json!({"stringValue": ":1234567890123456789"})),
    ]);
    let (shared, none) = ("00000000000000a1", json!([]));
    let body = json!({"resourceSpans": [
        of("edge", json!([span(shared, "", "the caller's side", 3, 0, none.clone())])),
        of("backend", json!([span(shared, "", "the server's side", 2, 5, integers),
            span("00000000000000a2", shared, "work", 1, 10, none)])),
    ]});
    assert_eq!(tokio::task::block_in_place(|| http::post(&format!("{}/v1/traces", viewer.viewer), &body)).status, 200);
    let trace = tokio::task::block_in_place(|| http::get(&format!("{}/api/traces/{TRACE}", viewer.viewer)).json());
    assert_eq!((&trace["span_count"], &trace["sources"]["otlp"]), (&json!(3), &json!(3)));
    let services: Vec<_> = trace["spans"].as_array().unwrap().iter().map(|span| &span["service"]).collect();
    assert_eq!(services, ["edge", "backend", "backend"]);

    client.goto(&format!("{}/#{TRACE}/{shared}", viewer.viewer)).await.unwrap();
    let details = Locator::Css("[data-testid=span-details]:not([hidden])");
    let details = client.wait().at_most(DEADLINE).for_element(details).await.unwrap().text().await.unwrap();
    for exact in ["9007199254740993", "-9223372036854775808", "[9223372036854775807,0.5]", ":1234567890123456789"] {
        assert!(details.contains(exact), "{exact} in {details}");
    }
    let rows = "return [...document.querySelectorAll('[data-testid=span-row]')]
        .map(row => [row.querySelector('[data-testid=span-name]').textContent, row.getAttribute('aria-level')])";
    let rows = client.execute(rows, vec![]).await.unwrap();
    assert_eq!(rows, json!([["the caller's side", "1"], ["the server's side", "2"], ["work", "3"]]));
    // The caller's row has its own link.
    client.goto(&format!("{}/?again#{TRACE}/{shared}-caller", viewer.viewer)).await.unwrap();
    let heading = Locator::XPath("//*[@data-testid='span-details']//h2[.=\"the caller's side\"]");
    client.wait().at_most(DEADLINE).for_element(heading).await.unwrap();
    assert_eq!(browser.console().await, Vec::<String>::new());
    browser.stop().await;
}
