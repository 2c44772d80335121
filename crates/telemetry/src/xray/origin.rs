//! What every segment says of its service, written once: name, version, the platform that it runs on. Reads no variable and asks
//! nobody: it is what the resource says.

use super::fields::annotation_key;
use super::json::Json;
use crate::resource::Resource;
use crate::span::Value;

/// The attributes of a resource that documents tell in fields of their own, or that are the same for each of our services.
const TOLD: [&str; 12] = [
    "service.name",
    "service.version",
    "telemetry.sdk.name",
    "telemetry.sdk.language",
    "telemetry.sdk.version",
    "host.arch",
    "os.type",
    "process.executable.name",
    "cloud.account.id",
    "cloud.platform",
    "cloud.provider",
    "cloud.availability_zone",
];

/// A platform's `origin`, its field in `aws`, and that field's members with the attributes they come from.
type Platform = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const ECS: Platform = (
    "AWS::ECS::Container",
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
    "AWS::EC2::Instance",
    "ec2",
    &[
        ("instance_id", "host.id"),
        ("availability_zone", "cloud.availability_zone"),
        ("instance_size", "host.type"),
        ("ami_id", "host.image.id"),
    ],
);
const EKS: Platform = ("AWS::EKS::Container", "eks", &[("pod", "k8s.pod.name"), ("container_id", "container.id")]);

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
        let platform = match resource.get("cloud.platform") {
            Some("aws_ecs") => Some(ECS),
            Some("aws_ec2") => Some(EC2),
            Some("aws_eks") => Some(EKS),
            _ => None,
        };
        let segment = pairs(|json| {
            if let Some(version) = resource.get("service.version") {
                json.open_at("service");
                json.short("version", version);
                json.close();
            }
            if let Some((origin, ..)) = platform {
                json.text("origin", origin);
            }
        });
        let aws = pairs(|json| {
            if let Some(account) = resource.get("cloud.account.id") {
                json.text("account_id", account);
            }
            if let Some((_, field, members)) = platform {
                json.open_at(field);
                for (member, key) in members {
                    if let Some(text) = resource.get(key) {
                        json.text(member, text);
                    }
                }
                json.close();
            }
        });
        let metadata = pairs(|json| {
            for (key, text) in resource.attributes().filter(|(key, _)| !TOLD.contains(key)) {
                json.value(key, Value::Text(text));
            }
        });
        let metadata = if metadata.is_empty() { metadata } else { format!("{{{metadata}}}") };
        let indexed = indexed.iter().map(|key| (key.clone(), annotation_key(key).into_owned())).collect();
        Self { name: wire::name(resource.service()).into_owned(), segment, aws, metadata, indexed }
    }
}

/// What `write` writes into an object.
fn pairs(write: impl FnOnce(&mut Json<'_>)) -> String {
    let mut out = Vec::new();
    write(&mut Json::new(&mut out));
    // It is made of texts.
    String::from_utf8(out).unwrap_or_default()
}
