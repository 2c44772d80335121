//! Which traces of the slowest requests the viewer has, at `/traces/` on the same address. The viewer keeps
//! the slowest of each route longer than others, but not forever. Spans take a moment to arrive, so the look-up waits for the newest traces.

use std::collections::BTreeSet;
use std::time::Duration;

use hyper::StatusCode;
use tokio::time::{Instant, sleep};

use super::connection::{Connection, Message};
use super::record::Slow;

/// How long spans may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(5);

/// The traces that the viewer has; `None` if there is no viewer.
pub(super) async fn kept(connection: &mut Connection, slowest: &[Slow]) -> Option<BTreeSet<String>> {
    let status = connection.send(&Message::get("/traces/api/status")).await.ok()?;
    status.json()?.get("traces_max")?;
    let mut kept = BTreeSet::new();
    let deadline = Instant::now() + ARRIVAL;
    for slow in slowest {
        let Some(trace) = slow.trace.as_ref().filter(|trace| trace.recorded) else { continue };
        let path = format!("/traces/api/traces/{}", trace.id);
        loop {
            let response = connection.send(&Message::get(&path)).await.ok()?;
            if response.status == StatusCode::OK {
                kept.insert(trace.id.clone());
                break;
            }
            if slow.ended.elapsed() > ARRIVAL || Instant::now() > deadline {
                break;
            }
            sleep(Duration::from_millis(100)).await;
        }
    }
    Some(kept)
}
