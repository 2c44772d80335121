//! The measurements of a load, for people and as JSON. Does no I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;

use super::origin::Origin;
use super::pace::Loop;
use super::record::{Record, Slow, Tally};
use super::route::Route;
use super::run::RunResult;

/// The requested load, and its course apart from the requests.
pub(super) struct Course {
    pub(super) origin: Origin,
    pub(super) users: usize,
    pub(super) seed: u64,
    /// The faults that the server reports as switched on.
    pub(super) faults: Option<String>,
    pub(super) result: RunResult,
}

#[derive(Serialize)]
pub(super) struct Summary {
    pub(super) url: String,
    #[serde(rename = "loop")]
    pub(super) pace: Loop,
    pub(super) users: usize,
    pub(super) seed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) faults: Option<String>,
    pub(super) seconds: f64,
    pub(super) interrupted: bool,
    pub(super) abandoned: usize,
    pub(super) total: Measured,
    pub(super) routes: Vec<RouteSummary>,
    pub(super) slowest: Vec<Slowest>,
}

#[derive(Serialize)]
pub(super) struct RouteSummary {
    pub(super) route: Route,
    #[serde(flatten)]
    pub(super) measured: Measured,
}

#[derive(Serialize)]
pub(super) struct Measured {
    pub(super) requests: u64,
    pub(super) requests_per_second: f64,
    pub(super) latency_ms: Latency,
    /// Requests without a response, or answered 5xx.
    pub(super) failed: u64,
    /// Requests answered neither 2xx nor 5xx, without expired cruds.
    pub(super) refused: u64,
    /// Cruds that had expired.
    pub(super) gone: u64,
    /// All failed or refused requests, by status or kind.
    pub(super) errors: BTreeMap<String, u64>,
}

#[derive(Serialize)]
pub(super) struct Latency {
    pub(super) p50: f64,
    pub(super) p90: f64,
    pub(super) p99: f64,
    pub(super) max: f64,
}

#[derive(Serialize)]
pub(super) struct Slowest {
    pub(super) ms: f64,
    pub(super) route: Route,
    /// The status, or why there is no response.
    pub(super) outcome: String,
    pub(super) trace_id: Option<String>,
    /// Whether its spans are recorded.
    pub(super) recorded: bool,
    /// Where the viewer shows the trace; absent if the viewer does not have it.
    pub(super) link: Option<String>,
}

impl Summary {
    /// Builds the summary. `kept` holds the traces that the viewer has.
    pub(super) fn of(course: Course, record: &Record, kept: &BTreeSet<String>) -> Self {
        let RunResult { pace, took, interrupted, abandoned } = course.result;
        let routes = record.routes.iter();
        let routes =
            routes.map(|(route, tally)| RouteSummary { route: *route, measured: Measured::of(tally, took) }).collect();
        let slowest = record.slowest().into_iter().map(|slow| Slowest::of(slow, &course.origin, kept)).collect();
        Self {
            url: course.origin.to_string(),
            pace,
            users: course.users,
            seed: course.seed,
            faults: course.faults,
            seconds: f64::from(u32::try_from(took.as_millis()).unwrap_or(u32::MAX)) / 1000.0,
            interrupted,
            abandoned,
            total: Measured::of(&record.all, took),
            routes,
            slowest,
        }
    }

    /// Requests that were due but never sent.
    pub(super) fn unsent(&self) -> u64 {
        match self.pace {
            Loop::Open { sent, .. } => sent.unsent,
            Loop::Closed { .. } => 0,
        }
    }
}

impl Measured {
    fn of(tally: &Tally, took: Duration) -> Self {
        let count = f64::from(u32::try_from(tally.count()).unwrap_or(u32::MAX));
        let rate = if took.is_zero() { 0.0 } else { count / took.as_secs_f64() };
        let percentile = |percent| milliseconds(tally.percentile(percent));
        Self {
            requests: tally.count(),
            requests_per_second: (rate * 10.0).round() / 10.0,
            latency_ms: Latency {
                p50: percentile(50.0),
                p90: percentile(90.0),
                p99: percentile(99.0),
                max: milliseconds(tally.max),
            },
            failed: tally.failed(),
            refused: tally.refused(),
            gone: tally.gone,
            errors: tally.faults.iter().map(|(fault, count)| (fault.to_string(), *count)).collect(),
        }
    }
}

