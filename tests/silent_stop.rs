//! A backend that is stopped while its database is silent: every request that it has accepted gets a response.

use std::io::{Read, Write};
use std::thread;
use std::time::Duration;

use crate::support::cruddur::Cruddur;
use crate::support::slow_wire::SlowWire;
use crate::support::{http, postgres, raw};

const REQUESTS: usize = 12;

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_with_a_silent_database_answers_every_request() {
    let Some(url) = postgres::database().await else { return };
    tokio::task::block_in_place(|| {
        let wire = SlowWire::before(&url, Duration::ZERO);
        let backend = Cruddur::service("backend", &[("DATABASE_URL", &wire.url)]);
        let address = backend.backend.clone();
        let cookie = backend.person().cookie;
        wire.fall_silent();
        let body = r#"{"message": "Is this answered?", "ttl": "1-day"}"#;
        let post = format!(
            "POST /api/activities HTTP/1.1\r\nhost: {host}\r\ncookie: {cookie}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len(),
            host = address.trim_start_matches("http://"),
        );
        let get =
            format!("GET /api/activities/home HTTP/1.1\r\nhost: {}\r\n\r\n", address.trim_start_matches("http://"));
        let streams: Vec<_> = (0..REQUESTS)
            .map(|number| {
                let mut stream = raw::connect(&address);
                let request = if number % 2 == 0 { &post } else { &get };
                stream.write_all(request.as_bytes()).unwrap();
                stream
            })
            .collect();
        // By then, every worker has accepted the earlier requests.
        for _ in 0..4 * REQUESTS {
            assert_eq!(http::get(&format!("{address}/api/health-check")).status, 200);
        }
        let stopped = thread::spawn(move || backend.stop());
        for mut stream in streams {
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("retry-after: 2"), "{answer:?}");
        }
        let ended = stopped.join().unwrap();
        assert!(ended.status.success(), "{}", ended.errors);
    });
}
