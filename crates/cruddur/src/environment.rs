//! Which variables the children of `cruddur up` inherit. Each gets those that it reads, and those that the platform's libraries
//! read. A key that one service needs is in no other process; above all, it is not in the viewer's, which parses any input.

/// A variable's name, or a prefix followed by `*`.
type Pattern = &'static str;

const PLATFORM: &[Pattern] = &[
    "PATH",
    "HOME",
    "LANG",
    "LC_*",
    "TZ",
    "TMPDIR",
    "TERM",
    "NO_COLOR",
    "RUST_*",
    "LD_*",
    "DYLD_*",
    "MALLOC_*",
    "GLIBC_*",
    "LLVM_PROFILE_FILE",
    "SSL_CERT_*",
];
/// The host names at which the workspace's pages are reached.
const NAMES: &[Pattern] = &[
    "FRONTEND_URL",
    "BACKEND_URL",
    "CRUDDUR_HOSTS",
    "GITPOD_WORKSPACE_URL",
    "CODESPACE_NAME",
    "GITHUB_CODESPACES_PORT_FORWARDING_DOMAIN",
];
const TELEMETRY: &[Pattern] = &[
    "OTEL_*",
    "TRACE_*",
    "HONEYCOMB_*",
    "AWS_*",
    "ECS_*",
    "KUBERNETES_SERVICE_HOST",
    "HOSTNAME",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
];
const VIEWER: &[Pattern] = &["CRUDDUR_VIEWER_*", "CRUDDUR_XRAY_*"];
const BACKEND: &[Pattern] = &["CRUDDUR_*", "DATABASE_URL", "CONNECTION_URL", "PG*", "AUTH_*"];
const PROXY: &[Pattern] = &["CRUDDUR_*"];
/// The proxy's TLS key, and the key of its tokens.
const PROXY_KEYS: &[Pattern] = &["CRUDDUR_PROXY_*", "CRUDDUR_RELAY_*"];

/// Whether a service inherits a variable.
pub(crate) fn is_inherited(service: &str, variable: &str) -> bool {
    let is_in = |patterns: &[Pattern]| patterns.iter().any(|pattern| matches(pattern, variable));
    let own = match service {
        "trace-viewer" => is_in(VIEWER),
        "backend" => is_in(TELEMETRY) || (is_in(BACKEND) && !is_in(PROXY_KEYS)),
        _ => is_in(TELEMETRY) || is_in(PROXY),
    };
    own || is_in(PLATFORM) || is_in(NAMES)
}

fn matches(pattern: Pattern, variable: &str) -> bool {
    pattern.strip_suffix('*').map_or(variable == pattern, |start| variable.starts_with(start))
}

#[cfg(test)]
mod tests {
    use settings::Settings;

    use super::*;
    use crate::documented::ENVIRONMENTS;

    #[test]
    fn each_service_inherits_every_variable_that_it_reads() {
        for environment in ENVIRONMENTS {
            let names = |read: fn(&mut Settings)| {
                let mut settings = Settings::from_pairs(environment);
                read(&mut settings);
                settings.read_names().map(str::to_owned).collect::<Vec<_>>()
            };
            let backend = names(|settings| drop((backend::Config::read(settings), telemetry::Config::read(settings))));
            let proxy = names(|settings| {
                drop(frontend_proxy::Config::read(settings, frontend_proxy::CommandLine::default()));
                drop(telemetry::Config::read(settings));
            });
            let viewer = names(|settings| {
                drop((trace_viewer::Config::read(settings), telemetry::Console::read(settings)));
            });
            for (service, names) in [("backend", backend), ("frontend-proxy", proxy), ("trace-viewer", viewer)] {
                assert!(!names.is_empty(), "{service}");
                let lost: Vec<_> = names.iter().filter(|name| !is_inherited(service, name)).collect();
                assert!(lost.is_empty(), "{service} reads {lost:?}");
            }
        }
    }

    #[test]
    fn a_service_inherits_no_key_of_another() {
        for (variable, viewer, backend, proxy) in [
            ("PATH", true, true, true),
            ("RUST_LOG", true, true, true),
            ("FRONTEND_URL", true, true, true),
            ("CRUDDUR_XRAY_RULES", true, true, true),
            ("HONEYCOMB_API_KEY", false, true, true),
            ("OTEL_EXPORTER_OTLP_HEADERS", false, true, true),
            ("AWS_SECRET_ACCESS_KEY", false, true, true),
            ("DATABASE_URL", false, true, false),
            ("CONNECTION_URL", false, true, false),
            ("PGPASSWORD", false, true, false),
            ("CRUDDUR_RELAY_KEY", false, false, true),
            ("CRUDDUR_PROXY_KEY", false, false, true),
            ("TRACE_LEVEL", false, true, true),
            ("GITHUB_TOKEN", false, false, false),
            ("PATHS", false, false, false),
        ] {
            let inherited =
                ["trace-viewer", "backend", "frontend-proxy"].map(|service| is_inherited(service, variable));
            assert_eq!(inherited, [viewer, backend, proxy], "{variable}");
        }
    }
}
