//! Segment documents: one operation in the form that X-Ray reads. Unknown fields are kept in `other` and written back. Shortens
//! no field; only a document's [`name`](fn@crate::name) has a restricted alphabet.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

use crate::{Error, SegmentId, TraceId};

/// A segment (the work of one service on a request) or a subsegment (a part of it, or a call that it makes).
///
/// `id` is written first because the daemon looks for the first `"id":"…"` of a document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// 16 hex digits, unique within the trace.
    pub id: SegmentId,
    /// See [`name`](fn@crate::name).
    pub name: String,
    /// Absent only in a subsegment that is nested in another document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<TraceId>,
    /// Present on a subsegment that is sent separately.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// The calling subsegment (in a segment) or the enclosing one (in a stand-alone subsegment).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<SegmentId>,
    /// Seconds since 1970-01-01 UTC.
    pub start_time: f64,
    /// Seconds since 1970-01-01 UTC; absent while `in_progress`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_time: Option<f64>,
    /// The operation has started and has not ended.
    #[serde(default, skip_serializing_if = "is_false")]
    pub in_progress: bool,
    /// `remote` or `aws` on a subsegment that calls out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The service's version and other facts about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<Service>,
    /// The user for whom the request was made, at most 250 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The HTTP request that was served or made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<Http>,
    /// The SQL statement that was run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sql: Option<Sql>,
    /// A client error (HTTP 4xx).
    #[serde(default, skip_serializing_if = "is_false")]
    pub error: bool,
    /// Throttled (HTTP 429); `error` is also set.
    #[serde(default, skip_serializing_if = "is_false")]
    pub throttle: bool,
    /// A server error (HTTP 5xx) or an exception.
    #[serde(default, skip_serializing_if = "is_false")]
    pub fault: bool,
    /// The exceptions behind an error or fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// Indexed for filter expressions: strings, numbers and booleans; at most 50 in a trace.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, Value>,
    /// Not indexed; objects by namespace.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, Value>,
    /// About the AWS resource and the SDK.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub aws: Map<String, Value>,
    /// Nested subsegments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subsegments: Vec<Document>,
    /// Unknown fields, unchanged.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// The `type` of a document that is not a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A subsegment that is sent separately.
    Subsegment,
    /// Some SDKs write it on segments; it has the same meaning as no `type`.
    Segment,
}

/// About the service of a segment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// The service's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Unknown fields.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// An HTTP exchange.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Http {
    /// The request.
    #[serde(default, skip_serializing_if = "HttpRequest::is_empty")]
    pub request: HttpRequest,
    /// The response.
    #[serde(default, skip_serializing_if = "HttpResponse::is_empty")]
    pub response: HttpResponse,
}

/// The request of an HTTP exchange; each string at most 250 characters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpRequest {
    /// `GET`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The full URL, without its query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The caller's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_ip: Option<String>,
    /// The caller's program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// Unknown fields.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// The response of an HTTP exchange.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpResponse {
    /// The status code; the schema allows any number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Number>,
    /// Unknown fields.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A SQL statement.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sql {
    /// `PostgreSQL`, `SQLite`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database_type: Option<String>,
    /// The statement with placeholders instead of values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sanitized_query: Option<String>,
    /// Unknown fields.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Why an operation failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Cause {
    /// The id of an exception in another document.
    Reference(String),
    /// The exceptions themselves.
    Exceptions {
        /// Outermost first.
        #[serde(default)]
        exceptions: Vec<Exception>,
        /// Unknown fields.
        #[serde(flatten)]
        other: Map<String, Value>,
    },
}

/// One exception.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exception {
    /// 16 characters, unique within the trace. Some senders omit it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// The exception's message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Its type.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Unknown fields.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Document {
    /// Reads a document that is sent separately.
    ///
    /// # Errors
    /// [`Error::Json`] if it is not JSON of this shape; [`Error::Missing`] if it has no trace id, has neither `end_time` nor
    /// `in_progress`, or is a subsegment without a parent.
    pub fn parse(json: &[u8]) -> Result<Self, Error> {
        let document: Self = serde_json::from_slice(json)?;
        document.check()?;
        Ok(document)
    }

    /// Checks that the document can be sent separately.
    ///
    /// # Errors
    /// [`Error::Missing`] if it has no trace id, has neither `end_time` nor `in_progress`, or is a subsegment without a parent.
    pub fn check(&self) -> Result<(), Error> {
        if self.trace_id.is_none() {
            return Err(Error::Missing("trace_id"));
        }
        if self.end_time.is_none() && !self.in_progress {
            return Err(Error::Missing("end_time or in_progress"));
        }
        if self.kind == Some(Kind::Subsegment) && self.parent_id.is_none() {
            return Err(Error::Missing("parent_id, which a subsegment must have"));
        }
        Ok(())
    }
}

impl HttpRequest {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl HttpResponse {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_keeps_unknown_fields() {
        let json = json!({
            "id": "70de5b6f19ff9a0a", "name": "backend", "trace_id": "1-581cf771-a006649127e371903a2de979",
            "start_time": 1478293361.271, "end_time": 1478293361.449, "origin": "AWS::ECS::Container", "fault": true,
            "http": {"request": {"method": "GET", "x_forwarded_for": true}, "response": {"status": 500, "content_length": 3}},
            "cause": {"working_directory": "/srv", "exceptions": [{"id": "70de5b6f19ff9a0b", "type": "E", "stack": []}]},
            "subsegments": [{"id": "53995c3f42cd8ad8", "name": "db", "start_time": 1.0, "in_progress": true}],
        });
        let document = Document::parse(json.to_string().as_bytes()).unwrap();
        assert_eq!(serde_json::to_value(document).unwrap(), json);
    }

    #[test]
    fn the_id_is_written_first() {
        let json = r#"{"name":"a","trace_id":"1-581cf771-a006649127e371903a2de979","id":"70de5b6f19ff9a0a","start_time":1.0,"in_progress":true}"#;
        let text = serde_json::to_string(&Document::parse(json.as_bytes()).unwrap()).unwrap();
        assert!(text.starts_with(r#"{"id":"70de5b6f19ff9a0a","#), "{text}");
    }

    #[test]
    fn a_missing_required_field_is_an_error() {
        let base = json!({"id": "70de5b6f19ff9a0a", "name": "a", "trace_id": "1-581cf771-a006649127e371903a2de979",
                          "start_time": 1.0, "end_time": 2.0});
        let without = |key: &str| {
            let mut json = base.clone();
            json.as_object_mut().unwrap().remove(key);
            Document::parse(json.to_string().as_bytes())
        };
        assert!(Document::parse(base.to_string().as_bytes()).is_ok());
        for key in ["id", "name", "trace_id", "start_time", "end_time"] {
            assert!(without(key).is_err(), "{key}");
        }
        let mut orphan = base.clone();
        orphan["type"] = json!("subsegment");
        assert!(Document::parse(orphan.to_string().as_bytes()).is_err());
    }
}
