//! The proxy's own counts, for Prometheus, by OpenTelemetry's
//! [names](https://opentelemetry.io/docs/specs/semconv/http/http-metrics/): requests by route template and class of status. No
//! request waits for a lock. The number of routes is bounded: data from a client is never a label.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use telemetry::prometheus::{Family, MetricKind};

/// Most routes that are counted separately; all others are counted as one.
const ROUTES: usize = 64;
/// A histogram's bounds, in microseconds: some of those that OpenTelemetry recommends.
const BOUNDS: [u64; 11] =
    [5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000];
/// By the status's first digit; the first class is for requests whose client disconnected before there was a status.
const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];
/// The statuses of the proxy's own responses to an upstream's failure.
const FAILURES: [u16; 3] = [502, 503, 504];

/// All counts.
pub(crate) struct Metrics {
    /// Filled in order, from the first one.
    routes: [OnceLock<RouteCounts>; ROUTES],
    other: RouteCounts,
    active: AtomicI64,
    connections: AtomicI64,
    failures: [AtomicU64; FAILURES.len()],
}

/// The counts of one route.
pub(crate) struct RouteCounts {
    template: Box<str>,
    classes: [Histogram; CLASSES.len()],
}

#[derive(Default)]
struct Histogram {
    /// The last is for durations above all bounds.
    counts: [AtomicU64; BOUNDS.len() + 1],
    microseconds: AtomicU64,
}

/// The index of a route in [`Metrics`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RouteId(usize);

impl RouteId {
    /// No route, or a route beyond the bound.
    pub(crate) const OTHER: Self = Self(ROUTES);
}

impl Metrics {
    pub(crate) fn new() -> Self {
        Self {
            routes: [const { OnceLock::new() }; ROUTES],
            other: RouteCounts::new("other"),
            active: AtomicI64::new(0),
            connections: AtomicI64::new(0),
            failures: Default::default(),
        }
    }

    /// The route with this template, which may be new.
    pub(crate) fn route(&self, template: &str) -> RouteId {
        let place =
            |route: &OnceLock<RouteCounts>| &*route.get_or_init(|| RouteCounts::new(template)).template == template;
        self.routes.iter().position(place).map_or(RouteId::OTHER, RouteId)
    }

    /// The template of a route.
    pub(crate) fn template(&self, id: RouteId) -> &str {
        &self.of(id).template
    }

    pub(crate) fn begin(&self) {
        self.active.fetch_add(1, Ordering::Relaxed);
    }

    /// Records the end of a request; `status` is 0 if there was none.
    pub(crate) fn end(&self, route: RouteId, status: u16, duration: Duration) {
        self.active.fetch_sub(1, Ordering::Relaxed);
        if let Some(histogram) = self.of(route).classes.get(usize::from(status / 100)) {
            histogram.add(duration);
        }
    }

