//! Finds the source of credentials, in the order in which AWS's own tools search. Reads variables and the profile files. Sends
//! no requests to a container's or an instance's endpoint; that happens when their keys are needed.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use settings::Settings;

use super::credentials::Credentials;
use super::profile::{Profile, Profiles};
use crate::address::Url;

/// The ECS server for the path in `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI`.
const ECS: &str = "http://169.254.170.2";
/// The hosts besides this machine to which requests in plain HTTP are allowed: those of ECS and EKS.
const CONTAINER_HOSTS: [&str; 3] = ["169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"];

/// A source of credentials.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    Environment(Credentials),
    /// The files, and the credentials in them at start.
    Profile(Profiles, Credentials),
    /// The endpoint, and the token that it requires.
    Container(Url, Option<Token>),
    /// The instance's metadata service.
    Instance(Url),
}

/// The token that a container's endpoint requires: the token itself, or a file that is rewritten from time to time.
#[derive(Debug, Clone)]
pub(crate) enum Token {
    Text(SecretString),
    File(PathBuf),
}

/// The profile that the variables name, and the paths of its files.
pub(crate) fn profiles(settings: &mut Settings) -> Profiles {
    let home = settings.text("HOME");
    let mut file = |variable, name: &str| {
        let own = settings.text(variable).map(PathBuf::from);
        own.or_else(|| home.as_ref().map(|home| Path::new(home).join(".aws").join(name)))
    };
    let (credentials, config) = (file("AWS_SHARED_CREDENTIALS_FILE", "credentials"), file("AWS_CONFIG_FILE", "config"));
    Profiles { name: settings.text_or("AWS_PROFILE", "default"), credentials, config }
}

/// The first source of credentials. If there is none, that is a fault of the variable `needed_by`, which requires a signature.
pub(crate) fn read(settings: &mut Settings, profiles: &Profiles, profile: Profile, needed_by: &str) -> Option<Source> {
    let (id, secret) = (settings.text("AWS_ACCESS_KEY_ID"), settings.text("AWS_SECRET_ACCESS_KEY"));
    let token = settings.text("AWS_SESSION_TOKEN").map(SecretString::from);
    if ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"].iter().any(|name| settings.is_wrong(name)) {
        return None;
    }
    match (id, secret) {
        (Some(id), Some(secret)) => {
            let keys = Credentials::new(&id, secret.into(), token);
            let fault = |why: &str| {
                settings.fault(
                    "AWS_ACCESS_KEY_ID",
                    format!("it, its secret or its token {why}; give them as they were copied"),
                )
            };
            return keys.map(Source::Environment).map_err(fault).ok();
        }
        (Some(_), None) => {
            settings.fault("AWS_SECRET_ACCESS_KEY", "is not set, but AWS_ACCESS_KEY_ID is; set both");
            return None;
        }
        (None, Some(_)) => {
            settings.fault("AWS_ACCESS_KEY_ID", "is not set, but AWS_SECRET_ACCESS_KEY is; set both");
            return None;
        }
        (None, None) => {}
    }
    if let Some(keys) = profile.keys {
        return Some(Source::Profile(profiles.clone(), keys));
    }
    let files = profile.without.join(", ");
    if settings.text("AWS_PROFILE").is_some() {
        let fix =
            "add aws_access_key_id and aws_secret_access_key, or set what `aws configure export-credentials` prints";
        settings.fault("AWS_PROFILE", format!("profile {:?} has no keys ({files}); {fix}", profiles.name));
        return None;
    }
    match container(settings) {
        ContainerEndpoint::At(source) => return Some(source),
        ContainerEndpoint::Invalid => return None,
        ContainerEndpoint::Unset => {}
    }
    match instance(settings) {
        Ok(source) => Some(source),
        Err(why) => {
            let files = if files.is_empty() { "HOME is not set".to_owned() } else { files };
            let problem = format!(
                "needs credentials to sign with, and there are none: AWS_ACCESS_KEY_ID is not set; profile {:?} has no keys ({files}); \
                 AWS_CONTAINER_CREDENTIALS_RELATIVE_URI and AWS_CONTAINER_CREDENTIALS_FULL_URI are not set; {why}; \
                 give AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
                profiles.name
            );
            settings.fault(needed_by, problem);
            None
        }
    }
}

/// The container's endpoint, according to the variables.
enum ContainerEndpoint {
    At(Source),
    /// A variable is invalid; its fault is recorded.
    Invalid,
    Unset,
}

fn container(settings: &mut Settings) -> ContainerEndpoint {
    const RELATIVE: &str = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
    const FULL: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
    let file = settings.text("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE").map(|path| Token::File(path.into()));
    let token = settings.text("AWS_CONTAINER_AUTHORIZATION_TOKEN").map(|text| Token::Text(text.into()));
    let token = file.or(token);
    // No fault quotes this address, because any client that knows it can request credentials there.
    if let Some(path) = settings.text(RELATIVE) {
        return match format!("{ECS}{path}").parse() {
            Ok(url) if path.starts_with('/') => ContainerEndpoint::At(Source::Container(url, token)),
            _ => {
                settings.fault(RELATIVE, "is not a path; leave it as ECS sets it");
                ContainerEndpoint::Invalid
            }
        };
    }
    let Some(full) = settings.text(FULL) else { return ContainerEndpoint::Unset };
    match full.parse::<Url>() {
        Ok(url) if url.is_private() || CONTAINER_HOSTS.contains(&url.host().as_str()) => {
            ContainerEndpoint::At(Source::Container(url, token))
        }
        _ => {
            settings.fault(
                FULL,
                "is neither an https:// address nor one of this machine, ECS or EKS; leave it as the platform sets it",
            );
            ContainerEndpoint::Invalid
        }
    }
}

/// The instance's metadata service, if this machine may have one.
fn instance(settings: &mut Settings) -> Result<Source, String> {
    let disabled = settings.text("AWS_EC2_METADATA_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true"));
    let at = settings.parse("AWS_EC2_METADATA_SERVICE_ENDPOINT", "an address such as http://169.254.169.254");
    match at {
        _ if disabled => Err("AWS_EC2_METADATA_DISABLED is true".to_owned()),
        Some(url) => Ok(Source::Instance(url)),
        None if is_ec2() => Ok(Source::Instance(Url::of(crate::detectors::EC2))),
        None => Err("this machine is not an EC2 instance".to_owned()),
    }
}

/// Whether this machine is an EC2 instance, by the vendor strings of both kinds of EC2 hardware. A request to the metadata
/// service would take seconds on any other machine.
fn is_ec2() -> bool {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    read("/sys/class/dmi/id/sys_vendor").contains("Amazon EC2") || read("/sys/hypervisor/uuid").starts_with("ec2")
}

/// `environment …MPLE`
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment(keys) => write!(f, "environment {keys}"),
            Self::Profile(profiles, keys) => write!(f, "profile {:?} {keys}", profiles.name),
            Self::Container(..) => f.write_str("the container's endpoint"),
            Self::Instance(url) => write!(f, "the instance's metadata at {url}"),
        }
    }
}
