//! A program without a web framework. A SERVER span continues the trace of an incoming request, and a CLIENT span propagates
//! the trace in the headers of an outgoing one. Opens no socket. Ids are created even without a destination.
//!
//! ```sh
//! cargo run -p cruddur-telemetry --example plain --no-default-features
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::net::{IpAddr, Ipv4Addr};

use http::{HeaderMap, HeaderValue};
use telemetry::http::{ServerRequest, Side, client_span, record_status, server_span};
use telemetry::propagation::{Trust, extract, outgoing};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let telemetry = telemetry::Config::from_env()?.service_version(env!("CARGO_PKG_VERSION")).install("plain")?;
    let mut headers = HeaderMap::new();
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    headers.insert("traceparent", HeaderValue::from_static(traceparent));
    println!("the incoming request has  traceparent: {traceparent}");
    for peer in [Ipv4Addr::LOCALHOST, Ipv4Addr::new(192, 0, 2, 1)] {
        serve(&headers, peer.into());
    }
    telemetry.shutdown();
    Ok(())
}

/// Serves one request of `peer`. With the default trust, the trace of a caller on this machine is continued, and that of any
/// other caller is linked.
fn serve(headers: &HeaderMap, peer: IpAddr) {
    let incoming = extract(headers, &Trust::default(), Some(peer));
    let request = ServerRequest {
        method: "GET",
        route: Some("/reports/{month}"),
        path: "/reports/may",
        query: None,
        scheme: "http",
        host: Some("reports.example"),
        peer: Some(peer),
        peer_port: None,
        client: None,
        user_agent: None,
        version: Some("1.1"),
    };
    let server = server_span(&request, &incoming);
    let client = client_span(&server, "GET", "https", "ledger.example", "/months/may");
    println!("if it comes from {peer}, the outgoing request has");
    for (name, value) in outgoing(&client) {
        println!("  {name}: {value}");
    }
    record_status(&client, Side::Client, 200);
    record_status(&server, Side::Server, 200);
}
