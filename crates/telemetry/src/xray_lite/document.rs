//! A document of `xray-lite`, read from its JSON, because its ids and its name are private. Its fields become the attributes from which
//! our exporters write X-Ray's documents, and which other destinations know.

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, TraceFlags, TraceId, TraceState};
use opentelemetry_semantic_conventions::attribute::{
    DB_QUERY_TEXT, DB_SYSTEM_NAME, HTTP_REQUEST_METHOD, HTTP_RESPONSE_STATUS_CODE, URL_FULL,
};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::clock;
use crate::context::Incoming;
use crate::span::Recording;

/// How far a document's start may lie in the past, in nanoseconds.
const OLDEST: u64 = 3_600_000_000_000;
/// How many subsegments within the document were not recorded.
const LEFT_OUT: &str = "xray.subsegments.left_out";

/// Texts of a document that are attributes without a change: the path to each, and its key.
const TEXTS: [(&[&str], &str); 9] = [
    (&["http", "request", "method"], HTTP_REQUEST_METHOD),
    (&["aws", "operation"], "rpc.method"),
    (&["aws", "request_id"], "aws.request_id"),
    (&["aws", "region"], "cloud.region"),
    (&["aws", "account_id"], "cloud.account.id"),
    (&["aws", "queue_url"], "aws.sqs.queue.url"),
    (&["aws", "table_name"], "aws.dynamodb.table_names"),
    (&["sql", "database_type"], DB_SYSTEM_NAME),
    (&["sql", "sanitized_query"], DB_QUERY_TEXT),
];
/// The fields that mark a document as failed, from the most precise one on.
const FAILURES: [(&str, &str); 3] = [("throttled", "throttle"), ("error", "error"), ("fault", "fault")];

/// A segment or subsegment.
pub(super) struct LiteDocument(Value);

impl LiteDocument {
    /// `None` if JSON cannot represent it, or if it is not an object.
    pub(super) fn of(data: &impl Serialize) -> Option<Self> {
        serde_json::to_value(data).ok().filter(Value::is_object).map(Self)
    }

    pub(super) fn name(&self) -> &str {
        self.text(&["name"]).unwrap_or("subsegment")
    }

    pub(super) fn is_in_progress(&self) -> bool {
        self.0.get("in_progress") == Some(&Value::Bool(true))
    }

    pub(super) fn id(&self) -> Option<SpanId> {
        let id: xray::SegmentId = self.text(&["id"])?.parse().ok()?;
        Some(SpanId::from_bytes(id.to_bytes())).filter(|id| *id != SpanId::INVALID)
    }

    /// Nanoseconds since 1970; `None` if it is in the future or more than an hour ago.
    pub(super) fn start(&self) -> Option<u64> {
        let seconds = self.0.get("start_time")?.as_f64().filter(|seconds| seconds.is_finite() && *seconds >= 0.0)?;
        let start = std::time::Duration::try_from_secs_f64(seconds).ok()?.as_nanos().try_into().ok()?;
        let now = clock::now();
        (now.saturating_sub(OLDEST)..=now).contains(&start).then_some(start)
    }

    /// The trace and the parent of the document. It contains no sampling decision.
    pub(super) fn incoming(&self) -> Incoming {
        let parent = || {
            let trace: xray::TraceId = self.text(&["trace_id"])?.parse().ok()?;
            let trace = TraceId::from_bytes(trace.to_bytes());
            let parent = self.text(&["parent_id"]).and_then(|id| id.parse().ok());
            let parent = parent.map_or(SpanId::INVALID, |id: xray::SegmentId| SpanId::from_bytes(id.to_bytes()));
            let context = SpanContext::new(trace, parent, TraceFlags::default(), true, TraceState::default());
            (trace != TraceId::INVALID).then_some(context)
        };
        Incoming { parent: parent(), is_undecided: true, ..Incoming::default() }
    }

    /// Records the document's fields; a later document replaces what an earlier one recorded.
    pub(super) fn record(&self, span: &mut Recording) {
        self.record_call(span);
        for (path, key) in TEXTS {
            span.set(key, self.text(path));
        }
        // As in our own spans, queries and passwords are not recorded.
        span.set(URL_FULL, self.text(&["http", "request", "url"]).map(without_secrets));
        let status = self.field(&["http", "response", "status"]).and_then(Value::as_u64);
        span.set(HTTP_RESPONSE_STATUS_CODE, status);
        span.set(
            "http.response.body.size",
            self.field(&["http", "response", "content_length"]).and_then(Value::as_u64),
        );
        for (flag, kind) in FAILURES {
            if self.0.get(flag) == Some(&Value::Bool(true)) {
                span.fail(kind);
            }
        }
        if let Some(status) = status.filter(|status| *status >= 400) {
            span.fail(&status.to_string());
        }
        if !self.is_in_progress() {
            self.record_causes(span);
        }
        for (key, value) in self.object("annotations") {
            set(span, &format!("annotation.{key}"), value);
        }
        for (key, value) in self.object("metadata") {
            match value {
                Value::Object(_) => span.set(&format!("metadata.{key}"), value.to_string()),
                value => set(span, key, value),
            }
        }
        let nested = self.0.get("subsegments").and_then(Value::as_array).map(Vec::len);
        span.set(LEFT_OUT, nested);
    }

    /// Records which side of a call the span is, and whom it calls.
    fn record_call(&self, span: &mut Recording) {
        match self.text(&["namespace"]) {
            Some("aws") => {
                span.kind(SpanKind::Client);
                span.set("rpc.system", "aws-api");
                span.set("rpc.service", self.name());
                if let Some(operation) = self.text(&["aws", "operation"]) {
                    span.name(format!("{}/{operation}", self.name()));
                }
            }
            Some("remote") => {
                span.kind(SpanKind::Client);
                span.set("peer.service", self.name());
            }
            _ => {}
        }
    }

    fn record_causes(&self, span: &mut Recording) {
        let exceptions = self.field(&["cause", "exceptions"]).and_then(Value::as_array);
        for exception in exceptions.into_iter().flatten() {
            let message = exception.get("messages").and_then(Value::as_str).unwrap_or_default();
            span.exception("", message, "");
        }
    }

    /// The value at a path. A JSON pointer would be unescaped at each look-up, which costs more than the look-up.
    fn field(&self, path: &[&str]) -> Option<&Value> {
        path.iter().try_fold(&self.0, |value, key| value.get(key))
    }

    fn text(&self, path: &[&str]) -> Option<&str> {
        self.field(path).and_then(Value::as_str)
    }

    fn object(&self, key: &str) -> impl Iterator<Item = (&String, &Value)> {
        self.0.get(key).and_then(Value::as_object).into_iter().flat_map(Map::iter)
    }
}

/// Sets an attribute to a value of JSON: a scalar as itself, an array or object as JSON text.
fn set(span: &mut Recording, key: &str, value: &Value) {
    match value {
        Value::Null => {}
        Value::Bool(flag) => span.set(key, *flag),
        Value::String(text) => span.set(key, text),
        Value::Number(number) => match number.as_i64() {
            Some(number) => span.set(key, number),
            None => span.set(key, number.as_f64()),
        },
        other => span.set(key, other.to_string()),
    }
}

/// A URL without its query, fragment, user and password.
fn without_secrets(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    [scheme, "://", host, path].concat()
}
