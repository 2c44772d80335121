//! The viewer's folder of traces: what was answered outlives the process, within the cap, and whatever happens to the disk.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use serde_json::{Value, json};

use crate::support::cruddur::{Cruddur, run};
use crate::support::http::Answer;
use crate::support::small_disk::SmallDisk;
use crate::support::{Folder, eventually, http};

const KILLS: u64 = 20;
const SENDERS: u64 = 3;
const MIB: u64 = 1024 * 1024;

fn started(folder: &Path, variables: &[(&str, &str)]) -> Cruddur {
    let folder = folder.join("traces");
    Cruddur::service_with("trace-viewer", &["--data", folder.to_str().unwrap()], variables)
}

fn span(trace: u64, id: u64, text: usize) -> Value {
    let text = json!([{"key": "text", "value": {"stringValue": "x".repeat(text)}}]);
    json!({"traceId": format!("{trace:032x}"), "spanId": format!("{id:016x}"), "name": "GET /", "kind": 2, "attributes": text,
        // A later trace is slower, so an early one is not among the slowest.
        "startTimeUnixNano": (1_700_000_000_000_000_000 + trace).to_string(),
        "endTimeUnixNano": (1_700_000_000_000_001_000 + 2 * trace).to_string()})
}

fn request(spans: &[Value]) -> Value {
    let resource = json!({"attributes": [{"key": "service.name", "value": {"stringValue": "backend"}}]});
    json!({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]})
}

fn send(viewer: &Cruddur, spans: &[Value]) {
    assert_eq!(http::post(&format!("{}/v1/traces", viewer.viewer), &request(spans)).status, 200);
}

/// Sends 20,000 traces of about a KiB.
fn flood(viewer: &Cruddur, from: u64) {
    for batch in from..from + 40 {
        let spans: Vec<Value> = (0..500).map(|trace| span(batch * 1_000 + trace, 1, 1_000)).collect();
        send(viewer, &spans);
    }
}

fn trace(viewer: &Cruddur, number: u64) -> Answer {
    http::get(&format!("{}/api/traces/{number:032x}", viewer.viewer))
}

fn status(viewer: &Cruddur) -> Value {
    http::get(&format!("{}/api/status", viewer.viewer)).json()
}

/// The bytes of the folder's files, as `du` counts them.
fn used(folder: &Path) -> u64 {
    let files = fs::read_dir(folder).unwrap().filter_map(|file| fs::metadata(file.unwrap().path()).ok());
    files.map(|file| file.blocks() * 512).sum()
}

/// The files of traces.
fn segments(folder: &Path) -> Vec<std::path::PathBuf> {
    let files = fs::read_dir(folder.join("traces")).unwrap().map(|file| file.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|end| end == "traces")).collect()
}

#[test]
fn a_killed_viewer_has_every_trace_that_it_answered() {
    let folder = Folder::new();
    let (next, answered) = (AtomicU64::new(1), Mutex::new(Vec::new()));
    let mut viewer = started(folder.path(), &[]);
    for kill in 0..KILLS {
        let url = format!("{}/v1/traces", viewer.viewer);
        let before = answered.lock().unwrap().len();
        thread::scope(|scope| {
            for _ in 0..SENDERS {
                scope.spawn(|| {
                    loop {
                        let first = next.fetch_add(5, Ordering::Relaxed);
                        let spans: Vec<Value> = (first..first + 5).map(|trace| span(trace, 1, 300)).collect();
                        let Ok(answer) =
                            http::try_send("POST", &url, &[http::JSON], request(&spans).to_string().as_bytes())
                        else {
                            return;
                        };
                        assert_eq!(answer.status, 200);
                        answered.lock().unwrap().extend(first..first + 5);
                    }
                });
            }
            let enough = before + 20 + usize::try_from(kill).unwrap() * 10;
            eventually("answers", || (answered.lock().unwrap().len() >= enough).then_some(()));
            viewer.kill();
        });
        viewer = started(folder.path(), &[]);
        let list = http::get(&format!("{}/api/traces", viewer.viewer)).json();
        let newest = answered.lock().unwrap().iter().copied().max().unwrap();
        let first = u64::from_str_radix(list[0]["trace_id"].as_str().unwrap(), 16).unwrap();
        assert!(first >= newest, "the first list begins with {first}, and {newest} was answered");
        for number in &answered.lock().unwrap()[before..] {
            assert_eq!(trace(&viewer, *number).status, 200, "{number} after kill {kill}");
        }
    }
    for number in answered.into_inner().unwrap() {
        assert_eq!(trace(&viewer, number).status, 200, "{number}");
    }
    assert_eq!(status(&viewer)["disk"]["unsaved"], 0);
}

