//! The viewer's settings from the environment. Opens nothing.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `CRUDDUR_VIEWER_LISTEN` | the address of OTLP/HTTP and of the page; port 0 takes a free one | `127.0.0.1:4318` |
//! | `CRUDDUR_XRAY_LISTEN` | the UDP address of X-Ray datagrams, and the TCP one of sampling rules; port 0 takes a free one | `127.0.0.1:2000` |
//! | `FRONTEND_URL`, `BACKEND_URL` | origins whose hosts a listener on loopback answers to, as to those that Codespaces and Gitpod give to its port | none |
//! | `CRUDDUR_XRAY_RULES` | the file of sampling rules | `./xray-rules.json`, if it is there |

use std::net::SocketAddr;

use settings::allowed_hosts::AllowedHosts;
use settings::{Listen, Settings};

use crate::sampling::RulesSource;

/// The viewer's settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// The address that receives OTLP/HTTP and serves the page.
    pub listen: SocketAddr,
    /// The address that receives X-Ray datagrams and serves sampling rules.
    pub xray: SocketAddr,
    /// The hosts to which the page and OTLP are served.
    pub(crate) hosts: AllowedHosts,
    /// The hosts to which sampling rules are served.
    pub(crate) xray_hosts: AllowedHosts,
    /// The source of the sampling rules.
    pub rules: RulesSource,
}

impl Config {
    /// Reads `settings`, which remembers the faults.
    pub fn read(settings: &mut Settings) -> Self {
        let listen = settings.parse::<Listen>("CRUDDUR_VIEWER_LISTEN", "an address such as 127.0.0.1:4318");
        let xray = settings.parse::<Listen>("CRUDDUR_XRAY_LISTEN", "an address such as 127.0.0.1:2000");
        let listen = listen.map_or(SocketAddr::from(([127, 0, 0, 1], 4318)), |listen| listen.0);
        let xray = xray.map_or(SocketAddr::from(([127, 0, 0, 1], 2000)), |listen| listen.0);
        let rules = settings.text("CRUDDUR_XRAY_RULES");
        let is_configured = rules.is_some();
        let path = rules.unwrap_or_else(|| "./xray-rules.json".to_owned()).into();
        Self {
            rules: RulesSource { path, is_configured },
            hosts: AllowedHosts::read(settings, listen),
            xray_hosts: AllowedHosts::read(settings, xray),
            listen,
            xray,
        }
    }
}
