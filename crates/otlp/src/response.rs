//! The [responses](https://opentelemetry.io/docs/specs/otlp/#otlphttp-response) of an OTLP/HTTP receiver. A receiver writes them in the encoding of the
//! request, and a sender reads them. The responses to traces, log records and metrics have the same shape.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::encoding::Encoding;
use crate::fault::{Fault, Malformed};
use crate::json::members::{object, store};
use crate::json::scalar::Raw;
use crate::protobuf::{TYPE, fault, fields, message_of, text};
use crate::wire::{Field, bytes, number};

const REJECTED: &str = "partialSuccess.rejectedSpans";
const MESSAGE: &str = "partialSuccess.errorMessage";

/// A receiver's report on a request that it accepted, at least in part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receipt<'a> {
    /// The number of records that the receiver rejected. It accepted all others.
    pub rejected: u64,
    /// Why it rejected records, or a warning if it rejected none. Often empty.
    pub message: Cow<'a, str>,
}

/// The body of a 200: `ExportTraceServiceResponse`. Without rejected spans and a message, `partial_success` is unset, as OTLP requires.
pub fn success(encoding: Encoding, rejected: u64, message: &str) -> Vec<u8> {
    let is_partial = rejected > 0 || !message.is_empty();
    match encoding {
        Encoding::Json if is_partial => {
            // Protobuf's JSON mapping writes a 64-bit number as text.
            let partial = serde_json::json!({"rejectedSpans": rejected.to_string(), "errorMessage": message});
            serde_json::json!({ "partialSuccess": partial }).to_string().into_bytes()
        }
        Encoding::Json => b"{}".to_vec(),
        Encoding::Protobuf if is_partial => {
            let (mut partial, mut response) = (Vec::new(), Vec::new());
            number(&mut partial, 1, rejected);
            bytes(&mut partial, 2, message.as_bytes());
            bytes(&mut response, 1, &partial);
            response
        }
        Encoding::Protobuf => Vec::new(),
    }
}

/// Reads the body of a 200: an `ExportTraceServiceResponse`, or that of log records or metrics. In protobuf, an empty body is one. In JSON, a message
/// without `partialSuccess` must be empty, so that the JSON of another kind of service is not accepted. Unknown fields are ignored otherwise, and a
/// negative number of rejected records means none.
///
/// # Errors
/// The body is not such a message, so it confirms nothing.
pub fn read_success(encoding: Encoding, body: &[u8]) -> Result<Receipt<'_>, Malformed> {
    match encoding {
        Encoding::Json => from_json(body),
        Encoding::Protobuf => Ok(from_protobuf(body)?),
    }
}

/// The body of a 4xx or 5xx: a `google.rpc.Status` with one of [gRPC's codes](https://grpc.github.io/grpc/core/md_doc_statuscodes.html).
pub fn failure(encoding: Encoding, code: u8, message: &str) -> Vec<u8> {
    match encoding {
        Encoding::Json => serde_json::json!({"code": code, "message": message}).to_string().into_bytes(),
        Encoding::Protobuf => {
            let mut status = Vec::new();
            number(&mut status, 1, code.into());
            bytes(&mut status, 2, message.as_bytes());
            status
        }
    }
}

/// Reads the message of a `google.rpc.Status` in protobuf, the body of a 4xx or 5xx. There is no such reader for JSON, because receivers use many
/// forms of JSON for errors.
///
/// # Errors
/// The body is not such a message.
pub fn read_failure(body: &[u8]) -> Result<Cow<'_, str>, Malformed> {
    let mut message = Cow::Borrowed("");
    for field in fields(body, "status") {
        match field? {
            (1, Field::Number(_)) => {}
            (1, _) => return Err(fault("status.code", TYPE).into()),
            (2, field) => message = text(field, "status.message")?,
            _ => {}
        }
    }
    Ok(message)
}

/// The gRPC code nearest to an HTTP status.
pub const fn code_of(status: u16) -> u8 {
    match status {
        401 => 16,
        403 => 7,
        404 => 5,
        405 | 501 => 12,
        408 | 504 => 4,
        413 | 429 => 8,
        500 => 13,
        502 | 503 => 14,
        _ => 3,
    }
}

