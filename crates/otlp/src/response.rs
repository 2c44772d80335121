//! The [responses](https://opentelemetry.io/docs/specs/otlp/#otlphttp-response) of an OTLP/HTTP receiver, in the encoding of the request.

use crate::encoding::Encoding;
use crate::wire::{bytes, number};

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
