//! Connections that leave HTTP after `101 Switching Protocols`, such as WebSockets: which are forwarded, and how they end.

use std::io::Write;
use std::net::Shutdown;

use serde_json::{Value, json};

use crate::forwarding::{Bench, TRACE, read_all};
use crate::proxy::{read, read_head};
use crate::support::upstream::values;

#[test]
fn a_websocket_passes_both_ways_until_each_side_closes() {
    let bench = Bench::new(&[]);
    let request = "GET /api/x HTTP/1.1\r\nhost: x\r\nconnection: keep-alive, Upgrade\r\nupgrade: websocket\r\n\
                   sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\nTRACE\r\n\r\n";
    let (mut client, mut server, head) = bench.forwarded(request);
    assert_eq!((values(&head, "connection"), values(&head, "upgrade")), (vec!["upgrade"], vec!["websocket"]));
    assert_eq!(values(&head, "sec-websocket-key"), ["dGhlIHNhbXBsZSBub25jZQ=="]);
    let accepted = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                    sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\x02\x01!";
    server.write_all(accepted.as_bytes()).unwrap();
    let head = read_head(&client);
    assert_eq!((head[0].as_str(), values(&head, "upgrade")), ("HTTP/1.1 101 Switching Protocols", vec!["websocket"]));
    assert_eq!(values(&head, "sec-websocket-accept"), ["s3pPLMBiTxaQ9kYGzzhZRbK+xOo="]);
    assert_eq!(read(&mut client, 3), b"\x02\x01!", "the bytes after the head");
    for round in 0..100u8 {
        // A masked frame of four bytes, and an unmasked one.
        let frame = [0x82, 0x84, 1, 2, 3, 4, round, round, round, round];
        client.write_all(&frame).unwrap();
        assert_eq!(read(&mut server, 10), frame);
        server.write_all(&[0x82, 0x01, round]).unwrap();
        assert_eq!(read(&mut client, 3), [0x82, 0x01, round]);
    }
    client.shutdown(Shutdown::Write).unwrap();
    assert!(read_all(&mut server).is_empty(), "the client's close has arrived");
    server.write_all(b"bye").unwrap();
    drop(server);
    assert_eq!(read_all(&mut client), b"bye", "the other direction was still open");
    let spans = bench.spans(2);
    for span in &spans {
        assert_eq!(
            (&span["attributes"]["http.response.status_code"], &span["attributes"]["error.type"]),
            (&json!(101), &Value::Null)
        );
    }
}

#[test]
fn an_upgrade_to_another_http_is_not_forwarded() {
    let bench = Bench::new(&[]);
    for protocol in ["h2c", "H2C", "HTTP/2.0", "TLS/1.0, HTTP/1.1", "websocket, h2c"] {
        let upgrade = format!("connection: upgrade, http2-settings\r\nupgrade: {protocol}\r\nhttp2-settings: AAMAAABk");
        let (client, server, head) = bench.forwarded(&format!("GET /api/x HTTP/1.1\r\nhost: x\r\n{upgrade}\r\n\r\n"));
        assert_eq!((values(&head, "upgrade"), values(&head, "connection")), (vec![], vec![]), "{protocol}");
        (&server)
            .write_all(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n")
            .unwrap();
        assert_eq!(read_head(&client)[0], "HTTP/1.1 502 Bad Gateway", "{protocol}");
    }
}

#[test]
fn a_tunnel_is_cut_at_shutdown_and_counted() {
    let bench = Bench::new(&[]);
    let request = "GET /api/x HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: echo\r\nTRACE\r\n\r\n";
    let (client, mut server, _) = bench.forwarded(request);
    server.write_all(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n").unwrap();
    assert_eq!(read_head(&client)[0], "HTTP/1.1 101 Switching Protocols");
    let Bench { proxy, viewer, .. } = bench;
    let ended = proxy.stop();
    assert_eq!(ended.status.code(), Some(0));
    assert!(ended.errors.contains("otlp: 2 spans created = 2 delivered + 0 queued + 0 dropped"), "{}", ended.errors);
    assert_eq!(viewer.spans(TRACE, 2).len(), 4, "in both protocols");
}
