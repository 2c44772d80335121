//! Sends OTLP/HTTP to X-Ray's own endpoint. Every attempt of every request is [signed](sign) with AWS credentials. A span that
//! is larger than X-Ray accepts is dropped and counted. The bounds of a batch keep a request within X-Ray's own limits. No
//! error contains credentials, even if X-Ray repeats parts of a request.
//!
//! The limits: [X-Ray's OTLP
//! endpoint](https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch-OTLPEndpoint.html).

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::cache::CredentialsCache;
use super::settings::{XRAY_OTLP, XrayOtlp};
use super::sign::{SigningScope, sign};
use crate::destinations::destination::{Queues, Start};
use crate::destinations::otlp::endpoint::{Endpoint, Protocol, Signal};
use crate::destinations::otlp::exporter::{OtlpExporter, label};
use crate::ledger::Reason;
use crate::pipeline::{Exporter, Outcome, Pace, Queue, Record};

/// The service that requests are signed for.
const SERVICE: &str = "xray";
/// The most bytes of one span.
const SPAN: usize = 200_000;
/// The most spans of one request.
const SPANS: usize = 10_000;

/// Starts the exporters, which share one cache of credentials.
pub(super) fn start(to: &XrayOtlp, start: &Start<'_>) -> io::Result<Queues> {
    let (endpoint, signer) = (to.endpoint.clone(), Arc::new(Signer::new(to)));
    let resource = start.resource.encoding().to_vec();
    let (pace, label) = (pace(start.pace, &endpoint), label(XRAY_OTLP.name, Signal::Traces, &endpoint));
    let make = move || XrayOtlpExporter::new(endpoint.clone(), Arc::clone(&signer), &resource);
    let spans = Queue::start(label, pace, make)?;
    Ok(Queues { spans: Some(spans), ..Queues::default() })
}

/// Sends batches of spans to X-Ray.
pub(super) struct XrayOtlpExporter {
    otlp: OtlpExporter,
    signer: Arc<Signer>,
}

/// Signs requests for a region with the credentials of one source, which all workers share.
pub(super) struct Signer {
    region: String,
    credentials: CredentialsCache,
}

/// The most that X-Ray accepts in one request: 5 MB and 10,000 spans.
pub(super) fn pace(pace: Pace, endpoint: &Endpoint) -> Pace {
    // Spans in JSON are up to five times as long.
    let part = if endpoint.protocol == Protocol::Json { 2 } else { 1 };
    Pace { batch: pace.batch.min(SPANS), batch_bytes: pace.batch_bytes / part, ..pace }
}

impl Signer {
    pub(super) fn new(to: &XrayOtlp) -> Self {
        Self { region: to.region.clone(), credentials: CredentialsCache::new(to.source.clone()) }
    }

    /// The current credentials, as text for the operator.
    pub(super) fn credentials(&self) -> Result<String, String> {
        self.credentials.get().map(|credentials| credentials.to_string())
    }
}

impl XrayOtlpExporter {
    pub(super) fn new(endpoint: Endpoint, signer: Arc<Signer>, resource: &[u8]) -> Self {
        Self { otlp: OtlpExporter::new(endpoint, Signal::Traces, resource).or_json(), signer }
    }
}

impl Exporter for XrayOtlpExporter {
    fn export(&mut self, batch: &[Record]) -> Outcome {
        let fits = |record: &&Record| record.len() <= SPAN;
        let too_large = batch.len() - batch.iter().filter(fits).count();
        if too_large == 0 {
            return self.send(batch);
        }
        let fitting: Vec<Record> = batch.iter().filter(fits).cloned().collect();
        let mut outcome = if fitting.is_empty() { Outcome::default() } else { self.send(&fitting) };
        let error = outcome.error.take();
        outcome.lose(too_large, Reason::TooLarge, format!("a span is larger than the {SPAN} bytes that X-Ray accepts"));
        outcome.error = error.or(outcome.error);
        outcome
    }
}

impl XrayOtlpExporter {
    fn send(&mut self, batch: &[Record]) -> Outcome {
        let credentials = match self.signer.credentials.get() {
            Ok(credentials) => credentials,
            Err(why) => {
                let mut outcome = Outcome::default();
                outcome.lose(batch.len(), Reason::Unreachable, format!("cannot sign requests: no credentials: {why}"));
                // The source may provide credentials at the next attempt.
                outcome.again_after = Some(Duration::ZERO);
                return outcome;
            }
        };
        let scope = SigningScope { region: &self.signer.region, service: SERVICE, time: SystemTime::now() };
        let mut outcome = self.otlp.send(batch, |request| sign(&credentials, &scope, request));
        if outcome.closed_for.is_some() {
            // The credentials may be expired or revoked, and the source may already have new ones.
            self.signer.credentials.forget();
        }
        if let Some(error) = outcome.error.as_mut().filter(|error| is_about_time(error)) {
            error.push_str("; this machine's clock is wrong: set it, by NTP for example");
        }
        outcome
    }
}

/// Whether AWS refused a request because of the time in its signature, which AWS words in several ways. An expired session is a
/// different error.
fn is_about_time(error: &str) -> bool {
    ["Signature expired", "Signature not yet current", "RequestTimeTooSkewed", "RequestExpired"]
        .iter()
        .any(|words| error.contains(words))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn to(url: &str) -> XrayOtlp {
        super::super::tests::on(&[&[
            ("AWS_XRAY_OTLP_ENDPOINT", url),
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "canary"),
        ]])
    }

    #[test]
    fn a_span_that_is_too_large_is_dropped_alone() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let to = to(&format!("http://{free}"));
        let mut exporter = XrayOtlpExporter::new(to.endpoint.clone(), Arc::new(Signer::new(&to)), &[]);
        let batch = [Record::from([0; 10]), Record::from(vec![0; SPAN + 1]), Record::from(vec![0; SPAN])];
        let outcome = exporter.export(&batch);
        assert_eq!(outcome.dropped.into_iter().collect::<Vec<_>>(), [(Reason::Unreachable, 2), (Reason::TooLarge, 1)]);
        assert!(outcome.again_after.is_some() && outcome.error.unwrap().contains("did not respond"));
        let outcome = exporter.export(&batch[1..2]);
        assert_eq!(outcome.dropped.into_iter().collect::<Vec<_>>(), [(Reason::TooLarge, 1)]);
        assert!(outcome.again_after.is_none() && outcome.error.unwrap().contains("200000 bytes"));
    }

    #[test]
    fn a_request_stays_within_x_rays_bounds() {
        let endpoint = to("http://127.0.0.1:1").endpoint;
        let large = Pace { batch: 30_000, ..Pace::default() };
        let json = Endpoint { protocol: Protocol::Json, ..endpoint.clone() };
        assert_eq!(pace(large, &endpoint).batch, 10_000);
        assert_eq!(pace(Pace::default(), &endpoint).batch, 2_048);
        assert!(pace(large, &endpoint).batch_bytes <= 5_000_000 && pace(large, &json).batch_bytes * 5 <= 5_000_000);
    }

    #[test]
    fn an_expired_session_is_not_a_wrong_clock() {
        assert!(is_about_time(
            "responded 403: InvalidSignatureException: Signature expired: 20150830T123600Z is now earlier"
        ));
        assert!(!is_about_time(
            "responded 403: ExpiredTokenException: The security token included in the request is expired"
        ));
    }
}
