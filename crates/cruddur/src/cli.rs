//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use telemetry::propagation::Trust;

use crate::rules::Asked;

const ENVIRONMENT: &str = "\
Environment (a blank variable counts as unset; port 0 takes a free port, which is printed):
  CRUDDUR_PROXY_LISTEN          the page and the API     [127.0.0.1:3000]
  CRUDDUR_PROXY_CERTIFICATE     a PEM file: HTTPS alone, with the key in CRUDDUR_PROXY_KEY
  CRUDDUR_PROXY_CONNECTIONS     connections at the same time [10000]
  CRUDDUR_BACKEND_LISTEN        the backend              [127.0.0.1:4567]
  CRUDDUR_VIEWER_LISTEN         the viewer, and OTLP     [127.0.0.1:4318]
  CRUDDUR_XRAY_LISTEN           X-Ray segments by UDP, sampling rules by TCP [127.0.0.1:2000]
  CRUDDUR_XRAY_RULES            the file of sampling rules that the viewer gives [./xray-rules.json]
  CRUDDUR_PROXY_CONFIG          the proxy's routes file  [none: Cruddur's own routes]
  CRUDDUR_UPSTREAM              the proxy's backend      [http://127.0.0.1:4567; `up`: its own]
  CRUDDUR_VIEWER                the proxy's /traces/     [none; `up`: its own]
  CRUDDUR_RELAY_SERVICES        whose spans the proxy takes from pages [cruddur-page]
  CRUDDUR_RELAY_KEY             one for all proxies, which tells their pages [random]
  CRUDDUR_ACCESS_LOG            on: an event for each request to the proxy [off]
  CRUDDUR_DATA                  the embedded database    [./.cruddur]
  DATABASE_URL                  postgres://user:password@host:5432/name instead of it
  FRONTEND_URL, BACKEND_URL     origins whose pages may call the API
  HONEYCOMB_API_KEY             sends traces to Honeycomb (HONEYCOMB_API_ENDPOINT, HONEYCOMB_DATASET)
  OTEL_EXPORTER_OTLP_ENDPOINT   sends traces to an OTLP/HTTP collector (OTEL_EXPORTER_OTLP_HEADERS)
  AWS_XRAY_DAEMON_ADDRESS       sends segments to an X-Ray daemon
  OTEL_SERVICE_NAME             the service's name in traces; `up` gives it to the backend
  OTEL_TRACES_SAMPLER           which traces are recorded (OTEL_TRACES_SAMPLER_ARG) [parentbased_always_on]
  OTEL_LOGS_EXPORTER            otlp sends events as log records too [none]
  TRACE_TRUST                   whose traces the proxy continues [callers on this machine]
  TRACE_BAGGAGE_KEYS            the keys of baggage that the proxy keeps of whoever calls [none]
  RUST_LOG                      what is logged on standard error [info]";

/// Cruddur: posts that expire, and a trace of every request from the browser to SQL
#[derive(Parser)]
#[command(version, after_help = ENVIRONMENT)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Start trace-viewer, backend and frontend-proxy, each as a process (the default)
    Up,
    /// The API alone
    Backend(Lifetime),
    /// The reverse proxy and the page alone
    FrontendProxy(Proxy),
    /// The viewer of traces alone
    TraceViewer(Lifetime),
    /// Check everything that can keep traces from arriving, a line each; exit code 1 where something will not work
    Doctor(Form),
    /// What concerns AWS X-Ray
    #[command(subcommand)]
    Xray(Xray),
}

#[derive(Subcommand)]
pub(crate) enum Xray {
    /// Sampling rules
    #[command(subcommand)]
    Rules(Rules),
}

#[derive(Subcommand)]
pub(crate) enum Rules {
    /// Tell which rule of a file a request matches, and why it does not match the others
    Test(RulesTest),
}

#[derive(Args)]
pub(crate) struct RulesTest {
    /// What `aws xray get-sampling-rules` prints, or the file of an SDK (version 1 or 2)
    #[arg(long)]
    pub(crate) rules: PathBuf,
    /// A method and a URL, or a path alone: 'GET http://localhost:3000/api/activities/home'
    #[arg(long)]
    pub(crate) request: Asked,
    /// The service that takes the request, by its segment's name
    #[arg(long, default_value = "frontend-proxy")]
    pub(crate) service: String,
    /// Where the service runs, such as AWS::ECS::Container, for rules that ask for it
    #[arg(long, default_value = "")]
    pub(crate) service_type: String,
    #[command(flatten)]
    pub(crate) form: Form,
}

#[derive(Args, Clone, Copy)]
pub(crate) struct Form {
    /// Print one JSON object instead of lines
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct Proxy {
    /// The routes file, instead of CRUDDUR_PROXY_CONFIG; SIGHUP reads it again
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Whose traces are continued and whose X-Forwarded-For is believed, instead of TRACE_TRUST: never, link, always, or
    /// networks such as 10.0.0.0/8,::1
    #[arg(long, value_name = "WHOM")]
    pub(crate) trust: Option<Trust>,
    /// Check the environment and the routes file, print the routes as they would be in force, and stop; exit code 64 where
    /// something is wrong
    #[arg(long)]
    pub(crate) check: bool,
    #[command(flatten)]
    pub(crate) lifetime: Lifetime,
}

#[derive(Args, Clone, Copy)]
pub(crate) struct Lifetime {
    /// Also stop when standard input closes; `up` holds its services this way
    #[arg(long)]
    pub(crate) until_stdin_closes: bool,
}
