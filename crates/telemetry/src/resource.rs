//! The process that created the spans: OpenTelemetry's [resource](https://opentelemetry.io/docs/specs/semconv/resource/),
//! encoded once. It describes the service, the host, the process and the SDK. Detectors add attributes, and
//! `OTEL_RESOURCE_ATTRIBUTES` overrides all of these.

use std::env::consts::{ARCH, OS};
use std::path::Path;

use opentelemetry_semantic_conventions::attribute::{
    SERVICE_INSTANCE_ID, SERVICE_NAME, SERVICE_VERSION, TELEMETRY_SDK_LANGUAGE, TELEMETRY_SDK_NAME,
    TELEMETRY_SDK_VERSION,
};
use uuid::Uuid;

use crate::attribute::attribute;
use crate::limits::Limits;
use crate::value::Value;

/// Not yet a stable convention, so the crate of conventions has no constant for it.
pub(crate) const PROCESS_PID: &str = "process.pid";

/// A process, as its spans describe it.
#[derive(Debug, Clone)]
pub struct Resource {
    service: String,
    /// No value is empty.
    attributes: Vec<(String, String)>,
    encoding: Vec<u8>,
}

impl Resource {
    /// This process as `service` of this `version`. Each of the `more` attributes replaces any earlier one with its key.
    pub(crate) fn new(service: &str, version: Option<&str>, more: &[(String, String)]) -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let program = std::env::current_exe().unwrap_or_default();
        let program = program.file_name().map(|name| Path::new(name).display().to_string()).unwrap_or_default();
        let attributes = vec![
            (SERVICE_NAME, service.to_owned()),
            (SERVICE_VERSION, version.unwrap_or_default().to_owned()),
            // Different for each process.
            (SERVICE_INSTANCE_ID, Uuid::new_v4().to_string()),
            (TELEMETRY_SDK_NAME, "cruddur-telemetry".to_owned()),
            (TELEMETRY_SDK_LANGUAGE, "rust".to_owned()),
            (TELEMETRY_SDK_VERSION, env!("CARGO_PKG_VERSION").to_owned()),
            ("host.name", host.trim().to_owned()),
            ("host.arch", architecture().to_owned()),
            ("os.type", OS.to_owned()),
            ("process.executable.name", program),
        ];
        let mut attributes: Vec<_> = attributes.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        // By the specification, `OTEL_SERVICE_NAME` and the service's own name take precedence over the attributes.
        for (key, value) in more.iter().filter(|(key, _)| key != SERVICE_NAME) {
            attributes.retain(|(known, _)| known != key);
            attributes.push((key.clone(), value.clone()));
        }
        attributes.retain(|(_, value)| !value.is_empty());
        let limit = Limits::default().value_bytes;
        let mut encoding = Vec::new();
        for (key, value) in &attributes {
            attribute(&mut encoding, 1, key, Value::Text(value), limit);
        }
        if attributes.iter().all(|(key, _)| key != PROCESS_PID) {
            attribute(&mut encoding, 1, PROCESS_PID, Value::Int(std::process::id().into()), limit);
        }
        Self { service: service.to_owned(), attributes, encoding }
    }

    /// Another process, of which only the service's name is known.
    pub(crate) fn named(service: &str) -> Self {
        let mut encoding = Vec::new();
        attribute(&mut encoding, 1, SERVICE_NAME, Value::Text(service), Limits::default().value_bytes);
        Self { service: service.to_owned(), attributes: vec![(SERVICE_NAME.to_owned(), service.to_owned())], encoding }
    }

    /// X-Ray's names for the platforms that it knows.
    pub(crate) const ECS: &str = "AWS::ECS::Container";
    pub(crate) const EC2: &str = "AWS::EC2::Instance";
    pub(crate) const EKS: &str = "AWS::EKS::Container";

    /// The platform of the process, as X-Ray calls it: a segment's `origin`, and the service type of a sampling rule.
    pub(crate) fn origin(&self) -> Option<&'static str> {
        match self.get("cloud.platform") {
            Some("aws_ecs") => Some(Self::ECS),
            Some("aws_ec2") => Some(Self::EC2),
            Some("aws_eks") => Some(Self::EKS),
            _ => None,
        }
    }

    /// Each attribute that is a text. No value is empty.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.attributes.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The text of an attribute.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.attributes().find(|(own, _)| *own == key).map(|(_, value)| value)
    }

    /// The name under which the service's spans appear.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// OTLP's message `Resource`, encoded.
    pub fn encoding(&self) -> &[u8] {
        &self.encoding
    }
}

/// The architecture as the conventions call it.
fn architecture() -> &'static str {
    match ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use otlp::wire::{Field, Fields};

    #[test]
    fn configured_attributes_win_except_for_the_service_name() {
        let more = [("team", "found"), ("service.version", "7"), ("team", "a,b"), ("service.name", "other")];
        let more = more.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let resource = Resource::new("backend", Some("1"), &more);
        let mut texts = Vec::new();
        for (_, field) in Fields(resource.encoding()) {
            let Field::Bytes(entry) = field else { panic!("{field:?}") };
            texts.push(String::from_utf8_lossy(entry).into_owned());
        }
        let of = |key: &str| texts.iter().filter(|text| text.contains(key)).cloned().collect::<Vec<_>>();
        assert_eq!(of("service.version").len(), 1);
        assert_eq!(of("team").len(), 1);
        assert!(of("service.version")[0].ends_with('7') && of("team")[0].ends_with("a,b"));
        assert!(of("service.name")[0].ends_with("backend"));
        assert_eq!((of("process.pid").len(), of("service.instance.id").len()), (1, 1));
    }

    #[test]
    fn keys_are_unique_and_an_unknown_version_is_absent() {
        let pid = ("process.pid".to_owned(), "container-7".to_owned());
        let resource = Resource::new("backend", None, &[pid]);
        let text = String::from_utf8_lossy(resource.encoding()).into_owned();
        assert_eq!(text.matches("process.pid").count(), 1);
        assert_eq!((resource.get("service.version"), resource.get("process.pid")), (None, Some("container-7")));
        assert_eq!(Resource::new("backend", Some("1.2.3"), &[]).get("service.version"), Some("1.2.3"));
    }
}
