//! A task that runs on its own, as `tokio::spawn` runs it: its span is below the span that started it, and neither keeps the other open.

use tracing::Instrument;

use super::owned::OwnedSpan;

/// Runs `work` in a span below the current one, which ends when the work is done or dropped. The current span may end earlier. The future is
/// `Send` if `work` is.
///
/// ```
/// # mod tokio { pub fn spawn(_: impl Future<Output = ()> + Send + 'static) {} }
/// async fn send_mail() {}
/// tokio::spawn(telemetry::span::task("send-mail", send_mail()));
/// ```
pub fn task<F: Future>(name: &str, work: F) -> impl Future<Output = F::Output> + use<F> {
    let span = OwnedSpan::within_current(name, |_| {});
    async move {
        let current = (*span).clone();
        let output = work.instrument(current).await;
        drop(span);
        output
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::limits::Limits;
    use crate::span::sampler::Sampler;
    use crate::testing::recorded;

    fn poll<T>(future: impl Future<Output = T>) -> Poll<T> {
        pin!(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    /// The tests' subscriber is that of one thread.
    fn is_send<T: Send>(future: T) -> T {
        future
    }

    #[test]
    fn a_task_is_below_the_span_that_started_it_and_may_end_later() {
        let recorded = recorded(Sampler::default(), Limits::default(), false, || {
            let request = tracing::info_span!("request");
            let work = async {
                drop(tracing::info_span!("part"));
                7
            };
            let task = request.in_scope(|| is_send(task("mail", work)));
            drop(request);
            assert_eq!(poll(task), Poll::Ready(7));
        });
        let names: Vec<&str> = recorded.spans.iter().map(|span| &*span.name).collect();
        assert_eq!(names, ["request", "part", "mail"]);
        let [request, part, mail] = recorded.spans.as_slice() else { unreachable!() };
        assert_eq!((&mail.parent_span_id, &part.parent_span_id), (&request.span_id, &mail.span_id));
        assert_eq!((&mail.trace_id, &part.trace_id), (&request.trace_id, &request.trace_id));
    }

    #[test]
    fn a_task_that_is_dropped_ends() {
        let recorded = recorded(Sampler::default(), Limits::default(), false, || {
            let mut waiting = Box::pin(task("waits", std::future::pending::<()>()));
            assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            drop(waiting);
            drop(task("never polled", std::future::pending::<()>()));
        });
        let names: Vec<&str> = recorded.spans.iter().map(|span| &*span.name).collect();
        assert_eq!(names, ["waits", "never polled"]);
    }
}
