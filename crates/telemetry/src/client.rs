//! The HTTP client of all exporters, pollers and checks. It follows no redirects (they would leak keys), uses no proxy from the
//! environment, identifies itself, and has a time limit. Any status is a response, not an error. Blocks, so it must not be used
//! while a request is served.

use std::time::Duration;

use crate::tls::Tls;

/// A client with time limits for connecting and for the whole exchange.
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
