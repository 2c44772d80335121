//! Queries the platform about the process: ECS and EC2 over HTTP, Kubernetes through the pod's files. Each is queried once, at
//! start, if `OTEL_RESOURCE_DETECTORS` names it. Reads no variables. Does not detect `k8s.cluster.name`, which only EKS' own
//! API reports, or a container's id under version 2 of cgroups, which hides it from the container.
//!
//! Sources: [ECS](https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4.html),
//! [EC2](https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html), and the conventions for the
//! [cloud](https://opentelemetry.io/docs/specs/semconv/resource/cloud/) for the names.

use std::fs;

use super::Detector;
use super::metadata::{MetadataClient, text};
use crate::address::Url;

const NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// The attributes that a detector found. Attributes that a platform does not report are omitted, because an empty one would
/// replace the value of an earlier detector.
type Detected = Vec<(&'static str, String)>;

/// Runs `detector`.
///
/// # Errors
/// Why the detector found nothing, for a log line at start.
pub(crate) fn detect(detector: &Detector) -> Result<Detected, String> {
    let mut found = match detector {
        Detector::Ecs(None) => Err("ECS_CONTAINER_METADATA_URI_V4 is not set".to_owned())?,
        Detector::Ecs(Some(endpoint)) => ecs(&MetadataClient::new(), endpoint)?,
        Detector::Ec2(endpoint) => ec2(&MetadataClient::new(), endpoint)?,
        Detector::Eks(None) => Err("KUBERNETES_SERVICE_HOST is not set".to_owned())?,
        Detector::Eks(Some(pod)) => {
            let read = |path| fs::read_to_string(path).unwrap_or_default();
            eks(pod, &read(NAMESPACE), &read("/proc/self/cgroup"))
        }
    };
    found.retain(|(_, value)| !value.is_empty());
    Ok(found)
}

fn ecs(client: &MetadataClient, endpoint: &Url) -> Result<Detected, String> {
    let container = client.json(endpoint, "", None)?;
    let task = client.json(endpoint, "/task", None)?;
    let arn = text(&task, "TaskARN");
    if arn.is_empty() {
        return Err("the metadata endpoint reports no task".to_owned());
    }
    // arn:aws:ecs:eu-central-1:123456789012:task/cluster/id
    let mut parts = arn.splitn(6, ':').skip(3);
    let (region, account) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let cluster = text(&task, "Cluster");
    let cluster = match arn.split_once(":task/") {
        Some((base, _)) if !cluster.is_empty() && !cluster.starts_with("arn:") => format!("{base}:cluster/{cluster}"),
        _ => cluster,
    };
    Ok(vec![
        ("cloud.provider", "aws".to_owned()),
        ("cloud.platform", "aws_ecs".to_owned()),
        ("cloud.account.id", account.to_owned()),
        ("cloud.region", region.to_owned()),
        ("cloud.availability_zone", text(&task, "AvailabilityZone")),
        ("container.id", text(&container, "DockerId")),
        ("aws.ecs.container.arn", text(&container, "ContainerARN")),
        ("aws.ecs.cluster.arn", cluster),
        ("aws.ecs.task.family", text(&task, "Family")),
        ("aws.ecs.task.revision", text(&task, "Revision")),
        ("aws.ecs.launchtype", text(&task, "LaunchType").to_ascii_lowercase()),
        ("aws.ecs.task.arn", arn),
    ])
}

fn ec2(client: &MetadataClient, endpoint: &Url) -> Result<Detected, String> {
    let token = client.token(endpoint)?;
    let instance = client.json(endpoint, "/latest/dynamic/instance-identity/document", Some(&token))?;
    let id = text(&instance, "instanceId");
    if id.is_empty() {
        return Err("the metadata endpoint reports no instance".to_owned());
    }
    Ok(vec![
        ("cloud.provider", "aws".to_owned()),
        ("cloud.platform", "aws_ec2".to_owned()),
        ("cloud.account.id", text(&instance, "accountId")),
        ("cloud.region", text(&instance, "region")),
        ("cloud.availability_zone", text(&instance, "availabilityZone")),
        ("host.id", id),
        ("host.type", text(&instance, "instanceType")),
        ("host.image.id", text(&instance, "imageId")),
    ])
}

/// The attributes of a pod, from its name, its namespace, and the control groups of this process.
fn eks(pod: &str, namespace: &str, cgroup: &str) -> Detected {
    vec![
        ("cloud.provider", "aws".to_owned()),
        ("cloud.platform", "aws_eks".to_owned()),
        ("k8s.pod.name", pod.to_owned()),
        ("k8s.namespace.name", namespace.trim().to_owned()),
        ("container.id", container(cgroup).unwrap_or_default().to_owned()),
    ]
}

/// The 64 hex digits at the end of a control group's path, where container runtimes write the container's id:
/// `…/<id>` or `…/cri-containerd-<id>.scope`.
fn container(cgroup: &str) -> Option<&str> {
    cgroup.lines().find_map(|line| {
        let name = line.rsplit('/').next()?;
        let name = name.strip_suffix(".scope").unwrap_or(name);
        let id = name.get(name.len().checked_sub(64)?..)?;
        id.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(id)
    })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::time::{Duration, Instant};

    use super::super::metadata::TOTAL;
    use super::*;
    use crate::testing::endpoint;

    fn value<'a>(found: &'a Detected, key: &str) -> &'a str {
        found.iter().find(|(known, _)| *known == key).map_or("", |(_, value)| value)
    }

    #[test]
    fn ecs_describes_the_container_and_its_task() {
        const TASK: &str = "arn:aws:ecs:eu-central-1:123456789012:task/cruddur/158d1c8083dd49d6b527399fd6414f5c";
        let endpoint = endpoint(|head| {
            let body = if head.starts_with("get /v4/id/task ") {
                format!(
                    r#"{{"Cluster":"cruddur","TaskARN":"{TASK}","Family":"backend","Revision":"26","LaunchType":"FARGATE","AvailabilityZone":"eu-central-1a"}}"#
                )
            } else {
                r#"{"DockerId":"ea32192c8553fbff06c9340478a2ff089b2bb5646fb718b4ee206641c9086d66","ContainerARN":"arn:c"}"#.to_owned()
            };
            ("200 OK", body)
        });
        let found = detect(&Detector::Ecs(Some(endpoint))).unwrap();
        for (key, expected) in [
            ("cloud.provider", "aws"),
            ("cloud.platform", "aws_ecs"),
            ("cloud.account.id", "123456789012"),
            ("cloud.region", "eu-central-1"),
            ("cloud.availability_zone", "eu-central-1a"),
            ("container.id", "ea32192c8553fbff06c9340478a2ff089b2bb5646fb718b4ee206641c9086d66"),
            ("aws.ecs.container.arn", "arn:c"),
            ("aws.ecs.cluster.arn", "arn:aws:ecs:eu-central-1:123456789012:cluster/cruddur"),
            ("aws.ecs.task.arn", TASK),
            ("aws.ecs.task.family", "backend"),
            ("aws.ecs.task.revision", "26"),
            ("aws.ecs.launchtype", "fargate"),
        ] {
            assert_eq!(value(&found, key), expected, "{key}");
        }
    }

    #[test]
    fn ec2_is_queried_with_a_token() {
        let endpoint = endpoint(|head| {
            let has = |line: &str| head.lines().any(|other| other == line);
            let asks = has("x-aws-ec2-metadata-token-ttl-seconds: 60") && has("content-length: 0");
            if head.starts_with("put /v4/id/latest/api/token ") && asks {
                return ("200 OK", "t0ken==\n".to_owned());
            }
            let document = head.starts_with("get /v4/id/latest/dynamic/instance-identity/document ");
            if !document || !has("x-aws-ec2-metadata-token: t0ken==") {
                return ("401 Unauthorized", String::new());
            }
            let body = r#"{"accountId":"123456789012","region":"eu-central-1","availabilityZone":"eu-central-1b",
                "instanceId":"i-1","instanceType":"t3.micro","imageId":"ami-1","kernelId":null}"#;
            ("200 OK", body.to_owned())
        });
        let found = detect(&Detector::Ec2(endpoint)).unwrap();
        let keys = ["cloud.platform", "cloud.account.id", "cloud.region", "cloud.availability_zone"];
        assert_eq!(keys.map(|key| value(&found, key)), ["aws_ec2", "123456789012", "eu-central-1", "eu-central-1b"]);
        let keys = ["host.id", "host.type", "host.image.id"];
        assert_eq!(keys.map(|key| value(&found, key)), ["i-1", "t3.micro", "ami-1"]);
    }

    #[test]
    fn a_pod_is_described_by_its_files() {
        let id = "ea32192c8553fbff06c9340478a2ff089b2bb5646fb718b4ee206641c9086d66";
        let found = eks("backend-0", "cruddur\n", &format!("1:cpu:/kubepods/besteffort/pod1/{id}\n"));
        let keys = ["cloud.platform", "k8s.pod.name", "k8s.namespace.name", "container.id"];
        assert_eq!(keys.map(|key| value(&found, key)), ["aws_eks", "backend-0", "cruddur", id]);
        assert_eq!(container(&format!("0::/kubepods.slice/cri-containerd-{id}.scope")), Some(id));
        for hidden in ["0::/", "", "0::/short", &format!("0::/{}", "x".repeat(64)), &format!("0::/é{}", &id[1..])] {
            assert_eq!(container(hidden), None, "{hidden}");
        }
    }

    #[test]
    fn outside_its_platform_a_detector_finds_nothing() {
        assert_eq!(detect(&Detector::Ecs(None)).unwrap_err(), "ECS_CONTAINER_METADATA_URI_V4 is not set");
        assert_eq!(detect(&Detector::Eks(None)).unwrap_err(), "KUBERNETES_SERVICE_HOST is not set");
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = detect(&Detector::Ec2(format!("http://{free}").parse().unwrap())).unwrap_err();
        assert!(error.starts_with("the metadata endpoint did not respond"), "{error}");
    }

    #[test]
    fn an_unusable_response_finds_nothing() {
        let elsewhere = endpoint(|_| ("200 OK", "{}".to_owned()));
        let cases: [(&'static str, String, &str); 5] = [
            ("404 Not Detected", String::new(), "responded 404"),
            // A redirect is not followed, and its status is an error.
            ("302 Found", elsewhere.to_string(), "responded 302"),
            ("200 OK", " ".repeat(70_000), "cannot read"),
            ("200 OK", "<html>".to_owned(), "is not JSON"),
            ("200 OK", "{}".to_owned(), "reports no task"),
        ];
        for (status, body, expected) in cases {
            let line: &'static str =
                if status.starts_with("302") { format!("{status}\r\nlocation: {body}").leak() } else { status };
            let error = detect(&Detector::Ecs(Some(endpoint(move |_| (line, body.clone()))))).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_silent_endpoint_delays_the_start_only_briefly() {
        // The kernel accepts connections, but no server responds.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let start = Instant::now();
        assert!(detect(&Detector::Ec2(url.parse().unwrap())).is_err());
        assert!(start.elapsed() < TOTAL + Duration::from_secs(1), "{:?}", start.elapsed());
    }
}
