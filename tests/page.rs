//! Cruddur's page and the viewer's, in a real browser.

use std::net::UdpSocket;

use fantoccini::Locator;
use serde_json::{Value, json};

use crate::support::browser::Browser;
use crate::support::cruddur::Cruddur;
use crate::support::{DEADLINE, Folder, eventually, http};

#[tokio::test(flavor = "multi_thread")]
async fn a_crud_is_posted_on_the_page_and_its_trace_opened_in_the_viewer() {
    let Some(browser) = Browser::start().await else { return };
    let data = Folder::new();
    let cruddur = Cruddur::up(&data, &[]);
    let client = &browser.client;
    let find = async |css: &str| client.wait().at_most(DEADLINE).for_element(Locator::Css(css)).await.unwrap();

    client.goto(&cruddur.page).await.unwrap();
    find("[data-testid=feed][data-state=ready]").await;
    find("[data-testid=crud-text]").await.send_keys("<b>hello</b> from a browser").await.unwrap();
    find("[data-testid=crud-submit]").await.click().await.unwrap();
    let posted = Locator::XPath("//*[@data-testid='crud-message'][.='<b>hello</b> from a browser']");
    client.wait().at_most(DEADLINE).for_element(posted).await.unwrap();

    let link = find("a[data-testid=trace-link]").await;
    let trace = link.attr("data-trace-id").await.unwrap().unwrap();
    // The spans of the latest action are on their way.
    let spans = tokio::task::block_in_place(|| cruddur.spans(&trace, 4));
    assert!(spans.iter().any(|span| span["name"] == "INSERT activities"), "{spans:#?}");
    link.click().await.unwrap();
    find("[data-testid=waterfall][data-state=ready]").await;
    let rows = client.find_all(Locator::Css("[data-testid=span-row]")).await.unwrap();
    assert_eq!(rows.len(), 4, "a row an operation, whichever protocols told of it");
    rows[3].click().await.unwrap();
    let details = find("[data-testid=span-details]").await.text().await.unwrap();
    assert!(details.contains("INSERT INTO activities") && details.contains("X-Ray"), "{details}");

    let lost = "return [...document.querySelectorAll('[data-testid=twin] tr.alone')].filter(row => row.cells[2].textContent === '–').map(row => row.innerText)";
    let lost = client.execute(lost, vec![]).await.unwrap();
    assert_eq!(lost, json!([]), "X-Ray is told all that Honeycomb is");

    find("[data-testid=xray-tab]").await.click().await.unwrap();
    find("[data-testid=documents][data-state=ready]").await;
    find("[data-testid=document-json] details").await;
    let rows = client.find_all(Locator::Css("[data-testid=document-row]")).await.unwrap();
    assert_eq!(rows.len(), 4, "a row an operation, nested or alone");

    let problems = client.execute(
        "return window.performance.getEntriesByType('resource').filter(e => e.responseStatus >= 400).map(e => e.name)",
        vec![],
    );
    assert_eq!(problems.await.unwrap(), json!([]));
    browser.stop().await;
}

/// The trace of [`markup`] in its two spellings.
const TRACE: &str = "5759e988bd862e3fe1be46a994272793";
const XRAY_TRACE: &str = "1-5759e988-bd862e3fe1be46a994272793";

/// A segment whose every text is markup, and a part of its trace that comes alone.
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
async fn what_x_ray_gets_is_shown_as_text_with_its_size_beside_what_otlp_told() {
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
    let have_come = || (http::get(&url).json()["sources"]["xray"] == 3).then_some(());
    tokio::task::block_in_place(|| eventually("three parts of two documents", have_come));

    client.goto(&format!("{}/#{TRACE}/00000000000000a1", viewer.viewer)).await.unwrap();
    let differs = find("[data-testid=twin] tr.differs").await.text().await.unwrap();
    assert!(differs.contains("GET /") && differs.contains("<img"), "the name differs: {differs}");
    let asked = "return performance.getEntriesByType('resource').filter(e => e.name.endsWith('/xray')).length";
    assert_eq!(script(asked).await, json!(0), "documents are fetched when they are wanted");

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
    assert!(nested.contains("nested") && last.contains("alone") && last.contains("in progress"), "{texts:?}");

    rows[1].click().await.unwrap();
    let nested = Locator::XPath("//*[@data-testid='document-details']//h3[contains(., 'Its part')]");
    client.wait().at_most(DEADLINE).for_element(nested).await.unwrap();
    // A permalink opens where it was copied.
    client.goto(&format!("{}/?again#{TRACE}/xray/00000000000000c1", viewer.viewer)).await.unwrap();
    let details = find("[data-testid=document-details]:not([hidden])").await.text().await.unwrap();
    assert!(details.contains("</script>") && details.contains("00000000000000c1"), "{details}");
    let built = "return [document.querySelectorAll('main img, main script').length, document.title.includes('broken')]";
    assert_eq!(script(built).await, json!([0, false]), "markup in a document is text");
    browser.stop().await;
}
