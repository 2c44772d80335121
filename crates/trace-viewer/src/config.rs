//! What the environment says about the viewer. Opens nothing.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `CRUDDUR_VIEWER_LISTEN` | the address of OTLP/HTTP and of the page; port 0 takes a free one | `127.0.0.1:4318` |
//! | `CRUDDUR_XRAY_LISTEN` | the UDP address of X-Ray datagrams; port 0 takes a free one | `127.0.0.1:2000` |

use std::net::SocketAddr;

use settings::{Faults, Settings};

/// The viewer's settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where OTLP/HTTP is taken and the page is served.
    pub listen: SocketAddr,
    /// Where X-Ray datagrams are taken.
    pub xray: SocketAddr,
}

impl Config {
    /// From the process's environment.
    ///
    /// # Errors
    /// Every variable that is set and wrong, a line each.
    pub fn from_env() -> Result<Self, Faults> {
        let mut settings = Settings::from_env();
        let config = Self::read(&mut settings);
        settings.finish(config)
    }

    /// From `settings`, which remembers the faults.
    pub fn read(settings: &mut Settings) -> Self {
        let listen = settings.parse("CRUDDUR_VIEWER_LISTEN", "an address such as 127.0.0.1:4318");
        let xray = settings.parse("CRUDDUR_XRAY_LISTEN", "an address such as 127.0.0.1:2000");
        Self {
            listen: listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 4318))),
            xray: xray.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 2000))),
        }
    }
}
