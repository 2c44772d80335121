//! Helpers that unit tests share.

#[cfg(any(feature = "sqlx", feature = "tower"))]
pub(crate) mod runtime;
#[cfg(any(feature = "reqwest", all(feature = "awc", feature = "tower")))]
pub(crate) mod servers;
#[cfg(feature = "tower")]
pub(crate) mod traces;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry::trace::{SpanId, TraceFlags, TraceId};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use settings::Settings;
use tracing::Dispatch;
use tracing_subscriber::Registry;
use tracing_subscriber::layer::SubscriberExt;

use crate::console::Console;
use crate::context::SpanIds;
use crate::ledger::RecordKind;
use crate::limits::Limits;
use crate::pipeline::{self, DestinationLabel, Exporter, Outcome, Pace, Queue, Record};
use crate::span::layer::Layer;
use crate::span::levels::SpanLevels;
use crate::span::recorder::Recorder;
use crate::span::sampler::Sampler;
use crate::span::{Parent, Recording};

/// A span that starts at a known time and lasts a quarter of a second.
pub(crate) struct Made(pub(crate) Box<Recording>);

/// When these spans start, in nanoseconds since 1970.
const START: u64 = 1_700_000_000_000_000_000;

/// The root of its trace, without attributes.
pub(crate) fn span(name: &'static str) -> Made {
    below(name, 0x5399_5c3f_42cd_8ad8, None)
}

/// A span whose parent is span 0707…07, of another process if it is `remote`.
pub(crate) fn child(remote: bool) -> Made {
    below("test", 0x5399_5c3f_42cd_8ad8, Some(Parent { id: SpanId::from_bytes([7; 8]), remote }))
}

/// A span of the same trace below another of this process, or a root.
pub(crate) fn within(parent: Option<u64>, id: u64) -> Made {
    below("test", id, parent.map(|id| Parent { id: SpanId::from_bytes(id.to_be_bytes()), remote: false }))
}

fn below(name: &'static str, id: u64, parent: Option<Parent>) -> Made {
    let trace = TraceId::from_bytes(0x5759_e988_bd86_2e3f_e1be_46a9_9427_2793_u128.to_be_bytes());
    let id = SpanId::from_bytes(id.to_be_bytes());
    let ids = SpanIds::local(trace, id, TraceFlags::SAMPLED);
    Made(Recording::start(name, ids, None, parent, START, Limits::default()))
}

impl Made {
    pub(crate) fn with(mut self, record: impl FnOnce(&mut Recording)) -> Self {
        record(&mut self.0);
        self
    }

    pub(crate) fn record(self) -> Record {
        self.0.finish(START + 250_000_000)
    }
}

/// The spans that end while `run` runs under a layer with these settings, and the log records if `logs` is set.
pub(crate) fn recorded(sampler: Sampler, limits: Limits, logs: bool, run: impl FnOnce()) -> Recorded {
    recorded_by(|recorder| Recorder { sampler, limits, ..recorder }, logs, run)
}

/// The same under a layer whose recorder `set` configures.
pub(crate) fn recorded_by(set: impl FnOnce(Recorder) -> Recorder, logs: bool, run: impl FnOnce()) -> Recorded {
    let compose = |recorder, console| Registry::default().with(Layer::alone(set(recorder), console)).into();
    recorded_under(compose, logs, "info", run)
}

/// The spans that end while `run` runs under the subscriber that `compose` makes with a layer.
pub(crate) fn recorded_in(compose: impl FnOnce(Layer) -> Dispatch, run: impl FnOnce()) -> Vec<Span> {
    recorded_under(|recorder, console| compose(Layer::beside_others(recorder, console)), false, "info", run).spans
}

/// The spans and the log records that end while `run` runs under the subscriber that `compose` makes. `levels` are those of
/// `RUST_LOG`.
pub(crate) fn recorded_under(
    compose: impl FnOnce(Recorder, Console) -> Dispatch,
    logs: bool,
    levels: &str,
    run: impl FnOnce(),
) -> Recorded {
    let (spans, records) = (CollectedRecords::default(), CollectedRecords::default());
    let queue = |collector: &CollectedRecords| {
        let collector = collector.clone();
        Queue::start(test_label(), Pace { flights: 1, ..Pace::default() }, move || collector.clone()).unwrap()
    };
    let queues = vec![queue(&spans)];
    let logs = if logs { vec![queue(&records)] } else { Vec::new() };
    let all: Vec<_> = queues.iter().chain(&logs).cloned().collect();
    let console = Console::read(&mut Settings::from_pairs(&[("RUST_LOG", levels)])).silent();
    let (sampler, limits, levels) = (Sampler::default(), Limits::default(), SpanLevels::default());
    let recorder = Recorder { sampler, limits, queues, logs, levels, disabled: false, processors: Vec::new() };
    let dispatch = compose(recorder, console);
    tracing::dispatcher::with_default(&dispatch, run);
    pipeline::close(all.iter(), Duration::from_secs(60));
    Recorded { spans: spans.decoded(), logs: records.decoded() }
}

pub(crate) fn test_label() -> DestinationLabel {
    DestinationLabel { name: "test".to_owned(), kind: "test", records: RecordKind::Span, endpoint: String::new() }
}

/// The encoding of the one span that ends while `run` runs.
pub(crate) fn recorded_one(run: impl FnOnce()) -> Record {
    let recorded = recorded(Sampler::default(), Limits::default(), false, run);
    let [span] = recorded.spans.as_slice() else { panic!("{:?}", recorded.spans) };
    span.encode_to_vec().into()
}

/// The recorded spans and log records, in the order in which they ended.
pub(crate) struct Recorded {
    pub(crate) spans: Vec<Span>,
    pub(crate) logs: Vec<LogRecord>,
}

#[derive(Clone, Default)]
struct CollectedRecords(Arc<Mutex<Vec<Record>>>);

impl CollectedRecords {
    fn decoded<M: Message + Default>(&self) -> Vec<M> {
        self.0.lock().unwrap().iter().map(|record| M::decode(&**record).unwrap()).collect()
    }
}

impl Exporter for CollectedRecords {
    fn export(&mut self, batch: &[Record]) -> Outcome {
        self.0.lock().unwrap().extend_from_slice(batch);
        Outcome::default()
    }
}

/// The text of an attribute, or its number as text.
pub(crate) fn attribute(attributes: &[KeyValue], key: &str) -> Option<String> {
    let value = attributes.iter().find(|attribute| attribute.key == key)?.value.as_ref()?.value.as_ref()?;
    Some(match value {
        Any::StringValue(text) => text.clone(),
        Any::IntValue(number) => number.to_string(),
        Any::BoolValue(flag) => flag.to_string(),
        other => format!("{other:?}"),
    })
}

/// An endpoint that responds to each request, given its head in lower case, with a status line and a body.
#[cfg(feature = "honeycomb")]
pub(crate) fn endpoint(answer: impl Fn(&str) -> (&'static str, String) + Send + 'static) -> crate::address::Url {
    use std::io::{Read, Write};

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v4/id", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|count| count > 0) {
                head.extend(byte);
            }
            let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
            // If a connection is closed with unread bytes, it is reset, and its response may be lost.
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            let _ = std::io::copy(&mut (&stream).take(length.unwrap_or(0)), &mut std::io::sink());
            let (status, body) = answer(&head);
            let length = body.len();
            let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
            // A client that has read enough closes the connection.
            let _ = stream.write_all((head + &body).as_bytes());
        }
    });
    url.parse().unwrap()
}
