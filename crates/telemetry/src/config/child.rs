//! The variables that a process gives a child process. With them the child's spans go to the parent's destinations, and also to
//! the parent's own collector and daemon if no variable names others. All of this is expressed in the standard variables, some
//! of which can name only one address.

use super::Config;
use crate::destinations::destination::{Destination, Variables};
use crate::destinations::{Configured, otlp, xray};

impl Config {
    /// The variables with which another process sends to the same destinations. It also sends to `collector` and `daemon` if these
    /// settings name none, unless that would change what another destination receives. `None` means that the variable must be
    /// unset.
    pub fn variables(&self, collector: &str, daemon: &str) -> Vec<(&'static str, Option<String>)> {
        let mut variables = Vec::new();
        if self.spans_off.is_some() {
            return variables;
        }
        if let Some(others) = self.without_collector() {
            variables.extend(others);
            // The variable for traces alone, because this collector need not accept log records.
            variables.push(("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", Some(format!("{collector}/v1/traces"))));
            // It takes OTLP over HTTP alone.
            variables.extend(self.over_http.clone());
        }
        if self.on(xray::settings::XRAY.name).is_none() {
            variables.push((xray::settings::VARIABLE, Some(daemon.to_owned())));
        }
        variables
    }

    /// The variables that keep every destination as it is while OTLP's variables name another collector of spans. `None` if no
    /// variables can.
    fn without_collector(&self) -> Option<Variables> {
        let mut variables = match self.on(otlp::variables::OTLP.name) {
            Some(collector) => collector.variables_beside()?,
            None => otlp::settings::unset(),
        };
        for destination in self.destinations.iter().filter_map(Configured::on) {
            variables.extend(destination.own_variables()?);
        }
        Some(variables)
    }

    fn on(&self, name: &str) -> Option<&dyn Destination> {
        self.destinations.iter().find(|to| to.name() == name)?.on()
    }
}

#[cfg(test)]
mod tests {
    use settings::Settings;

    use super::super::tests::read;
    use crate::destinations::honeycomb::settings::{DATASET, TEAM};
    use crate::destinations::tests::{endpoints, on, read_from, traces};

    #[test]
    fn a_child_process_has_the_same_destinations() {
        let config = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://api.eu1.honeycomb.io"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-honeycomb-team=k,x-honeycomb-dataset=d"),
        ]);
        let variables = config.unwrap().variables("http://127.0.0.1:4318", "127.0.0.1:2000");
        let child = read_from(Settings::from_lookup(move |name| {
            variables.iter().find(|(key, _)| *key == name).and_then(|(_, value)| value.clone())
        }));
        let child = child.unwrap();
        let honeycomb = traces(child.honeycomb);
        assert_eq!(honeycomb.url.as_str(), "https://api.eu1.honeycomb.io/v1/traces");
        assert_eq!((honeycomb.header(TEAM), honeycomb.header(DATASET)), (Some("k".into()), Some("d".into())));
        assert_eq!(traces(child.otlp).url.as_str(), "http://127.0.0.1:4318/v1/traces");
        assert_eq!(on(child.xray).address.udp, "127.0.0.1:2000");
    }

    #[test]
    fn no_collector_is_added_if_that_changes_another_destination() {
        let configured = [
            ("HONEYCOMB_API_KEY", "k"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://api.honeycomb.io"),
            ("OTEL_LOGS_EXPORTER", "otlp"),
            ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "https://logs.example/in"),
        ];
        let variables =
            |pairs: &[(&str, &str)]| read(pairs).unwrap().variables("http://127.0.0.1:4318", "127.0.0.1:2000");
        let xray_alone = [("AWS_XRAY_DAEMON_ADDRESS", Some("127.0.0.1:2000".to_owned()))];
        assert_eq!(variables(&configured), xray_alone);
        let headers = ("OTEL_EXPORTER_OTLP_HEADERS", "x-honeycomb-team=k,x-other=1");
        assert_eq!(variables(&[configured[1], headers]), xray_alone, "the other header would be lost");
        let path = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://refinery.honeycomb.io/custom");
        assert_eq!(variables(&[configured[0], path]), xray_alone, "the path would be lost");
        let local = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1");
        let certificate = ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/no/such/file");
        let team = ("OTEL_EXPORTER_OTLP_HEADERS", "x-honeycomb-team=k");
        assert_eq!(variables(&[local, team, certificate]), xray_alone, "the certificates would be lost");
        for silent in [("OTEL_TRACES_EXPORTER", "none"), ("OTEL_SDK_DISABLED", "true")] {
            assert_eq!(variables(&[configured[0], configured[1], configured[2], silent]), []);
        }
    }

    #[test]
    fn a_collector_of_spans_is_added_next_to_one_of_log_records() {
        const LOGS: &str = "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT";
        let own = [
            ("HONEYCOMB_API_KEY", "k"),
            ("OTEL_LOGS_EXPORTER", "otlp"),
            (LOGS, "https://logs.example/in"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20t"),
        ];
        let variables = read(&own).unwrap().variables("http://127.0.0.1:4318", "127.0.0.1:2000");
        assert!(variables.iter().all(|(name, _)| *name != LOGS), "it does not change");
        let child = read_from(Settings::from_lookup(move |name| {
            let changed = variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone());
            changed.unwrap_or_else(|| own.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).into()))
        }));
        let child = child.unwrap();
        let (otlp, honeycomb) = (endpoints(child.otlp), endpoints(child.honeycomb));
        let (traces, logs) = (otlp.traces.unwrap(), otlp.logs.unwrap());
        assert_eq!((traces.url.as_str(), traces.headers.len()), ("http://127.0.0.1:4318/v1/traces", 0));
        assert_eq!(logs.url.as_str(), "https://logs.example/in");
        assert_eq!(logs.header("authorization").as_deref(), Some("Bearer t"));
        assert_eq!(honeycomb.traces.unwrap().url.as_str(), "https://api.honeycomb.io/v1/traces");
    }
}
