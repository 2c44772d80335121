//! Cruddur's page and the viewer's, in a real browser.

use fantoccini::Locator;
use serde_json::json;

use crate::support::browser::Browser;
use crate::support::cruddur::Cruddur;
use crate::support::{DEADLINE, Folder};

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

    let problems = client.execute(
        "return window.performance.getEntriesByType('resource').filter(e => e.responseStatus >= 400).map(e => e.name)",
        vec![],
    );
    assert_eq!(problems.await.unwrap(), json!([]));
    browser.stop().await;
}
