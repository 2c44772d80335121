//! A summary as people read it: one line per route, then the slowest requests.

use super::pace::{IN_FLIGHT, Loop};
use super::summary::{Measured, Slowest, Summary};
use crate::form::{Paint, counted};

/// The width of the route column: that of the longest template.
const ROUTE: usize = 44;

impl Summary {
    /// The whole summary; each line ends with a newline.
    pub(super) fn text(&self, paint: Paint) -> String {
        self.lines(paint).iter().map(|line| format!("{}\n", line.trim_end())).collect()
    }

    fn lines(&self, paint: Paint) -> Vec<String> {
        let mut lines = vec![self.head()];
        lines.extend(self.faults.iter().map(|faults| format!("faults: {faults}")));
        lines.extend(self.notes().iter().map(|note| paint.red(note)));
        lines.push(String::new());
        let heads = ["requests", "a second", "p50 ms", "p90 ms", "p99 ms", "max ms"].map(|head| format!("{head:>9}"));
        lines.push(paint.dim(&format!("{:<ROUTE$}{}  errors", "route", heads.concat())));
        for of in &self.routes {
            lines.push(of.measured.line(&of.route.to_string(), paint));
        }
        lines.push(self.total.line("all", paint));
        if !self.slowest.is_empty() {
            lines.push(String::new());
            lines.push(paint.dim(&format!(
                "{:>9}  {:<ROUTE$} {:<7} trace, linked if the viewer has it",
                "ms", "slowest", "outcome"
            )));
            lines.extend(self.slowest.iter().map(Slowest::line));
        }
        lines
    }

    fn head(&self) -> String {
        let pace = match self.pace {
            Loop::Closed { concurrency } => format!("closed loop of {concurrency}"),
            Loop::Open { rate, .. } => format!("open loop of {rate} a second"),
        };
        let (url, users, seed) = (&self.url, self.users, self.seed);
        let requests = counted(self.total.requests, "request");
        format!("{url}, {pace}, users {users}, seed {seed}: {requests} in {:.1} s", self.seconds)
    }

    /// Notes that a reader needs to interpret the numbers.
    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.interrupted {
            notes.push("interrupted before the end".to_owned());
        }
        if self.abandoned > 0 {
            notes.push(format!("abandoned and not counted: {} in flight", counted(self.abandoned, "request")));
        }
        if let Loop::Open { sent, .. } = self.pace {
            if sent.unsent > 0 {
                notes.push(format!(
                    "due but not sent: {}; all {IN_FLIGHT} visitors were busy",
                    counted(sent.unsent, "request")
                ));
            }
            if sent.late > 0 {
                notes.push(format!(
                    "sent more than 10 ms late: {}; latencies include the delay",
                    counted(sent.late, "request")
                ));
            }
        }
        notes
    }
}

impl Measured {
    fn line(&self, name: &str, paint: Paint) -> String {
        let Self { requests, requests_per_second, latency_ms, .. } = self;
        let latencies = [latency_ms.p50, latency_ms.p90, latency_ms.p99, latency_ms.max];
        let latencies = latencies.map(|latency| format!("{latency:>9.1}")).concat();
        let errors: Vec<String> = self.errors.iter().map(|(what, count)| format!("{what}: {count}")).collect();
        let mut problems = vec![paint.red(&errors.join(", "))];
        if self.gone > 0 {
            problems.push(paint.dim(&format!("gone: {}", self.gone)));
        }
        problems.retain(|part| !part.is_empty());
        format!("{name:<ROUTE$}{requests:>9}{requests_per_second:>9.1}{latencies}  {}", problems.join(", "))
    }
}

impl Slowest {
    fn line(&self) -> String {
        let trace = match (&self.link, &self.trace_id) {
            (Some(link), _) => link.clone(),
            (None, Some(id)) if self.recorded => id.clone(),
            (None, Some(id)) => format!("{id} (not recorded)"),
            (None, None) => "none".to_owned(),
        };
        format!("{:>9.1}  {:<ROUTE$} {:<7} {trace}", self.ms, self.route, self.outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::super::pace::Sent;
    use super::super::summary::tests::summary;
    use super::*;

    #[test]
    fn the_text_has_a_line_per_route_and_the_slowest_with_their_traces() {
        let text = summary(Loop::Closed { concurrency: 8 }).text(Paint::Plain);
        let mut lines = text.lines();
        let head = "http://127.0.0.1:3000, closed loop of 8, users 2, seed 7: 3 requests in 2.0 s";
        assert_eq!(lines.next(), Some(head));
        assert_eq!(lines.next(), Some("faults: slow-query:200ms"));
        let line = |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap();
        let words = |start: &str| line(start).split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
        assert_eq!(words("GET /api/activities/home"), "GET /api/activities/home 2 1.0 20.5 30.5 30.5 30.5 closed: 1");
        assert!(words("GET /api/activities/@{handle}/status").ends_with("gone: 1"));
        assert!(words("all").starts_with("all 3 1.5"));
        assert!(text.contains(&format!("200     http://127.0.0.1:3000/traces/#{}", "a".repeat(32))), "{text}");
        assert!(text.contains(&format!("{} (not recorded)", "b".repeat(32))), "{text}");
        assert!(!text.contains('\x1b'));
    }

    #[test]
    fn colours_change_no_text() {
        let summary = summary(Loop::Open { rate: 50, sent: Sent { in_time: 1, late: 2, unsent: 3 } });
        let (plain, ansi) = (summary.text(Paint::Plain), summary.text(Paint::Ansi));
        assert!(ansi.contains("\x1b[31mclosed: 1\x1b[0m"), "{ansi}");
        assert_eq!(ansi.replace("\x1b[31m", "").replace("\x1b[2m", "").replace("\x1b[0m", ""), plain);
        assert!(plain.contains("due but not sent: 3 requests; all 256 visitors were busy"), "{plain}");
        assert!(plain.contains("sent more than 10 ms late: 2 requests; latencies include the delay"), "{plain}");
    }
}
