//! Runs futures on the thread whose subscriber is the test's.

use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::runtime::Builder;
use tokio::task::LocalSet;

use super::recorded;
use crate::limits::Limits;
use crate::span::sampler::Sampler;

/// The spans that end while `work` runs, or what it has spawned.
pub(crate) fn spans_of(work: impl Future<Output = ()>) -> Vec<Span> {
    let run = || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        LocalSet::new().block_on(&runtime, work);
    };
    recorded(Sampler::default(), Limits::default(), false, run).spans
}