impl Slowest {
    fn of(slow: Slow, origin: &Origin, kept: &BTreeSet<String>) -> Self {
        let (trace_id, recorded) = slow.trace.map_or((None, false), |trace| (Some(trace.id), trace.recorded));
        Self {
            ms: milliseconds(slow.took),
            route: slow.route,
            outcome: slow.outcome.map_or_else(|failure| failure.to_string(), |status| status.to_string()),
            link: trace_id.as_ref().filter(|id| kept.contains(*id)).map(|id| format!("{origin}/traces/#{id}")),
            trace_id,
            recorded,
        }
    }
}

/// Milliseconds with three decimal places.
fn milliseconds(took: Duration) -> f64 {
    // 32 bits hold more than an hour of microseconds; no load is longer than an hour.
    f64::from(u32::try_from(took.as_micros()).unwrap_or(u32::MAX)) / 1000.0
}

#[cfg(test)]
pub(super) mod tests {
    use hyper::StatusCode;
    use serde_json::json;

    use super::super::connection::Failure;
    use super::super::pace::Sent;
    use super::super::record::Sample;
    use super::super::trace::Trace;
    use super::*;

    /// Three requests in two seconds: one slow and recorded, one whose crud is gone, one without a response.
    pub(in super::super) fn summary(pace: Loop) -> Summary {
        let mut record = Record::default();
        let add = |route, milliseconds: u64, outcome: Result<u16, Failure>, trace: Option<(&str, bool)>| Sample {
            route,
            took: Duration::from_micros(milliseconds * 1000 + 500),
            outcome: outcome.map(|status| StatusCode::from_u16(status).unwrap()),
            trace: trace.map(|(digit, recorded)| Trace { id: digit.repeat(32), recorded }),
        };
        record.add(add(Route::Home, 20, Ok(200), Some(("a", true))));
        record.add(add(Route::Status, 10, Ok(404), Some(("b", false))));
        record.add(add(Route::Home, 30, Err(Failure::Closed), None));
        let course = Course {
            origin: "http://127.0.0.1:3000".parse().unwrap(),
            users: 2,
            seed: 7,
            faults: Some("slow-query:200ms".to_owned()),
            result: RunResult { pace, took: Duration::from_secs(2), interrupted: false, abandoned: 0 },
        };
        Summary::of(course, &record, &BTreeSet::from(["a".repeat(32)]))
    }

    #[test]
    fn a_summary_is_one_json_object() {
        let summary = serde_json::to_value(summary(Loop::Closed { concurrency: 8 })).unwrap();
        assert_eq!(summary["loop"], json!({"closed": {"concurrency": 8}}));
        assert_eq!((&summary["total"]["requests"], &summary["total"]["requests_per_second"]), (&json!(3), &json!(1.5)));
        assert_eq!(summary["total"]["errors"], json!({"closed": 1}));
        assert_eq!((&summary["total"]["failed"], &summary["total"]["gone"]), (&json!(1), &json!(1)));
        assert_eq!(summary["routes"][0]["route"], "GET /api/activities/home");
        assert_eq!(summary["routes"][1]["latency_ms"]["max"], 10.5);
        assert_eq!(summary["faults"], "slow-query:200ms");
    }

    #[test]
    fn the_slowest_come_first_with_links_to_kept_traces() {
        let slowest = serde_json::to_value(summary(Loop::Closed { concurrency: 8 }).slowest).unwrap();
        let link = format!("http://127.0.0.1:3000/traces/#{}", "a".repeat(32));
        assert_eq!((&slowest[0]["outcome"], &slowest[0]["trace_id"]), (&json!("closed"), &json!(null)));
        assert_eq!((&slowest[1]["ms"], &slowest[1]["link"]), (&json!(20.5), &json!(link)));
        assert_eq!((&slowest[2]["recorded"], &slowest[2]["link"]), (&json!(false), &json!(null)));
    }

    #[test]
    fn an_open_loop_counts_late_and_unsent_requests() {
        let sent = Sent { in_time: 90, late: 5, unsent: 5 };
        let summary = summary(Loop::Open { rate: 50, sent });
        assert_eq!(summary.unsent(), 5);
        let json = serde_json::to_value(summary).unwrap();
        assert_eq!(json["loop"], json!({"open": {"rate": 50, "in_time": 90, "late": 5, "unsent": 5}}));
    }
}
