//! The doctor's checks of destinations. Each gets a request without spans, so that the doctor leaves nothing there.

use telemetry::config::{Endpoint, Otlp, XrayOtlp};
use telemetry::{Switch, Url, probe};

use super::report::{Report, Status};

impl Report {
    pub(super) fn destinations(&mut self, telemetry: &telemetry::Config) {
        self.honeycomb(&telemetry.honeycomb);
        self.otlp(&telemetry.otlp);
        self.xray(&telemetry.xray);
        self.rules(telemetry);
        self.xray_otlp(&telemetry.xray_otlp);
    }

    fn honeycomb(&mut self, honeycomb: &Switch<Otlp>) {
        let otlp = match honeycomb {
            Switch::On(otlp, _) => otlp,
            Switch::Off(why) => return self.add("honeycomb", Status::Off, why),
        };
        let (Some(key), Some(endpoint)) = (&otlp.key, otlp.traces.as_ref().or(otlp.logs.as_ref())) else { return };
        if !key.kind().sends() {
            // Its fault is already reported, in more detail than a refusal would have.
            return;
        }
        self.add("honeycomb key", Status::Ok, format!("{key} is {}", key.kind()));
        if !self.reaches("honeycomb", endpoint) {
            return;
        }
        let identity = self.found("honeycomb auth", probe::auth(otlp), |identity| {
            let environment = if identity.environment.is_empty() { "(classic)" } else { &identity.environment };
            format!("team {}, environment {environment}", identity.team)
        });
        let Some(identity) = identity else { return };
        if !identity.sends {
            self.add(
                "honeycomb auth",
                Status::Wrong,
                "the key may not send events; give it that permission, or use another key",
            );
        }
        self.clock(identity.clock);
        if let Some(endpoint) = &otlp.traces {
            self.accepts_spans("honeycomb span", endpoint);
        }
        self.accepts_logs("honeycomb log record", otlp);
    }

    fn clock(&mut self, clock: Option<probe::Clock>) {
        let Some(clock) = clock else {
            return self.add("clock", Status::Note, "not checked: Honeycomb's response has no date");
        };
        let direction = if clock.ahead { "ahead of" } else { "behind" };
        let difference = format!("{} s {direction} Honeycomb's", clock.skew.as_secs());
        if clock.is_right() {
            self.add("clock", Status::Ok, difference);
        } else {
            let problem =
                format!("{difference}, so spans will not be found; set this machine's clock, for example by NTP");
            self.add("clock", Status::Wrong, problem);
        }
    }

    fn otlp(&mut self, otlp: &Switch<Otlp>) {
        match otlp {
            Switch::Off(why) => self.add("otlp", Status::Off, why),
            Switch::On(otlp, _) => {
                if let Some(endpoint) = &otlp.traces
                    && self.reaches("otlp", endpoint)
                {
                    self.accepts_spans("otlp span", endpoint);
                }
                self.accepts_logs("otlp log record", otlp);
            }
        }
    }

    fn accepts_spans(&mut self, check: &str, endpoint: &Endpoint) {
        self.found(check, probe::traces(endpoint), |()| accepted("spans", endpoint));
    }

    /// Checks the address of log records, which may differ from that of spans.
    fn accepts_logs(&mut self, check: &str, otlp: &Otlp) {
        let Some(endpoint) = &otlp.logs else { return };
        self.found(check, probe::logs(endpoint), |()| accepted("log records", endpoint));
    }

    /// Looks up the name, connects, and tries TLS.
    fn reaches(&mut self, name: &str, endpoint: &Endpoint) -> bool {
        let url: &Url = &endpoint.url;
        let resolved = self.found(&format!("{name} DNS"), probe::resolve(&url.host(), url.port()), |addresses| {
            let addresses: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
            format!("{} is {}", url.host(), addresses.join(", "))
        });
        if resolved.is_none()
            || self
                .found(&format!("{name} connection"), probe::connect(&url.host(), url.port()), ToString::to_string)
                .is_none()
        {
            return false;
        }
        if !url.is_encrypted() {
            self.add(format!("{name} TLS"), Status::Off, format!("{url} is not encrypted"));
            return true;
        }
        self.found(&format!("{name} TLS"), probe::tls(endpoint), |()| "the certificate is valid".to_owned()).is_some()
    }

    fn xray(&mut self, xray: &Switch<telemetry::DaemonAddress>) {
        match xray {
            Switch::Off(why) => self.add("xray", Status::Off, why),
            Switch::On(address, _) => {
                let why = "UDP does not confirm delivery; the TCP side, for sampling rules, ";
                match probe::daemon(address) {
                    Ok(daemon) => self.add("xray daemon", Status::Ok, format!("{why}accepts connections at {daemon}")),
                    Err(problem) => self.add("xray daemon", Status::Wrong, format!("{why}does not respond: {problem}")),
                }
            }
        }
    }

    fn rules(&mut self, telemetry: &telemetry::Config) {
        match probe::rules(telemetry) {
            None => {}
            Some(Ok((count, url))) => self.add("xray rules", Status::Ok, format!("{count} at {url}")),
            Some(Err(problem)) => {
                let detail = format!("local rules apply: {problem}; under `cargo run` the viewer serves its own");
                self.add("xray rules", Status::Note, detail);
            }
        }
    }

    fn xray_otlp(&mut self, xray: &Switch<XrayOtlp>) {
        let to = match xray {
            Switch::Off(why) => return self.add("xray-otlp", Status::Off, why),
            Switch::On(to, _) => to,
        };
        self.add("xray-otlp region", Status::Ok, format!("requests are signed for {}", to.region));
        let held = self.found("xray-otlp credentials", probe::credentials(to), |id| {
            format!("from {}; the key's id ends in {id}", to.credentials())
        });
        if held.is_some() && self.reaches("xray-otlp", &to.endpoint) {
            self.found("xray-otlp span", probe::signed_traces(to), |()| accepted("spans", &to.endpoint));
        }
    }
}

fn accepted(what: &str, endpoint: &Endpoint) -> String {
    format!("{} accepts {what}; none were sent", endpoint.url)
}
