//! What is observed when metrics are collected, and costs nothing in between: active requests, pools, the process, the ledger.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Instant;

use opentelemetry::metrics::{AsyncInstrument, Meter};
use opentelemetry::{KeyValue, Value};

use super::measure::Histograms;
use super::process::{Usage, usage};
use super::timer::pools;
use crate::book;
use crate::ledger::{DestinationCounts, RecordKind};
use crate::measured::PoolCounts;

/// One figure of the process, and of a destination.
type OfUsage = fn(&Usage) -> i64;
type OfCounts = fn(&DestinationCounts) -> u64;

/// Registers everything that is observed.
pub(super) fn register(meter: &Meter, histograms: &'static Histograms) {
    active_requests(meter, histograms);
    connections(meter);
    process(meter);
    ledger(meter);
}

fn active_requests(meter: &Meter, histograms: &'static Histograms) {
    let observe = |observer: &dyn AsyncInstrument<i64>| {
        let mut active = BTreeMap::new();
        for series in histograms.server.all() {
            let of = |key| series.attribute(key).map(Value::as_str);
            if let (Some(method), Some(scheme)) = (of("http.request.method"), of("url.scheme")) {
                *active.entry((method, scheme)).or_insert(0) += series.active.load(Ordering::Relaxed);
            }
        }
        for ((method, scheme), count) in active {
            let attributes = [("http.request.method", method), ("url.scheme", scheme)]
                .map(|(key, value)| KeyValue::new(key, value.into_owned()));
            observer.observe(count, &attributes);
        }
    };
    meter
        .i64_observable_up_down_counter("http.server.active_requests")
        .with_unit("{request}")
        .with_description("Number of active HTTP server requests.")
        .with_callback(observe)
        .build();
}

fn connections(meter: &Meter) {
    let observable = |name: &'static str, unit: &'static str, description: &'static str| {
        meter.i64_observable_up_down_counter(name).with_unit(unit).with_description(description)
    };
    let pool = |name: &str| KeyValue::new("db.client.connection.pool.name", name.to_owned());
    let description = "The number of connections that are currently in state described by the state attribute.";
    observable("db.client.connection.count", "{connection}", description)
        .with_callback(move |observer| {
            for (name, PoolCounts { idle, used, .. }) in pools() {
                for (state, count) in [("idle", idle), ("used", used)] {
                    let state = KeyValue::new("db.client.connection.state", state);
                    observer.observe(count.into(), &[pool(&name), state]);
                }
            }
        })
        .build();
    observable("db.client.connection.max", "{connection}", "The maximum number of open connections allowed.")
        .with_callback(move |observer| {
            pools().iter().for_each(|(name, counts)| observer.observe(counts.max.into(), &[pool(name)]));
        })
        .build();
    let description = "The number of current pending requests for an open connection.";
    observable("db.client.connection.pending_requests", "{request}", description)
        .with_callback(move |observer| {
            for (name, counts) in pools() {
                counts.pending.iter().for_each(|pending| observer.observe((*pending).into(), &[pool(&name)]));
            }
        })
        .build();
}

fn process(meter: &Meter) {
    let started = Instant::now();
    meter
        .f64_observable_counter("process.cpu.time")
        .with_unit("s")
        .with_description("Total CPU seconds broken down by different states.")
        .with_callback(|observer| {
            let Some(usage) = usage() else { return };
            for (mode, seconds) in [("user", usage.user), ("system", usage.system)] {
                observer.observe(seconds, &[KeyValue::new("cpu.mode", mode)]);
            }
        })
        .build();
    let gauges: [(_, _, _, OfUsage); 3] = [
        ("process.memory.usage", "By", "The amount of physical memory in use.", |usage| usage.resident),
        ("process.memory.virtual", "By", "The amount of committed virtual memory.", |usage| usage.reserved),
        ("process.thread.count", "{thread}", "Process threads count.", |usage| usage.threads),
    ];
    for (name, unit, description, of) in gauges {
        meter
            .i64_observable_up_down_counter(name)
            .with_unit(unit)
            .with_description(description)
            .with_callback(move |observer| usage().iter().for_each(|usage| observer.observe(of(usage), &[])))
            .build();
    }
    meter
        .f64_observable_gauge("process.uptime")
        .with_unit("s")
        .with_description("The time the process has been running.")
        .with_callback(move |observer| observer.observe(started.elapsed().as_secs_f64(), &[]))
        .build();
}

/// The ledger under the names that it has for Prometheus.
fn ledger(meter: &Meter) {
    for unit in RecordKind::ALL {
        let name = |count: &str| format!("telemetry.{}.{count}", unit.plural());
        let counts = move || {
            let destinations = book::current_ledger().map(|ledger| ledger.destinations).unwrap_or_default();
            destinations.into_iter().filter(move |counts| counts.records == unit)
        };
        let destination = |counts: &DestinationCounts| KeyValue::new("destination", counts.name.clone());
        let counters: [(_, OfCounts); 2] =
            [("created", |counts| counts.created), ("delivered", |counts| counts.delivered)];
        for (count, of) in counters {
            meter
                .u64_observable_counter(name(count))
                .with_unit(unit.annotation())
                .with_callback(move |observer| {
                    counts().for_each(|counts| observer.observe(of(&counts), &[destination(&counts)]));
                })
                .build();
        }
        meter
            .u64_observable_counter(name("dropped"))
            .with_unit(unit.annotation())
            .with_callback(move |observer| {
                for counts in counts() {
                    for (reason, count) in &counts.dropped {
                        observer.observe(*count, &[destination(&counts), KeyValue::new("reason", reason.to_string())]);
                    }
                }
            })
            .build();
        meter
            .i64_observable_up_down_counter(name("queued"))
            .with_unit(unit.annotation())
            .with_callback(move |observer| {
                for counts in counts() {
                    let queued = i64::try_from(counts.queued).unwrap_or(i64::MAX);
                    observer.observe(queued, &[destination(&counts)]);
                }
            })
            .build();
    }
}
