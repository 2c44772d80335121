//! The proxy's own counts, for Prometheus: connections of clients, and its own responses to upstreams' failures. What
//! OpenTelemetry's conventions have a name for, such as requests and their durations, is counted by `telemetry::metrics`. No request
//! waits for a lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use telemetry::prometheus::{Family, MetricKind};

/// The statuses of the proxy's own responses to an upstream's failure.
const FAILURES: [u16; 3] = [502, 503, 504];

/// All counts.
#[derive(Default)]
pub(crate) struct Metrics {
    connections: AtomicI64,
    failures: [AtomicU64; FAILURES.len()],
}

impl Metrics {
    /// Counts one of the proxy's own responses.
    pub(crate) fn answered(&self, status: u16) {
        if let Some((_, count)) = FAILURES.iter().zip(&self.failures).find(|(own, _)| **own == status) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a connection as open until the returned value is dropped.
    pub(crate) fn connection(self: &Arc<Self>) -> OpenConnection {
        self.connections.fetch_add(1, Ordering::Relaxed);
        OpenConnection(Arc::clone(self))
    }

    /// Writes the counts for Prometheus.
    pub(crate) fn prometheus(&self, text: &mut String) {
        let help = "Open client connections.";
        Family::begin(text, "frontend_proxy_connections", MetricKind::Gauge, help)
            .sample(&[], self.connections.load(Ordering::Relaxed));
        let help = "Requests without a response from an upstream, by the status sent instead.";
        let mut failures = Family::begin(text, "frontend_proxy_upstream_failures_total", MetricKind::Counter, help);
        for (status, count) in FAILURES.iter().zip(&self.failures) {
            failures.sample(&[("http_response_status_code", &*status.to_string())], count.load(Ordering::Relaxed));
        }
    }
}

/// Counts a connection until it is dropped.
pub(crate) struct OpenConnection(Arc<Metrics>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_and_failures_are_counted() {
        let metrics = Arc::new(Metrics::default());
        let (_open, closed) = (metrics.connection(), metrics.connection());
        drop(closed);
        [502, 502, 404].into_iter().for_each(|status| metrics.answered(status));
        let mut text = String::new();
        metrics.prometheus(&mut text);
        for line in [
            "frontend_proxy_connections 1",
            "frontend_proxy_upstream_failures_total{http_response_status_code=\"502\"} 2",
            "frontend_proxy_upstream_failures_total{http_response_status_code=\"504\"} 0",
        ] {
            assert!(text.lines().any(|own| own == line), "{line}\n{text}");
        }
    }
}
