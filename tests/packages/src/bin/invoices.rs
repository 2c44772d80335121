//! A job that has three layers beside each other: Sentry's, `fmt`'s, and the one of this library.

use std::error::Error;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

fn main() -> Result<(), Box<dyn Error>> {
    let (layer, telemetry) = telemetry::Config::from_env()?.layer("invoices")?;
    let console = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    tracing_subscriber::registry().with(sentry_tracing::layer()).with(console).with(layer).try_init()?;
    let captured = sentry_core::test::with_captured_events(send);
    println!("{}", captured.iter().filter_map(|event| event.message.as_deref()).collect::<Vec<_>>().join(", "));
    telemetry.shutdown();
    Ok(())
}

#[tracing::instrument]
fn send() {
    tracing::info_span!("print").in_scope(|| tracing::error!("the printer is out of paper"));
}
