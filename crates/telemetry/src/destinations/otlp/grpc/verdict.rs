//! What became of a batch, by the [status](https://opentelemetry.io/docs/specs/otlp/#failures) of its call.

use std::error::Error;
use std::fmt::Display;
use std::time::Duration;

use bytes::Bytes;
use otlp::Encoding;
use otlp::response::{Receipt, read_success};
use otlp::wire::{Field, Fields};
use rustls::Error as TlsError;
use tonic::{Code, Status};

use super::super::endpoint::{CLOSED, Endpoint};
use super::super::redact::redacted;
use super::channel::NotGrpc;
use crate::explain::fix_for_tls;
use crate::ledger::Reason;
use crate::pipeline::Outcome;

/// The outcome of a batch that was not answered, which may be sent again.
pub(super) fn unreachable(endpoint: &Endpoint, size: usize, why: &str) -> Outcome {
    let mut outcome = Outcome::default();
    outcome.lose(size, Reason::Unreachable, format!("{} did not answer: {why}", endpoint.url));
    outcome.again_after = Some(Duration::ZERO);
    outcome
}

/// The outcome of a batch of this size that was answered.
pub(super) fn judge(endpoint: &Endpoint, size: usize, answered: Result<Bytes, Status>) -> Outcome {
    match answered {
        Ok(response) => accepted(endpoint, size, &response),
        Err(status) if is_other_success(&status) => unconfirmed(endpoint, size, &NotGrpc),
        Err(status) => match unanswered(&status) {
            Some(why) => unreachable(endpoint, size, &why),
            None => refused(endpoint, size, &status),
        },
    }
}

fn accepted(endpoint: &Endpoint, size: usize, response: &[u8]) -> Outcome {
    let mut outcome = Outcome::default();
    let url = &endpoint.url;
    let redacted = |message: &str| redacted(endpoint.secrets(), message);
    match read_success(Encoding::Protobuf, response) {
        Ok(Receipt { rejected, message }) if rejected > 0 => {
            let rejected = usize::try_from(rejected).unwrap_or(usize::MAX).min(size);
            outcome.lose(rejected, Reason::Refused, format!("{url} took a part{}", redacted(&message)));
        }
        Ok(Receipt { message, .. }) if !message.is_empty() => {
            outcome.warning = Some(format!("{url} took all, with a warning{}", redacted(&message)));
        }
        Ok(_) => {}
        Err(_) => return unconfirmed(endpoint, size, &"what is no response of OTLP"),
    }
    outcome
}

/// The outcome of a batch that a server may have accepted.
fn unconfirmed(endpoint: &Endpoint, size: usize, what: &dyn Display) -> Outcome {
    let mut outcome = Outcome::default();
    let fix = "does it receive OTLP over gRPC?";
    outcome.lose(size, Reason::Unconfirmed, format!("{} answered with {what}; {fix}", endpoint.url));
    outcome
}

fn is_other_success(status: &Status) -> bool {
    status.source().is_some_and(|cause| cause.is::<NotGrpc>())
}

fn refused(endpoint: &Endpoint, size: usize, status: &Status) -> Outcome {
    let mut outcome = Outcome::default();
    let (url, code) = (&endpoint.url, status.code());
    let words = redacted(endpoint.secrets(), status.message());
    let fix = if code == Code::Unimplemented { "; does it receive OTLP over gRPC?" } else { "" };
    // The limit of a message in Go's and Java's servers.
    let is_too_large = code == Code::ResourceExhausted && status.message().contains("larger than max");
    let reason = if is_too_large { Reason::TooLarge } else { Reason::Refused };
    outcome.lose(size, reason, format!("{url} answered {code:?}{words}{fix}"));
    outcome.again_after = again_after(status);
    if matches!(code, Code::Unauthenticated | Code::PermissionDenied) {
        outcome.closed_for = Some(CLOSED);
    }
    outcome
}

/// When the same batch may be sent again, if it may.
fn again_after(status: &Status) -> Option<Duration> {
    let requested = retry_delay(status.details());
    match status.code() {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => Some(requested.unwrap_or_default()),
        // Only a server that names a delay can recover.
        Code::ResourceExhausted => requested,
        _ => None,
    }
}

/// The delay of a `google.rpc.RetryInfo` among the details of a `google.rpc.Status`.
fn retry_delay(details: &[u8]) -> Option<Duration> {
    let anys = Fields(details).filter_map(|field| match field {
        (3, Field::Bytes(any)) => Some(any),
        _ => None,
    });
    anys.filter(|any| message(any, 1).is_some_and(|name| name.ends_with(b"google.rpc.RetryInfo")))
        .find_map(|any| duration(message(message(any, 2)?, 1)?))
}

/// A `google.protobuf.Duration` of at most a day.
fn duration(encoded: &[u8]) -> Option<Duration> {
    let (mut seconds, mut nanoseconds) = (0, 0);
    for field in Fields(encoded) {
        match field {
            (1, Field::Number(number)) => seconds = number,
            (2, Field::Number(number)) => nanoseconds = number,
            _ => {}
        }
    }
    // A negative number is a very large one on the wire.
    let is_delay = seconds <= 24 * 60 * 60 && nanoseconds < 1_000_000_000;
    is_delay.then(|| Duration::from_secs(seconds) + Duration::from_nanos(nanoseconds))
}

/// The field `number` of a message, if it is a text or a message.
fn message(of: &[u8], number: u64) -> Option<&[u8]> {
    Fields(of).find_map(|field| match field {
        (found, Field::Bytes(bytes)) if found == number => Some(bytes),
        _ => None,
    })
}

