//! Cruddur's page and the viewer's, in a real browser.

use fantoccini::Locator;
use serde_json::{Value, json};

use crate::support::browser::Browser;
use crate::support::cruddur::Cruddur;
use crate::support::issuer::Issuer;
use crate::support::{DEADLINE, Folder, eventually, http};

#[tokio::test(flavor = "multi_thread")]
async fn a_user_posts_a_crud_and_opens_its_trace_in_the_viewer() {
    let Some(browser) = Browser::start().await else { return };
    let data = Folder::new();
    let cruddur = Cruddur::up(&data, &[]);
    let client = &browser.client;
    let find = async |css: &str| client.wait().at_most(DEADLINE).for_element(Locator::Css(css)).await.unwrap();

    client.goto(&cruddur.sign_in).await.unwrap();
    find("html[data-session=in]").await;
    find("[data-testid=feed][data-state=ready]").await;
    find("[data-testid=crud-text]").await.send_keys("<b>hello</b> from a browser").await.unwrap();
    find("[data-testid=crud-submit]").await.click().await.unwrap();
    let posted = Locator::XPath("//*[@data-testid='crud-message'][.='<b>hello</b> from a browser']");
    client.wait().at_most(DEADLINE).for_element(posted).await.unwrap();

    let link = find("a[data-testid=trace-link]").await;
    let trace = link.attr("data-trace-id").await.unwrap().unwrap();
    // The spans of the latest action may not have arrived yet.
    let spans = tokio::task::block_in_place(|| cruddur.spans(&trace, 13));
    let otlp: Vec<_> = spans.iter().filter(|span| span["source"] == "otlp").collect();
    let is_of_another_statement = |span: &Value| {
        span["kind"] == "client"
            && span["attributes"]["db.system.name"] == "sqlite"
            && span["name"] != "INSERT activities"
    };
    let below =
        |parent: &Value| otlp.iter().find(|span| span["parent_span_id"] == *parent && !is_of_another_statement(span));
    let mut names = Vec::new();
    let mut next = below(&Value::Null);
    while let Some(span) = next {
        names.push(format!("{} {}", span["service"].as_str().unwrap(), span["name"].as_str().unwrap()));
        next = below(&span["span_id"]);
    }
    let expected = [
        "cruddur-page crud.post",
        "cruddur-page POST",
        "frontend-proxy POST /api/activities",
        "frontend-proxy POST",
        "backend POST /api/activities",
        "backend create-activity",
        "backend INSERT activities",
    ];
    assert_eq!(names, expected, "from the browser to SQL, each the parent of the next");
    assert_eq!(browser.console().await, Vec::<String>::new(), "no error, and nothing that the policy forbids");
    link.click().await.unwrap();
    find("[data-testid=waterfall][data-state=ready]").await;
    let rows = client.find_all(Locator::Css("[data-testid=span-row]")).await.unwrap();
    assert_eq!(rows.len(), 13, "one row per operation, whichever protocols reported it");
    let insert = Locator::XPath("//*[@data-testid='span-row'][contains(., 'INSERT activities')]");
    client.find(insert).await.unwrap().click().await.unwrap();
    let details = find("[data-testid=span-details]").await.text().await.unwrap();
    assert!(details.contains("INSERT INTO activities") && details.contains("X-Ray"), "{details}");

    let lost = "return [...document.querySelectorAll('[data-testid=twin] tr.alone')].filter(row => row.cells[2].textContent === '–').map(row => row.innerText)";
    let lost = client.execute(lost, vec![]).await.unwrap();
    assert_eq!(lost, json!([]), "X-Ray gets every attribute that Honeycomb gets");

    find("[data-testid=xray-tab]").await.click().await.unwrap();
    find("[data-testid=documents][data-state=ready]").await;
    find("[data-testid=document-json] details").await;
    let rows = client.find_all(Locator::Css("[data-testid=document-row]")).await.unwrap();
    assert_eq!(rows.len(), 13, "one row per operation, nested or alone");

    let problems = client.execute(
        "return window.performance.getEntriesByType('resource').filter(e => e.responseStatus >= 400).map(e => e.name)",
        vec![],
    );
    assert_eq!(problems.await.unwrap(), json!([]));
    browser.stop().await;
}

