//! What strict framing costs per request: the scanner alone, on a browser's head of about 600 bytes, a small head, and a chunked
//! body.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use frontend_proxy::framing::{Disposition, Scanner};

const BROWSER: &str = "GET /api/activities/home HTTP/1.1\r\n\
    Host: cruddur.example.com\r\n\
    Connection: keep-alive\r\n\
    sec-ch-ua: \"Chromium\";v=\"142\", \"Not_A Brand\";v=\"24\"\r\n\
    sec-ch-ua-mobile: ?0\r\n\
    sec-ch-ua-platform: \"Linux\"\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36\r\n\
    Accept: application/json\r\n\
    Sec-Fetch-Site: same-origin\r\n\
    Sec-Fetch-Mode: cors\r\n\
    Sec-Fetch-Dest: empty\r\n\
    Referer: https://cruddur.example.com/\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-GB,en;q=0.9\r\n\
    traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\
    \r\n";
const SMALL: &str = "GET / HTTP/1.1\r\nHost: localhost:3000\r\n\r\n";

fn scan(scanner: &mut Scanner, bytes: &[u8]) {
    let scanned = scanner.scan(black_box(bytes));
    assert!(scanned.rest == Disposition::None);
}

fn framing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("framing");
    let chunked = format!(
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n4000\r\n{}\r\n0\r\n\r\n",
        "x".repeat(0x4000)
    );
    for (name, request) in [("browser", BROWSER), ("small", SMALL), ("chunk of 16 KiB", &chunked)] {
        let mut scanner = Scanner::default();
        group.bench_function(format!("{name}, {} bytes", request.len()), |bencher| {
            bencher.iter(|| scan(&mut scanner, request.as_bytes()));
        });
    }
    group.finish();
}

criterion_group!(benches, framing);
criterion_main!(benches);
