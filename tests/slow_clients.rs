//! Test 9 of the guarantees: clients that request, send or read slowly, and thousands that do nothing, cost other clients
//! nothing and the proxy a bounded amount of memory.

use std::io::{BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::cruddur::Cruddur;
use crate::support::h2::{self, END_HEADERS, END_STREAM, HEADERS, RST_STREAM};
use crate::support::recorder::Recorder;
use crate::support::{DEADLINE, Folder, cannot_run, eventually, raw};

const IDLE: usize = 10_000;
/// The most memory for 10,000 idle connections and the process together, in KiB.
const MEMORY: u64 = 256 * 1024;

#[test]
fn an_endless_head_is_a_408() {
    let proxy = Cruddur::service("frontend-proxy", &[]);
    for partial in ["G", "GET / HTTP/1.1\r\nhost: a\r\n", "GET /health/live HTTP/1.1\r\nhost: a\r\n\r\nGET /"] {
        let whole = usize::from(partial.contains("\r\n\r\n"));
        let (statuses, closed) = raw::exchange(&proxy.page, partial.as_bytes(), 3);
        assert_eq!((&statuses[whole..], closed), ([408].as_slice(), true), "{partial:?}");
    }
}

#[test]
fn an_endless_body_is_a_408() {
    let upstream = Recorder::start();
    let folder = Folder::new();
    let routes = folder.path().join("routes.toml");
    let route =
        format!("[[route]]\nprefix = \"/api/\"\nupstreams = [\"{}\"]\nbody_timeout = \"2s\"\n", upstream.address);
    std::fs::write(&routes, route).unwrap();
    let proxy = Cruddur::service("frontend-proxy", &[("CRUDDUR_PROXY_CONFIG", routes.to_str().unwrap())]);
    let stream = raw::connect(&proxy.page);
    let mut dripping = stream.try_clone().unwrap();
    dripping.write_all(b"POST /api/x HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\n").unwrap();
    // A single byte at intervals is not enough progress.
    let drips = thread::spawn(move || {
        while dripping.write_all(b"x").is_ok() {
            thread::sleep(Duration::from_millis(200));
        }
    });
    assert_eq!(raw::answer(&mut BufReader::new(&stream)).unwrap().0, 408);
    drips.join().unwrap();
    drop(proxy);
    assert!(upstream.finish().iter().all(|message| !message.whole));
}

#[test]
fn a_clients_slow_body_does_not_count_against_the_upstream() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = Folder::new();
    let routes = folder.path().join("routes.toml");
    let route = |body_timeout| {
        let address = upstream.local_addr().unwrap();
        let limits = format!("answer_timeout = \"200ms\"\nbody_timeout = \"{body_timeout}\"");
        std::fs::write(&routes, format!("[[route]]\nprefix = \"/api/\"\nupstreams = [\"{address}\"]\n{limits}\n"))
            .unwrap();
        Cruddur::service("frontend-proxy", &[("CRUDDUR_PROXY_CONFIG", routes.to_str().unwrap())])
    };
    let half = "POST /api/x HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhello";

    let proxy = route("1s");
    let client = raw::connect(&proxy.page);
    (&client).write_all(half.as_bytes()).unwrap();
    assert_eq!(raw::answer(&mut BufReader::new(&client)).unwrap().0, 408);
    drop(upstream.accept().unwrap());

    let proxy = route("30s");
    let client = raw::connect(&proxy.page);
    (&client).write_all(half.as_bytes()).unwrap();
    let (mut server, _) = upstream.accept().unwrap();
    // Another request, which started later, exceeds its time limit first.
    let (statuses, _) = raw::exchange(&proxy.page, b"GET /api/y HTTP/1.1\r\nhost: a\r\n\r\n", 1);
    assert_eq!(statuses, [504]);
    (&client).write_all(b"world").unwrap();
    crate::proxy::read_head(&server);
    assert_eq!(crate::proxy::read(&mut server, 10), b"helloworld");
    server.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
    assert_eq!(raw::answer(&mut BufReader::new(&client)).unwrap().0, 200);
}

#[test]
fn an_upstreams_slow_reading_does_not_count_against_the_client() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = Folder::new();
    let routes = folder.path().join("routes.toml");
    let address = upstream.local_addr().unwrap();
    let limits = "body_timeout = \"4s\"\nbody_limit = \"1GiB\"";
    std::fs::write(&routes, format!("[[route]]\nprefix = \"/api/\"\nupstreams = [\"{address}\"]\n{limits}\n")).unwrap();
    let proxy = Cruddur::service("frontend-proxy", &[("CRUDDUR_PROXY_CONFIG", routes.to_str().unwrap())]);
    // More than the buffers between client and upstream hold.
    let body = vec![b'x'; 32 * 1024 * 1024];
    let client = raw::connect(&proxy.page);
    write!(&client, "POST /api/x HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", body.len()).unwrap();
    let (mut server, _) = upstream.accept().unwrap();
    // The proxy waits for the client once, since only the head has arrived.
    crate::proxy::read_head(&server);
    thread::scope(|scope| {
        scope.spawn(|| (&client).write_all(&body).unwrap());
        // Longer than the limit on waiting for the client; the test shows that this wait does not count as one.
        thread::sleep(Duration::from_secs(5));
        assert_eq!(
            std::io::copy(&mut (&mut server).take(32 * 1024 * 1024), &mut std::io::sink()).unwrap(),
            32 * 1024 * 1024
        );
    });
    server.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
    assert_eq!(raw::answer(&mut BufReader::new(&client)).unwrap().0, 200);
}

