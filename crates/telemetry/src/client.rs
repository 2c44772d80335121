//! The HTTP client of all that ask or send: it follows no redirect, with which a key would go along, uses no proxy of the
//! environment, says who it is, and gives up in time. A status is an answer, whatever it is. Blocks, so it has no place on a
//! request's way.

use std::time::Duration;

use crate::tls::Tls;

/// A client that waits so long for a connection, and for the whole of an exchange.
pub(crate) fn agent(connect: Duration, total: Duration, tls: &Tls) -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .tls_config(tls.config())
        .timeout_connect(Some(connect.min(total)))
        .timeout_global(Some(total))
        .user_agent(concat!("cruddur-telemetry/", env!("CARGO_PKG_VERSION")))
        .build()
        .new_agent()
}
