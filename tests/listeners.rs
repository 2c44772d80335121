//! Test 15 of the guarantees: at every listener, compressed bodies that expand, slow bodies, and clients that read slowly use
//! bounded memory and hold no permit for long. `crates/listener` tests each deadline; `slow_clients` tests the proxy's.

use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use backend::{Faults, Store};
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder};
use serde_json::json;
use settings::Settings;

use crate::support::cruddur::Cruddur;
use crate::support::http::{Answer, JSON};
use crate::support::{DEADLINE, Folder, eventually, http, raw};

/// Bodies sent together.
const AT_ONCE: usize = 40;
/// The most memory that they may use in all, in KiB. Decompressed whole they would be 2.4 GB.
const MEMORY: u64 = 64 * 1024;

const SAME: (&str, &str) = ("sec-fetch-site", "same-origin");

pub(crate) fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// The statuses of requests that are sent together, each on its own connection.
fn at_once(url: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u16> {
    thread::scope(|scope| {
        let send = || http::send(url, headers, body).status;
        let requests: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(send)).collect();
        requests.into_iter().map(|request| request.join().unwrap()).collect()
    })
}

#[test]
fn inflating_bodies_take_little_memory_at_every_listener() {
    let folder = Folder::new();
    let data = [("CRUDDUR_DATA", folder.path().to_str().unwrap())];
    let backend = Cruddur::service("backend", &data);
    let viewer = Cruddur::service("trace-viewer", &[]);
    let proxy = Cruddur::service("frontend-proxy", &[]);
    let bomb = gzip(&vec![b' '; 60 * 1024 * 1024]);
    assert!(bomb.len() < 64 * 1024);
    for (process, url, status) in [
        (&backend, format!("{}/api/auth/signin", backend.backend), 415),
        (&viewer, format!("{}/v1/traces", viewer.viewer), 413),
        (&viewer, format!("http://{}/SamplingTargets", viewer.xray), 413),
        (&proxy, format!("{}/v1/traces", proxy.page), 413),
    ] {
        let before = process.peak_memory();
        let statuses = at_once(&url, &[JSON, SAME, ("content-encoding", "gzip")], &bomb);
        let growth = process.peak_memory() - before;
        assert_eq!(statuses, [status; AT_ONCE], "{url}");
        assert!(growth < MEMORY, "{url}: {growth} KiB more");
    }
}

/// How a gzip-only listener treats other encodings, and gzip that is more or less than one complete file.
fn accepts_only_gzip(good: &[u8], send: impl Fn(&[(&str, &str)], &[u8]) -> Answer) {
    let (one, two) = good.split_at(good.len() / 2);
    let members = [gzip(one), gzip(b""), gzip(two)].concat();
    for encoding in ["gzip", "GZip", "x-gzip", "identity, gzip"] {
        assert_eq!(send(&[("content-encoding", encoding)], &members).status, 200, "{encoding}");
    }
    for encoding in ["", "identity", "Identity"] {
        assert_eq!(send(&[("content-encoding", encoding)], good).status, 200, "{encoding:?}");
    }
    let mut deflated = DeflateEncoder::new(Vec::new(), Compression::best());
    deflated.write_all(good).unwrap();
    let deflated = deflated.finish().unwrap();
    let twice = gzip(&gzip(good));
    for (encoding, body) in [("deflate", &deflated), ("gzip, gzip", &twice), ("br", &twice), ("zstd", &twice)] {
        let answer = send(&[("content-encoding", encoding)], body);
        assert_eq!((answer.status, answer.header("accept-encoding")), (415, "gzip"), "{encoding}");
    }
    assert_eq!(send(&[("content-encoding", "gzip"), ("content-encoding", "gzip")], &twice).status, 415);
    for body in [&members[..members.len() - 1], &[&members[..], b"garbage"].concat(), good, b"", &twice] {
        assert_eq!(send(&[("content-encoding", "gzip")], body).status, 400, "{}", body.escape_ascii());
    }
}

