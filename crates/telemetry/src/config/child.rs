//! The variables that a process gives a child process, so that the child's spans go to the right places: to the destinations of
//! the parent, and to the parent's own collector and daemon if no variable names others. Both are expressed in the standard
//! variables, some of which can name only one address.

use super::{Config, Switch};
use crate::destinations::otlp::headers::{DATASET, TEAM};
use crate::destinations::otlp::settings::{Otlp, XRAY};

/// The headers that would go to any collector in the place of the spans' collector.
const HEADERS: [&str; 2] = ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"];
/// Settings of the address that another replaces. They must not go to the new address.
const TAKEN: [&str; 5] = [
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
    "OTEL_EXPORTER_OTLP_LOGS_HEADERS",
    "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
];

impl Config {
    /// The variables for another process that must send to the same destinations. It also sends to `collector` and `daemon` if
    /// these settings name none, unless that would move what other destinations get. `None` stands for a variable that must be
    /// unset.
    pub fn variables(&self, collector: &str, daemon: &str) -> Vec<(&'static str, Option<String>)> {
        let mut variables = Vec::new();
        if !self.sends_spans {
            return variables;
        }
        let takes_place = match (&self.otlp, &self.honeycomb) {
            // Honeycomb's own variables cannot express further headers, nor a path other than OTLP's.
            (_, Switch::On(Otlp { traces: Some(traces), .. }, _)) if !traces.is_plain() => false,
            _ if matches!(&self.xray_otlp, Switch::On(to, _) if to.endpoint.has_certificates) => false,
            (Switch::Off(_), _) => {
                variables.extend(TAKEN.map(|variable| (variable, None)));
                true
            }
            // A collector of log records alone keeps them, with the headers that were given for it. If Honeycomb has the place
            // of the spans' collector and gets no log records, it would get these records too.
            (Switch::On(Otlp { traces: None, logs: Some(logs), .. }, _), honeycomb)
                if !matches!(honeycomb, Switch::On(Otlp { logs: None, .. }, _)) =>
            {
                variables.extend(HEADERS.map(|variable| (variable, None)));
                variables.push(("OTEL_EXPORTER_OTLP_LOGS_HEADERS", logs.told_headers()));
                true
            }
            _ => false,
        };
        if takes_place {
            if let Switch::On(Otlp { traces: Some(traces), .. }, _) = &self.honeycomb {
                // The lesson's form uses the collector's variables: express the same in Honeycomb's own variables.
                let base = traces.url.base();
                variables.push(("HONEYCOMB_API_ENDPOINT", Some(base.to_string())));
                variables.push(("HONEYCOMB_API_KEY", traces.header(TEAM)));
                variables.push(("HONEYCOMB_DATASET", traces.header(DATASET)));
            }
            if let Switch::On(xray, _) = &self.xray_otlp {
                variables.push((XRAY, Some(xray.endpoint.url.as_str().to_owned())));
            }
            // The signal's own variable, because the viewer takes no log records.
            variables.push(("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", Some(format!("{collector}/v1/traces"))));
        }
        if let Switch::Off(_) = self.xray {
            variables.push(("AWS_XRAY_DAEMON_ADDRESS", Some(daemon.to_owned())));
        }
        variables
    }
}

#[cfg(test)]
mod tests {
    use settings::Settings;

    use super::super::tests::{on, read, traces};
    use super::*;

    #[test]
    fn another_process_is_told_the_same_in_its_variables() {
        let config = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://api.eu1.honeycomb.io"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-honeycomb-team=k,x-honeycomb-dataset=d"),
        ]);
        let variables = config.unwrap().variables("http://127.0.0.1:4318", "127.0.0.1:2000");
        let mut settings = Settings::from_lookup(move |name| {
            variables.iter().find(|(key, _)| *key == name).and_then(|(_, value)| value.clone())
        });
        let told = Config::read(&mut settings);
        let told = settings.finish(told).unwrap();
        let honeycomb = traces(told.honeycomb);
        assert_eq!(honeycomb.url.as_str(), "https://api.eu1.honeycomb.io/v1/traces");
        assert_eq!((honeycomb.header(TEAM), honeycomb.header(DATASET)), (Some("k".into()), Some("d".into())));
        assert_eq!(traces(told.otlp).url.as_str(), "http://127.0.0.1:4318/v1/traces");
        assert_eq!(on(told.xray).udp, "127.0.0.1:2000");
    }

    #[test]
    fn nobody_is_told_of_a_viewer_where_that_would_move_what_others_get() {
        let lesson = [
            ("HONEYCOMB_API_KEY", "k"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://api.honeycomb.io"),
            ("OTEL_LOGS_EXPORTER", "otlp"),
            ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "https://logs.example/in"),
        ];
        let told = |pairs: &[(&str, &str)]| read(pairs).unwrap().variables("http://127.0.0.1:4318", "127.0.0.1:2000");
        let xray_alone = [("AWS_XRAY_DAEMON_ADDRESS", Some("127.0.0.1:2000".to_owned()))];
        assert_eq!(told(&lesson), xray_alone);
        let headers = ("OTEL_EXPORTER_OTLP_HEADERS", "x-honeycomb-team=k,x-other=1");
        assert_eq!(told(&[lesson[1], headers]), xray_alone, "the other header would be lost");
        let path = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://refinery.honeycomb.io/custom");
        assert_eq!(told(&[lesson[0], path]), xray_alone, "the path would be lost");
        let local = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1");
        let certificate = ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/no/such/file");
        let team = ("OTEL_EXPORTER_OTLP_HEADERS", "x-honeycomb-team=k");
        assert_eq!(told(&[local, team, certificate]), xray_alone, "the certificates would be lost");
        for silent in [("OTEL_TRACES_EXPORTER", "none"), ("OTEL_SDK_DISABLED", "true")] {
            assert_eq!(told(&[lesson[0], lesson[1], lesson[2], silent]), []);
        }
    }

    #[test]
    fn a_viewer_takes_the_spans_beside_a_collector_of_log_records() {
        let logs = "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT";
        let said = [
            ("HONEYCOMB_API_KEY", "k"),
            ("OTEL_LOGS_EXPORTER", "otlp"),
            (logs, "https://logs.example/in"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20t"),
        ];
        let variables = read(&said).unwrap().variables("http://127.0.0.1:4318", "127.0.0.1:2000");
        assert!(variables.iter().all(|(name, _)| *name != logs), "it holds as it is");
        let mut settings = Settings::from_lookup(move |name| {
            let told = variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone());
            told.unwrap_or_else(|| said.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).into()))
        });
        let told = Config::read(&mut settings);
        let told = settings.finish(told).unwrap();
        let (otlp, honeycomb) = (on(told.otlp), on(told.honeycomb));
        let (traces, logs) = (otlp.traces.unwrap(), otlp.logs.unwrap());
        assert_eq!((traces.url.as_str(), traces.headers.len()), ("http://127.0.0.1:4318/v1/traces", 0));
        assert_eq!(logs.url.as_str(), "https://logs.example/in");
        assert_eq!(logs.header("authorization").as_deref(), Some("Bearer t"));
        assert_eq!(honeycomb.traces.unwrap().url.as_str(), "https://api.honeycomb.io/v1/traces");
    }
}
