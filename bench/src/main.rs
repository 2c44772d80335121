//! `bench server MODE ADDRESS` serves three activities as JSON with the tracing of MODE; `bench sink` receives its exports.
//! `bench/run` combines them. The modes:
//!
//! - `bare`: actix-web without tracing;
//! - `usual`: tracing-actix-web, tracing-opentelemetry, the SDK's batch processor, opentelemetry-otlp, and a console for events
//!   (`EnvFilter`, JSON), which `ours` has too; `usual-quiet` is the same without the console;
//! - `by-hand`: a span through OpenTelemetry's API, with the same exporter;
//! - `ours`: tracing-actix-web with `telemetry`'s root span, configured by `telemetry`'s own variables;
//! - `no-layer`: tracing-actix-web with `telemetry`'s root span on a registry without a layer, the floor of `ours`;
//! - `follow`: `ours` with `telemetry::api::follow_spans`;
//! - `processor`: `ours` with a span processor that redacts an attribute;
//! - `event`: `ours` with an event of `tracing` in each request;
//! - `span`, `api`, `xray-lite`: `ours` with a child span in each request, made with `tracing`, with OpenTelemetry's API, or as a
//!   subsegment of the crate `xray-lite`.
//!
//! `bench hyper-proxy ADDRESS UPSTREAM` forwards requests from ADDRESS to UPSTREAM, with hyper and hyper-util alone, for `bench/proxy`.
//!
//! `bench spans ADDRESS CONNECTIONS SECONDS` sends OTLP to the viewer, and `bench store STORE FOLDER GROUPS` writes its chunks with an embedded store, both for
//! `bench/viewer`.
//!
//! `bench xray EMITTER TRACES` makes traces for the X-Ray daemon at `AWS_XRAY_DAEMON_ADDRESS`; `bench xray-sink` is its stand-in.

mod activities;
mod features;
mod grpc;
mod hyper;
mod load;
mod server;
mod sink;
mod stores;
mod viewer;
mod xray;

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["server", mode, address] => server::run(mode, address),
        ["load", address, requests] => load::run(address, requests.parse().expect("a number of requests")),
        ["paced", address, rate, seconds] => {
            let number = |text: &str| text.parse().expect("a number");
            load::paced(address, number(rate), number(seconds))
        }
        ["sink", http, udp, behaviour, decodes @ ..] => {
            sink::run(http, udp, behaviour.parse().expect("a behaviour"), decodes == ["decode"])
        }
        ["hyper-proxy", address, upstream] => hyper::run(address, upstream),
        ["xray", emitter, traces] => xray::run(emitter, traces.parse().expect("a number of traces")),
        ["spans", address, connections, seconds] => {
            let number = |text: &str| text.parse().expect("a number");
            viewer::send(address, connections.parse().expect("a number"), number(seconds))
        }
        ["store", store, folder, groups] => {
            stores::run(store, folder.as_ref(), groups.parse().expect("a number of groups"))
        }
        ["xray-sink"] => xray::sink(),
        _ => {
            eprintln!(
                "usage: bench server bare|usual|usual-quiet|by-hand|no-layer|ours|follow|processor|event|span|api|xray-lite ADDRESS | bench load ADDRESS REQUESTS | bench paced ADDRESS RATE SECONDS | bench sink HTTP UDP DELAY_MS|refuses|resets|drips|partial|307|401|429|503 [decode]"
            );
            eprintln!(
                "       bench xray ours|ours-unlike|opentelemetry-aws TRACES | bench xray-sink | bench hyper-proxy ADDRESS UPSTREAM | bench spans ADDRESS CONNECTIONS SECONDS | bench store sqlite|sqlite-rowid|redb|fjall|append FOLDER GROUPS"
            );
            std::process::exit(2);
        }
    }
}