#[test]
fn an_evicted_trace_opens_from_the_disk_with_what_came_later() {
    let folder = Folder::new();
    let memory = [("CRUDDUR_VIEWER_MEMORY", "16MiB")];
    let [viewer, forgetful] = [started(folder.path(), &memory), Cruddur::service("trace-viewer", &memory)];
    for viewer in [&viewer, &forgetful] {
        send(viewer, &[span(1, 1, 300), span(1, 2, 300)]);
        flood(viewer, 1);
    }
    assert_eq!(trace(&forgetful, 1).status, 404, "memory has evicted it");
    // A late span makes a trace of itself in memory.
    send(&viewer, &[span(1, 3, 300)]);
    assert_eq!(trace(&viewer, 1).json()["spans"].as_array().unwrap().len(), 3);
    flood(&viewer, 100);
    assert_eq!(trace(&viewer, 1).json()["span_count"], 3, "it stays, since it was opened");
    assert_eq!(status(&viewer)["evicted"]["opened"], 0);
    assert_eq!(trace(&viewer, 999_999).status, 404);
}

#[test]
fn the_documents_of_an_evicted_trace_open_from_the_disk() {
    let folder = Folder::new();
    let document = r#"{"name":"svc","id":"53995c3f42cd8ad8","trace_id":"1-5759e988-bd862e3fe1be46a994272793","start_time":1700000000.5,"end_time":1700000001}"#;
    let viewer = started(folder.path(), &[]);
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let datagram = format!("{{\"format\":\"json\",\"version\":1}}\n{document}");
    socket.send_to(datagram.as_bytes(), &viewer.xray).unwrap();
    eventually("the document on the disk", || (status(&viewer)["disk"]["chunks"] == 1).then_some(()));
    drop(viewer);
    let viewer = started(folder.path(), &[("CRUDDUR_VIEWER_MEMORY", "16MiB")]);
    flood(&viewer, 1);
    let url = format!("{}/api/traces/5759e988bd862e3fe1be46a994272793/xray", viewer.viewer);
    assert_eq!(http::get(&format!("{url}/53995c3f42cd8ad8")).body, document.as_bytes());
    assert_eq!(http::get(&url).json()["documents"][0]["name"], "svc");
}

#[test]
fn the_cap_holds_and_a_failed_trace_outlives_common_ones() {
    let folder = Folder::new();
    let variables = [("CRUDDUR_VIEWER_DISK", "16MiB"), ("CRUDDUR_VIEWER_MEMORY", "16MiB")];
    let viewer = started(folder.path(), &variables);
    let mut failed = span(1, 1, 300);
    failed["status"] = json!({"code": 2});
    send(&viewer, &[failed, span(3, 1, 300)]);
    assert_eq!(trace(&viewer, 3).status, 200, "a user opens it");
    let data = folder.path().join("traces");
    // 60 MB.
    for batch in 1..=120 {
        let spans: Vec<Value> = (0..500).map(|trace| span(batch * 1_000 + trace, 1, 1_000)).collect();
        send(&viewer, &spans);
        let used = used(&data);
        assert!(used <= 16 * MIB, "{used} bytes after {batch} batches");
    }
    let counts = status(&viewer);
    let disk = &counts["disk"];
    assert!(disk["evicted"]["common"].as_u64() > Some(30_000), "{counts}");
    assert_eq!((&disk["evicted"]["error"], &disk["evicted"]["opened"]), (&json!(0), &json!(0)), "{counts}");
    assert_eq!((&disk["unsaved"], &disk["failure"], &disk["bytes_max"]), (&json!(0), &Value::Null, &json!(16 * MIB)));
    assert!(disk["bytes"].as_u64() > Some(12 * MIB), "{counts}");
    drop(viewer);
    let viewer = started(folder.path(), &variables);
    for number in [1, 3] {
        assert_eq!(trace(&viewer, number).status, 200, "{number}");
    }
    assert_eq!(trace(&viewer, 1_001).status, 404);
}

#[test]
fn the_folder_is_its_owners_alone_and_one_viewers() {
    let folder = Folder::new();
    let viewer = started(folder.path(), &[]);
    send(&viewer, &[span(1, 1, 10)]);
    let data = folder.path().join("traces");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    for file in fs::read_dir(&data).unwrap() {
        assert_eq!(mode(&file.unwrap().path()), 0o600);
    }
    let free = ["CRUDDUR_VIEWER_LISTEN", "CRUDDUR_XRAY_LISTEN"].map(|name| (name, "127.0.0.1:0"));
    let second = run(&["trace-viewer", "--data", data.to_str().unwrap()], &free);
    assert_eq!(second.status.code(), Some(64), "{}", second.errors);
    let expected = format!("error: {} is in use by another viewer; stop that one", data.display());
    assert!(second.errors.contains(&expected), "{}", second.errors);
    assert_eq!(trace(&viewer, 1).status, 200);
}