#[test]
fn the_viewer_the_rules_port_and_the_relay_accept_only_gzip() {
    let viewer = Cruddur::service("trace-viewer", &[]);
    let proxy = Cruddur::service("frontend-proxy", &[]);
    let rules = format!("http://{}/SamplingTargets", viewer.xray);
    for (url, good) in [
        (format!("{}/v1/traces", viewer.viewer), json!({"resourceSpans": []})),
        (rules, json!({"SamplingStatisticsDocuments": []})),
        (format!("{}/v1/traces", proxy.page), json!({"resourceSpans": []})),
    ] {
        let good = good.to_string();
        accepts_only_gzip(good.as_bytes(), |headers, body| http::send(&url, &[&[JSON, SAME], headers].concat(), body));
    }
}

/// Asserts that a kept connection is closed if its next head never ends.
fn is_given_up(address: &str, request: &str) {
    let stream = raw::connect(address);
    (&stream).write_all(request.as_bytes()).unwrap();
    let mut reader = BufReader::new(&stream);
    assert!(raw::answer(&mut reader).is_some(), "{address}");
    (&stream).write_all(b"G").unwrap();
    assert_eq!(reader.read_to_end(&mut Vec::new()).map_err(|error| error.kind()), Ok(0), "{address}");
}

#[test]
fn each_service_closes_a_connection_with_an_endless_later_head() {
    let folder = Folder::new();
    let data = [("CRUDDUR_DATA", folder.path().to_str().unwrap())];
    let backend = Cruddur::service("backend", &data);
    let viewer = Cruddur::service("trace-viewer", &[]);
    let rules = format!("http://{}", viewer.xray);
    thread::scope(|scope| {
        for (address, path) in
            [(&backend.backend, "/api/health-check"), (&viewer.viewer, "/api/status"), (&rules, "/health/live")]
        {
            scope.spawn(move || is_given_up(address, &format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")));
        }
    });
}

const SHORT: Duration = Duration::from_millis(500);

/// Runs a service in this process, where its deadlines can be short, while `test` runs.
fn in_process<T>(
    serve: impl FnOnce(tokio::sync::oneshot::Receiver<()>, std::sync::mpsc::SyncSender<Vec<String>>) + Send,
    test: impl FnOnce(Vec<String>) -> T,
) -> T {
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let (bound, addresses) = std::sync::mpsc::sync_channel(1);
    thread::scope(|scope| {
        scope.spawn(|| serve(stopped, bound));
        let result = test(addresses.recv_timeout(DEADLINE).unwrap());
        drop(stop);
        result
    })
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap()
}

/// A backend that gives its clients half a second for each step.
fn impatient_backend<T>(test: impl FnOnce(String) -> T) -> T {
    let folder = Folder::new();
    let variables = [("CRUDDUR_DATA", folder.path().to_str().unwrap()), ("CRUDDUR_BACKEND_LISTEN", "127.0.0.1:0")];
    let config = backend::Config::read(&mut Settings::from_pairs(&variables));
    in_process(
        |stopped, bound| {
            runtime().block_on(async {
                let store = Store::open(&config.database, Faults::NONE, |_| {}).await.unwrap();
                let server = backend::Server::bind(config, store).unwrap();
                bound.send(vec![server.addr().to_string()]).unwrap();
                let server = server.with_bounds(|bounds| (bounds.body, bounds.write) = (SHORT, SHORT));
                server.run_until(async { drop(stopped.await) }).await.unwrap();
            });
        },
        |mut addresses| test(addresses.remove(0)),
    )
}

/// A viewer with the same deadlines, by its two TCP addresses.
fn impatient_viewer<T>(test: impl FnOnce(&str, &str) -> T) -> T {
    let [page, xray] = ["CRUDDUR_VIEWER_LISTEN", "CRUDDUR_XRAY_LISTEN"].map(|name| (name, "127.0.0.1:0"));
    let config = trace_viewer::Config::read(&mut Settings::from_pairs(&[page, xray, VIEWER_MEMORY]));
    in_process(
        |stopped, bound| {
            runtime().block_on(async {
                let server = trace_viewer::Server::bind(&config).await.unwrap();
                bound.send(vec![server.addr().to_string(), server.xray().to_string()]).unwrap();
                let server = server.with_bounds(|bounds| (bounds.body, bounds.write) = (SHORT, SHORT));
                server.run_until(async { drop(stopped.await) }).await.unwrap();
            });
        },
        |addresses| test(&addresses[0], &addresses[1]),
    )
}

/// Sends a body slowly, byte by byte, and returns the response's status.
fn drip(address: &str, path: &str) -> u16 {
    let stream = raw::connect(address);
    let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n");
    write!(&stream, "{head}content-length: 1000\r\n\r\n").unwrap();
    let mut dripping = stream.try_clone().unwrap();
    let drips = thread::spawn(move || {
        while dripping.write_all(b" ").is_ok() {
            thread::sleep(Duration::from_millis(20));
        }
    });
    let (status, _) = raw::answer(&mut BufReader::new(&stream)).unwrap();
    drop(stream);
    drips.join().unwrap();
    status
}

#[test]
fn a_body_that_arrives_slowly_is_a_408_at_each_listener() {
    impatient_backend(|backend| {
        for path in ["/api/auth/signin", "/api/auth/signup"] {
            assert_eq!(drip(&backend, path), 408, "{path}");
        }
    });
    impatient_viewer(|viewer, rules| {
        assert_eq!(drip(viewer, "/v1/traces"), 408);
        assert_eq!((drip(rules, "/SamplingTargets"), drip(rules, "/GetSamplingRules")), (408, 408));
    });
}

/// A trace may take a quarter of it, and the large trace takes 83 MiB.
const VIEWER_MEMORY: (&str, &str) = ("CRUDDUR_VIEWER_MEMORY", "512MiB");

/// A trace of long spans: in JSON each character of their text is six.
fn large_trace(viewer: &str) -> String {
    const TRACE: &str = "5759e988bd862e3fe1be46a994272793";
    let text = "\u{1}".repeat(30_000);
    let span = |id: usize| {
        json!({"traceId": TRACE, "spanId": format!("{id:016x}"), "name": "large",
            "startTimeUnixNano": "1700000000000000000", "endTimeUnixNano": "1700000000250000000",
            "attributes": [{"key": "text", "value": {"stringValue": text}}]})
    };
    for first in (1..=SPANS).step_by(20) {
        let spans: Vec<_> = (first..first + 20).map(span).collect();
        let body = json!({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]});
        let sent = http::send(&format!("http://{viewer}/v1/traces"), &[JSON], body.to_string().as_bytes());
        assert_eq!((sent.status, sent.json()), (200, json!({})));
    }
    format!("/api/traces/{TRACE}")
}

/// The number of spans of the large trace.
const SPANS: usize = 480;

/// Requests a path and reads nothing of the response.
fn unread(address: &str, path: &str) -> TcpStream {
    let stream = raw::connect(address);
    write!(&stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    stream
}

#[test]
fn stalled_readers_of_a_large_trace_block_no_other_reader() {
    let viewer = Cruddur::service("trace-viewer", &[VIEWER_MEMORY]);
    let address = viewer.viewer.trim_start_matches("http://");
    let path = large_trace(address);
    let before = viewer.peak_memory();
    let held: Vec<_> = (0..20).map(|_| unread(address, &path)).collect();
    let whole = http::get(&format!("{}{path}", viewer.viewer));
    assert_eq!((whole.status, whole.body.len() > 80 * 1024 * 1024), (200, true));
    assert_eq!(whole.json()["spans"].as_array().map(Vec::len), Some(SPANS));
    let growth = viewer.peak_memory() - before;
    assert!(growth < MEMORY, "{growth} KiB more");
    drop(held);
}

#[test]
fn a_stalled_reader_is_disconnected_and_a_slow_one_holds_no_permit() {
    impatient_viewer(|viewer, _| {
        let path = large_trace(viewer);
        let mut stream = unread(viewer, &path);
        // If the server gives up, the response ends early.
        let mut read = 0;
        eventually("the end of the response", || {
            let mut bytes = [0; 4096];
            let length = stream.read(&mut bytes).unwrap_or(0);
            read += length;
            (length == 0).then_some(())
        });
        assert!(read < 80 * 1024 * 1024, "{read} bytes were read");
        let slow: Vec<_> = (0..200)
            .map(|_| {
                let stream = raw::connect(viewer);
                write!(&stream, "POST /v1/traces HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n{{").unwrap();
                stream
            })
            .collect();
        assert_eq!(http::get(&format!("http://{viewer}/api/status")).status, 200);
        drop(slow);
    });
}
