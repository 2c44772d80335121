//! Each service's spans are in one trace with the right parents, and its ledger counts each of them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::post;
use reqwest_middleware::reqwest::Client;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// The spans that have arrived, and the names of metrics, each with the name of its service.
#[derive(Clone, Default)]
struct Collector {
    spans: Arc<Mutex<Vec<(String, Value)>>>,
    metrics: Arc<Mutex<Vec<(String, String)>>>,
}

impl Collector {
    /// Starts an OTLP collector. Returns its URL.
    async fn start(&self) -> String {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().route("/v1/traces", post(receive)).route("/v1/metrics", post(measure));
        let app = app.with_state(self.clone());
        tokio::spawn(async { axum::serve(listener, app).await.unwrap() });
        url
    }

    fn spans(&self) -> MutexGuard<'_, Vec<(String, Value)>> {
        self.spans.lock().unwrap()
    }

    /// The one span of a service with this name.
    fn one(&self, service: &str, name: &str) -> Value {
        let spans = self.spans();
        let mut found = spans.iter().filter(|(from, span)| from == service && span["name"] == name);
        let Some((_, span)) = found.next() else { panic!("{service} has no span {name}: {spans:#?}") };
        assert!(found.next().is_none(), "{service} has several spans {name}");
        span.clone()
    }
}

async fn receive(State(collector): State<Collector>, body: Bytes) -> impl IntoResponse {
    collector.spans().extend(items(&body, ["resourceSpans", "scopeSpans", "spans"]));
    ([(CONTENT_TYPE, "application/json")], "{}")
}

async fn measure(State(collector): State<Collector>, body: Bytes) -> impl IntoResponse {
    let named = items(&body, ["resourceMetrics", "scopeMetrics", "metrics"]).into_iter();
    let named = named.map(|(service, metric)| (service, metric["name"].as_str().unwrap().to_owned()));
    collector.metrics.lock().unwrap().extend(named);
    ([(CONTENT_TYPE, "application/json")], "{}")
}

/// The spans or metrics of a message, each with the name of its service.
fn items(body: &[u8], [resources, scopes, items]: [&str; 3]) -> Vec<(String, Value)> {
    let message: Value = serde_json::from_slice(body).unwrap();
    let mut found = Vec::new();
    for resource in message[resources].as_array().unwrap() {
        let attributes = resource["resource"]["attributes"].as_array().unwrap();
        let service = attributes.iter().find(|attribute| attribute["key"] == "service.name").unwrap();
        let service = service["value"]["stringValue"].as_str().unwrap();
        for scope in resource[scopes].as_array().unwrap() {
            found.extend(scope[items].as_array().unwrap().iter().cloned().map(|item| (service.to_owned(), item)));
        }
    }
    found
}

/// A running service.
struct Service(Child);

