//! What every segment says of its service, written once: name, version, the platform that it runs on. Reads no variable and asks
//! nobody: it is what the resource says.

use super::fields::annotation_key;
use super::json::{Json, SHORT};
use crate::resource::Resource;
use crate::span::reading::Scalar;

/// The attributes of a resource that say the same of each of our services on a machine.
const COMMON: [&str; 6] = [
    "telemetry.sdk.name",
    "telemetry.sdk.language",
    "telemetry.sdk.version",
    "host.arch",
    "os.type",
    "process.executable.name",
];

/// A platform's field in `aws`, and that field's members with the attributes they come from.
type Platform = (&'static str, &'static [(&'static str, &'static str)]);

const ECS: Platform = (
    "ecs",
    &[
        ("container", "container.name"),
        ("container_id", "container.id"),
        ("container_arn", "aws.ecs.container.arn"),
        ("cluster_arn", "aws.ecs.cluster.arn"),
        ("task_arn", "aws.ecs.task.arn"),
        ("launch_type", "aws.ecs.launchtype"),
    ],
);
const EC2: Platform = (
    "ec2",
    &[
        ("instance_id", "host.id"),
        ("availability_zone", "cloud.availability_zone"),
        ("instance_size", "host.type"),
        ("ami_id", "host.image.id"),
    ],
);
const EKS: Platform = ("eks", &[("pod", "k8s.pod.name"), ("container_id", "container.id")]);
const VERSION: &str = "service.version";
const ACCOUNT: &str = "cloud.account.id";

/// A service, as its segments describe it.
pub(crate) struct Origin {
    /// Fit for a document.
    pub(super) name: String,
    /// The pairs `service` and `origin` of a segment.
    pub(super) segment: String,
    /// The pairs of a segment's `aws`, but for the SDK.
    pub(super) aws: String,
    /// An object of a segment's metadata: what no field tells. Empty where that is nothing.
    pub(super) metadata: String,
    /// The attributes that are annotations too: their keys, and those of the annotations.
    pub(super) indexed: Vec<(String, String)>,
}

impl Origin {
    /// Of the process that `resource` describes. The attributes with the keys `indexed` are annotations of each span that has
    /// them.
    pub(crate) fn new(resource: &Resource, indexed: &[String]) -> Self {
        let origin = resource.origin();
        let platform = origin.map(|origin| match origin {
            Resource::ECS => ECS,
            Resource::EC2 => EC2,
            _ => EKS,
        });
        let segment = pairs(|json| {
            if let Some(version) = resource.get(VERSION) {
                json.open_at("service");
                json.short("version", version);
                json.close();
            }
            if let Some(origin) = origin {
                json.text("origin", origin);
            }
        });
        let aws = pairs(|json| {
            if let Some(account) = resource.get(ACCOUNT) {
                json.short("account_id", account);
            }
            if let Some((field, members)) = platform {
                json.open_at(field);
                for (member, key) in members {
                    if let Some(text) = resource.get(key) {
                        json.short(member, text);
                    }
                }
                json.close();
            }
        });
        let name = wire::name(resource.service());
        let is_told = |key: &str, text: &str| match key {
            "service.name" => *name == *text,
            "cloud.platform" | "cloud.provider" => platform.is_some(),
            _ if COMMON.contains(&key) => true,
            VERSION | ACCOUNT => text.len() <= SHORT,
            _ => text.len() <= SHORT && platform.is_some_and(|(_, members)| members.iter().any(|(_, own)| *own == key)),
        };
        let metadata = pairs(|json| {
            for (key, text) in resource.attributes().filter(|(key, text)| !is_told(key, text)) {
                json.value(key, Scalar::Text(text.into()));
            }
        });
        let metadata = if metadata.is_empty() { metadata } else { format!("{{{metadata}}}") };
        let indexed = indexed.iter().map(|key| (key.clone(), annotation_key(key).into_owned())).collect();
        Self { name: name.into_owned(), segment, aws, metadata, indexed }
    }

    /// Of another process, whose spans travel with ours and have the same annotations.
    pub(crate) fn of_other(&self, resource: &Resource) -> Self {
        Self { indexed: self.indexed.clone(), ..Self::new(resource, &[]) }
    }
}

/// What `write` writes into an object.
fn pairs(write: impl FnOnce(&mut Json<'_>)) -> String {
    let mut out = Vec::new();
    write(&mut Json::new(&mut out));
    // It is made of texts.
    String::from_utf8(out).unwrap_or_default()
}