fn from_protobuf(body: &[u8]) -> Result<Receipt<'_>, Fault> {
    let mut receipt = Receipt::default();
    for field in fields(body, "the response") {
        let (1, partial) = field? else { continue };
        // If the field is repeated, protobuf merges the messages.
        for field in fields(message_of(partial, "partialSuccess")?, "partialSuccess") {
            match field? {
                (1, Field::Number(rejected)) => receipt.rejected = not_negative(rejected.cast_signed()),
                (1, _) => return Err(fault(REJECTED, TYPE)),
                (2, field) => receipt.message = text(field, MESSAGE)?,
                _ => {}
            }
        }
    }
    Ok(receipt)
}

fn from_json(body: &[u8]) -> Result<Receipt<'_>, Malformed> {
    let json: &RawValue = serde_json::from_slice(body).map_err(Malformed::new)?;
    let json = Raw { field: "the response", json };
    if json.is_null() {
        return Err(json.fault("is not an object").into());
    }
    let (mut partial, mut is_empty) = (None, true);
    object(json, |name, json| {
        is_empty = false;
        if let "partialSuccess" | "partial_success" = name {
            partial = Some(Raw { field: "partialSuccess", json });
        }
    })?;
    let (mut receipt, mut result) = (Receipt::default(), Ok(()));
    match partial {
        None if is_empty => return Ok(receipt),
        None => return Err(json.fault("has no partialSuccess").into()),
        Some(partial) => object(partial, |name, json| match name {
            "rejectedSpans"
            | "rejectedLogRecords"
            | "rejectedDataPoints"
            | "rejected_spans"
            | "rejected_log_records"
            | "rejected_data_points" => {
                store(&mut result, Raw { field: REJECTED, json }.signed().map(not_negative), &mut receipt.rejected);
            }
            "errorMessage" | "error_message" => {
                store(&mut result, Raw { field: MESSAGE, json }.text(), &mut receipt.message);
            }
            _ => {}
        })?,
    }
    result?;
    Ok(receipt)
}

