//! Reads the keys and the region of one profile in AWS's shared files, `~/.aws/credentials` and `~/.aws/config`. Other
//! properties are ignored, and lines that are not understood are skipped, as AWS's own tools do. Runs no `credential_process`,
//! assumes no role, and does not support SSO. If a profile needs one of these, reports which.
//!
//! The format: [AWS' reference guide](https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use super::credentials::Credentials;

/// The most bytes of a file.
const LONGEST: u64 = 1024 * 1024;
/// Properties for getting credentials in ways that AWS's tools support and this module does not.
const UNSUPPORTED: [&str; 6] =
    ["role_arn", "sso_session", "sso_start_url", "credential_process", "web_identity_token_file", "login_session"];

/// The files, and the name of the profile to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Profiles {
    pub(crate) name: String,
    /// `None` if there is no home folder.
    pub(crate) credentials: Option<PathBuf>,
    pub(crate) config: Option<PathBuf>,
}

/// The contents of the files for one profile.
#[derive(Debug, Default)]
pub(crate) struct Profile {
    pub(crate) keys: Option<Credentials>,
    pub(crate) region: Option<String>,
    /// Why the profile has no keys: for each file, the reason or the unsupported property that it uses.
    pub(crate) without: Vec<String>,
}

/// The kind of a file; the two kinds name their sections differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ProfileFile {
    /// `[name]`
    Credentials,
    /// `[profile name]`, and `[default]`
    Config,
}

type Properties = BTreeMap<String, SecretString>;

impl Profiles {
    /// Reads both files. The keys in the credentials file take precedence. An id and a secret never come from different files.
    pub(crate) fn read(&self) -> Profile {
        let mut profile = Profile::default();
        let files = [(&self.credentials, ProfileFile::Credentials), (&self.config, ProfileFile::Config)];
        for (path, kind) in files.into_iter().filter_map(|(path, kind)| Some((path.as_ref()?, kind))) {
            let properties = match text(path) {
                Ok(text) => properties(&text, kind, &self.name),
                Err(why) => {
                    profile.without.push(format!("{}: {why}", path.display()));
                    continue;
                }
            };
            let Some(properties) = properties else {
                profile.without.push(format!("{}: no such profile", path.display()));
                continue;
            };
            let of = |name: &str| properties.get(name).filter(|value| !value.expose_secret().is_empty());
            if profile.region.is_none() {
                profile.region = of("region").map(|region| region.expose_secret().to_owned());
            }
            let keys = of("aws_access_key_id").zip(of("aws_secret_access_key")).map(|(id, secret)| {
                Credentials::new(id.expose_secret(), secret.clone(), of("aws_session_token").cloned())
            });
            match keys {
                Some(Ok(keys)) => profile.keys = profile.keys.or(Some(keys)),
                Some(Err(why)) => profile.without.push(format!("{}: its keys {why}", path.display())),
                None => {
                    let instead = UNSUPPORTED.into_iter().find(|name| of(name).is_some());
                    let instead =
                        instead.map_or("no keys".to_owned(), |name| format!("{name}, which is not supported"));
                    profile.without.push(format!("{}: it has {instead}", path.display()));
                }
            }
        }
        profile
    }
}

fn text(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(LONGEST).read_to_end(&mut bytes));
    match read {
        Ok(_) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => Err("no such file".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// The properties of profile `name`; `None` if it has no section.
fn properties(text: &str, kind: ProfileFile, name: &str) -> Option<Properties> {
    let mut found = None;
    let mut is_ours = false;
    // The indentation of the previous property; lines that are indented further belong to its value.
    let mut indent = None;
    for line in text.trim_start_matches('\u{feff}').lines() {
        let content = line.trim_start();
        let depth = line.len() - content.len();
        if content.is_empty() || content.starts_with(['#', ';']) || indent.is_some_and(|indent| depth > indent) {
            continue;
        }
        if let Some(section) = content.strip_prefix('[') {
            let section = section.split_once(']').map_or(section, |(section, _)| section);
            is_ours = kind.profile(section) == Some(name);
            indent = None;
            if is_ours {
                found.get_or_insert_with(Properties::new);
            }
        } else if let Some((key, value)) = content.split_once('=') {
            indent = Some(depth);
            if let (true, Some(properties)) = (is_ours, &mut found) {
                let comment = [" #", " ;", "\t#", "\t;"].into_iter().filter_map(|start| value.find(start)).min();
                let value = comment.and_then(|end| value.get(..end)).unwrap_or(value).trim();
                properties.insert(key.trim().to_ascii_lowercase(), SecretString::from(value));
            }
        }
    }
    found
}

impl ProfileFile {
    /// The name of the profile that a section describes.
    fn profile(self, section: &str) -> Option<&str> {
        let section = section.trim();
        let name = match self {
            Self::Credentials => section,
            Self::Config if section == "default" => section,
            Self::Config => section.strip_prefix("profile").filter(|rest| rest.starts_with([' ', '\t']))?,
        };
        Some(name.trim().trim_matches(['"', '\'']))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(text: &str, kind: ProfileFile, name: &str, key: &str) -> Option<String> {
        Some(properties(text, kind, name)?.get(key)?.expose_secret().to_owned())
    }

    #[test]
    fn a_profile_is_found_in_either_kind_of_file() {
        let credentials = "\u{feff}# mine\r\n[default]\r\naws_access_key_id=A\r\n[ other ] ; a comment\n  AWS_Access_Key_ID = B # new\n  region=r;1\n";
        let of = |name, key| value(credentials, ProfileFile::Credentials, name, key);
        assert_eq!(of("default", "aws_access_key_id").as_deref(), Some("A"));
        assert_eq!(of("other", "aws_access_key_id").as_deref(), Some("B"));
        assert_eq!(of("other", "region").as_deref(), Some("r;1"), "a comment must follow white space");
        assert_eq!(of("none", "region"), None);
        let config = "[default]\nregion = a\n[profile other]\ns3 =\n  region = not this\nregion = b\n[profiles]\n[other]\nregion = c\n[profile \"a b\"]\nregion=d";
        let of = |name| value(config, ProfileFile::Config, name, "region");
        let names = ["default", "other", "a b", "profiles", "s"].map(of);
        assert_eq!(names, [Some("a".into()), Some("b".into()), Some("d".into()), None, None]);
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "[ -~\\n\\t]{0,200}|([\\[ =#;\\n]|profile|default|é){0,60}", name in "[a-z]{0,3}") {
            for kind in [ProfileFile::Credentials, ProfileFile::Config] {
                let _ = properties(&text, kind, &name);
            }
        }

        #[test]
        fn a_profiles_properties_are_found_among_those_of_others(
            before in "(\\[[a-z ]{0,9}\\]|[a-z]{1,5} ?= ?[!-~]{0,9}|#[ -~]{0,9}|)",
            id in "[A-Z0-9]{16,20}", secret in "[A-Za-z0-9/+]{40}", deep in "[ \\t]{0,3}", wide in "[ \\t]{0,3}",
        ) {
            let text = format!(
                "{before}\n[profile mine]\n{deep}aws_access_key_id{wide}={wide}{id}{wide}\n\n; and\n{deep}aws_secret_access_key={secret}\n[profile yours]\naws_access_key_id=no\n"
            );
            prop_assert_eq!(value(&text, ProfileFile::Config, "mine", "aws_access_key_id"), Some(id));
            prop_assert_eq!(value(&text, ProfileFile::Config, "mine", "aws_secret_access_key"), Some(secret));
        }
    }
}
