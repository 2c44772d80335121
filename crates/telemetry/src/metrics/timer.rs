//! Measurements by code that makes no span of this crate's, and pools that are observed. Both do nothing if nothing is measured.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use tracing::Span;

use super::measure::Measure;
use crate::http::known;
use crate::measured::{DatabaseOperation, PoolCounts};
use crate::span::with_nearest;

/// The most pools that are observed.
const POOLS: usize = 64;

/// A measurement that starts now, and ends with [`Timer::end`] or, if it is abandoned, with its drop.
#[must_use = "the measurement ends when this is dropped"]
pub struct Timer(Option<Measure>);

type Pool = (String, Box<dyn Fn() -> Option<PoolCounts> + Send>);

static OBSERVED: Mutex<Vec<Pool>> = Mutex::new(Vec::new());

impl Timer {
    /// Times a database's operation, for `db.client.operation.duration`. All texts are constants of the code or of its
    /// configuration: each combination is a series.
    pub fn database(operation: &DatabaseOperation<'_>) -> Self {
        let parts = [
            ("db.operation.name", operation.operation),
            ("db.collection.name", operation.collection),
            ("db.namespace", operation.namespace),
        ];
        Self(Measure::queried(operation.system, parts, operation.server))
    }

    /// Times a request that is served without a span, for `http.server.request.duration`. Requests with a span of
    /// [`server_span`](crate::http::server_span) are timed already.
    pub fn server(method: &str, scheme: &str, route: Option<&str>, version: Option<&str>) -> Self {
        Self(Measure::served(known(method), scheme, route, version))
    }

    /// Records HTTP's status of the response.
    pub fn status(&mut self, status: u16) {
        if let Some(measure) = &mut self.0 {
            measure.status(status, status >= 500);
        }
    }

    /// Records a failure; `kind` is a low-cardinality name such as `timeout`.
    pub fn fail(&mut self, kind: &str) {
        if let Some(measure) = &mut self.0 {
            measure.fail(kind);
        }
    }

    /// Records a failure that a database names by its own code.
    pub fn fail_by_code(&mut self, code: &str) {
        if let Some(measure) = &mut self.0 {
            measure.fail_by_code(code);
        }
    }

    /// Ends the measurement now. If `span` is sampled, it may become the exemplar of the measurement's bucket.
    pub fn end(mut self, span: &Span) {
        if let Some(measure) = self.0.take() {
            measure.end(with_nearest(span, |open| open.ids));
        }
    }
}

/// Observes a pool of database connections, for `db.client.connection.count` and its kin, under this name. `counts` returns
/// nothing once the pool is gone; it must not wait. At most 64 pools are observed.
pub fn observe_pool(name: impl Into<String>, counts: impl Fn() -> Option<PoolCounts> + Send + 'static) {
    let mut pools = OBSERVED.lock().unwrap_or_else(PoisonError::into_inner);
    if pools.len() < POOLS {
        pools.push((name.into(), Box::new(counts)));
    }
}

/// The pools now. Forgets those that are gone, and those that panic: a panic would end the SDK's thread, and all exports with it.
pub(super) fn pools() -> Vec<(String, PoolCounts)> {
    let mut pools = OBSERVED.lock().unwrap_or_else(PoisonError::into_inner);
    let mut observed = Vec::with_capacity(pools.len());
    pools.retain(|(name, counts)| match catch_unwind(AssertUnwindSafe(counts)).ok().flatten() {
        Some(counts) => {
            observed.push((name.clone(), counts));
            true
        }
        None => false,
    });
    observed
}