impl Service {
    fn start(program: &str, collector: &str, variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(program);
        command.env_clear().envs(variables.iter().copied());
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", collector).env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    /// The line that the service prints: its address, once it listens, or its result.
    fn line(&mut self) -> String {
        let mut line = String::new();
        BufReader::new(self.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    fn terminate(&self) {
        assert!(Command::new("kill").arg(self.0.id().to_string()).status().unwrap().success());
    }

    /// Waits for the service's end. Returns the number of spans that its ledger counts, all of which were delivered.
    fn count(mut self) -> usize {
        drop(self.0.stdin.take());
        let mut errors = String::new();
        self.0.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        assert!(self.0.wait().unwrap().success(), "{errors}");
        let ledger =
            errors.lines().find_map(|line| line.split_once(": otlp: ")).unwrap_or_else(|| panic!("{errors}")).1;
        let count = ledger.split(' ').next().unwrap().parse().unwrap();
        assert_eq!(ledger, format!("{count} spans created = {count} delivered + 0 queued + 0 dropped"));
        count
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It has ended, unless the test failed.
        drop(self.0.kill());
    }
}

/// A fake of AWS's STS: names one account, and keeps each request's trace header.
#[derive(Clone, Default)]
struct Sts(Arc<Mutex<Vec<String>>>);

impl Sts {
    /// Starts the fake. Returns its URL.
    async fn start(&self) -> String {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().route("/", post(identify)).with_state(self.clone());
        tokio::spawn(async { axum::serve(listener, app).await.unwrap() });
        url
    }
}

async fn identify(State(Sts(headers)): State<Sts>, received: HeaderMap, body: String) -> impl IntoResponse {
    assert!(body.starts_with("Action=GetCallerIdentity&"), "{body}");
    let header = received["x-amzn-trace-id"].to_str().unwrap().to_owned();
    headers.lock().unwrap().push(header);
    let identity = "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
        <Arn>arn:aws:iam::123456789012:user/andrew</Arn><UserId>AIDAEXAMPLE</UserId><Account>123456789012</Account>\
        </GetCallerIdentityResult><ResponseMetadata><RequestId>request-1</RequestId></ResponseMetadata>\
        </GetCallerIdentityResponse>";
    ([(CONTENT_TYPE.as_str(), "text/xml"), ("x-amzn-requestid", "request-1")], identity)
}

#[track_caller]
fn assert_child(child: &Value, parent: &Value) {
    assert_eq!(child["traceId"], parent["traceId"], "{} and {}", child["name"], parent["name"]);
    assert_eq!(child["parentSpanId"], parent["spanId"], "{} below {}", child["name"], parent["name"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_one_trace_through_actix_sqlx_reqwest_and_axum() {
    let collector = Collector::default();
    let url = collector.start().await;
    let mut stock = Service::start(env!("CARGO_BIN_EXE_stock"), &url, &[]);
    let variables = [("STOCK", &*stock.line()), ("OTEL_METRICS_EXPORTER", "otlp")];
    let mut orders = Service::start(env!("CARGO_BIN_EXE_orders"), &url, &variables);
    let order = format!("http://{}/orders/7", orders.line());
    let client = Client::new();
    assert_eq!(client.post(&order).send().await.unwrap().text().await.unwrap(), "2 in stock");
    assert_eq!(client.post(&order).send().await.unwrap().status(), 409, "the same order again");
    orders.terminate();
    stock.terminate();
    let counts = [("orders", orders.count()), ("stock", stock.count())];
    for (service, count) in counts {
        assert_eq!(collector.spans().iter().filter(|(from, _)| from == service).count(), count, "{service}");
    }

    let metrics = collector.metrics.lock().unwrap().clone();
    for name in ["http.server.request.duration", "http.client.request.duration", "db.client.operation.duration"] {
        assert!(metrics.iter().any(|(from, metric)| from == "orders" && metric == name), "{name} in {metrics:?}");
    }
    assert!(metrics.iter().all(|(from, _)| from == "orders"), "only where they are requested");

    let (call, served) = (collector.one("orders", "GET"), collector.one("stock", "GET /stock/{id}"));
    let is_parent = |(_, span): &&(String, Value)| span["spanId"] == call["parentSpanId"];
    let root = collector.spans().iter().find(is_parent).unwrap().1.clone();
    assert_eq!((&root["name"], root["parentSpanId"].as_str().unwrap_or_default()), (&"POST /orders/{id}".into(), ""));
    assert_child(&call, &root);
    assert_child(&served, &call);
    let count = collector.one("stock", "count");
    assert_child(&count, &served);
    assert_child(&collector.one("stock", "reorder"), &count);
    let spans = collector.spans().clone();
    let inserts: Vec<_> = spans.iter().filter(|(_, span)| span["name"] == "INSERT orders").collect();
    assert_eq!(inserts.len(), 2);
    let is_failed = |span: &Value| span["status"]["code"] == 2;
    let (failed, kept): (Vec<_>, Vec<_>) = inserts.into_iter().map(|(_, span)| span).partition(|span| is_failed(span));
    assert_child(kept[0], &root);
    assert_ne!(failed[0]["traceId"], root["traceId"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workers_three_apis_make_one_trace() {
    let collector = Collector::default();
    let url = collector.start().await;
    let mut worker = Service::start(env!("CARGO_BIN_EXE_worker"), &url, &[]);
    let (trace, sender) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    let message = format!("00-{trace}-{sender}-01\n");
    worker.0.stdin.take().unwrap().write_all(message.as_bytes()).unwrap();
    assert_eq!(worker.count(), 5);

    let [process, parse, charge, store, put] =
        ["process", "parse", "charge", "store", "S3/PutObject"].map(|name| collector.one("worker", name));
    assert_eq!((&process["traceId"], &process["parentSpanId"]), (&trace.into(), &sender.into()));
    for (child, parent) in [(&parse, &process), (&charge, &parse), (&store, &charge), (&put, &store)] {
        assert_child(child, parent);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sentry_and_a_console_get_the_same_error_beside_the_trace() {
    let collector = Collector::default();
    let url = collector.start().await;
    let mut invoices = Service::start(env!("CARGO_BIN_EXE_invoices"), &url, &[]);
    assert_eq!(invoices.line(), "the printer is out of paper");
    assert_eq!(invoices.count(), 2);
    let [send, print] = ["send", "print"].map(|name| collector.one("invoices", name));
    assert_child(&print, &send);
    assert_eq!((&print["status"]["code"], &send["status"]["code"]), (&json!(2), &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_the_aws_sdk_is_a_span_whose_header_the_service_gets() {
    let collector = Collector::default();
    let url = collector.start().await;
    let sts = Sts::default();
    let mut job = Service::start(env!("CARGO_BIN_EXE_account"), &url, &[("STS", &sts.start().await)]);
    assert_eq!(job.line(), "123456789012");
    assert_eq!(job.count(), 2);

    let [job, call] = ["job", "STS/GetCallerIdentity"].map(|name| collector.one("account", name));
    assert_child(&call, &job);
    let attribute = |key: &str| {
        let attributes = call["attributes"].as_array().unwrap();
        let found = attributes.iter().find(|attribute| attribute["key"] == key);
        found.unwrap_or_else(|| panic!("no {key}: {call:#}"))["value"].clone()
    };
    for (key, value) in [
        ("rpc.system", json!({"stringValue": "aws-api"})),
        ("rpc.service", json!({"stringValue": "STS"})),
        ("rpc.method", json!({"stringValue": "GetCallerIdentity"})),
        ("aws.request_id", json!({"stringValue": "request-1"})),
        ("http.response.status_code", json!({"intValue": "200"})),
    ] {
        assert_eq!(attribute(key), value, "{key}");
    }
    let (trace, span) = (call["traceId"].as_str().unwrap(), call["spanId"].as_str().unwrap());
    let (epoch, unique) = trace.split_at(8);
    let header = format!("Root=1-{epoch}-{unique};Parent={span};Sampled=1");
    assert_eq!(*sts.0.lock().unwrap(), [header]);
}