/// The OTLP spans of a page load, by service and name, once one of each is there.
fn load_spans(cruddur: &Cruddur, trace: &str, names: &[&str]) -> Vec<Value> {
    eventually(format!("{names:?} in {trace}"), || {
        let answer = http::get(&format!("{}/api/traces/{trace}", cruddur.viewer));
        let trace = (answer.status == 200).then(|| answer.json())?;
        let spans: Vec<Value> =
            trace["spans"].as_array()?.iter().filter(|span| span["source"] == "otlp").cloned().collect();
        names.iter().all(|name| spans.iter().any(|span| span["name"] == *name)).then_some(spans)
    })
}

/// The proxy's span of this name; the backend has a span of the same name.
fn proxys<'a>(spans: &'a [Value], name: &str) -> &'a Value {
    spans.iter().find(|span| span["name"] == name && span["service"] == "frontend-proxy").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_load_is_one_trace_with_its_api_call() {
    let Some(browser) = Browser::start().await else { return };
    let data = Folder::new();
    let cruddur = Cruddur::up(&data, &[]);
    browser.client.goto(&cruddur.page).await.unwrap();
    let link = Locator::Css("a[data-testid=load-trace-link]");
    let link = browser.client.wait().at_most(DEADLINE).for_element(link).await.unwrap();
    let trace = link.attr("data-trace-id").await.unwrap().unwrap();
    let names = ["documentLoad", "documentFetch", "view.home", "GET /api/activities/home", "SELECT activities"];
    let spans = tokio::task::block_in_place(|| load_spans(&cruddur, &trace, &names));
    let named = |name: &str| spans.iter().find(|span| span["name"] == name).unwrap();
    let (served, load) = (named("GET /"), named("documentLoad"));
    assert_eq!(load["parent_span_id"], served["span_id"], "below the span that served the page");
    assert_eq!(named("view.home")["parent_span_id"], load["span_id"]);
    let call = spans.iter().find(|span| span["parent_span_id"] == named("view.home")["span_id"]).unwrap();
    assert_eq!(proxys(&spans, "GET /api/activities/home")["parent_span_id"], call["span_id"]);
    let resources = spans.iter().filter(|span| span["name"] == "resourceFetch");
    let paths: Vec<_> = resources.map(|span| span["attributes"]["url.path"].as_str().unwrap()).collect();
    for path in ["/cruddur.css", "/cruddur.js", "/trace.js"] {
        assert!(paths.contains(&path), "{paths:?}");
    }
    let at = |span: &Value, key: &str| span[key].as_str().unwrap().parse::<u64>().unwrap();
    let around = at(load, "start_unix_nano") <= at(served, "start_unix_nano")
        && at(load, "end_unix_nano") >= at(served, "end_unix_nano");
    assert!(around, "both clocks are this machine's: {spans:#?}");
    assert_eq!(browser.console().await, Vec::<String>::new());
    browser.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_an_issuer_the_page_offers_no_sign_in() {
    let Some(browser) = Browser::start().await else { return };
    let Some(issuer) = Issuer::start() else { return };
    let data = Folder::new();
    let cruddur = Cruddur::up(&data, &issuer.variables());
    let client = &browser.client;
    client.goto(&cruddur.page).await.unwrap();
    let wait = async |css: &str| client.wait().at_most(DEADLINE).for_element(Locator::Css(css)).await.unwrap();
    wait("html[data-session=out][data-accounts=issued]").await;
    wait("[data-testid=feed][data-state=ready] [data-testid=crud]").await;
    let seen = async |css: &str| client.find(Locator::Css(css)).await.unwrap().is_displayed().await.unwrap();
    for ours in ["signin-button", "join-button", "join-prompt"] {
        assert!(!seen(&format!("[data-testid={ours}]")).await, "{ours}");
    }
    wait("[data-testid=crud-button]").await.click().await.unwrap();
    let reason = wait("[data-testid=auth-dialog][open] [data-testid=auth-reason]").await.text().await.unwrap();
    assert!(reason.contains("no accounts of its own"), "{reason}");
    for ours in ["signin-form", "signup-form", "auth-dialog] .switch [type=button"] {
        assert!(!seen(&format!("[data-testid={ours}]")).await, "{ours}");
    }
    assert_eq!(browser.console().await, Vec::<String>::new());
    browser.stop().await;
}

/// A browser at an untrusted address may not start the trace: its spans join the trace that the proxy started.
#[tokio::test(flavor = "multi_thread")]
async fn an_untrusted_browser_joins_the_proxys_trace() {
    let Some(browser) = Browser::start().await else { return };
    let data = Folder::new();
    let cruddur = Cruddur::up(&data, &[("TRACE_TRUST", "192.0.2.0/24")]);
    let client = &browser.client;
    let find = async |css: &str| client.wait().at_most(DEADLINE).for_element(Locator::Css(css)).await.unwrap();
    client.goto(&cruddur.sign_in).await.unwrap();
    find("html[data-session=in]").await;
    find("[data-testid=feed][data-state=ready]").await;
    find("[data-testid=crud-text]").await.send_keys("from afar").await.unwrap();
    find("[data-testid=crud-submit]").await.click().await.unwrap();
    let posted = Locator::XPath("//*[@data-testid='crud-message'][.='from afar']");
    client.wait().at_most(DEADLINE).for_element(posted).await.unwrap();
    let trace = find("a[data-testid=trace-link]").await.attr("data-trace-id").await.unwrap().unwrap();
    let names = ["crud.post", "POST /api/activities", "INSERT activities"];
    let spans = tokio::task::block_in_place(|| load_spans(&cruddur, &trace, &names));
    let served = proxys(&spans, "POST /api/activities");
    assert!(served["parent_span_id"].is_null(), "the proxy's span has no parent: {served:#}");
    assert_eq!(browser.console().await, Vec::<String>::new());
    browser.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_is_shown_as_its_policy_allows_with_a_link_to_its_trace() {
    let Some(browser) = Browser::start().await else { return };
    let data = Folder::new();
    let cruddur = Cruddur::up(&data, &[]);
    browser.client.goto(&format!("{}/nowhere", cruddur.page)).await.unwrap();
    let script = "return [getComputedStyle(document.querySelector('main')).borderRadius, document.querySelector('a[href^=\"/traces/#\"]').text.length]";
    assert_eq!(browser.client.execute(script, vec![]).await.unwrap(), json!(["16px", 32]), "its style applies");
    let console = browser.console().await;
    assert!(console.iter().all(|entry| entry.contains("404")), "only that it is a 404: {console:?}");
    browser.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn older_replies_are_loaded_above_the_newer_ones() {
    let Some(browser) = Browser::start().await else { return };
    let data = Folder::new();
    let cruddur = Cruddur::up(&data, &[]);
    let client = &browser.client;
    let address = tokio::task::block_in_place(|| {
        let me = cruddur.person();
        let crud = me.crud("many say something");
        let reply = format!("/api/activities/{}/reply", crud["uuid"].as_str().unwrap());
        for number in 0..25 {
            assert_eq!(me.post(&reply, &json!({"message": format!("reply {number}")})).status, 200);
        }
        format!("{}/#/@{}/status/{}", cruddur.page, me.handle, crud["uuid"].as_str().unwrap())
    });
    client.goto(&address).await.unwrap();
    let shown = async |count: usize| {
        let last = format!("[data-testid=feed][data-state=ready] .replies > li:nth-child({count}):last-child");
        client.wait().at_most(DEADLINE).for_element(Locator::Css(&last)).await.unwrap();
        let texts =
            "return [...document.querySelectorAll('.replies > li .message')].map(message => message.textContent)";
        client.execute(texts, vec![]).await.unwrap()
    };
    let replies = |first: usize| json!((first..25).map(|number| format!("reply {number}")).collect::<Vec<_>>());
    assert_eq!(shown(20).await, replies(5), "oldest first");
    client.find(Locator::Css("[data-testid=load-more]")).await.unwrap().click().await.unwrap();
    assert_eq!(shown(25).await, replies(0));
    assert!(!client.find(Locator::Css("[data-testid=load-more]")).await.unwrap().is_displayed().await.unwrap());
    assert_eq!(browser.console().await, Vec::<String>::new());
    browser.stop().await;
}
