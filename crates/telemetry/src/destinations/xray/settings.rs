//! The variables of the X-Ray daemon.

use settings::Settings;

use super::address::DaemonAddress;
use crate::destinations::destination::Switch;
use crate::destinations::otlp::variables::Owner;

pub(crate) const XRAY: Owner = Owner { name: "xray", title: "X-Ray" };

/// The variable that turns the daemon on.
pub(crate) const VARIABLE: &str = "AWS_XRAY_DAEMON_ADDRESS";

/// The settings of the daemon when it is on.
#[derive(Debug)]
pub(crate) struct Xray {
    pub(crate) address: DaemonAddress,
    /// The attributes that X-Ray must index.
    pub(crate) indexed: Vec<String>,
}

/// Reads the daemon's address and the attributes to index.
pub(crate) fn read(settings: &mut Settings) -> Switch<Xray> {
    let indexed = indexed(settings);
    match address(settings) {
        Some(address) => Switch::On(Xray { address, indexed }, VARIABLE),
        None => Switch::unset(settings, VARIABLE),
    }
}

/// The daemon's address, which also serves its sampling rules.
pub(crate) fn address(settings: &mut Settings) -> Option<DaemonAddress> {
    settings.parse(VARIABLE, "127.0.0.1:2000 or \"udp:host:2000 tcp:host:2000\"")
}

fn indexed(settings: &mut Settings) -> Vec<String> {
    const VARIABLE: &str = "AWS_XRAY_INDEXED_ATTRIBUTES";
    /// The most annotations of a trace, which is as many as X-Ray indexes.
    const MOST: usize = 50;
    let text = settings.text(VARIABLE).unwrap_or_default();
    let keys: Vec<String> = text.split(',').map(str::trim).filter(|key| !key.is_empty()).map(str::to_owned).collect();
    if keys.len() > MOST {
        settings.fault(VARIABLE, format!("has {} attributes, but X-Ray indexes only {MOST}; give fewer", keys.len()));
    }
    keys
}
