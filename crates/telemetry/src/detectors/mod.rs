//! The resource detectors that a variable selects. Each one queries a platform about the machine that the process runs on. Reads
//! the variables that each detector needs; sends no requests.

#[cfg(feature = "honeycomb")]
pub(crate) mod metadata;
#[cfg(feature = "honeycomb")]
pub(crate) mod platforms;

use settings::Settings;

use crate::address::Url;
use crate::values::names;

/// Detectors of other languages' SDKs. Most of their results are known here without a detector.
const OTHERS: &[&str] = &[
    "*",
    "all",
    "aws",
    "azure",
    "beanstalk",
    "container",
    "env",
    "gcp",
    "heroku",
    "host",
    "k8s",
    "lambda",
    "os",
    "otel",
    "process",
    "processruntime",
    "serviceinstance",
];

const VARIABLE: &str = "OTEL_RESOURCE_DETECTORS";
/// EC2's instance metadata, the same on every instance.
pub(crate) const EC2: &str = "http://169.254.169.254";

/// A platform that has metadata about the process, and its settings in the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Detector {
    /// The container's metadata endpoint; `None` outside ECS.
    Ecs(Option<Url>),
    /// The instance's metadata service.
    Ec2(Url),
    /// The pod's name, which may be empty; `None` outside Kubernetes.
    Eks(Option<String>),
}

impl Detector {
    /// The detector's name in the variable.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Ecs(_) => "ecs",
            Self::Ec2(_) => "ec2",
            Self::Eks(_) => "eks",
        }
    }
}

/// The detectors, in the order of the variable: the result of a later detector replaces that of an earlier one.
pub(crate) fn read(settings: &mut Settings) -> Vec<Detector> {
    let mut detectors = Vec::new();
    for name in names(settings, VARIABLE).unwrap_or_default() {
        let detector = match name.as_str() {
            "ecs" => Detector::Ecs(settings.parse("ECS_CONTAINER_METADATA_URI_V4", "the address that ECS sets")),
            "ec2" => {
                let expected = "an address such as http://169.254.169.254";
                Detector::Ec2(settings.parse_or("AWS_EC2_METADATA_SERVICE_ENDPOINT", Url::of(EC2), expected))
            }
            "eks" => {
                let inside = settings.text("KUBERNETES_SERVICE_HOST");
                Detector::Eks(inside.map(|_| settings.text("HOSTNAME").unwrap_or_default()))
            }
            "none" => continue,
            other if OTHERS.contains(&other) => {
                settings.warn(VARIABLE, format!("{other} is not supported and is skipped; use ecs, ec2 or eks"));
                continue;
            }
            _ => {
                settings.fault(VARIABLE, format!("{name:?} is not a known detector; use ecs, ec2 or eks"));
                continue;
            }
        };
        detectors.push(detector);
    }
    detectors
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Result<Vec<Detector>, String> {
        let mut settings = Settings::from_pairs(pairs);
        let detectors = read(&mut settings);
        settings.finish(detectors).map_err(|faults| faults.to_string())
    }

    #[test]
    fn a_platform_is_queried_only_if_the_variable_names_it() {
        let set =
            [("ECS_CONTAINER_METADATA_URI_V4", "http://169.254.170.2/v4/x"), ("KUBERNETES_SERVICE_HOST", "10.0.0.1")];
        assert_eq!(of(&set), Ok(Vec::new()));
    }

    #[test]
    fn each_detector_has_its_settings() {
        let outside = of(&[("OTEL_RESOURCE_DETECTORS", "ec2, ecs,eks,")]);
        assert_eq!(outside, Ok(vec![Detector::Ec2(Url::of(EC2)), Detector::Ecs(None), Detector::Eks(None)]));
        let inside = of(&[
            ("OTEL_RESOURCE_DETECTORS", "eks,ecs,ec2"),
            ("KUBERNETES_SERVICE_HOST", "10.0.0.1"),
            ("HOSTNAME", "backend-0"),
            ("ECS_CONTAINER_METADATA_URI_V4", "http://169.254.170.2/v4/x"),
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://[fd00:ec2::254]/"),
        ]);
        let expected = vec![
            Detector::Eks(Some("backend-0".to_owned())),
            Detector::Ecs(Some(Url::of("http://169.254.170.2/v4/x"))),
            Detector::Ec2(Url::of("http://[fd00:ec2::254]")),
        ];
        assert_eq!(inside, Ok(expected));
    }

    #[test]
    fn an_unknown_detector_is_a_fault_that_lists_the_known_ones() {
        let fault = of(&[("OTEL_RESOURCE_DETECTORS", "ecs,mars")]).unwrap_err();
        assert_eq!(fault, "OTEL_RESOURCE_DETECTORS: \"mars\" is not a known detector; use ecs, ec2 or eks");
    }
}
