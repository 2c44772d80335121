//! The list of variables in the help. Takes their defaults from the code that applies them; only a default that no value of the
//! variable can express is in words here.

use std::fmt::Write as _;

use settings::Settings;

use crate::configs::Configs;

/// Names, what they are for, and a default in words.
type Line = (&'static str, &'static str, &'static str);

const VARIABLES: &[Line] = &[
    ("CRUDDUR_PROXY_LISTEN", "the page and the API", ""),
    ("CRUDDUR_PROXY_CERTIFICATE", "a PEM file: serve HTTPS only, with the key in CRUDDUR_PROXY_KEY", ""),
    ("CRUDDUR_PROXY_CONNECTIONS", "the most connections at the same time", ""),
    ("CRUDDUR_PROXY_CONNECTIONS_PER_CLIENT", "the most from one client that TRACE_TRUST does not name", "a tenth"),
    ("CRUDDUR_BACKEND_LISTEN", "the backend", ""),
    ("CRUDDUR_VIEWER_LISTEN", "the viewer, and OTLP", ""),
    ("CRUDDUR_VIEWER_MEMORY", "the viewer's memory for traces", ""),
    (
        "CRUDDUR_VIEWER_DATA",
        "the folder in which the viewer keeps traces too",
        "none; `up`: traces in CRUDDUR_DATA; off: none",
    ),
    ("CRUDDUR_VIEWER_DISK", "the most bytes of that folder", ""),
    ("CRUDDUR_XRAY_LISTEN", "X-Ray segments by UDP, sampling rules by TCP", ""),
    ("CRUDDUR_XRAY_RULES", "the file of sampling rules that the viewer serves", ""),
    ("CRUDDUR_PROXY_CONFIG", "the proxy's routes file", "none: Cruddur's own routes"),
    ("CRUDDUR_UPSTREAM", "the proxy's backend", "`up`: its own"),
    ("CRUDDUR_VIEWER", "the viewer at the proxy's /traces/", "none; `up`: its own"),
    ("CRUDDUR_RELAY_SERVICES", "services whose spans the proxy accepts from pages", ""),
    ("CRUDDUR_RELAY_KEY", "the key of page tokens, the same for all proxies", "random"),
    ("CRUDDUR_ACCESS_LOG", "on: log each request to the proxy", ""),
    ("CRUDDUR_DATA", "the embedded database's folder", ""),
    ("DATABASE_URL", "postgres://user:password@host:5432/name, instead of the embedded database", ""),
    ("CRUDDUR_DATABASE_CONNECTIONS", "connections of one backend to PostgreSQL", ""),
    ("CRUDDUR_BACKEND_TRUST", "proxies whose X-Forwarded-* headers the backend trusts", "those on this machine"),
    (
        "AUTH_MODE",
        "cognito: users sign in with a user pool's tokens (AWS_COGNITO_USER_POOL_ID,
                                AWS_COGNITO_USER_POOL_CLIENT_ID, AUTH_ISSUER); local: they sign up here",
        "",
    ),
    ("FRONTEND_URL, BACKEND_URL", "origins whose pages may call the API", ""),
    (
        "CRUDDUR_HOSTS",
        "the only hosts that the viewer and the backend answer to, besides localhost",
        "on loopback: none",
    ),
    ("CRUDDUR_API", "week2: for the original frontend, whose pages act as @andrewbrown", ""),
    ("CRUDDUR_FAULTS", "slow-query:200ms,n-plus-one,error:5%: injected faults, to find in a trace", "none"),
    ("CRUDDUR_ENV", "production refuses faults and week2", ""),
    ("CRUDDUR_ONE_TIME_SIGN_IN", "a handle: the backend prints a token that signs in once", ""),
    ("HONEYCOMB_API_KEY", "sends traces to Honeycomb (HONEYCOMB_API_ENDPOINT, HONEYCOMB_DATASET)", ""),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "sends traces to an OTLP/HTTP collector (OTEL_EXPORTER_OTLP_HEADERS)", ""),
    ("AWS_XRAY_DAEMON_ADDRESS", "sends segments to an X-Ray daemon", ""),
    ("OTEL_SERVICE_NAME", "the service's name in traces; `up` gives it to the backend", ""),
    ("OTEL_TRACES_SAMPLER", "which traces are recorded (OTEL_TRACES_SAMPLER_ARG)", ""),
    ("TRACE_LEVEL", "the least important level of spans that are created, also by target", ""),
    ("OTEL_LOGS_EXPORTER", "otlp: send events as log records too", ""),
    ("TRACE_TRUST", "callers whose traces the proxy continues", "those on this machine"),
    ("TRACE_BAGGAGE_KEYS", "baggage keys that the proxy keeps from any caller", "none"),
    ("RUST_LOG", "the levels that are logged on standard error", ""),
];

/// The list, one variable per line.
pub(crate) fn variables() -> String {
    let mut settings = Settings::from_pairs(&[]);
    drop(Configs::read(&mut settings));
    let mut text =
        "Environment (a blank variable counts as unset; port 0 picks a free port, which is printed):".to_owned();
    for (names, what, words) in VARIABLES {
        let default = settings.defaults().find(|(name, _)| name == names).map_or("", |(_, default)| default);
        let default: Vec<&str> = [default, words].into_iter().filter(|part| !part.is_empty()).collect();
        // Writing to a String does not fail.
        let _ = write!(text, "\n  {names:<28}  {what}");
        if !default.is_empty() {
            let _ = write!(text, " [{}]", default.join("; "));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variable_of_cruddur_is_listed_and_each_listed_one_is_read() {
        let mut settings = Settings::from_pairs(&[]);
        drop(Configs::read(&mut settings));
        let listed = variables();
        for name in settings.read_names().filter(|name| name.starts_with("CRUDDUR_")) {
            assert!(listed.contains(name), "{name} is not in the help");
        }
        for name in VARIABLES.iter().flat_map(|(names, ..)| names.split(", ")) {
            assert!(settings.read_names().any(|read| read == name), "{name} is in the help and not read");
        }
    }

    #[test]
    fn a_default_is_that_of_the_code() {
        let listed = variables();
        assert!(listed.contains("the page and the API [127.0.0.1:3000]\n"), "{listed}");
        assert!(listed.contains("the levels that are logged on standard error [info]"), "{listed}");
        assert!(listed.contains("the proxy's backend [http://127.0.0.1:4567; `up`: its own]\n"), "{listed}");
    }
}
