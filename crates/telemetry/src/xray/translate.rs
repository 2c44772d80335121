//! From a span to a segment document, written straight from the span's encoding. A span without a parent in this process is a
//! segment, whatever its kind; every other is a stand-alone subsegment. Loses no span: what does not fit a field is cut there,
//! and whole in the metadata, with all that X-Ray has no field for. Bounds no document: one that is too large for a datagram is
//! dropped and counted where it is sent. Does no I/O.

use opentelemetry::trace::SpanKind;
use opentelemetry_semantic_conventions::attribute::{
    CLIENT_ADDRESS, DB_QUERY_TEXT, DB_SYSTEM_NAME, EXCEPTION_MESSAGE, EXCEPTION_TYPE, HTTP_REQUEST_METHOD,
    HTTP_RESPONSE_STATUS_CODE, SERVER_ADDRESS, SERVER_PORT, URL_FULL, URL_PATH, URL_SCHEME, USER_AGENT_ORIGINAL,
};

use super::json::Json;
use crate::span::reading::Reading;
use crate::span::{USER_ID, Value};

/// What every document says of its maker.
const SDK: &str =
    concat!(r#""aws":{"xray":{"sdk":"cruddur-telemetry","sdk_version":""#, env!("CARGO_PKG_VERSION"), r#""}}"#);
/// What every segment says of its service.
const SERVICE: &str = concat!(r#""service":{"version":""#, env!("CARGO_PKG_VERSION"), r#""}"#);
/// The name of an event that X-Ray has a field for.
const EXCEPTION: &str = "exception";
/// The characters of a string in `http.request`, and of `user`.
const SHORT: usize = 250;

/// The attributes that X-Ray has fields for.
#[derive(Default)]
struct Found<'a> {
    method: Option<&'a str>,
    url: Option<&'a str>,
    scheme: Option<&'a str>,
    path: Option<&'a str>,
    address: Option<&'a str>,
    port: Option<i64>,
    status: Option<u16>,
    client: Option<&'a str>,
    agent: Option<&'a str>,
    database: Option<&'a str>,
    query: Option<&'a str>,
    user: Option<&'a str>,
    /// The parts of a URL stand in it, uncut.
    parts_fit: bool,
}

impl<'a> Found<'a> {
    fn of(span: &Reading<'a>) -> Self {
        let mut found = Self::default();
        for (key, value) in &span.attributes {
            found.take(key, *value);
        }
        if let (None, Some(scheme), Some(host), Some(path)) = (found.url, found.scheme, found.address, found.path) {
            // Between them stand `://` and a port.
            found.parts_fit = scheme.len() + host.len() + path.len() + 3 + 6 <= SHORT;
        }
        found
    }

    fn take(&mut self, key: &str, value: Value<'a>) {
        match value {
            Value::Text(text) => {
                let field = match key {
                    HTTP_REQUEST_METHOD => &mut self.method,
                    URL_FULL => &mut self.url,
                    URL_SCHEME => &mut self.scheme,
                    URL_PATH => &mut self.path,
                    SERVER_ADDRESS => &mut self.address,
                    CLIENT_ADDRESS => &mut self.client,
                    USER_AGENT_ORIGINAL => &mut self.agent,
                    DB_SYSTEM_NAME => &mut self.database,
                    DB_QUERY_TEXT => &mut self.query,
                    USER_ID => &mut self.user,
                    _ => return,
                };
                *field = Some(text);
            }
            Value::Int(number) if key == HTTP_RESPONSE_STATUS_CODE => self.status = u16::try_from(number).ok(),
            Value::Int(number) if key == SERVER_PORT => self.port = Some(number),
            _ => {}
        }
    }

    /// Whether an attribute is told whole by a field of the document.
    fn tells(&self, key: &str, value: Value<'_>) -> bool {
        match key {
            HTTP_REQUEST_METHOD | DB_SYSTEM_NAME => matches!(value, Value::Text(_)),
            // The text of a statement has a place beside its database's name alone.
            DB_QUERY_TEXT => self.database.is_some() && matches!(value, Value::Text(_)),
            CLIENT_ADDRESS | USER_AGENT_ORIGINAL | USER_ID => {
                // A text of so few bytes has no more characters.
                matches!(value, Value::Text(text) if text.len() <= SHORT)
            }
            HTTP_RESPONSE_STATUS_CODE => self.status.is_some(),
            URL_FULL => matches!(value, Value::Text(text) if text.len() <= SHORT),
            URL_SCHEME | URL_PATH | SERVER_ADDRESS | SERVER_PORT => self.parts_fit,
            _ => false,
        }
    }

    fn has_url(&self) -> bool {
        self.url.is_some() || (self.scheme.is_some() && self.address.is_some() && self.path.is_some())
    }
}

/// Appends the document of `span`, made by the service of this name, which is one for X-Ray. The `id` comes first, because the daemon looks for the
/// first `"id":"…"` of a document.
pub(crate) fn write(span: &Reading<'_>, service: &str, out: &mut Vec<u8>) {
    let found = Found::of(span);
    let local_root = span.parent.is_none() || span.parent_is_remote;
    let mut json = Json::new(out);
    json.open();
    json.hex("id", "", &[&span.id.to_bytes()]);
    if local_root {
        json.text("name", service);
    } else {
        json.text("name", &wire::name(&callee(span, &found)));
    }
    let [epoch @ .., _, _, _, _, _, _, _, _, _, _, _, _] = span.trace.to_bytes();
    let [_, _, _, _, unique @ ..] = span.trace.to_bytes();
    json.hex("trace_id", "1-", &[&epoch, &unique]);
    if !local_root {
        json.text("type", "subsegment");
    }
    if let Some(parent) = span.parent {
        json.hex("parent_id", "", &[&parent.to_bytes()]);
    }
    json.seconds("start_time", span.start);
    json.seconds("end_time", span.end);
    if local_root {
        json.pairs(SERVICE);
    } else if span.kind == SpanKind::Client {
        json.text("namespace", "remote");
    }
    if let Some(user) = found.user {
        json.text("user", cut(user));
    }
    http(&mut json, &found);
    if let Some(database) = found.database {
        json.open_at("sql");
        json.text("database_type", database);
        if let Some(query) = found.query {
            json.text("sanitized_query", query);
        }
        json.close();
    }
    outcome(&mut json, span, &found);
    metadata(&mut json, span, &found);
    json.pairs(SDK);
    json.close();
}

/// What a subsegment is named after: the database or host that it calls, else the operation.
fn callee(span: &Reading<'_>, found: &Found<'_>) -> String {
    match (span.kind == SpanKind::Client, found.database, found.address, found.port) {
        (true, Some(database), Some(host), _) => format!("{database}@{host}"),
        (true, Some(database), None, _) => database.to_owned(),
        (true, None, Some(host), Some(port)) => format!("{host}:{port}"),
        (true, None, Some(host), None) => host.to_owned(),
        _ => span.name.to_owned(),
    }
}

fn http(json: &mut Json<'_>, found: &Found<'_>) {
    let has_request = found.method.is_some() || found.has_url() || found.client.is_some() || found.agent.is_some();
    if !has_request && found.status.is_none() {
        return;
    }
    json.open_at("http");
    if has_request {
        json.open_at("request");
        if let Some(method) = found.method {
            json.text("method", method);
        }
        match (found.url, found.scheme, found.address, found.path, found.port) {
            (Some(url), ..) => json.text("url", cut(url)),
            (None, Some(scheme), Some(host), Some(path), Some(port)) => {
                json.joined("url", format_args!("{scheme}://{host}:{port}{path}"));
            }
            (None, Some(scheme), Some(host), Some(path), None) => {
                json.joined("url", format_args!("{scheme}://{host}{path}"));
            }
            _ => {}
        }
        if let Some(client) = found.client {
            json.text("client_ip", cut(client));
        }
        if let Some(agent) = found.agent {
            json.text("user_agent", cut(agent));
        }
        json.close();
    }
    if let Some(status) = found.status {
        json.open_at("response");
        json.number("status", status);
        json.close();
    }
    json.close();
}

/// The flags, by the HTTP status first, and the exceptions, each with an id of its own: the span's, plus its place.
fn outcome(json: &mut Json<'_>, span: &Reading<'_>, found: &Found<'_>) {
    let mut exceptions = span.events.iter().filter(|event| event.name == EXCEPTION).zip(1..).peekable();
    let failed = exceptions.peek().is_some();
    let error = found.status.is_some_and(|status| (400..500).contains(&status));
    if error {
        json.flag("error");
        if found.status == Some(429) {
            json.flag("throttle");
        }
    } else if found.status.is_some_and(|status| status >= 500) || failed || span.failed {
        json.flag("fault");
    }
    if failed {
        let base = u64::from_be_bytes(span.id.to_bytes());
        json.open_at("cause");
        json.open_list_at("exceptions");
        for (event, place) in exceptions {
            json.open();
            json.hex("id", "", &[&base.wrapping_add(place).to_be_bytes()]);
            for (key, field) in [(EXCEPTION_MESSAGE, "message"), (EXCEPTION_TYPE, "type")] {
                if let Some((_, value)) = event.attributes.iter().find(|(own, _)| *own == key) {
                    json.value(field, *value);
                }
            }
            json.close();
        }
        json.close_list();
        json.close();
    }
}

/// What the document has no field for, under the namespace `otel`.
fn metadata(json: &mut Json<'_>, span: &Reading<'_>, found: &Found<'_>) {
    json.open_at("metadata");
    json.open_at("otel");
    json.text("span.name", span.name);
    json.text("span.kind", kind(&span.kind));
    for (key, value) in span.attributes.iter().filter(|(key, value)| !found.tells(key, *value)) {
        json.value(key, *value);
    }
    // Exceptions too: the document has no field for their causes, nor for what else was said.
    if !span.events.is_empty() {
        json.open_list_at("span.events");
        for event in &span.events {
            json.open();
            json.text("name", event.name);
            json.seconds("time", event.time);
            json.open_at("attributes");
            for (key, value) in &event.attributes {
                json.value(key, *value);
            }
            json.close();
            json.close();
        }
        json.close_list();
    }
    json.close();
    json.close();
}

fn kind(kind: &SpanKind) -> &'static str {
    match kind {
        SpanKind::Internal => "internal",
        SpanKind::Server => "server",
        SpanKind::Client => "client",
        SpanKind::Producer => "producer",
        SpanKind::Consumer => "consumer",
    }
}

