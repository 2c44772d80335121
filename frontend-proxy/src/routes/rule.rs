//! The settings of one route in the routes file, and the line that `--check` prints for it. Does no I/O.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use settings::host::Authority;
use settings::quantity::{Size, Timespan};

use super::template::Template;
use crate::inbound::received;
use crate::upstream::UpstreamLimits;
use crate::upstream::address::Upstream;

/// The prefix of the trace viewer.
pub(super) const VIEWER: &str = "/traces/";

/// The settings of all paths that start with one prefix.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rule {
    /// Starts and ends with `/`; matches every path that starts with it.
    pub(crate) prefix: String,
    /// At least one, unless `missing` names why there is none.
    pub(crate) upstreams: Vec<Upstream>,
    /// The unset variable that would name the upstream.
    pub(crate) missing: Option<&'static str>,
    /// `http.route` of spans whose path matches none of `templates`.
    pub(crate) template: String,
    /// The first template that matches the path is `http.route`.
    pub(crate) templates: Vec<Template>,
    pub(crate) traced: bool,
    /// Paths that are not traced even if the route is.
    pub(crate) untraced: Vec<String>,
    /// The prefix, except its last slash, is removed from the path before the request is forwarded.
    pub(crate) strip_prefix: bool,
    /// Only GET and HEAD are accepted.
    pub(crate) read_only: bool,
    /// The route leads to the trace viewer, which not every host may reach.
    pub(crate) shows_traces: bool,
    /// The `Host` that is sent to the upstream.
    pub(crate) host: Host,
    pub(crate) limits: UpstreamLimits,
    pub(crate) body: BodyLimits,
}

/// The `Host` that is sent to an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Host {
    /// The upstream's own address.
    Upstream,
    /// The client's `Host`.
    Client,
    /// A fixed name, perhaps with a port.
    Named(String),
}

/// Why a text is not a valid `Host`.
#[derive(Debug, thiserror::Error)]
#[error("not a host")]
pub(crate) struct NotAHost;

impl FromStr for Host {
    type Err = NotAHost;

    fn from_str(text: &str) -> Result<Self, NotAHost> {
        match text {
            "$upstream" => Ok(Self::Upstream),
            "$client" => Ok(Self::Client),
            // A name may start with a dollar sign, but a misspelt variable is more likely.
            _ if !text.starts_with('$') && Authority::parse(text).is_some() => Ok(Self::Named(text.to_owned())),
            _ => Err(NotAHost),
        }
    }
}

/// The limits of a request's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BodyLimits {
    /// The largest size, in bytes.
    pub(crate) limit: u64,
    /// How long the proxy waits for the client's body, in total.
    pub(crate) timeout: Duration,
}

impl Default for BodyLimits {
    fn default() -> Self {
        Self { limit: received::BYTES, timeout: received::DURATION }
    }
}

impl Rule {
    /// The template that names the spans of a request for `path`.
    pub(crate) fn template(&self, path: &str) -> &str {
        self.templates.iter().find(|template| template.fits(path)).map_or(&self.template, Template::as_str)
    }

    pub(crate) fn traces(&self, path: &str) -> bool {
        self.traced && !self.untraced.iter().any(|untraced| untraced == path)
    }

    /// The path with its query, as the upstream gets it.
    pub(crate) fn forwarded<'a>(&self, path: &'a str) -> &'a str {
        let strip = if self.strip_prefix { self.prefix.trim_end_matches('/') } else { "" };
        path.strip_prefix(strip).unwrap_or(path)
    }
}

/// Written on one line.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<12} -> ", self.prefix)?;
        match self.missing {
            Some(variable) => return write!(f, "nowhere: {variable} is not set"),
            None => {
                let upstreams: Vec<String> = self.upstreams.iter().map(ToString::to_string).collect();
                f.write_str(&upstreams.join(", "))?;
            }
        }
        if self.strip_prefix {
            f.write_str(", prefix stripped")?;
        }
        if self.read_only {
            f.write_str(", read only")?;
        }
        match &self.host {
            Host::Upstream => {}
            Host::Client => f.write_str(", host $client")?,
            Host::Named(host) => write!(f, ", host {host}")?,
        }
        if self.traced {
            write!(f, "; traced as {}", self.template)?;
            match self.templates.len() {
                0 => {}
                1 => f.write_str(" and 1 template")?,
                count => write!(f, " and {count} templates")?,
            }
            if !self.untraced.is_empty() {
                write!(f, ", but not {}", self.untraced.join(" "))?;
            }
        } else {
            f.write_str("; not traced")?;
        }
        let UpstreamLimits { connect, answer, idle, tunnel, age, retries } = self.limits;
        write!(f, "; connect {}, answer {}, idle {}, ", Timespan(connect), Timespan(answer), Timespan(idle))?;
        write!(f, "tunnel {}, age {}, retries {retries}; ", Timespan(tunnel), Timespan(age))?;
        write!(f, "body {} in {}", Size(self.body.limit), Timespan(self.body.timeout))
    }
}
