//! Sends bursts of spans to a receiver that has the X-Ray daemon's socket buffer. Runs in a separate process, because telemetry
//! can be installed only once in a process.

#![expect(clippy::unwrap_used, reason = "the whole crate is a test")]

use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::thread;
use std::time::Duration;

use settings::Settings;
use telemetry::Config;
use telemetry::http::{ServerRequest, server_span};
use telemetry::propagation::Incoming;

const BURST: usize = 512;
const HEADER: &[u8] = b"{\"format\": \"json\", \"version\": 1}\n";

/// Three times, 512 requests end together, and then 512 calls within one request: every span arrives. Like the daemon, the
/// receiver has the kernel's default socket buffer. It starts to read when the whole burst has been created.
#[test]
fn a_burst_of_512_spans_reaches_a_daemon_whole() {
    // Compiles the schema now, and not while the receiver should read.
    assert!(xray_schema::read(b"{}").is_err());
    let daemon = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut settings = Settings::from_pairs(&[
        ("AWS_XRAY_DAEMON_ADDRESS", &daemon.local_addr().unwrap().to_string()),
        ("RUST_LOG", "off"),
    ]);
    let config = Config::read(&mut settings);
    let telemetry = settings.finish(config).unwrap().install("burst").unwrap();
    let mut made = 0;
    for _ in 0..3 {
        for children in [0, BURST] {
            let mut expected = BURST;
            if children == 0 {
                let requests: Vec<_> = (0..BURST).map(|_| request()).collect();
                drop(requests);
            } else {
                expected += 1;
                let request = request();
                let calls: Vec<_> =
                    (0..children).map(|_| tracing::info_span!(parent: &request, "call", rows = 3)).collect();
                drop((calls, request));
            }
            made += expected as u64;
            let arrived = thread::scope(|scope| scope.spawn(|| receive(&daemon, expected)).join().unwrap());
            assert_eq!(arrived.len(), expected, "{}", telemetry.ledger());
        }
    }
    let ledger = telemetry.shutdown();
    assert_eq!((ledger.destinations[0].created, ledger.destinations[0].delivered), (made, made));
}

fn request() -> tracing::Span {
    let request = ServerRequest {
        method: "GET",
        route: Some("/api/activities/{uuid}"),
        path: "/api/activities/0197",
        query: None,
        scheme: "http",
        host: Some("127.0.0.1:4567"),
        peer: None,
        peer_port: None,
        client: None,
        user_agent: Some("a browser"),
        version: Some("1.1"),
    };
    server_span(&request, &Incoming::default())
}

/// The ids of the spans that arrive, until there are `expected` ones or no more arrive.
fn receive(daemon: &UdpSocket, expected: usize) -> BTreeSet<String> {
    daemon.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let (mut buffer, mut ids) = (vec![0; 65_536], BTreeSet::new());
    while ids.len() < expected {
        let Ok(length) = daemon.recv(&mut buffer) else { break };
        let document = xray_schema::document(buffer[..length].strip_prefix(HEADER).unwrap());
        let mut open = vec![&document];
        while let Some(one) = open.pop() {
            ids.insert(one["id"].as_str().unwrap().to_owned());
            open.extend(one["subsegments"].as_array().into_iter().flatten());
        }
    }
    ids
}
