//! The tests' fake of Honeycomb, to try things without an account: `cargo run -p integration-tests --example honeycomb -- KEY`.
//! It prints the two variables that send there, and then each span that it takes. Stop it with Ctrl-C.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a program to be looked at")]

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../support/honeycomb.rs"]
mod honeycomb;

use std::thread::sleep;
use std::time::Duration;

fn main() {
    let key = std::env::args().nth(1).unwrap_or_else(|| "hcaik_fake".to_owned());
    let honeycomb = honeycomb::Honeycomb::start(&key);
    println!("export HONEYCOMB_API_KEY={key} HONEYCOMB_API_ENDPOINT={}", honeycomb.url);
    let mut told = 0;
    loop {
        let taken = honeycomb.taken();
        for span in taken.iter().skip(told) {
            let trace: String = span.trace_id.iter().map(|byte| format!("{byte:02x}")).collect();
            println!("{trace} {}", span.name);
        }
        told = taken.len();
        sleep(Duration::from_millis(200));
    }
}