#[test]
fn a_folder_of_a_newer_version_is_refused_and_left_as_it_is() {
    let folder = Folder::new();
    drop(started(folder.path(), &[]));
    let data = folder.path().join("traces");
    fs::write(data.join("format"), "cruddur traces, format 2\n").unwrap();
    fs::write(data.join("something-new"), "x").unwrap();
    fs::remove_file(data.join("lock")).unwrap();
    let files = || {
        let mut files: Vec<_> = fs::read_dir(&data).unwrap().map(|file| file.unwrap().file_name()).collect();
        files.sort();
        files
    };
    let before = files();
    let ended = run(
        &["trace-viewer", "--data", data.to_str().unwrap()],
        &[("CRUDDUR_VIEWER_LISTEN", "127.0.0.1:0"), ("CRUDDUR_XRAY_LISTEN", "127.0.0.1:0")],
    );
    assert_eq!(ended.status.code(), Some(64), "{}", ended.errors);
    assert!(
        ended.errors.contains("has traces of a newer cruddur (format 2; this one reads up to 1); start that version"),
        "{}",
        ended.errors
    );
    assert_eq!(files(), before);
}

#[test]
fn a_damaged_file_costs_what_is_damaged() {
    let folder = Folder::new();
    let mut viewer = started(folder.path(), &[]);
    for number in 1..=3 {
        send(&viewer, &[span(number, 1, 300)]);
    }
    viewer.kill();
    let [file] = &segments(folder.path())[..] else { panic!("one file") };
    let mut bytes = fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(file, &bytes).unwrap();
    let mut viewer = started(folder.path(), &[]);
    viewer.wait_for_log("are damaged and skipped");
    for (number, expected) in [(1, 200), (2, 404), (3, 200)] {
        assert_eq!(trace(&viewer, number).status, expected, "{number}");
    }
    viewer.kill();

    bytes[..8].copy_from_slice(b"garbage!");
    fs::write(file, &bytes).unwrap();
    let viewer = started(folder.path(), &[]);
    viewer.wait_for_log("is damaged, or of an older version; it is now");
    let aside = file.with_extension("traces.damaged-1");
    assert_eq!(fs::read(aside).unwrap(), bytes);
    assert_eq!(trace(&viewer, 1).status, 404);
    send(&viewer, &[span(4, 1, 300)]);
    assert_eq!(trace(&viewer, 4).status, 200);
}

#[test]
fn a_full_disk_costs_only_what_it_does_not_have() {
    let folder = Folder::new();
    let Some(disk) = SmallDisk::of(folder.path(), "2m") else { return };
    let viewer = started(disk.path(), &[]);
    for number in 1..=4 {
        let spans: Vec<Value> = (1..=800).map(|id| span(number, id, 800)).collect();
        send(&viewer, &spans);
    }
    viewer.wait_for_log("new traces are in memory only: cannot use");
    let counts = status(&viewer);
    assert!(counts["disk"]["failure"].as_str().unwrap().contains("free space on its disk"), "{counts}");
    assert!(counts["disk"]["unsaved"].as_u64() > Some(0), "{counts}");
    for number in 1..=4 {
        assert_eq!(trace(&viewer, number).json()["span_count"], 800, "{number}");
    }
    assert_eq!(viewer.stderr().matches("in memory only").count(), 1, "{}", viewer.stderr());
    // Space becomes free.
    let options = ["-o", "remount,size=64m", disk.path().to_str().unwrap()];
    assert!(std::process::Command::new("mount").args(options).status().unwrap().success());
    eventually("a disk that works again", || {
        send(&viewer, &[span(5, 1, 300)]);
        status(&viewer)["disk"]["failure"].is_null().then_some(())
    });
    viewer.wait_for_log("new traces are on the disk again");
    drop(viewer);
    let viewer = started(disk.path(), &[]);
    assert_eq!((trace(&viewer, 1).status, trace(&viewer, 5).status), (200, 200));
}

#[test]
fn a_folder_that_cannot_be_written_leaves_the_viewer_in_memory() {
    let folder = Folder::new();
    let Some(disk) = SmallDisk::of(folder.path(), "2m") else { return };
    let options = ["-o", "remount,ro", disk.path().to_str().unwrap()];
    assert!(std::process::Command::new("mount").args(options).status().unwrap().success());
    let viewer = started(disk.path(), &[]);
    viewer.wait_for_log("mount its disk for writing");
    send(&viewer, &[span(1, 1, 300)]);
    assert_eq!(status(&viewer)["disk"]["unsaved"], 1);
    assert_eq!(trace(&viewer, 1).status, 200);
}

#[test]
fn up_keeps_traces_in_its_data_folder_unless_that_is_off() {
    let data = Folder::new();
    let cruddur = Cruddur::up(&data, &[]);
    let trace = cruddur.get("/api/activities/home").trace_id();
    cruddur.spans(&trace, 5);
    drop(cruddur.stop());
    let cruddur = Cruddur::up(&data, &[]);
    assert_eq!(http::get(&format!("{}/api/traces/{trace}", cruddur.viewer)).status, 200);
    assert_eq!(status(&cruddur)["disk"]["bytes_max"], 1024 * MIB);
    drop(cruddur.stop());
    let cruddur = Cruddur::up(&data, &[("CRUDDUR_VIEWER_DATA", "off")]);
    assert_eq!(status(&cruddur)["disk"], Value::Null);
}
