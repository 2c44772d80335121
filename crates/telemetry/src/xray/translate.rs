//! From a span to a segment document. A span without a parent in this process is a segment, whatever its kind; every other is
//! a stand-alone subsegment. Loses no span: what does not fit a field is cut or left out, and whole in the metadata. Bounds no
//! document: one that is too large for a datagram is dropped and counted where it is sent. Does no I/O.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{SpanId, SpanKind};
use opentelemetry_semantic_conventions::attribute::{
    CLIENT_ADDRESS, DB_QUERY_TEXT, DB_SYSTEM_NAME, EXCEPTION_MESSAGE, EXCEPTION_TYPE, HTTP_REQUEST_METHOD,
    HTTP_RESPONSE_STATUS_CODE, SERVER_ADDRESS, SERVER_PORT, URL_FULL, URL_PATH, URL_SCHEME, USER_AGENT_ORIGINAL,
};
use serde_json::{Map, Number, Value as Json, json};
use wire::{Cause, Document, Exception, Http, HttpRequest, HttpResponse, Kind, SegmentId, Service, Sql, TraceId};

use crate::span::reading::Reading;
use crate::span::{USER_ID, Value};

/// Strings of `http.request` and `user`.
const SHORT: usize = 250;

/// The document of `span`, made by the service of this name.
pub(super) fn document(span: &Reading<'_>, service: &str) -> Document {
    let local_root = span.parent.is_none() || span.parent_is_remote;
    let calls = span.kind == SpanKind::Client;
    let attributes = Attributes(&span.attributes);
    let status = attributes.number(HTTP_RESPONSE_STATUS_CODE).and_then(|status| u16::try_from(status).ok());
    let exceptions = exceptions(span);
    let error = status.is_some_and(|status| (400..500).contains(&status));
    let sql = sql(&attributes);
    Document {
        id: id(span.id),
        name: wire::name(&if local_root { service.to_owned() } else { callee(span, &attributes) }),
        trace_id: Some(TraceId::from_bytes(span.trace.to_bytes())),
        kind: (!local_root).then_some(Kind::Subsegment),
        parent_id: span.parent.map(id),
        start_time: seconds(span.start),
        end_time: Some(seconds(span.end)),
        in_progress: false,
        namespace: (calls && !local_root).then(|| "remote".to_owned()),
        service: local_root.then(|| Service { version: Some(env!("CARGO_PKG_VERSION").to_owned()), other: Map::new() }),
        user: attributes.text(USER_ID).map(|user| cut(&user, SHORT)),
        http: http(&attributes, status),
        sql,
        error,
        throttle: status == Some(429),
        fault: !error && (status.is_some_and(|status| status >= 500) || !exceptions.is_empty() || span.failed),
        cause: (!exceptions.is_empty()).then(|| Cause::Exceptions { exceptions, other: Map::new() }),
        annotations: BTreeMap::new(),
        metadata: metadata(span),
        aws: Map::from_iter([(
            "xray".to_owned(),
            json!({"sdk": "cruddur-telemetry", "sdk_version": env!("CARGO_PKG_VERSION")}),
        )]),
        subsegments: Vec::new(),
        other: Map::new(),
    }
}

/// What a subsegment is named after: the database or host that it calls, else the operation.
fn callee(span: &Reading<'_>, attributes: &Attributes<'_>) -> String {
    let host = attributes.text(SERVER_ADDRESS);
    match (span.kind == SpanKind::Client, attributes.text(DB_SYSTEM_NAME), host) {
        (true, Some(db), Some(host)) => format!("{db}@{host}"),
        (true, Some(db), None) => db,
        (true, None, Some(host)) => match attributes.number(SERVER_PORT) {
            Some(port) => format!("{host}:{port}"),
            None => host,
        },
        _ => span.name.to_string(),
    }
}

