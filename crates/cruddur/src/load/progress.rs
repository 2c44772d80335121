//! The run's progress on standard error. On a terminal, one line is rewritten each second; elsewhere, a line is added every five seconds.

use std::io::{IsTerminal, Write, stderr};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::visitor::Run;
use crate::form::{Paint, counted};

/// Clears the line and returns to its start.
const CLEAR: &str = "\r\x1b[2K";

/// Prints progress until it is stopped.
pub(super) struct Progress {
    task: JoinHandle<()>,
    on_terminal: bool,
}

impl Progress {
    /// Starts to print the progress of `run`, which lasts for `time`.
    pub(super) fn start(run: Arc<Run>, time: Duration, paint: Paint) -> Self {
        let on_terminal = stderr().is_terminal();
        let task = tokio::spawn(async move {
            let start = Instant::now();
            let period = Duration::from_secs(if on_terminal { 1 } else { 5 });
            let mut ticks = interval_at(start + period, period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            loop {
                ticks.tick().await;
                let line = line(&run, start.elapsed(), time, paint);
                // Standard error may be closed.
                drop(match on_terminal {
                    true => write!(stderr(), "{CLEAR}{line}"),
                    false => writeln!(stderr(), "{line}"),
                });
            }
        });
        Self { task, on_terminal }
    }

    /// Stops printing, and leaves a terminal's line empty.
    pub(super) async fn stop(self) {
        self.task.abort();
        // The task was cancelled, as intended.
        drop(self.task.await);
        if self.on_terminal {
            drop(write!(stderr(), "{CLEAR}"));
        }
    }
}

fn line(run: &Run, elapsed: Duration, time: Duration, paint: Paint) -> String {
    let (count, p50, p99, errors) = {
        let record = run.record();
        let all = &record.all;
        (all.count(), all.percentile(50.0), all.percentile(99.0), all.failed() + all.refused())
    };
    let errors = match errors {
        0 => "no errors".to_owned(),
        errors => paint.red(&counted(errors, "error")),
    };
    let ms = |latency: Duration| latency.as_secs_f64() * 1000.0;
    format!(
        "{} of {} s: {}, p50 {:.1} ms, p99 {:.1} ms, {errors}, {} in flight",
        elapsed.as_secs(),
        time.as_secs_f64(),
        counted(count, "request"),
        ms(p50),
        ms(p99),
        run.in_flight.load(Relaxed),
    )
}

#[cfg(test)]
mod tests {
    use hyper::StatusCode;

    use super::super::record::Sample;
    use super::super::route::Route;
    use super::*;

    #[test]
    fn the_line_has_the_measurements_so_far() {
        let run = Run::new("127.0.0.1:3000".parse().unwrap(), "localhost:3000".to_owned(), Vec::new());
        let line_now = || line(&run, Duration::from_millis(5_010), Duration::from_secs(30), Paint::Plain);
        assert_eq!(line_now(), "5 of 30 s: 0 requests, p50 0.0 ms, p99 0.0 ms, no errors, 0 in flight");
        let took = Duration::from_millis(12);
        let sample = Sample { route: Route::Home, took, outcome: Ok(StatusCode::BAD_GATEWAY), trace: None };
        run.record().add(sample);
        run.in_flight.fetch_add(3, Relaxed);
        assert_eq!(line_now(), "5 of 30 s: 1 request, p50 12.0 ms, p99 12.0 ms, 1 error, 3 in flight");
    }
}
