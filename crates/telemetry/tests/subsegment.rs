//! Segments made by hand reach the daemon: reads the datagrams of a process that installs telemetry like a service.

use std::io;
use std::net::UdpSocket;
use std::time::Duration;

use ::xray::datagram;
use serde_json::{Value, json};
use settings::Settings;
use telemetry::propagation::Incoming;
use telemetry::{Config, xray};

#[test]
fn annotations_metadata_and_exceptions_of_a_subsegment_reach_the_daemon() {
    let daemon = UdpSocket::bind("127.0.0.1:0").unwrap();
    daemon.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let address = daemon.local_addr().unwrap().to_string();
    let config = Config::read(&mut Settings::from_pairs(&[("AWS_XRAY_DAEMON_ADDRESS", &address)]));
    let telemetry = config.install("worker").unwrap();

    let segment = xray::begin_segment("nightly job", &Incoming::default());
    let mut subsegment = xray::begin_subsegment("mock-data");
    subsegment.annotate("app.rows", 3);
    subsegment.metadata("default", "query", &json!({"limit": 20}));
    subsegment.exception(&io::Error::other("no disk"));
    subsegment.close();
    segment.close();
    telemetry.shutdown();

    let mut buffer = vec![0; 65_536];
    let length = daemon.recv(&mut buffer).unwrap();
    let sent = datagram::parse(&buffer[..length]).unwrap();
    let document = serde_json::to_value(&sent).unwrap();
    let [subsegment] = document["subsegments"].as_array().unwrap().as_slice() else { panic!("{document:#}") };
    assert_eq!((&document["name"], &subsegment["name"]), (&json!("worker"), &json!("mock-data")));
    assert_eq!(document["metadata"]["otel"]["name"], "nightly job");
    assert_eq!(subsegment["annotations"], json!({"app_rows": 3}));
    assert_eq!(subsegment["metadata"]["default"], json!({"query": {"limit": 20}}));
    assert_eq!((&subsegment["fault"], &document["fault"]), (&json!(true), &Value::Null));
    assert_eq!(subsegment["cause"]["exceptions"][0]["message"], "no disk");
}
