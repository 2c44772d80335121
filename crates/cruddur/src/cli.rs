//! The command line.

use clap::{Parser, Subcommand};

use crate::daemon::Daemon;
use crate::doctor::Doctor;
use crate::honeycomb::Honeycomb;
use crate::lifetime::Lifetime;
use crate::load::{self, Load};
use crate::rules::RulesTest;
use crate::services::{Proxy, Viewer};

const ENVIRONMENT: &str = "\
Environment (a blank variable counts as unset; port 0 picks a free port, which is printed):
  CRUDDUR_PROXY_LISTEN          the page and the API     [127.0.0.1:3000]
  CRUDDUR_PROXY_CERTIFICATE     a PEM file: serve HTTPS only, with the key in CRUDDUR_PROXY_KEY
  CRUDDUR_PROXY_CONNECTIONS     the most connections at the same time [10000]
  CRUDDUR_PROXY_CONNECTIONS_PER_CLIENT  the most from one client that TRACE_TRUST does not name [a tenth]
  CRUDDUR_BACKEND_LISTEN        the backend              [127.0.0.1:4567]
  CRUDDUR_VIEWER_LISTEN         the viewer, and OTLP     [127.0.0.1:4318]
  CRUDDUR_VIEWER_MEMORY         the viewer's memory for traces [256MiB]
  CRUDDUR_XRAY_LISTEN           X-Ray segments by UDP, sampling rules by TCP [127.0.0.1:2000]
  CRUDDUR_XRAY_RULES            the file of sampling rules that the viewer serves [./xray-rules.json]
  CRUDDUR_PROXY_CONFIG          the proxy's routes file  [none: Cruddur's own routes]
  CRUDDUR_UPSTREAM              the proxy's backend      [http://127.0.0.1:4567; `up`: its own]
  CRUDDUR_VIEWER                the viewer at the proxy's /traces/ [none; `up`: its own]
  CRUDDUR_RELAY_SERVICES        services whose spans the proxy accepts from pages [cruddur-page]
  CRUDDUR_RELAY_KEY             the key of page tokens, the same for all proxies [random]
  CRUDDUR_ACCESS_LOG            on: log each request to the proxy [off]
  CRUDDUR_DATA                  the embedded database's folder [./.cruddur]
  DATABASE_URL                  postgres://user:password@host:5432/name, instead of the embedded database
  CRUDDUR_DATABASE_CONNECTIONS  connections of one backend to PostgreSQL [12]
  CRUDDUR_BACKEND_TRUST         proxies whose X-Forwarded-* headers the backend trusts [those on this machine]
  AUTH_MODE                     cognito: users sign in with a user pool's tokens (AWS_COGNITO_USER_POOL_ID,
                                AWS_COGNITO_USER_POOL_CLIENT_ID, AUTH_ISSUER) [local: they sign up here]
  FRONTEND_URL, BACKEND_URL     origins whose pages may call the API
  CRUDDUR_API                   week2: for the original frontend, whose pages act as @andrewbrown
  CRUDDUR_FAULTS                slow-query:200ms,n-plus-one,error:5%: injected faults, to find in a trace [none]
  CRUDDUR_ENV                   production refuses faults and week2 [development]
  CRUDDUR_ONE_TIME_SIGN_IN      a handle: the backend prints a token that signs in once
  HONEYCOMB_API_KEY             sends traces to Honeycomb (HONEYCOMB_API_ENDPOINT, HONEYCOMB_DATASET)
  OTEL_EXPORTER_OTLP_ENDPOINT   sends traces to an OTLP/HTTP collector (OTEL_EXPORTER_OTLP_HEADERS)
  AWS_XRAY_DAEMON_ADDRESS       sends segments to an X-Ray daemon
  OTEL_SERVICE_NAME             the service's name in traces; `up` gives it to the backend
  OTEL_TRACES_SAMPLER           which traces are recorded (OTEL_TRACES_SAMPLER_ARG) [parentbased_always_on]
  TRACE_LEVEL                   the least important level of spans that are created, also by target [info]
  OTEL_LOGS_EXPORTER            otlp: send events as log records too [none]
  TRACE_TRUST                   callers whose traces the proxy continues [those on this machine]
  TRACE_BAGGAGE_KEYS            baggage keys that the proxy keeps from any caller [none]
  RUST_LOG                      the levels that are logged on standard error [info]";

/// Cruddur: posts that expire, and a trace of every request from the browser to SQL
#[derive(Parser)]
#[command(version, after_help = ENVIRONMENT)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Start trace-viewer, backend and frontend-proxy, each as a separate process (the default)
    Up,
    /// Run only the API
    Backend(Lifetime),
    /// Run only the reverse proxy and the page
    FrontendProxy(Proxy),
    /// Run only the trace viewer
    TraceViewer(Viewer),
    /// Check everything that can keep traces from arriving, one line per check; exit code 1 if a check fails
    Doctor(Doctor),
    /// Visit a running Cruddur as people would, and report how fast each route responds
    #[command(after_help = load::HELP)]
    Load(Load),
    /// A stand-in for Honeycomb, to try it without an account: prints the variables that send to it, then each span
    Honeycomb(Honeycomb),
    /// Tools for AWS X-Ray
    #[command(subcommand)]
    Xray(Xray),
}

#[derive(Subcommand)]
pub(crate) enum Xray {
    /// Sampling rules
    #[command(subcommand)]
    Rules(Rules),
    /// A stand-in for the X-Ray daemon, to see segments without AWS: prints the variable that sends to it, then each document
    Daemon(Daemon),
}

#[derive(Subcommand)]
pub(crate) enum Rules {
    /// Show which rule of a file matches a request, and why the others do not
    Test(RulesTest),
}
