//! A route with several servers: some of them fail, and some are too slow.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;

use crate::proxy::{read, read_head};
use crate::support::cruddur::Cruddur;
use crate::support::{Folder, eventually, http};

/// A server that answers, and that can be made to stop as if its process had died.
struct Server {
    address: SocketAddr,
    served: Arc<AtomicUsize>,
    dead: Arc<AtomicBool>,
    streams: Arc<Mutex<Vec<TcpStream>>>,
}

impl Server {
    fn start(address: &str) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            served: Arc::default(),
            dead: Arc::default(),
            streams: Arc::default(),
        };
        let (served, dead, streams) =
            (Arc::clone(&server.served), Arc::clone(&server.dead), Arc::clone(&server.streams));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut streams = streams.lock().unwrap();
                if dead.load(SeqCst) {
                    return;
                }
                streams.push(stream.try_clone().unwrap());
                let served = Arc::clone(&served);
                thread::spawn(move || drop(answer(stream, &served)));
            }
        });
        server
    }

    /// Closes its port and every connection, whatever is in progress.
    fn die(&self) {
        self.dead.store(true, SeqCst);
        drop(TcpStream::connect(self.address).unwrap());
        eventually("the end of a server", || TcpStream::connect(self.address).is_err().then_some(()));
        for stream in self.streams.lock().unwrap().drain(..) {
            drop(stream.shutdown(Shutdown::Both));
        }
    }

    fn served(&self) -> usize {
        self.served.load(SeqCst)
    }
}

fn answer(mut stream: TcpStream, served: &AtomicUsize) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
        }
        served.fetch_add(1, SeqCst);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")?;
    }
}

/// A proxy whose `/api/` has these upstreams.
fn proxy(upstreams: &[&str], more: &str, variables: &[(&str, &str)]) -> (Cruddur, Folder) {
    let folder = Folder::new();
    let file = folder.path().join("routes.toml");
    std::fs::write(&file, format!("[[route]]\nprefix = \"/api/\"\nupstreams = {upstreams:?}\n{more}\n")).unwrap();
    let variables: Vec<_> =
        variables.iter().chain(&[("CRUDDUR_PROXY_CONFIG", file.to_str().unwrap())]).copied().collect();
    (Cruddur::service("frontend-proxy", &variables), folder)
}

fn client(proxy: &Cruddur) -> TcpStream {
    TcpStream::connect(proxy.page.trim_start_matches("http://")).unwrap()
}

#[test]
fn a_server_that_dies_under_load_fails_no_get() {
    let servers = [(); 3].map(|()| Server::start("127.0.0.1:0"));
    let addresses = servers.each_ref().map(|server| server.address.to_string());
    let (proxy, _folder) = proxy(&addresses.each_ref().map(String::as_str), "", &[]);
    let served = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..8 {
            let (mut client, served) = (client(&proxy), &served);
            scope.spawn(move || {
                for _ in 0..300 {
                    client.write_all(b"GET /api/x HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
                    assert_eq!(read_head(&client)[0], "HTTP/1.1 200 OK");
                    assert_eq!(read(&mut client, 2), b"ok");
                    served.fetch_add(1, SeqCst);
                }
            });
        }
        eventually("a third of the load", || (served.load(SeqCst) > 800).then_some(()));
        servers[0].die();
    });
    let served = servers.each_ref().map(Server::served);
    assert!(served.iter().all(|served| *served > 100), "each got its share: {served:?}");
}

#[test]
fn the_server_with_the_fewest_requests_gets_the_next() {
    let slow = TcpListener::bind("127.0.0.1:0").unwrap();
    let quick = Server::start("127.0.0.1:0");
    let (slow_address, quick_address) = (slow.local_addr().unwrap().to_string(), quick.address.to_string());
    let (proxy, _folder) = proxy(&[&slow_address, &quick_address], "", &[]);
    // Equal upstreams take turns: one of the first two requests goes to the slow one, which holds it.
    let held: Vec<_> = (0..2)
        .map(|_| {
            let mut client = client(&proxy);
            client.write_all(b"GET /api/held HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
            client
        })
        .collect();
    let (kept, _) = slow.accept().unwrap();
    read_head(&kept);
    eventually("the other server's response", || (quick.served() == 1).then_some(()));
    for _ in 0..20 {
        assert_eq!(proxy.get("/api/x").status, 200);
    }
    assert_eq!(quick.served(), 21);
    drop((held, kept));
}

#[test]
fn an_absent_server_is_skipped_until_it_is_back() {
    let away = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let there = Server::start("127.0.0.1:0");
    let (proxy, _folder) = proxy(&[&away, &there.address.to_string()], "", &[]);
    for _ in 0..10 {
        assert_eq!(proxy.get("/api/x").status, 200);
    }
    let back = Server::start(&away);
    eventually("a request for the recovered server", || {
        assert_eq!(proxy.get("/api/x").status, 200);
        (back.served() > 0).then_some(())
    });
    let before = (back.served(), there.served());
    for _ in 0..10 {
        assert_eq!(proxy.get("/api/x").status, 200);
    }
    assert_eq!((back.served(), there.served()), (before.0 + 5, before.1 + 5), "they take turns again");
    let errors = proxy.stop().errors;
    assert_eq!(errors.matches("skipping it for 1 s").count(), 1, "{errors}");
    assert_eq!(errors.matches("responds again").count(), 1, "{errors}");
}

#[test]
fn with_all_servers_absent_it_is_a_502_until_one_is_back() {
    let [a, b] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string());
    let (proxy, _folder) = proxy(&[&a, &b], "", &[]);
    for _ in 0..10 {
        assert_eq!(proxy.get("/api/x").status, 502);
    }
    let back = Server::start(&b);
    eventually("an answer", || (proxy.get("/api/x").status == 200).then_some(()));
    assert!(back.served() > 0);
}