/// Why a call had no answer of the server's, if it had none: the status is then the client's own.
fn unanswered(status: &Status) -> Option<String> {
    let mut cause: &dyn Error = status.source()?;
    let mut tls = None;
    loop {
        let inner = cause.downcast_ref::<std::io::Error>().and_then(|error| error.get_ref());
        tls = tls.or_else(|| inner?.downcast_ref::<TlsError>()).or_else(|| cause.downcast_ref());
        match cause.source() {
            Some(source) => cause = source,
            None => break,
        }
    }
    let fix = tls.map_or("is it running there, and does it receive OTLP over gRPC, usually at port 4317?", fix_for_tls);
    Some(format!("{cause}; {fix}"))
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse};
    use proptest::prelude::*;
    use prost::Message;

    use super::*;
    use crate::address::Url;
    use crate::destinations::otlp::endpoint::Protocol;

    fn judged(answered: Result<Bytes, Status>) -> Outcome {
        let endpoint = Endpoint::plain(Url::of("http://collector:4317"), false, Protocol::Grpc);
        judge(&endpoint, 5, answered)
    }

    /// The details of a status that asks for a pause.
    fn retry_info(seconds: i64, nanos: i32) -> Bytes {
        let delay = prost_encoded(&[(1, seconds), (2, nanos.into())]);
        let info = nested(1, &delay);
        let any = [nested(1, b"type.googleapis.com/google.rpc.RetryInfo"), nested(2, &info)].concat();
        [vec![0x08, 8], nested(2, b"slow down"), nested(3, &any)].concat().into()
    }

    fn prost_encoded(numbers: &[(u32, i64)]) -> Vec<u8> {
        let mut encoded = Vec::new();
        for (field, number) in numbers {
            prost::encoding::int64::encode(*field, number, &mut encoded);
        }
        encoded
    }

    fn nested(field: u32, payload: &[u8]) -> Vec<u8> {
        let mut encoded = Vec::new();
        prost::encoding::bytes::encode(field, &payload.to_vec(), &mut encoded);
        encoded
    }

    #[test]
    fn a_refusal_is_repeated_only_if_the_specification_says_so() {
        use Code::*;
        for code in [Cancelled, DeadlineExceeded, Aborted, OutOfRange, Unavailable, DataLoss] {
            let outcome = judged(Err(Status::new(code, "later")));
            assert_eq!((outcome.again_after, outcome.closed_for), (Some(Duration::ZERO), None), "{code:?}");
            assert_eq!(outcome.dropped.into_iter().collect::<Vec<_>>(), [(Reason::Refused, 5)]);
        }
        for code in [Unknown, InvalidArgument, NotFound, AlreadyExists, FailedPrecondition, Internal, ResourceExhausted]
        {
            let outcome = judged(Err(Status::new(code, "no")));
            assert_eq!((outcome.again_after, outcome.closed_for), (None, None), "{code:?}");
        }
        for code in [Unauthenticated, PermissionDenied] {
            let outcome = judged(Err(Status::new(code, "no")));
            assert_eq!((outcome.again_after, outcome.closed_for), (None, Some(CLOSED)), "{code:?}");
        }
        let why = judged(Err(Status::new(Unimplemented, "unknown service"))).error.unwrap();
        assert!(why.ends_with("Unimplemented: unknown service; does it receive OTLP over gRPC?"), "{why}");
        let limit = "grpc: received message larger than max (5000000 vs. 4194304)";
        let outcome = judged(Err(Status::new(ResourceExhausted, limit)));
        assert_eq!(outcome.dropped.into_iter().collect::<Vec<_>>(), [(Reason::TooLarge, 5)]);
    }

    #[test]
    fn a_requested_pause_is_kept() {
        let again = |code, seconds, nanos| {
            let status = Status::with_details(code, "slow down", retry_info(seconds, nanos));
            judged(Err(status)).again_after
        };
        assert_eq!(again(Code::ResourceExhausted, 3, 500_000_000), Some(Duration::from_millis(3_500)));
        assert_eq!(again(Code::Unavailable, 2, 0), Some(Duration::from_secs(2)));
        assert_eq!(again(Code::Internal, 2, 0), None);
        assert_eq!(again(Code::ResourceExhausted, -1, 0), None, "no delay at all");
        assert_eq!(again(Code::Unavailable, i64::MAX, 0), Some(Duration::ZERO), "no delay at all");
    }

    #[test]
    fn a_part_may_be_rejected() {
        let response = |rejected_spans, message: &str| {
            let partial = ExportTracePartialSuccess { rejected_spans, error_message: message.to_owned() };
            ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec()
        };
        let outcome = judged(Ok(response(2, "too old").into()));
        assert_eq!(outcome.dropped.into_iter().collect::<Vec<_>>(), [(Reason::Refused, 2)]);
        assert!(outcome.error.unwrap().ends_with("took a part: too old"));
        let outcome = judged(Ok(response(0, "nearly full").into()));
        assert!(outcome.dropped.is_empty() && outcome.warning.unwrap().ends_with("with a warning: nearly full"));
        assert!(judged(Ok(Bytes::new())).dropped.is_empty());
        let outcome = judged(Ok(Bytes::from_static(b"<html>")));
        assert_eq!(outcome.dropped.into_iter().collect::<Vec<_>>(), [(Reason::Unconfirmed, 5)]);
    }

    proptest! {
        #[test]
        fn reading_any_details_ends(details in proptest::collection::vec(any::<u8>(), 0..200)) {
            retry_delay(&details);
        }
    }
}
