//! The command line.

use clap::{Parser, Subcommand};

use crate::doctor::Doctor;
use crate::lifetime::Lifetime;
use crate::load::{self, Load};
use crate::rules::RulesTest;
use crate::services::Proxy;

const ENVIRONMENT: &str = "\
Environment (a blank variable counts as unset; port 0 takes a free port, which is printed):
  CRUDDUR_PROXY_LISTEN          the page and the API     [127.0.0.1:3000]
  CRUDDUR_PROXY_CERTIFICATE     a PEM file: HTTPS alone, with the key in CRUDDUR_PROXY_KEY
  CRUDDUR_PROXY_CONNECTIONS     connections at the same time [10000]
  CRUDDUR_PROXY_CONNECTIONS_PER_CLIENT  those of one client that TRACE_TRUST does not name [a tenth]
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
  CRUDDUR_DATABASE_CONNECTIONS  connections of one backend to PostgreSQL [12]
  CRUDDUR_BACKEND_TRUST         the proxies that the backend believes about its clients [those on this machine]
  AUTH_MODE                     cognito: people come with a user pool's tokens (AWS_COGNITO_USER_POOL_ID,
                                AWS_COGNITO_USER_POOL_CLIENT_ID, AUTH_ISSUER) [local: they sign up here]
  FRONTEND_URL, BACKEND_URL     origins whose pages may call the API
  CRUDDUR_API                   week2: for the original's frontend, whose pages act as @andrewbrown
  CRUDDUR_FAULTS                slow-query:200ms,n-plus-one,error:5%: something to find in a trace [none]
  CRUDDUR_ENV                   production refuses faults and week2 [development]
  CRUDDUR_ONE_TIME_SIGN_IN      a handle: the backend prints a token that signs in once
  HONEYCOMB_API_KEY             sends traces to Honeycomb (HONEYCOMB_API_ENDPOINT, HONEYCOMB_DATASET)
  OTEL_EXPORTER_OTLP_ENDPOINT   sends traces to an OTLP/HTTP collector (OTEL_EXPORTER_OTLP_HEADERS)
  AWS_XRAY_DAEMON_ADDRESS       sends segments to an X-Ray daemon
  OTEL_SERVICE_NAME             the service's name in traces; `up` gives it to the backend
  OTEL_TRACES_SAMPLER           which traces are recorded (OTEL_TRACES_SAMPLER_ARG) [parentbased_always_on]
  TRACE_LEVEL                   the least important spans that are made, by target [info]
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
    Doctor(Doctor),
    /// Visit a running Cruddur as people would, and tell how fast each route answers
    #[command(after_help = load::HELP)]
    Load(Load),
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
