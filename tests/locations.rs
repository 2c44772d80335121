//! An upstream's own name: the `Host` that it receives, and its own address in `Location`, which the client cannot follow.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use crate::support::cruddur::{Cruddur, command};
use crate::support::upstream::values;
use crate::support::{DEADLINE, Folder, http};

/// An upstream that redirects each request to the value of its `x-to` header, and records the `Host` that it received.
struct Redirecting {
    address: String,
    hosts: Receiver<String>,
}

impl Redirecting {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (sender, hosts) = sync_channel(100);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
                let one = |name| values(&head, name).first().copied().unwrap_or_default().to_owned();
                drop(sender.send(one("host")));
                let to = one("x-to");
                drop(write!(
                    &mut &stream,
                    "HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-location: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
                ));
            }
        });
        Self { address, hosts }
    }
}

fn routes(folder: &Folder, upstream: &str, keys: &str) -> String {
    let path = folder.path().join("routes.toml");
    std::fs::write(&path, format!("[[route]]\nprefix = \"/app/\"\nupstreams = [\"http://{upstream}\"]\n{keys}\n"))
        .unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_route_sets_the_host_header_of_its_upstream() {
    let (folder, upstream) = (Folder::new(), Redirecting::start());
    for (keys, host) in [
        ("", &*upstream.address),
        ("host = \"$upstream\"", &upstream.address),
        ("host = \"$client\"", "app.example:8443"),
        ("host = \"named.example\"", "named.example"),
    ] {
        let file = routes(&folder, &upstream.address, keys);
        let proxy = Cruddur::service("frontend-proxy", &[("CRUDDUR_PROXY_CONFIG", &file)]);
        let url = format!("{}/app/x", proxy.page);
        http::request("GET", &url, &[("host", "app.example:8443"), ("x-to", "/")]);
        assert_eq!(upstream.hosts.recv_timeout(DEADLINE).unwrap(), host, "{keys}");
        // Behind a balancer, `X-Forwarded-Host` has the client's host.
        http::request("GET", &url, &[("x-forwarded-host", "app.example:8443"), ("x-to", "/")]);
        assert_eq!(upstream.hosts.recv_timeout(DEADLINE).unwrap(), host, "{keys}");
    }
}

#[test]
fn an_upstreams_own_address_in_location_becomes_the_clients() {
    let (folder, upstream) = (Folder::new(), Redirecting::start());
    let own = format!("http://{}", upstream.address);
    for (keys, to, expected) in [
        ("", format!("{own}/app/x?y"), "https://app.example/app/x?y"),
        ("", "http://app.example/app/x".to_owned(), "https://app.example/app/x"),
        ("host = \"$client\"", "http://app.example/app/x".to_owned(), "https://app.example/app/x"),
        ("host = \"named.example\"", "http://named.example/app/x".to_owned(), "https://app.example/app/x"),
        ("strip_prefix = true", format!("{own}/x"), "https://app.example/app/x"),
        ("strip_prefix = true", "/x".to_owned(), "/app/x"),
        ("", "/x".to_owned(), "/x"),
        ("", "https://elsewhere.example/x".to_owned(), "https://elsewhere.example/x"),
        ("", "http://127.0.0.1:1/x".to_owned(), "http://127.0.0.1:1/x"),
    ] {
        let file = routes(&folder, &upstream.address, keys);
        let proxy = Cruddur::service("frontend-proxy", &[("CRUDDUR_PROXY_CONFIG", &file)]);
        let headers = [("host", "app.example"), ("x-forwarded-proto", "https"), ("x-to", &to)];
        let answer = http::request("GET", &format!("{}/app/y", proxy.page), &headers);
        assert_eq!((answer.status, answer.header("location")), (302, expected), "{keys} {to}");
        assert_eq!(answer.header("content-location"), expected);
    }
}

#[test]
fn a_check_shows_a_routes_host_and_refuses_an_invalid_one() {
    let folder = Folder::new();
    let check = |keys: &str| {
        let file = routes(&folder, "127.0.0.1:4567", keys);
        let output = command(&["frontend-proxy", "--check", "--config", &file], &[]).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout) + &text(output.stderr))
    };
    for (keys, shown) in [
        ("host = \"$client\"", "-> http://127.0.0.1:4567, host $client; traced"),
        ("host = \"app.example:81\"", "-> http://127.0.0.1:4567, host app.example:81; traced"),
        ("host = \"$upstream\"", "-> http://127.0.0.1:4567; traced"),
    ] {
        let (code, text) = check(keys);
        assert!(code == 0 && text.contains(shown), "{keys} {text}");
    }
    for keys in
        ["host = \"$clinet\"", "host = \"http://app.example\"", "host = \"me@app.example\"", "host = \"\"", "host = 1"]
    {
        let (code, text) = check(keys);
        assert!(code == 64 && text.contains(":4: `host` "), "{keys} {text}");
        assert!(text.contains("give \"$upstream\", \"$client\", or a name such as \"app.example\""), "{text}");
    }
}
