//! What `up` prints once every service is ready.

use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::Result;
use backend::Faults;
use backend::domain::FIRST_USER;

use crate::preflight::Plan;
use crate::ready::Ready;

pub(crate) fn announce(plan: &Plan, proxy: &Ready, backend: &Ready, viewer: &str, xray: &str) -> Result<()> {
    let page = proxy.required("http")?;
    let mut text = String::new();
    writeln!(text, "\nCruddur is ready.")?;
    writeln!(text, "  page       {page}/")?;
    // An external database may not have the user.
    if let Some(token) = backend.address("sign-in") {
        writeln!(text, "  sign in    {page}/#/sign-in/{token}   (as @{FIRST_USER}; works once, for an hour)")?;
    }
    if plan.faults != Faults::NONE {
        writeln!(text, "  faults     {}   (CRUDDUR_FAULTS)", plan.faults)?;
    }
    if let Some(notice) = &plan.week2 {
        writeln!(text, "  week 2     {notice}   (CRUDDUR_API)")?;
    }
    let backend = backend.required("http")?;
    writeln!(text, "  API        {page}/api/activities/home   (backend {backend})")?;
    writeln!(text, "  traces     {viewer}/   (also {page}/traces/)")?;
    writeln!(text, "  takes      OTLP at {viewer}, X-Ray segments at udp {xray}")?;
    writeln!(text, "  database   {}", plan.database)?;
    let told = plan.telemetry.variables(viewer, xray);
    let is_told = |name| told.iter().any(|(variable, value)| *variable == name && value.is_some());
    for (name, target) in plan.telemetry.destinations() {
        let target = match (name, target) {
            ("otlp", Ok(logs)) if is_told("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") => {
                format!("the viewer; log records {logs}")
            }
            ("otlp", Err(_)) if is_told("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") => "the viewer".to_owned(),
            ("xray", _) if is_told("AWS_XRAY_DAEMON_ADDRESS") => "the viewer".to_owned(),
            (_, Ok(target)) => target,
            (_, Err(why)) => format!("off: {why}"),
        };
        writeln!(text, "  {name:<10} {target}")?;
    }
    match plan.telemetry.log_records().as_deref() {
        None => {}
        Some([]) => writeln!(
            text,
            "  logs       sent nowhere: the viewer takes none; name a collector in OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"
        )?,
        Some(addresses) => writeln!(text, "  logs       {}", addresses.join(" and "))?,
    }
    writeln!(text, "Post a crud, then look at its trace. Stop with Ctrl-C.\n")?;
    // Standard output may be closed.
    drop(std::io::stdout().write_all(text.as_bytes()));
    Ok(())
}
