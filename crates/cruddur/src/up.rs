//! Starts the services as child processes, in the order of their dependencies, and stops them in reverse order, so
//! that the last spans still reach the viewer. Restarts none. When one stops before all are ready, all stop. When one stops
//! later, the viewer stays, and so do the others: its traces explain what happened.
//!
//! A child stops when its standard input closes. This is how `up` stops it, and it also happens if this process is
//! killed. Each child has its own process group, so that Ctrl-C reaches this process alone.

use std::ffi::OsString;
use std::io::{Write, stderr};
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use backend::domain::FIRST_USER;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::{Instant, timeout, timeout_at};

use crate::announcement::Announcement;
use crate::environment::is_inherited;
use crate::lifetime::stop_signal;
use crate::preflight::{self, Plan};
use crate::ready::Ready;

/// Time between two progress lines about a child that is not ready. An upgrade of a large database has no time limit.
const START: Duration = Duration::from_secs(60);
/// Time for all children together to finish their requests and flush their spans.
const STOP: Duration = Duration::from_secs(9);
/// The share of that time that one child may use before the next is stopped too.
const TURN: Duration = Duration::from_secs(4);

/// A child stopped unexpectedly.
#[derive(Debug, thiserror::Error)]
#[error("{service} stopped unexpectedly ({status}){}", if failure.is_some() { "; see its error above" } else { "" })]
pub(crate) struct ChildStopped {
    service: &'static str,
    status: ExitStatus,
    /// The exit code of its failure; `None` if a signal ended it, or if it stopped without an error.
    pub(crate) failure: Option<i32>,
}

/// Children did not stop in time.
#[derive(Debug, thiserror::Error)]
#[error("{services} did not stop within {} s; killed", STOP.as_secs())]
struct Killed {
    services: String,
}

/// A running child. Dropping `hold` stops it.
struct Service {
    name: &'static str,
    child: Child,
    hold: Option<ChildStdin>,
}

const VIEWER: &str = "trace-viewer";

/// Variables of a child that differ from this process's; `None` removes one.
type Environment = Vec<(&'static str, Option<String>)>;

pub(crate) async fn run() -> Result<()> {
    let plan = tokio::task::spawn_blocking(preflight::check).await.context("the checks were interrupted")??;
    let mut stop = std::pin::pin!(stop_signal()?);
    let (mut services, mut first_loss) = (Vec::new(), None);
    let outcome = tokio::select! {
        outcome = supervise(&plan, &mut services, &mut first_loss) => outcome,
        () = &mut stop => Ok(()),
    };
    let outcome = first_loss.map_or(outcome, |loss| Err(loss.into()));
    outcome.and(stop_all(services).await)
}

/// Stops each child once the previous one has stopped or used up its turn; kills those that remain at the end.
async fn stop_all(mut services: Vec<Service>) -> Result<()> {
    let end = Instant::now() + STOP;
    for service in services.iter_mut().rev() {
        drop(service.hold.take());
        // Whether it stopped in time is checked below.
        drop(timeout_at(end.min(Instant::now() + TURN), service.child.wait()).await);
    }
    let mut killed = Vec::new();
    for service in services.iter_mut().rev() {
        if timeout_at(end, service.child.wait()).await.is_err() {
            // It may have exited just now.
            drop(service.child.kill().await);
            killed.push(service.name);
        }
    }
    if killed.is_empty() { Ok(()) } else { Err(Killed { services: killed.join(", ") }.into()) }
}

/// Starts everything, and returns when something stops before all are ready, or when the viewer stops. `first_loss` is the first other service to stop.
async fn supervise(plan: &Plan, services: &mut Vec<Service>, first_loss: &mut Option<ChildStopped>) -> Result<()> {
    // The file applies when no rules are served; here the viewer serves them from the start.
    let rules = plan.telemetry.rules_file().filter(|_| !plan.own_rules).map(str::to_owned);
    let mut environment: Environment = rules.map(|rules| ("CRUDDUR_XRAY_RULES", Some(rules))).into_iter().collect();
    let traces = plan.traces.as_ref().map(|folder| ("CRUDDUR_VIEWER_DATA", Some(folder.display().to_string())));
    environment.extend(traces);
    let viewer = start(VIEWER, environment, services).await?;
    let (viewer_http, viewer_xray) = (viewer.required("http")?, viewer.required("xray")?);
    let telemetry = plan.telemetry.variables(viewer_http, viewer_xray);
    let mut environment = telemetry.clone();
    environment.push(("CRUDDUR_ONE_TIME_SIGN_IN", Some(FIRST_USER.to_owned())));
    let backend = start("backend", environment, services).await?;
    let backend_http = backend.required("http")?;
    let proxy =
        start("frontend-proxy", proxy_environment(plan, telemetry, backend_http, viewer_http), services).await?;
    Announcement::of(plan, &viewer, &backend, &proxy)?.print()?;
    loop {
        let stopped = first_to_stop(services).await;
        if stopped.service == VIEWER {
            return Err(stopped.into());
        }
        services.retain(|service| service.name != stopped.service);
        // Standard error may be closed.
        drop(writeln!(stderr(), "{stopped}\nthe viewer stays: traces are at {viewer_http}/ until Ctrl-C"));
        first_loss.get_or_insert(stopped);
    }
}

fn proxy_environment(plan: &Plan, mut environment: Environment, backend: &str, viewer: &str) -> Environment {
    // The name in `OTEL_SERVICE_NAME` or in `OTEL_RESOURCE_ATTRIBUTES` is the backend's.
    environment.push(("OTEL_SERVICE_NAME", Some("frontend-proxy".to_owned())));
    if !plan.own_upstream {
        environment.push(("CRUDDUR_UPSTREAM", Some(backend.to_owned())));
    }
    if !plan.own_viewer {
        environment.push(("CRUDDUR_VIEWER", Some(viewer.to_owned())));
    }
    environment
}

/// Starts one service and waits until it announces that it is ready.
async fn start(name: &'static str, environment: Environment, services: &mut Vec<Service>) -> Result<Ready> {
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let mut command = Command::new(program);
    command.arg(name).arg("--until-stdin-closes").process_group(0).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let is_kept = |variable: &OsString| variable.to_str().is_some_and(|variable| is_inherited(name, variable));
    for variable in settings::variable_names().filter(|variable| !is_kept(variable)) {
        command.env_remove(variable);
    }
    for (variable, value) in environment {
        match value {
            Some(value) => command.env(variable, value),
            None => command.env_remove(variable),
        };
    }
    let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
    let hold = child.stdin.take();
    let output = child.stdout.take().ok_or_else(|| anyhow!("{name} has no standard output"))?;
    services.push(Service { name, child, hold });
    let mut lines = BufReader::new(output).lines();
    let mut ready = pin!(lines.next_line());
    loop {
        match timeout(START, &mut ready).await {
            Ok(Ok(Some(line))) => {
                return line.parse().with_context(|| format!("{name} printed {line:?} instead of a ready line"));
            }
            // Its output closed, so it is about to stop.
            Ok(_) => return Err(first_to_stop(services).await.into()),
            Err(_) => drop(writeln!(stderr(), "{name} is not ready yet; waiting for it (Ctrl-C stops)")),
        }
    }
}

async fn first_to_stop(services: &mut [Service]) -> ChildStopped {
    loop {
        for service in &mut *services {
            if let Ok(Some(status)) = service.child.try_wait() {
                let failure = status.code().filter(|code| *code != 0);
                return ChildStopped { service: service.name, status, failure };
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