    /// Counts one of the proxy's own responses.
    pub(crate) fn answered(&self, status: u16) {
        if let Some((_, count)) = FAILURES.iter().zip(&self.failures).find(|(own, _)| **own == status) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a connection as open until the returned value is dropped.
    pub(crate) fn connection(self: &std::sync::Arc<Self>) -> OpenConnection {
        self.connections.fetch_add(1, Ordering::Relaxed);
        OpenConnection(std::sync::Arc::clone(self))
    }

    /// Writes the counts for Prometheus.
    pub(crate) fn prometheus(&self, text: &mut String) {
        let help = "Requests in progress.";
        Family::begin(text, "http_server_active_requests", MetricKind::Gauge, help)
            .sample(&[], self.active.load(Ordering::Relaxed));
        let help = "Open client connections.";
        Family::begin(text, "frontend_proxy_connections", MetricKind::Gauge, help)
            .sample(&[], self.connections.load(Ordering::Relaxed));
        let help = "Requests without a response from an upstream, by the status sent instead.";
        let mut failures = Family::begin(text, "frontend_proxy_upstream_failures_total", MetricKind::Counter, help);
        for (status, count) in FAILURES.iter().zip(&self.failures) {
            failures.sample(&[("http_response_status_code", &*status.to_string())], count.load(Ordering::Relaxed));
        }
        let help = "From a request's head to the last byte of its response.";
        let mut requests = Family::begin(text, "http_server_request_duration_seconds", MetricKind::Histogram, help);
        for route in self.routes.iter().map_while(OnceLock::get).chain([&self.other]) {
            for (class, histogram) in CLASSES.iter().zip(&route.classes) {
                histogram.prometheus(
                    &mut requests,
                    [("http_route", &*route.template), ("http_response_status_class", *class)],
                );
            }
        }
    }

    fn of(&self, id: RouteId) -> &RouteCounts {
        self.routes.get(id.0).and_then(OnceLock::get).unwrap_or(&self.other)
    }
}

/// Counts a connection until it is dropped.
pub(crate) struct OpenConnection(std::sync::Arc<Metrics>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

impl RouteCounts {
    fn new(template: &str) -> Self {
        Self { template: template.into(), classes: Default::default() }
    }
}

impl Histogram {
    fn add(&self, duration: Duration) {
        let microseconds = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let index = BOUNDS.iter().take_while(|bound| microseconds > **bound).count();
        if let Some(count) = self.counts.get(index) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.microseconds.fetch_add(microseconds, Ordering::Relaxed);
    }

    /// Writes nothing if nothing was counted.
    fn prometheus(&self, family: &mut Family<'_>, labels: [(&str, &str); 2]) {
        let counts: Vec<u64> = self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let total: u64 = counts.iter().sum();
        if total == 0 {
            return;
        }
        let [route, class] = labels;
        let bounds = BOUNDS.iter().map(|bound| seconds(*bound)).chain(["+Inf".to_owned()]);
        let mut sum = 0;
        for (bound, count) in bounds.zip(&counts) {
            sum += count;
            family.part("_bucket", &[route, class, ("le", &*bound)], sum);
        }
        family.part("_sum", &labels, seconds(self.microseconds.load(Ordering::Relaxed)));
        family.part("_count", &labels, total);
    }
}

/// Microseconds as an exact number of seconds.
fn seconds(microseconds: u64) -> String {
    let text = format!("{}.{:06}", microseconds / 1_000_000, microseconds % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_counted_by_route_class_and_duration() {
        let metrics = Metrics::new();
        let api = metrics.route("/api/*");
        assert_eq!((metrics.route("/api/*"), metrics.template(api)), (api, "/api/*"));
        for (status, milliseconds) in [(200, 5), (201, 6), (404, 20_000), (0, 1)] {
            metrics.begin();
            metrics.end(api, status, Duration::from_millis(milliseconds));
        }
        metrics.begin();
        metrics.answered(502);
        let mut text = String::new();
        metrics.prometheus(&mut text);
        for line in [
            "http_server_active_requests 1",
            "frontend_proxy_upstream_failures_total{http_response_status_code=\"502\"} 1",
            r#"http_server_request_duration_seconds_bucket{http_route="/api/*",http_response_status_class="2xx",le="0.005"} 1"#,
            r#"http_server_request_duration_seconds_bucket{http_route="/api/*",http_response_status_class="2xx",le="0.01"} 2"#,
            r#"http_server_request_duration_seconds_bucket{http_route="/api/*",http_response_status_class="4xx",le="10"} 0"#,
            r#"http_server_request_duration_seconds_bucket{http_route="/api/*",http_response_status_class="4xx",le="+Inf"} 1"#,
            r#"http_server_request_duration_seconds_sum{http_route="/api/*",http_response_status_class="2xx"} 0.011"#,
            r#"http_server_request_duration_seconds_count{http_route="/api/*",http_response_status_class="none"} 1"#,
        ] {
            assert!(text.lines().any(|own| own == line), "{line}\n{text}");
        }
        assert!(!text.contains("5xx"), "an empty histogram is not written");
    }

    #[test]
    fn the_number_of_routes_is_bounded() {
        let metrics = Metrics::new();
        let ids: Vec<RouteId> = (0..ROUTES + 5).map(|index| metrics.route(&format!("/{index}/*"))).collect();
        assert_eq!(ids.iter().filter(|id| **id == RouteId::OTHER).count(), 5);
        assert_eq!(metrics.template(ids[0]), "/0/*");
        metrics.end(RouteId::OTHER, 200, Duration::ZERO);
        let mut text = String::new();
        metrics.prometheus(&mut text);
        assert!(text.contains("http_route=\"other\""), "{text}");
    }
}
