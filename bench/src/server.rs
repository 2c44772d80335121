//! The service in each of its modes: one worker, one route, the same response.

use actix_web::body::MessageBody;
use actix_web::dev::{Server, ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::{App, Error, HttpRequest, HttpResponse, HttpServer, web};
use opentelemetry::KeyValue;
use opentelemetry::trace::{Span, SpanKind, Tracer, TracerProvider};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tracing_actix_web::TracingLogger;
use tracing_subscriber::Registry;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::activities::{home, respond};
use crate::features;

const ROUTE: &str = "/api/activities/home";

#[expect(clippy::disallowed_methods, reason = "the spans of others have what actix offers them")]
async fn by_hand(request: HttpRequest, tracer: web::Data<SdkTracer>) -> HttpResponse {
    let info = request.connection_info();
    let mut span = tracer
        .span_builder("GET /api/activities/home")
        .with_kind(SpanKind::Server)
        .with_attributes([
            KeyValue::new("http.request.method", "GET"),
            KeyValue::new("http.route", ROUTE),
            KeyValue::new("url.path", request.path().to_owned()),
            KeyValue::new("url.scheme", info.scheme().to_owned()),
            KeyValue::new("server.address", info.host().to_owned()),
            KeyValue::new("client.address", info.peer_addr().unwrap_or_default().to_owned()),
            KeyValue::new("network.protocol.version", "1.1"),
        ])
        .start(tracer.get_ref());
    let response = respond();
    span.set_attribute(KeyValue::new("http.response.status_code", 200));
    span.end();
    response
}

/// The stock batch processor and exporter, configured by OpenTelemetry's variables.
fn stock() -> SdkTracerProvider {
    let exporter = opentelemetry_otlp::SpanExporter::builder().with_http().build().expect("an exporter");
    SdkTracerProvider::builder().with_batch_exporter(exporter).build()
}

pub(crate) fn run(mode: &str, address: &str) -> std::io::Result<()> {
    let route = || web::resource(ROUTE).route(web::get().to(home));
    let logger = TracingLogger::<telemetry::actix::RootSpan>::new;
    match mode {
        "bare" => serve(address, move || App::new().service(route())),
        "by-hand" => {
            let provider = stock();
            let tracer = web::Data::new(provider.tracer("bench"));
            let app = move || {
                let resource = web::resource(ROUTE).route(web::get().to(by_hand));
                App::new().app_data(tracer.clone()).service(resource)
            };
            let served = serve(address, app);
            eprintln!("shutdown: {:?}", provider.shutdown());
            served
        }
        "usual" | "usual-quiet" => {
            let provider = stock();
            let tracer = provider.tracer("bench");
            if mode == "usual" {
                // `ours` has a console too: JSON, from `info`, set up as the documentation of each of these crates shows.
                let console = tracing_subscriber::fmt::layer().json().with_writer(std::io::stderr);
                let filter = tracing_subscriber::EnvFilter::new("info");
                let spans = tracing_opentelemetry::layer().with_tracer(tracer);
                Registry::default().with(filter).with(spans).with(console).init();
            } else {
                Registry::default().with(tracing_opentelemetry::layer().with_tracer(tracer)).init();
            }
            let served = serve(address, move || App::new().service(route()).wrap(TracingLogger::default()));
            eprintln!("shutdown: {:?}", provider.shutdown());
            served
        }
        "no-layer" => {
            Registry::default().init();
            serve(address, move || App::new().service(route()).wrap(logger()))
        }
        _ => {
            let route = features::route(mode).unwrap_or_else(|| panic!("no mode {mode}"));
            let telemetry = features::config(mode).expect("its variables").install("bench").expect("no other");
            if mode == "follow" {
                telemetry::api::follow_spans();
            }
            let app = move || App::new().service(web::resource(ROUTE).route(route())).wrap(logger());
            let served = serve(address, app);
            drop(telemetry.shutdown());
            served
        }
    }
}

/// Serves until a signal arrives.
fn serve<F, T, B>(address: &str, app: F) -> std::io::Result<()>
where
    F: Fn() -> App<T> + Send + Clone + 'static,
    T: ServiceFactory<ServiceRequest, Config = (), Response = ServiceResponse<B>, Error = Error, InitError = ()>
        + 'static,
    B: MessageBody + 'static,
{
    actix_web::rt::System::new().block_on(async move {
        let server: Server = HttpServer::new(app).workers(1).bind(address)?.run();
        server.await
    })
}