#[test]
fn a_post_is_retried_only_if_no_server_can_have_acted() {
    let away = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let there = Server::start("127.0.0.1:0");
    let (proxy, _folder) = proxy(&[&away, &there.address.to_string()], "", &[]);
    for _ in 0..4 {
        assert_eq!(http::request("POST", &format!("{}/api/x", proxy.page), &[("content-length", "0")]).status, 200);
    }
    assert_eq!(there.served(), 4);
}

#[test]
fn a_host_name_is_resolved() {
    let server = Server::start("127.0.0.1:0");
    let (proxy, _folder) = proxy(&[&format!("localhost:{}", server.address.port())], "", &[]);
    assert_eq!(proxy.get("/api/x").status, 200);
}

/// Makes one request that times out in some way, and returns the `error.type`s of its spans, the CLIENT's first.
fn error_types(limit: &str, play: impl FnOnce(TcpStream, &TcpListener)) -> Vec<Value> {
    const TRACE: &str = "6b02f03a54f4980499a5c1872558fcbf";
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let viewer = Cruddur::service("trace-viewer", &[]);
    let variables =
        [("OTEL_EXPORTER_OTLP_ENDPOINT", viewer.viewer.as_str()), ("AWS_XRAY_DAEMON_ADDRESS", &viewer.xray)];
    let (proxy, _folder) = proxy(&[&upstream.local_addr().unwrap().to_string()], limit, &variables);
    let mut client = client(&proxy);
    let upgrade = "connection: upgrade\r\nupgrade: echo";
    write!(
        client,
        "GET /api/x HTTP/1.1\r\nhost: x\r\ntraceparent: 00-{TRACE}-46422517bae0bb00-01\r\n{upgrade}\r\n\r\n"
    )
    .unwrap();
    play(client, &upstream);
    let mut spans: Vec<_> = viewer.spans(TRACE, 2).into_iter().filter(|span| span["source"] == "otlp").collect();
    spans.sort_by_key(|span| span["kind"].to_string());
    spans.iter().map(|span| span["attributes"]["error.type"].clone()).collect()
}

#[test]
fn a_late_response_is_a_504_and_not_retried() {
    let types = error_types("answer_timeout = \"200ms\"", |client, upstream| {
        let (mut server, _) = upstream.accept().unwrap();
        read_head(&server);
        assert_eq!(read_head(&client)[0], "HTTP/1.1 504 Gateway Timeout");
        assert_eq!(server.read(&mut [0]).unwrap(), 0, "the connection is closed");
        upstream.set_nonblocking(true).unwrap();
        assert!(upstream.accept().is_err(), "no second connection");
    });
    assert_eq!(types, ["timeout", "504"]);
}

#[test]
fn a_stalled_response_is_cut() {
    let types = error_types("idle_timeout = \"200ms\"", |mut client, upstream| {
        let (mut server, _) = upstream.accept().unwrap();
        read_head(&server);
        server.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello").unwrap();
        assert_eq!(read_head(&client)[0], "HTTP/1.1 200 OK");
        let mut body = Vec::new();
        client.read_to_end(&mut body).unwrap();
        assert_eq!(body, b"hello");
    });
    assert_eq!(types, ["upstream_stalled", "upstream_stalled"]);
}

#[test]
fn an_idle_tunnel_is_closed() {
    let types = error_types("tunnel_timeout = \"200ms\"", |mut client, upstream| {
        let (mut server, _) = upstream.accept().unwrap();
        read_head(&server);
        server.write_all(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n").unwrap();
        read_head(&client);
        assert_eq!((client.read(&mut [0]).unwrap(), server.read(&mut [0]).unwrap()), (0, 0));
    });
    assert_eq!(types, ["idle", "idle"]);
}
