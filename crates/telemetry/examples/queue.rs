//! A queue of messages. Each message carries the context of the span that sent it. One message is processed in its sender's trace;
//! the others are processed as a batch, in one span with a link to each sender. Opens no socket.
//!
//! ```sh
//! cargo run -p cruddur-telemetry --example queue --no-default-features
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::VecDeque;
use std::error::Error;

use http::{HeaderMap, HeaderName, HeaderValue};
use telemetry::propagation::{Trust, extract, outgoing};
use telemetry::span::{OwnedSpan, SpanExt, SpanKind};

const QUEUE: &str = "mail";

struct Message {
    headers: HeaderMap,
    to: &'static str,
}

fn main() -> Result<(), Box<dyn Error>> {
    let telemetry = telemetry::Config::from_env()?.service_version(env!("CARGO_PKG_VERSION")).install("mailer")?;
    check()?;
    telemetry.shutdown();
    Ok(())
}

/// Sends three messages, and processes the first alone and the others together.
pub(crate) fn check() -> Result<(), Box<dyn Error>> {
    let mut queue: VecDeque<_> = ["ada", "grace", "edsger"].map(send).into_iter().collect::<Result<_, _>>()?;
    if let Some(message) = queue.pop_front() {
        process(&message);
    }
    process_batch(queue.make_contiguous());
    Ok(())
}

fn send(to: &'static str) -> Result<Message, Box<dyn Error>> {
    let span = OwnedSpan::within_current("send mail", |span| {
        span.kind(SpanKind::Producer);
        span.set("messaging.destination.name", QUEUE);
        span.set("messaging.operation.type", "send");
    });
    let mut headers = HeaderMap::new();
    for (name, value) in outgoing(&span) {
        headers.insert(HeaderName::from_static(name), HeaderValue::try_from(value)?);
    }
    Ok(Message { headers, to })
}

/// The sender's trace goes on. Everyone who can write to the queue is trusted here.
fn process(message: &Message) {
    let span = OwnedSpan::continuing("process mail", &extract(&message.headers, &Trust::ALWAYS, None));
    span.set("messaging.destination.name", QUEUE);
    span.set("messaging.operation.type", "process");
    span.in_scope(|| println!("to {}", message.to));
}

/// A span has one parent, so a batch has a span of its own, which is linked to the senders.
fn process_batch(messages: &[Message]) {
    let span = OwnedSpan::within_current("process mail", |span| {
        span.kind(SpanKind::Consumer);
        span.set("messaging.destination.name", QUEUE);
        span.set("messaging.operation.type", "process");
        span.set("messaging.batch.message_count", messages.len());
    });
    for message in messages {
        if let Some(sender) = extract(&message.headers, &Trust::ALWAYS, None).span_context() {
            span.link(sender);
        }
    }
    span.in_scope(|| messages.iter().for_each(|message| println!("to {}", message.to)));
}