fn http(attributes: &Attributes<'_>, status: Option<u16>) -> Option<Http> {
    let url = attributes.text(URL_FULL).or_else(|| {
        let (scheme, path) = (attributes.text(URL_SCHEME)?, attributes.text(URL_PATH)?);
        let host = attributes.text(SERVER_ADDRESS)?;
        let port = attributes.number(SERVER_PORT).map(|port| format!(":{port}")).unwrap_or_default();
        Some(format!("{scheme}://{host}{port}{path}"))
    });
    let http = Http {
        request: HttpRequest {
            method: attributes.text(HTTP_REQUEST_METHOD),
            url: url.map(|url| cut(&url, SHORT)),
            client_ip: attributes.text(CLIENT_ADDRESS).map(|address| cut(&address, SHORT)),
            user_agent: attributes.text(USER_AGENT_ORIGINAL).map(|agent| cut(&agent, SHORT)),
            other: Map::new(),
        },
        response: HttpResponse { status, other: Map::new() },
    };
    (http != Http::default()).then_some(http)
}

fn sql(attributes: &Attributes<'_>) -> Option<Sql> {
    let database_type = attributes.text(DB_SYSTEM_NAME)?;
    Some(Sql { database_type: Some(database_type), sanitized_query: attributes.text(DB_QUERY_TEXT), other: Map::new() })
}

/// Exception events, each with an id of its own: the span's, plus its place.
fn exceptions(span: &Reading<'_>) -> Vec<Exception> {
    let base = u64::from_be_bytes(span.id.to_bytes());
    let events = span.events.iter().filter(|event| event.name == "exception");
    (1..)
        .zip(events)
        .map(|(place, event)| {
            let attributes = Attributes(&event.attributes);
            Exception {
                id: SegmentId::from_bytes(base.wrapping_add(place).to_be_bytes()),
                message: attributes.text(EXCEPTION_MESSAGE),
                kind: attributes.text(EXCEPTION_TYPE),
                other: Map::new(),
            }
        })
        .collect()
}

/// Everything the span says, under the namespace `otel`, so that nothing is lost where X-Ray has no field for it.
fn metadata(span: &Reading<'_>) -> BTreeMap<String, Json> {
    let mut fields = attributes(&span.attributes);
    fields.insert("span.name".to_owned(), json!(span.name));
    fields.insert("span.kind".to_owned(), json!(format!("{:?}", span.kind).to_lowercase()));
    let events: Vec<Json> = span
        .events
        .iter()
        .filter(|event| event.name != "exception")
        .map(|event| {
            json!({"name": event.name, "time": seconds(event.time), "attributes": attributes(&event.attributes)})
        })
        .collect();
    if !events.is_empty() {
        fields.insert("span.events".to_owned(), Json::Array(events));
    }
    BTreeMap::from([("otel".to_owned(), Json::Object(fields))])
}

fn attributes(attributes: &[(&str, Value<'_>)]) -> Map<String, Json> {
    attributes.iter().map(|(key, value)| ((*key).to_owned(), self::value(*value))).collect()
}

fn value(value: Value<'_>) -> Json {
    match value {
        Value::Bool(value) => json!(value),
        Value::Int(value) => json!(value),
        Value::Float(value) => Number::from_f64(value).map_or(Json::Null, Json::Number),
        Value::Text(value) => json!(value),
    }
}

fn id(span: SpanId) -> SegmentId {
    SegmentId::from_bytes(span.to_bytes())
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// At most `characters` characters.
fn cut(text: &str, characters: usize) -> String {
    text.chars().take(characters).collect()
}

struct Attributes<'a>(&'a [(&'a str, Value<'a>)]);

impl Attributes<'_> {
    fn get(&self, key: &str) -> Option<Value<'_>> {
        self.0.iter().find(|(own, _)| *own == key).map(|(_, value)| *value)
    }

    fn text(&self, key: &str) -> Option<String> {
        Some(match self.get(key)? {
            Value::Text(text) => text.to_owned(),
            Value::Bool(flag) => flag.to_string(),
            Value::Int(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
        })
    }

    fn number(&self, key: &str) -> Option<i64> {
        match self.get(key)? {
            Value::Int(number) => Some(number),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::span::Recording;
    use crate::testing::{self, Made};

    fn told(span: Made) -> Json {
        let record = span.record();
        let json = serde_json::to_vec(&document(&Reading::of(&record), "backend")).unwrap();
        // Whatever is sent must be readable.
        Document::parse(&json).unwrap();
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
            (&json!(true), &json!("another"))
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
