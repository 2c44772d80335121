//! A worker that processes one message, a `traceparent` on standard input, with three APIs in one trace: `tracing`, OpenTelemetry's, and
//! xray-lite's.

use std::error::Error;
use std::io::stdin;

use http::{HeaderMap, HeaderValue};
use opentelemetry::global;
use opentelemetry::trace::Tracer;
use telemetry::propagation::{Trust, extract};
use telemetry::span::OwnedSpan;
use telemetry::xray_lite::LiteContext;
use xray_lite::{AwsNamespace, Context};

fn main() -> Result<(), Box<dyn Error>> {
    let telemetry = telemetry::Config::from_env()?.install("worker")?;
    let mut traceparent = String::new();
    stdin().read_line(&mut traceparent)?;
    let message = HeaderMap::from_iter([("traceparent".parse()?, HeaderValue::from_str(traceparent.trim())?)]);
    let process = OwnedSpan::continuing("process", &extract(&message, &Trust::ALWAYS, None));
    process.in_scope(parse);
    drop(process);
    telemetry.shutdown();
    Ok(())
}

#[tracing::instrument]
fn parse() {
    global::tracer("payments").in_span("charge", |_| store());
}

fn store() {
    tracing::info_span!("store").in_scope(|| {
        drop(LiteContext::default().enter_subsegment(AwsNamespace::new("S3", "PutObject")));
    });
}
