//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::RangedU64ValueParser;
use clap::{Args, Parser, Subcommand, value_parser};
use telemetry::propagation::Trust;

use crate::doctor::Scope;
use crate::load::{self, Origin};
use crate::rules::Asked;

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

const LOAD: &str = "\
A visit is a page that somebody opens and what they do there, one request after the other: home and its next page, a profile, a
search, a crud with its replies, what is trending; where somebody is signed in also notifications, posts (for an hour), replies,
likes, reposts and messages between the accounts of this load. About one request in fourteen writes. What was written stays, and
the accounts do.

With --concurrency, each of so many visitors asks again as soon as it is answered: the server sets the pace. With --rate, requests
are due at fixed times whatever the server does, and a latency counts from when its request was due: one that waits behind a slow
answer is slow too. At most 256 are in flight; those that nobody could send before the end are told as unsent.

No traceparent is sent: the proxy begins the traces. The slowest ten requests are told with their traces, and with links where the
viewer behind URL/traces/ still has them.

Exit codes: 0 all was answered and no answer was 5xx; 1 it was not, or nobody listens; 2 wrong command line; 64 the address
is not this machine's. A 404 for a crud that has expired meanwhile is told as gone, and is no error.

Examples:
  cruddur load --duration 10s
  cruddur load --rate 50 --users 0 --json > summary.json
  cruddur load http://127.0.0.1:4567 --concurrency 2 --seed 1     the backend without the proxy";

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
    #[command(after_help = LOAD)]
    Load(Load),
    /// What concerns AWS X-Ray
    #[command(subcommand)]
    Xray(Xray),
}

#[derive(Args)]
pub(crate) struct Doctor {
    /// Check only what this service needs [default: in its container, the service that runs there; else all]
    #[arg(long)]
    pub(crate) service: Option<Scope>,
    #[command(flatten)]
    pub(crate) form: Form,
}

#[derive(Args)]
pub(crate) struct Load {
    /// Where Cruddur is, in plain HTTP
    #[arg(default_value = "http://localhost:3000")]
    pub(crate) url: Origin,
    /// How long requests are begun, such as 500ms, 30s or 5m; at most 1h
    #[arg(long, default_value = "30s", value_parser = load::duration)]
    pub(crate) duration: Duration,
    /// Closed loop: so many visitors at the same time, each on a connection of its own; at most 1000
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = bounded(1, 1000), conflicts_with = "rate")]
    pub(crate) concurrency: u32,
    /// Open loop: so many requests a second, whenever they are answered; at most 10000
    #[arg(long, value_name = "N", value_parser = bounded(1, 10_000))]
    pub(crate) rate: Option<u32>,
    /// Accounts to sign up, load_ and six random characters, for those visitors who write; 0 reads only; at most 50
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = bounded(0, 50))]
    pub(crate) users: u32,
    /// The same seed lets visitors choose the same visits [default: random, and told]
    #[arg(long, value_name = "N", value_parser = value_parser!(u64))]
    pub(crate) seed: Option<u64>,
    /// Load another machine than this; only where you may
    #[arg(long)]
    pub(crate) allow_remote: bool,
    #[command(flatten)]
    pub(crate) form: Form,
}

fn bounded(least: u64, most: u64) -> RangedU64ValueParser<u32> {
    RangedU64ValueParser::new().range(least..=most)
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
    /// Whose traces are continued and whose X-Forwarded-* headers are believed, instead of TRACE_TRUST: never, link, always, or
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