fn not_negative(rejected: i64) -> u64 {
    u64::try_from(rejected).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsPartialSuccess, ExportLogsServiceResponse};
    use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse};
    use proptest::prelude::*;
    use prost::Message;
    use serde_json::json;

    use super::*;

    /// `google.rpc.Status` without its details.
    #[derive(Clone, PartialEq, Message)]
    struct RpcStatus {
        #[prost(int32, tag = "1")]
        code: i32,
        #[prost(string, tag = "2")]
        message: String,
    }

    fn traces(rejected_spans: i64, error_message: &str) -> ExportTraceServiceResponse {
        let partial = ExportTracePartialSuccess { rejected_spans, error_message: error_message.to_owned() };
        ExportTraceServiceResponse { partial_success: Some(partial) }
    }

    fn logs(rejected_log_records: i64, error_message: &str) -> ExportLogsServiceResponse {
        let partial = ExportLogsPartialSuccess { rejected_log_records, error_message: error_message.to_owned() };
        ExportLogsServiceResponse { partial_success: Some(partial) }
    }

    /// The result of prost for a success, in our form.
    fn decoded(body: &[u8]) -> Option<Receipt<'static>> {
        let partial = ExportTraceServiceResponse::decode(body).ok()?.partial_success.unwrap_or_default();
        Some(Receipt { rejected: not_negative(partial.rejected_spans), message: partial.error_message.into() })
    }

    /// Bytes that are often protobuf: fields of low numbers and any wire type, nested or not, and arbitrary bytes.
    fn almost_protobuf() -> impl Strategy<Value = Vec<u8>> {
        let text = prop_oneof![any::<String>().prop_map(String::into_bytes), prop::collection::vec(any::<u8>(), 0..6)];
        let field = prop_oneof![
            (0_u8..5, any::<u64>()).prop_map(|(field, value)| {
                let mut out = vec![field << 3];
                crate::wire::varint(&mut out, value);
                out
            }),
            (0_u8..5, text).prop_map(|(field, text)| {
                let mut out = Vec::new();
                bytes(&mut out, field, &text);
                out
            }),
            prop::collection::vec(any::<u8>(), 0..14),
            prop::collection::vec(0x80_u8.., 8..11),
        ];
        let fields = prop::collection::vec(field, 0..4).prop_map(|fields| fields.concat());
        (fields.clone(), fields, any::<bool>()).prop_map(|(before, inner, nests)| {
            let mut out = before;
            if nests {
                bytes(&mut out, 1, &inner)
            } else {
                out.extend(inner)
            }
            out
        })
    }

    #[test]
    fn json_of_another_service_is_not_a_response() {
        let read = |body: &'static str| read_success(Encoding::Json, body.as_bytes()).ok();
        for body in ["", "[]", "null", "1", r#"{"status":"ok"}"#, r#"{"partialSuccess":1}"#, "{} x", "{"] {
            assert_eq!(read(body), None, "{body}");
        }
        let receipt = |rejected, message: &'static str| Some(Receipt { rejected, message: message.into() });
        for (body, expected) in [
            ("{}", receipt(0, "")),
            (r#"{"partialSuccess":null}"#, receipt(0, "")),
            (r#"{"partialSuccess":{}}"#, receipt(0, "")),
            (r#"{"partialSuccess":{"rejectedSpans":null,"errorMessage":null}}"#, receipt(0, "")),
            (r#"{"partialSuccess":{"rejectedSpans":-1}}"#, receipt(0, "")),
            (r#"{"partialSuccess":{"rejectedSpans":"2","errorMessage":"n\u006f"}}"#, receipt(2, "no")),
            (r#"{"partialSuccess":{"rejectedLogRecords":3,"x":[1]},"x":{}}"#, receipt(3, "")),
            (r#"{"partialSuccess":{"rejectedDataPoints":"4"}}"#, receipt(4, "")),
            (r#"{"partial_success":{"rejected_spans":4,"error_message":"no"}}"#, receipt(4, "no")),
            (r#"{"partial_success":{"rejected_log_records":"5"}}"#, receipt(5, "")),
            (r#"{"partialSuccess":{"rejectedSpans":"x"}}"#, None),
            (r#"{"partialSuccess":{"errorMessage":1}}"#, None),
        ] {
            assert_eq!(read(body), expected, "{body}");
        }
    }

    proptest! {
        #[test]
        fn both_signals_responses_are_read_as_they_were_written(rejected: i64, message: String) {
            let expected = Receipt { rejected: not_negative(rejected), message: message.as_str().into() };
            let (traces, logs) = (traces(rejected, &message), logs(rejected, &message));
            for body in [traces.encode_to_vec(), logs.encode_to_vec()] {
                prop_assert_eq!(&read_success(Encoding::Protobuf, &body).unwrap(), &expected);
            }
            for body in [serde_json::to_vec(&traces).unwrap(), serde_json::to_vec(&logs).unwrap()] {
                prop_assert_eq!(&read_success(Encoding::Json, &body).unwrap(), &expected);
            }
            let snake = json!({"partial_success": {"rejected_spans": rejected, "error_message": message}}).to_string();
            prop_assert_eq!(&read_success(Encoding::Json, snake.as_bytes()).unwrap(), &expected);
        }

        #[test]
        fn a_written_response_is_read_back(rejected in 0..u64::MAX / 2, code: u8, message: String) {
            for encoding in [Encoding::Json, Encoding::Protobuf] {
                let body = success(encoding, rejected, &message);
                let receipt = read_success(encoding, &body).unwrap();
                prop_assert_eq!((receipt.rejected, &*receipt.message), (rejected, &*message));
            }
            let body = failure(Encoding::Protobuf, code, &message);
            prop_assert_eq!(&*read_failure(&body).unwrap(), &*message);
        }

        /// prost also skips groups, which protobuf has deprecated and OTLP does not use.
        #[test]
        fn any_protobuf_is_read_as_prost_reads_it(body in almost_protobuf()) {
            let may_have_group = body.iter().any(|byte| byte & 7 == 3);
            let read = read_success(Encoding::Protobuf, &body).ok();
            prop_assert!(read == decoded(&body) || (read.is_none() && may_have_group), "{:?}", decoded(&body));
            let status = RpcStatus::decode(&*body).ok().map(|status| status.message);
            let read = read_failure(&body).ok().map(Cow::into_owned);
            prop_assert!(read == status || (read.is_none() && may_have_group), "{read:?} {status:?}");
        }

        #[test]
        fn any_bytes_are_a_response_or_malformed(body in prop::collection::vec(any::<u8>(), 0..200)) {
            for encoding in [Encoding::Json, Encoding::Protobuf] {
                drop(read_success(encoding, &body));
            }
            drop(read_failure(&body));
        }

        #[test]
        fn any_json_is_a_response_or_malformed(body in r#"(\{|\}|\[|\]|"|,|:|partialSuccess|rejectedSpans|errorMessage|-?[0-9]|null| ){0,24}"#) {
            drop(read_success(Encoding::Json, body.as_bytes()));
        }
    }
}
