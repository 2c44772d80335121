//! Stands in for metrics in a build without the feature `metrics`: nothing is measured.

use tracing::Span;

pub use crate::measured::{DatabaseOperation, PoolCounts};

/// Measures nothing.
#[must_use = "the measurement ends when this is dropped"]
pub struct Timer;

impl Timer {
    /// Measures nothing.
    pub fn database(_: &DatabaseOperation<'_>) -> Self {
        Self
    }

    /// Measures nothing.
    pub fn server(_: &str, _: &str, _: Option<&str>, _: Option<&str>) -> Self {
        Self
    }

    /// Does nothing.
    pub fn status(&mut self, _: u16) {}

    /// Does nothing.
    pub fn fail(&mut self, _: &str) {}

    /// Does nothing.
    pub fn fail_by_code(&mut self, _: &str) {}

    /// Does nothing.
    pub fn end(self, _: &Span) {}
}

/// Observes nothing.
pub fn observe_pool(_: impl Into<String>, _: impl Fn() -> Option<PoolCounts> + Send + 'static) {}

/// Nothing is measured.
pub fn prometheus() -> Option<String> {
    None
}

pub(crate) mod measure {
    use crate::context::SpanIds;

    /// Measures nothing.
    pub(crate) enum Measure {}

    impl Measure {
        pub(crate) fn served(_: &str, _: &str, _: Option<&str>, _: Option<&str>) -> Option<Self> {
            None
        }

        pub(crate) fn called(_: &str, _: &str, _: &str, _: u16) -> Option<Self> {
            None
        }

        pub(crate) fn status(&mut self, _: u16, _: bool) {}

        pub(crate) fn fail(&mut self, _: &str) {}

        pub(crate) fn end(self, _: Option<SpanIds>) {}
    }
}

pub(crate) mod provider {
    use std::io;
    use std::sync::Arc;

    use crate::metric_settings::MetricSettings;
    use crate::pipeline::Queue;
    use crate::resource::Resource;

    #[expect(clippy::unnecessary_wraps, reason = "the provider itself can fail")]
    pub(crate) fn start(_: &MetricSettings, _: &Resource, _: Vec<Arc<Queue>>) -> io::Result<bool> {
        Ok(false)
    }

    pub(crate) fn collect() {}

    pub(crate) fn stop() {}
}