/// At most [`SHORT`] characters.
pub(super) fn cut(text: &str) -> &str {
    let end = if text.len() <= SHORT { None } else { text.char_indices().nth(SHORT) };
    end.and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::span::Recording;
    use crate::testing::{self, Made};

    fn told(span: Made) -> Json {
        let record = span.record();
        let mut json = Vec::new();
        write(&Reading::of(&record), "backend", &mut json);
        // Whatever is sent must be readable, and written in full by the fields that are known.
        let document = wire::Document::parse(&json).unwrap();
        assert!(document.other.is_empty(), "{:?}", document.other);
        serde_json::from_slice(&json).unwrap()
    }

    fn call(tell: impl FnOnce(&mut Recording)) -> Json {
        told(testing::child(false).with(|span| {
            span.kind(SpanKind::Client);
            tell(span);
        }))
    }

    #[test]
    fn a_span_without_a_parent_here_is_a_segment_named_by_its_service() {
        let root = told(testing::span("test"));
        assert_eq!((&root["name"], &root["id"]), (&json!("backend"), &json!("53995c3f42cd8ad8")));
        assert_eq!(root["trace_id"], "1-5759e988-bd862e3fe1be46a994272793");
        assert_eq!((&root["start_time"], &root["end_time"]), (&json!(1_700_000_000.0), &json!(1_700_000_000.25)));
        assert!(root.get("type").is_none() && root.get("parent_id").is_none());
        let remote = told(testing::child(true));
        assert_eq!((&remote["name"], &remote["parent_id"]), (&json!("backend"), &json!("0707070707070707")));
        assert!(remote.get("type").is_none());
    }

    #[test]
    fn any_other_span_is_a_subsegment_named_by_what_it_calls() {
        for (attributes, name) in [
            (vec![], "test"),
            (vec![(SERVER_ADDRESS, "example.org".into()), (SERVER_PORT, 80.into())], "example.org:80"),
            (vec![(DB_SYSTEM_NAME, "postgresql".into()), (SERVER_ADDRESS, "db".into())], "postgresql@db"),
            (vec![(DB_SYSTEM_NAME, Value::Text("sqlite"))], "sqlite"),
        ] {
            let document = call(|span| attributes.into_iter().for_each(|(key, value)| span.set(key, value)));
            assert_eq!((&document["name"], &document["type"]), (&json!(name), &json!("subsegment")));
            assert_eq!(document["namespace"], "remote");
        }
    }

    #[test]
    fn flags_come_from_the_http_status() {
        for (status, error, throttle, fault) in
            [(200, false, false, false), (404, true, false, false), (429, true, true, false), (503, false, false, true)]
        {
            let document = call(|span| span.set(HTTP_RESPONSE_STATUS_CODE, status));
            let flag = |name: &str| document.get(name).is_some();
            assert_eq!((flag("error"), flag("throttle"), flag("fault")), (error, throttle, fault), "{status}");
        }
    }

    #[test]
    fn an_exception_is_a_cause_and_a_fault_whatever_the_status_says() {
        let document = told(testing::span("test").with(|span| {
            span.exception("E", "no", "");
            span.event("another", &[]);
        }));
        let exception = &document["cause"]["exceptions"][0];
        assert_eq!((&exception["type"], &exception["message"]), (&json!("E"), &json!("no")));
        assert_ne!(exception["id"], document["id"]);
        assert_eq!(
            (&document["fault"], &document["metadata"]["otel"]["span.events"][0]["name"]),
            (&json!(true), &json!("exception"))
        );
    }

    #[test]
    fn nothing_is_lost_for_a_value_that_x_ray_would_not_take() {
        let long = "é".repeat(1_000);
        let document = call(|span| {
            span.set(URL_FULL, &long);
            span.set("not.a.number", f64::NAN);
            span.set(SERVER_ADDRESS, "💣");
            span.name(long.clone());
        });
        assert_eq!(document["http"]["request"]["url"].as_str().unwrap().chars().count(), 250);
        assert_eq!(document["metadata"]["otel"]["span.name"], long);
        assert_eq!(document["name"], "unnamed");
    }
}
