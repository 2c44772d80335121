//! Parses any bytes as sampling rules, without a panic. Every request finds a rule that matches it, and no pattern is slow.

#![no_main]

use libfuzzer_sys::fuzz_target;
use xray::{Request, Rules};

fuzz_target!(|input: &[u8]| {
    let Ok(rules) = Rules::parse(input) else { return };
    assert!(rules.iter().all(|rule| (0.0..=1.0).contains(&rule.rate())));
    let text = String::from_utf8_lossy(input);
    let words: Vec<_> = text.split('"').collect();
    for words in words.chunks(4).take(16) {
        let [service, method, host, path] = [0, 1, 2, 3].map(|at| words.get(at).copied());
        let request = Request { service: service.unwrap_or_default(), service_type: "", method, host, path };
        let rule = rules.find(&request);
        assert!(rule.matches(&request) == rule.differences(&request).next().is_none());
    }
});
