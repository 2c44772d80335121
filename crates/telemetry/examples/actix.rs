//! A traced actix-web service: a SERVER span for each request, the handler's own span below it, and the ledger as JSON. Sends
//! nothing unless a variable names a destination.
//!
//! ```sh
//! OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 cargo run -p cruddur-telemetry --features actix --example actix
//! curl -i http://127.0.0.1:8080/rolls/6; curl http://127.0.0.1:8080/health/telemetry
//! ```

use std::net::Ipv4Addr;

use actix_web::{App, HttpResponse, HttpServer, middleware, web};
use telemetry::actix::{RootSpan, finish};
use telemetry::span::SpanExt;
use tracing_actix_web::TracingLogger;

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let telemetry = telemetry::Config::from_env()?.service_version(env!("CARGO_PKG_VERSION")).install("dice")?;
    let app = || {
        App::new()
            .wrap(middleware::from_fn(finish))
            .wrap(TracingLogger::<RootSpan>::new())
            .route("/rolls/{sides}", web::get().to(roll))
            // Routes below `/health/` are not traced.
            .route("/health/telemetry", web::get().to(ledger))
    };
    HttpServer::new(app).workers(1).bind((Ipv4Addr::LOCALHOST, 8080))?.run().await?;
    // Ctrl-C has ended the server. Without this call, spans that are still queued would be lost.
    telemetry.shutdown();
    Ok(())
}

async fn roll(sides: web::Path<u16>) -> HttpResponse {
    let sides = sides.into_inner();
    // The name is constant, and details are attributes: a name that contains a number would be different each time.
    let span = tracing::info_span!("roll", dice.sides = sides);
    let rolled = span.in_scope(|| rand::random_range(1..=sides.max(1)));
    span.set("dice.rolled", rolled);
    if sides == 0 {
        span.fail("no_sides");
        return HttpResponse::UnprocessableEntity().body("a die has a side\n");
    }
    HttpResponse::Ok().body(format!("{rolled}\n"))
}

async fn ledger() -> HttpResponse {
    HttpResponse::Ok().json(telemetry::current_ledger())
}
