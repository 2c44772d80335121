//! Where requests go: the longest prefix that a path begins with decides. Opens nothing.

use http::Method;

use crate::config::Config;
use crate::upstream::{Limits, Servers};

/// The table of routes.
#[derive(Debug)]
pub(crate) struct Routes(Vec<Route>);

/// What begins with one prefix.
#[derive(Debug)]
pub(crate) struct Route {
    /// Ends with `/`; a path belongs here that begins with it.
    pub(crate) prefix: String,
    /// `http.route` of its SERVER spans.
    pub(crate) template: String,
    pub(crate) traced: bool,
    /// Paths below it that are not traced though the route is.
    pub(crate) untraced: Vec<String>,
    /// What is left out of the path before it is sent on.
    pub(crate) strip: String,
    /// For GET and HEAD alone.
    pub(crate) read_only: bool,
    pub(crate) servers: Servers,
}

impl Routes {
    /// Cruddur's own: the API, and the viewer where there is one.
    pub(crate) fn cruddur(config: &Config) -> Self {
        let api = Route {
            prefix: "/api/".to_owned(),
            template: "/api/*".to_owned(),
            traced: true,
            // A probe each second would push every other trace out of a viewer.
            untraced: vec!["/api/health-check".to_owned()],
            strip: String::new(),
            read_only: false,
            servers: Servers::new(vec![config.upstream.clone()], Limits::default()),
        };
        let viewer = config.viewer.clone().map(|upstream| Route {
            prefix: "/traces/".to_owned(),
            template: "/traces/*".to_owned(),
            traced: false,
            untraced: Vec::new(),
            strip: "/traces".to_owned(),
            read_only: true,
            servers: Servers::new(vec![upstream], Limits::default()),
        });
        Self([api].into_iter().chain(viewer).collect())
    }

    pub(crate) fn find(&self, path: &str) -> Option<&Route> {
        self.0.iter().filter(|route| path.starts_with(&route.prefix)).max_by_key(|route| route.prefix.len())
    }
}

impl Route {
    pub(crate) fn traces(&self, path: &str) -> bool {
        self.traced && !self.untraced.iter().any(|untraced| untraced == path)
    }

    pub(crate) fn takes(&self, method: &Method) -> bool {
        !self.read_only || matches!(*method, Method::GET | Method::HEAD)
    }
}
