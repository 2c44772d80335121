//! Recognises the protocol that a server speaks by the first bytes that it sends, to explain an address with the wrong port or
//! scheme. Each attempt is a separate connection, with two seconds for each of its steps.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use crate::address::Url;

const WAIT: Duration = Duration::from_secs(2);
/// A client's first bytes in HTTP/2: the preface, and an empty SETTINGS frame.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// The length of an HTTP/2 frame's header.
const FRAME: usize = 9;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SpokenProtocol {
    Http1,
    Http2,
    Tls,
}

/// An export that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailedAttempt {
    /// OTLP over HTTP, without a response.
    Http,
    /// OTLP over HTTP, to which the server responded in HTTP/1.1.
    AnsweredHttp,
    /// OTLP over gRPC.
    Grpc,
}

/// The protocol at `address` if it is not that of `url`, with the fix. If the server has already responded in HTTP/1.1, only TLS
/// is checked, because a server may support both versions of HTTP.
pub(super) fn mistake(url: &Url, address: SocketAddr, attempt: FailedAttempt) -> Option<String> {
    let at = format!("{}:{}", url.host(), url.port());
    let speaks = |send: &[u8]| SpokenProtocol::of(&first_bytes(address, send));
    // Checked first, because a TLS server may respond to plain HTTP with a hint in plain HTTP.
    let is_tls = speaks(&client_hello(&url.host())?) == Some(SpokenProtocol::Tls);
    match (is_tls, url.is_encrypted()) {
        (true, false) => return Some(format!("{at} speaks TLS; give its address with https://")),
        (true, true) => return None,
        (false, _) if attempt == FailedAttempt::AnsweredHttp => return None,
        (false, _) => {}
    }
    let request = format!("GET / HTTP/1.1\r\nhost: {at}\r\nconnection: close\r\n\r\n");
    let is_grpc = attempt == FailedAttempt::Grpc;
    // What the server should speak is tried first.
    let found = if is_grpc { [PREFACE, request.as_bytes()] } else { [request.as_bytes(), PREFACE] };
    match found.into_iter().find_map(speaks)? {
        SpokenProtocol::Http2 if is_grpc && url.is_encrypted() => {
            Some(format!("{at} speaks HTTP/2 without TLS; give its address with http://"))
        }
        SpokenProtocol::Http2 if is_grpc => None,
        SpokenProtocol::Http2 => Some(format!(
            "{at} speaks only HTTP/2, like a gRPC port (4317); give the port of OTLP over HTTP, usually 4318"
        )),
        SpokenProtocol::Http1 if url.is_encrypted() => {
            Some(format!("{at} speaks HTTP without TLS; give its address with http://"))
        }
        SpokenProtocol::Http1 if is_grpc => Some(format!(
            "{at} speaks HTTP/1.1, not gRPC; give the port of OTLP over gRPC, usually 4317, or set \
             OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"
        )),
        SpokenProtocol::Http1 | SpokenProtocol::Tls => None,
    }
}

impl SpokenProtocol {
    fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            // An alert or a handshake, of any version since SSL 3.
            [0x15 | 0x16, 3, ..] => Some(Self::Tls),
            // SETTINGS or GOAWAY, on stream 0.
            [_, _, _, 4 | 7, _, 0, 0, 0, 0, ..] => Some(Self::Http2),
            _ if bytes.starts_with(b"HTTP/1") => Some(Self::Http1),
            _ => None,
        }
    }
}

/// Enough bytes to identify the protocol; fewer, or none, if the server sends no more.
fn first_bytes(address: SocketAddr, send: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    // An error is ignored: a server may close the connection after its first bytes, which are enough.
    drop(talk(address, send, &mut bytes));
    bytes
}

fn talk(address: SocketAddr, send: &[u8], bytes: &mut Vec<u8>) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&address, WAIT)?;
    stream.set_read_timeout(Some(WAIT))?;
    stream.set_write_timeout(Some(WAIT))?;
    stream.write_all(send)?;
    let mut buffer = [0; FRAME];
    while bytes.len() < FRAME {
        match stream.read(&mut buffer)? {
            0 => break,
            length => bytes.extend(buffer.iter().take(length)),
        }
    }
    Ok(())
}

/// The first bytes of a TLS client.
fn client_hello(host: &str) -> Option<Vec<u8>> {
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .ok()?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned()).ok()?;
    let mut hello = Vec::new();
    ClientConnection::new(Arc::new(config), name).ok()?.write_tls(&mut hello).ok()?;
    Some(hello)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// A server that sends `answer` after any first bytes, and closes the connection.
    fn server(answer: &'static [u8]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut buffer = [0; 1024];
                if stream.read(&mut buffer).is_ok_and(|length| length > 0) {
                    drop(stream.write_all(answer));
                }
            }
        });
        address
    }

    fn found(scheme: &str, answer: &'static [u8], attempt: FailedAttempt) -> String {
        let address = server(answer);
        let url = format!("{scheme}://{address}").parse().unwrap();
        mistake(&url, address, attempt).unwrap_or_default()
    }

    #[test]
    fn the_spoken_protocol_is_named_with_the_fix() {
        use FailedAttempt::{AnsweredHttp, Grpc, Http};
        const ALERT: &[u8] = b"\x15\x03\x03\0\x02\x02\x28";
        const SETTINGS: &[u8] = b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64";
        const GOAWAY: &[u8] = b"\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\x01";
        const PLAIN: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\r\n";
        assert!(found("http", ALERT, Http).ends_with("speaks TLS; give its address with https://"));
        assert!(
            found("http", ALERT, AnsweredHttp).contains("speaks TLS"),
            "a server that answers plain HTTP with a hint"
        );
        for scheme in ["http", "https"] {
            assert!(found(scheme, SETTINGS, Http).contains("like a gRPC port (4317)"), "{scheme}");
            assert!(found(scheme, GOAWAY, Http).contains("like a gRPC port (4317)"), "{scheme}");
            assert_eq!(found(scheme, b"220 smtp.example ESMTP\r\n", Http), "", "{scheme}");
            assert_eq!(found(scheme, b"", Http), "", "{scheme}");
        }
        assert!(found("https", PLAIN, Http).contains("speaks HTTP without TLS"));
        assert_eq!(found("http", PLAIN, Http), "");
        assert_eq!(found("http", SETTINGS, AnsweredHttp), "", "it may speak both versions");
        assert_eq!(found("https", ALERT, Http), "");
        assert!(
            found("http", PLAIN, Grpc)
                .contains("speaks HTTP/1.1, not gRPC; give the port of OTLP over gRPC, usually 4317")
        );
        assert!(found("https", PLAIN, Grpc).contains("speaks HTTP without TLS"));
        assert!(found("https", SETTINGS, Grpc).contains("speaks HTTP/2 without TLS"));
        assert!(found("http", ALERT, Grpc).contains("speaks TLS"));
        assert_eq!(found("http", SETTINGS, Grpc), "", "it is a gRPC server");
    }
}