/// An upstream whose response to one request is larger than the buffers on the way to a client; the thread ends once it is cut off.
fn endless() -> (String, thread::JoinHandle<()>) {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = upstream.local_addr().unwrap().to_string();
    let served = thread::spawn(move || {
        let (mut stream, _) = upstream.accept().unwrap();
        crate::proxy::read_head(&stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10000000000\r\n\r\n").unwrap();
        while stream.write_all(&[b'x'; 65_536]).is_ok() {}
    });
    (address, served)
}

#[test]
fn a_client_that_reads_no_response_is_disconnected() {
    let (address, served) = endless();
    let proxy = Cruddur::service("frontend-proxy", &[("CRUDDUR_UPSTREAM", &address)]);
    let mut stream = raw::connect(&proxy.page);
    stream.write_all(b"GET /api/x HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    served.join().unwrap();
    assert!(proxy.peak_memory() < MEMORY, "{} KiB", proxy.peak_memory());
}

/// The stream's connection stays usable, and its other requests are answered.
#[test]
fn a_stream_that_is_not_read_is_reset() {
    let (address, served) = endless();
    let proxy = Cruddur::service("frontend-proxy", &[("CRUDDUR_UPSTREAM", &address)]);
    let mut stream = h2::connect(&proxy.page);
    let request = |id, path| h2::frame(HEADERS, END_HEADERS | END_STREAM, id, &h2::block(&h2::get(path)));
    stream.write_all(&request(1, "/api/x")).unwrap();
    stream.set_read_timeout(Some(2 * DEADLINE)).unwrap();
    let mut frames = std::iter::from_fn(|| h2::next(&mut stream));
    assert!(frames.any(|frame| (frame.kind, frame.stream) == (RST_STREAM, 1)));
    served.join().unwrap();
    stream.write_all(&request(3, "/health/live")).unwrap();
    let mut frames = std::iter::from_fn(|| h2::next(&mut stream));
    assert!(frames.any(|frame| (frame.kind, frame.stream) == (HEADERS, 3)));
}

/// One honest client's requests on a kept connection: the time within which 99 of 100 are answered.
fn p99(client: &mut BufReader<TcpStream>) -> Duration {
    let mut times: Vec<_> = (0..300)
        .map(|_| {
            let began = Instant::now();
            client.get_mut().write_all(b"GET /api/x HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
            assert_eq!(raw::answer(client).unwrap().0, 200);
            began.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[times.len() * 99 / 100]
}

/// Idle connections: new ones, ones that have had a response, and ones with half a head.
fn idle(proxy: &Cruddur) -> Vec<TcpStream> {
    let mut streams = Vec::new();
    for n in 0..IDLE {
        let mut stream = raw::connect(&proxy.page);
        match n % 4 {
            0 => {}
            1 => stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nx: ").unwrap(),
            _ => {
                stream.write_all(b"GET /health/live HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
                assert_eq!(raw::answer(&mut BufReader::new(&stream)).unwrap().0, 204);
            }
        }
        streams.push(stream);
    }
    streams
}

#[test]
fn thousands_of_idle_connections_do_not_delay_an_honest_client() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
    if limit.maximum.is_some_and(|files| files < 15_000) {
        return cannot_run("files", "10,000 connections need a hard limit of 15,000 open files");
    }
    let upstream = Recorder::start();
    let variables = [("CRUDDUR_UPSTREAM", upstream.address.as_str()), ("CRUDDUR_PROXY_CONNECTIONS", "10100")];
    let (calm, crowded) =
        (Cruddur::service("frontend-proxy", &variables), Cruddur::service("frontend-proxy", &variables));
    let held = idle(&crowded);
    // Alternately, so that other load on this machine affects both.
    let mut clients = [&calm, &crowded].map(|proxy| BufReader::new(raw::connect(&proxy.page)));
    let mut all = [Vec::new(), Vec::new()];
    for _ in 0..9 {
        for (client, times) in clients.iter_mut().zip(&mut all) {
            times.push(p99(client));
        }
    }
    let [calm, with] = all.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2]
    });
    let memory = crowded.peak_memory();
    println!("p99 {calm:?}, with {IDLE} idle connections {with:?}; {memory} KiB");
    assert!(with <= 2 * calm, "{with:?} instead of {calm:?}");
    assert!(memory <= MEMORY, "{memory} KiB");
    assert_eq!(held.len(), IDLE);
}

/// Connections with half a head each: they are closed, and make space for others.
#[test]
fn slow_heads_block_other_clients_only_briefly() {
    let proxy = Cruddur::service("frontend-proxy", &[("CRUDDUR_PROXY_CONNECTIONS", "50")]);
    let held: Vec<_> = (0..50)
        .map(|_| {
            let mut stream = raw::connect(&proxy.page);
            stream.write_all(b"GET / HTTP/1.1\r\n").unwrap();
            stream
        })
        .collect();
    let request = b"GET /health/live HTTP/1.1\r\nhost: a\r\n\r\n";
    eventually("a free connection", || (raw::exchange(&proxy.page, request, 1).0 == [204]).then_some(()));
    for mut stream in held {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 408 ") || answer.starts_with("HTTP/1.1 503 "),
            "{answer}"
        );
    }
}
