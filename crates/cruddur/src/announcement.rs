//! What `up` prints on standard output once every service is ready: its addresses, for people. If that is not a terminal, a
//! [`Ready`] line precedes them, for the program that started `up`:
//! `ready service=up http=http://127.0.0.1:3000 backend=http://127.0.0.1:4567 viewer=http://127.0.0.1:4318 xray=127.0.0.1:2000`,
//! and `sign-in=` with a link, if there is one.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _, stdout};

use anyhow::Result;
use backend::Faults;
use backend::domain::FIRST_USER;

use crate::preflight::Plan;
use crate::ready::Ready;

/// The addresses of all services.
pub(crate) struct Announcement<'a> {
    plan: &'a Plan,
    page: &'a str,
    backend: &'a str,
    viewer: &'a str,
    /// The viewer's address for X-Ray segments.
    xray: &'a str,
    /// An external database may not have the first user.
    sign_in: Option<String>,
}

impl<'a> Announcement<'a> {
    /// # Errors
    /// A service has not announced one of its addresses.
    pub(crate) fn of(plan: &'a Plan, viewer: &'a Ready, backend: &'a Ready, proxy: &'a Ready) -> Result<Self> {
        let page = proxy.required("http")?;
        Ok(Self {
            plan,
            page,
            backend: backend.required("http")?,
            viewer: viewer.required("http")?,
            xray: viewer.required("xray")?,
            sign_in: backend.address("sign-in").map(|token| format!("{page}/#/sign-in/{token}")),
        })
    }

    /// Prints the announcement. Standard output may be closed.
    pub(crate) fn print(&self) -> Result<()> {
        if !stdout().is_terminal() {
            self.ready().announce();
        }
        let text = self.text()?;
        drop(stdout().write_all(text.as_bytes()));
        Ok(())
    }

    fn ready(&self) -> Ready {
        let Self { page, backend, viewer, xray, .. } = self;
        let ready = Ready::new("up").at("http", page).at("backend", backend).at("viewer", viewer).at("xray", xray);
        match &self.sign_in {
            Some(link) => ready.at("sign-in", link),
            None => ready,
        }
    }

    fn text(&self) -> Result<String> {
        let Self { plan, backend, viewer, xray, .. } = self;
        let page = with_localhost(self.page);
        let mut text = String::new();
        writeln!(text, "\nCruddur is ready.")?;
        writeln!(text, "  page       {page}/")?;
        if let Some(link) = &self.sign_in {
            // On its own line, since terminals break a link that is longer than 80 columns.
            writeln!(text, "  sign in    as @{FIRST_USER} with this link; it works once, for an hour:")?;
            writeln!(text, "{}", with_localhost(link))?;
        }
        if plan.faults != Faults::NONE {
            writeln!(text, "  faults     {}   (CRUDDUR_FAULTS)", plan.faults)?;
        }
        if let Some(notice) = &plan.week2 {
            writeln!(text, "  week 2     {notice}   (CRUDDUR_API)")?;
        }
        writeln!(text, "  API        {page}/api/activities/home   (backend {backend})")?;
        writeln!(text, "  traces     {viewer}/   (also {page}/traces/)")?;
        writeln!(text, "  receives   OTLP at {viewer}, X-Ray segments at udp {xray}")?;
        writeln!(text, "  database   {}", plan.database)?;
        for (name, target) in self.destinations() {
            writeln!(text, "  {name:<10} {target}")?;
        }
        writeln!(text, "Post a crud, then look at its trace. Stop with Ctrl-C.\n")?;
        Ok(text)
    }

    /// Where spans and log records go, by the name of the destination.
    fn destinations(&self) -> Vec<(&'static str, String)> {
        const TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
        let telemetry = &self.plan.telemetry;
        // A destination that nothing else configures is the viewer.
        let variables = telemetry.variables(self.viewer, self.xray);
        let is_viewer = |name| variables.iter().any(|(variable, value)| *variable == name && value.is_some());
        let spans = telemetry.destinations().map(|(name, target)| {
            let target = match (name, target) {
                ("otlp", Ok(logs)) if is_viewer(TRACES) => format!("the viewer; log records {logs}"),
                ("otlp", Err(_)) if is_viewer(TRACES) => "the viewer".to_owned(),
                ("xray", _) if is_viewer("AWS_XRAY_DAEMON_ADDRESS") => "the viewer".to_owned(),
                (_, Ok(target)) => target,
                (_, Err(why)) => format!("off: {why}"),
            };
            (name, target)
        });
        let logs = telemetry.log_records().map(|addresses| match addresses.as_slice() {
            [] => {
                "sent nowhere: the viewer accepts none; name a collector in OTEL_EXPORTER_OTLP_LOGS_ENDPOINT".to_owned()
            }
            addresses => addresses.join(" and "),
        });
        spans.chain(logs.map(|logs| ("logs", logs))).collect()
    }
}

/// The name of this machine that people type, so that a session of the printed link holds for the page that they open.
fn with_localhost(url: &str) -> String {
    url.replacen("://127.0.0.1:", "://localhost:", 1)
}
