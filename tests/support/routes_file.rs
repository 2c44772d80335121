//! The proxy's own routes file, which names the paths of the API.

const FILE: &str = include_str!("../../frontend-proxy/src/routes/cruddur.toml");

/// A route to the API.
pub(crate) struct Route {
    pub(crate) prefix: &'static str,
    /// Paths that name spans.
    pub(crate) templates: Vec<&'static str>,
    /// Paths without spans.
    pub(crate) untraced: Vec<&'static str>,
}

/// The routes to the API.
pub(crate) fn api() -> Vec<Route> {
    let routes = FILE.split("[[route]]").skip(1).filter(|route| route.contains("\"$CRUDDUR_UPSTREAM\""));
    let route = |text| Route {
        prefix: list(text, "prefix = ", "\n").remove(0),
        templates: list(text, "templates = [", "]"),
        untraced: list(text, "untraced = [", "]"),
    };
    routes.map(route).collect()
}

/// The texts between quotes from `start` to `end`.
fn list(text: &'static str, start: &str, end: &str) -> Vec<&'static str> {
    let Some((_, after)) = text.split_once(start) else { return Vec::new() };
    let (list, _) = after.split_once(end).expect("the file is valid");
    list.split('"').skip(1).step_by(2).collect()
}
