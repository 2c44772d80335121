//! Readiness, and the end of a server. From the order to stop on, the server is not ready, and every request that it has accepted gets a response before the
//! drain ends. A request that waits for a silent database then gets 503; its write still runs to its end.

use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::middleware::Next;
use actix_web::{HttpResponse, web};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::problem::{self, Problem};
use super::{Answer, State};

/// The part of the drain in which responses are written after requests have stopped waiting.
const WRITE: Duration = Duration::from_secs(1);

/// How far the shutdown of this server has come.
#[derive(Debug, Clone, Default)]
pub(super) struct Drain {
    begun: CancellationToken,
    ending: CancellationToken,
}

impl Drain {
    /// Starts a drain that takes `seconds`, and completes when no request may wait any longer.
    pub(super) async fn run(&self, seconds: u64) {
        self.begun.cancel();
        sleep(Duration::from_secs(seconds).saturating_sub(WRITE)).await;
        self.ending.cancel();
    }
}

/// Gives a response to a request that still waits at the end of the drain.
pub(super) async fn answer_in_time<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    let ending = request.app_data::<web::Data<State>>().map(|state| state.drain.ending.clone());
    let Some(ending) = ending else { return next.call(request).await };
    tokio::select! {
        biased;
        answer = next.call(request) => answer,
        () = ending.cancelled() => {
            Err(Problem::Other(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping".to_owned()).into())
        }
    }
}

/// Whether this server should get requests
#[utoipa::path(get, path = "/health/ready", tag = "operation", operation_id = "ready",
    responses((status = 204, description = "It should"),
        (status = 503, description = "It is about to stop, its database does not answer, or their clocks differ by more than a minute",
            body = problem::Body, content_type = "application/problem+json")))]
pub(super) async fn ready(state: web::Data<State>) -> Answer {
    let unavailable = |why: String| Err(Problem::Other(StatusCode::SERVICE_UNAVAILABLE, why));
    if state.drain.begun.is_cancelled() {
        return unavailable("the server is stopping".to_owned());
    }
    match state.store.readiness().await {
        Ok(()) => Ok(HttpResponse::NoContent().finish()),
        Err(why) => unavailable(why.to_string()),
    }
}
