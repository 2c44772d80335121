//! The description of a service in every segment, written once: name, version and platform. Reads no variable and sends no
//! request: everything comes from the resource.

use super::fields::annotation_key;
use super::json::{Json, Key, SHORT, end, key};
use crate::resource::Resource;
use crate::span::reading::Scalar;

/// Resource attributes that are the same for all our services on a machine.
const COMMON: [&str; 6] = [
    "telemetry.sdk.name",
    "telemetry.sdk.language",
    "telemetry.sdk.version",
    "host.arch",
    "os.type",
    "process.executable.name",
];

/// A platform's field in `aws`, and the members of that field with the attributes they come from.
type PlatformKeys = (Key, &'static [(Key, &'static str)]);

const ECS: PlatformKeys = (
    key!("ecs"),
    &[
        (key!("container"), "container.name"),
        (key!("container_id"), "container.id"),
        (key!("container_arn"), "aws.ecs.container.arn"),
        (key!("cluster_arn"), "aws.ecs.cluster.arn"),
        (key!("task_arn"), "aws.ecs.task.arn"),
        (key!("launch_type"), "aws.ecs.launchtype"),
    ],
);
const EC2: PlatformKeys = (
    key!("ec2"),
    &[
        (key!("instance_id"), "host.id"),
        (key!("availability_zone"), "cloud.availability_zone"),
        (key!("instance_size"), "host.type"),
        (key!("ami_id"), "host.image.id"),
    ],
);
const EKS: PlatformKeys = (key!("eks"), &[(key!("pod"), "k8s.pod.name"), (key!("container_id"), "container.id")]);
const VERSION: &str = "service.version";
const ACCOUNT: &str = "cloud.account.id";

/// A service, as its segments describe it.
pub(crate) struct Origin {
    /// Valid for a document.
    pub(super) name: String,
    /// The pairs `service` and `origin` of a segment.
    pub(super) segment: String,
    /// The pairs of a segment's `aws`, except those of the SDK.
    pub(super) aws: String,
    /// An object of a segment's metadata: attributes that no field records. Empty if there are none.
    pub(super) metadata: String,
    /// The attributes that are also annotations: each attribute's key, and the annotation's key.
    pub(super) indexed: Vec<(String, String)>,
}

impl Origin {
    /// The origin of the process that `resource` describes. Attributes whose keys are `indexed` become annotations of each span
    /// that has them.
    pub(crate) fn new(resource: &Resource, indexed: &[String]) -> Self {
        let origin = resource.origin();
        let platform = origin.map(|origin| match origin {
            Resource::ECS => ECS,
            Resource::EC2 => EC2,
            _ => EKS,
        });
        let segment = pairs(|json| {
            if let Some(version) = resource.get(VERSION) {
                json.open_at(key!("service"));
                json.short(key!("version"), version);
                json.close();
            }
            if let Some(origin) = origin {
                json.text(key!("origin"), origin);
            }
        });
        let aws = pairs(|json| {
            if let Some(account) = resource.get(ACCOUNT) {
                json.short(key!("account_id"), account);
            }
            if let Some((field, members)) = platform {
                json.open_at(field);
                for (member, key) in members {
                    if let Some(text) = resource.get(key) {
                        json.short(*member, text);
                    }
                }
                json.close();
            }
        });
        let name = xray::name(resource.service());
        let is_recorded = |key: &str, text: &str| match key {
            "service.name" => *name == *text,
            "cloud.platform" | "cloud.provider" => platform.is_some(),
            _ if COMMON.contains(&key) => true,
            VERSION | ACCOUNT => text.len() <= SHORT,
            _ => text.len() <= SHORT && platform.is_some_and(|(_, members)| members.iter().any(|(_, own)| *own == key)),
        };
        let metadata = object(|json| {
            for (key, text) in resource.attributes().filter(|(key, text)| !is_recorded(key, text)) {
                json.value(key, Scalar::Text(text.into()));
            }
        });
        let indexed = indexed.iter().map(|key| (key.clone(), annotation_key(key).into_owned())).collect();
        Self { name: name.into_owned(), segment, aws, metadata, indexed }
    }

    /// The origin of another process, whose spans are sent with ours and have the same annotations.
    pub(crate) fn of_other(&self, resource: &Resource) -> Self {
        Self { indexed: self.indexed.clone(), ..Self::new(resource, &[]) }
    }
}

/// The pairs that `write` writes into an object.
fn pairs(write: impl FnOnce(&mut Json<'_>)) -> String {
    let mut out = Vec::new();
    write(&mut Json::new(&mut out));
    // The bytes were written from texts, so they are UTF-8.
    String::from_utf8(out).unwrap_or_default()
}

/// The object itself; an empty text if it has no pairs.
fn object(write: impl FnOnce(&mut Json<'_>)) -> String {
    let mut out = Vec::new();
    let mut json = Json::new(&mut out);
    json.open();
    write(&mut json);
    end(&mut out, b'}');
    if out == b"{}" { String::new() } else { String::from_utf8(out).unwrap_or_default() }
}
