//! The variables of X-Ray's endpoint, their faults, and the order of the sources of credentials.

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::config::Config;
use crate::destinations;
use crate::destinations::otlp::variables::Wanted;

const ADDRESS: &str = "https://xray.eu-west-1.amazonaws.com";
const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "canary")];
/// Keeps tests from sending requests to a metadata service, whatever the machine.
const NOWHERE: [(&str, &str); 1] = [("AWS_EC2_METADATA_DISABLED", "true")];

/// X-Ray's settings, its faults and its warnings.
fn read(pairs: &[&[(&str, &str)]]) -> Result<(Switch<XrayOtlp>, Vec<String>), String> {
    read_from(Settings::from_pairs(&[&[NOWHERE.as_slice()], pairs].concat().concat()))
}

fn read_from(mut settings: Settings) -> Result<(Switch<XrayOtlp>, Vec<String>), String> {
    let variables = destinations::variables(&mut settings, Wanted { logs: true, metrics: false });
    let to = Destination::read(&mut settings, &variables);
    let warnings = settings.warnings().map(|(subject, instead)| format!("{subject}: {instead}")).collect();
    settings.finish((to, warnings)).map_err(|faults| faults.to_string())
}

pub(super) fn on(pairs: &[&[(&str, &str)]]) -> XrayOtlp {
    destinations::tests::on(read(pairs).unwrap().0)
}

/// The whole configuration.
fn config(pairs: &[&[(&str, &str)]]) -> Config {
    let mut settings = Settings::from_pairs(&[&[NOWHERE.as_slice()], pairs].concat().concat());
    let config = Config::read(&mut settings);
    settings.finish(config).unwrap()
}

/// A folder with both of AWS' files, removed at its end.
struct Files(PathBuf);

impl Files {
    fn new(credentials: &str, config: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("cruddur-aws-{}", rand::random::<u64>()));
        fs::create_dir_all(folder.join(".aws")).unwrap();
        fs::write(folder.join(".aws/credentials"), credentials).unwrap();
        fs::write(folder.join(".aws/config"), config).unwrap();
        Self(folder)
    }

    fn home(&self) -> (&'static str, &str) {
        ("HOME", self.0.to_str().unwrap())
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

#[test]
fn an_x_ray_address_turns_x_ray_on() {
    for variable in ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] {
        let address = format!("{ADDRESS}/v1/traces");
        let pairs = [(variable, address.as_str())];
        let collector = destinations::tests::read(&[&KEYS, &pairs[..]].concat()).unwrap().otlp;
        assert!(matches!(collector, Switch::Off(why) if why == format!("{variable} is X-Ray's")));
        let Switch::On(to, by) = read(&[&KEYS, &pairs]).unwrap().0 else { panic!("it is off") };
        assert_eq!((by, to.region.as_str()), (variable, "eu-west-1"));
        assert_eq!(to.endpoint.to_string(), "https://xray.eu-west-1.amazonaws.com/v1/traces, http/protobuf, gzip");
        assert_eq!(to.source.to_string(), "environment …MPLE");
    }
}

#[test]
fn x_rays_own_variable_is_independent_of_a_collectors() {
    let own = [
        ("AWS_XRAY_OTLP_ENDPOINT", "http://127.0.0.1:4319"),
        ("AWS_DEFAULT_REGION", "eu-north-1"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=canary"),
    ];
    let variables = config(&[&KEYS, &own]).variables("http://127.0.0.1:1", "127.0.0.1:2000");
    assert!(!variables.iter().any(|(name, _)| name.starts_with("OTEL_")), "{variables:?}");
    let to = on(&[&KEYS, &own]);
    assert_eq!((to.endpoint.url.as_str(), to.region.as_str()), ("http://127.0.0.1:4319/v1/traces", "eu-north-1"));
    assert!(to.endpoint.header("x-key").is_none(), "the collector's headers go to the collector alone");
}

#[test]
fn a_child_process_gets_x_rays_own_variable() {
    let config = config(&[&KEYS, &[("OTEL_EXPORTER_OTLP_ENDPOINT", ADDRESS), ("OTEL_EXPORTER_OTLP_HEADERS", "a=b")]]);
    let variables = config.variables("http://127.0.0.1:4318", "127.0.0.1:2000");
    let of = |name| variables.iter().rev().find(|(own, _)| *own == name).map(|(_, value)| value.as_deref());
    assert_eq!(of("AWS_XRAY_OTLP_ENDPOINT"), Some(Some("https://xray.eu-west-1.amazonaws.com/v1/traces")));
    assert_eq!(of("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), Some(Some("http://127.0.0.1:4318/v1/traces")));
    assert_eq!((of("OTEL_EXPORTER_OTLP_ENDPOINT"), of("OTEL_EXPORTER_OTLP_HEADERS")), (Some(None), Some(None)));
}

#[test]
fn credentials_are_searched_in_the_order_of_awss_tools() {
    let files = Files::new(
        "[default]\naws_access_key_id=AKIADEFAULTDEFA\naws_secret_access_key=canary\n[half]\naws_access_key_id=AKIAHALF\n",
        "[default]\nregion=eu-south-1\n[profile other]\naws_access_key_id=AKIAOTHEROTHERO\naws_secret_access_key=canary\nregion=us-west-2",
    );
    let at = [("AWS_XRAY_OTLP_ENDPOINT", "http://127.0.0.1:1"), files.home()];
    let container = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/creds")];
    let found = |more: &[(&str, &str)]| {
        let to = on(&[&at, &container, more]);
        (to.source.to_string(), to.region)
    };
    let text = |credentials: &str, region: &str| (credentials.to_owned(), region.to_owned());
    assert_eq!(found(&KEYS), text("environment …MPLE", "eu-south-1"));
    assert_eq!(found(&[]), text("profile \"default\" …DEFA", "eu-south-1"));
    assert_eq!(found(&[("AWS_PROFILE", "other")]), text("profile \"other\" …HERO", "us-west-2"));
    assert_eq!(found(&[("AWS_REGION", "eu-west-3")]).1, "eu-west-3");
    let nothing = [("HOME", "/nonexistent"), ("AWS_XRAY_OTLP_ENDPOINT", ADDRESS)];
    assert_eq!(on(&[&nothing, &container]).source.to_string(), "the container's endpoint");
    let ecs = [("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/id")];
    assert_eq!(on(&[&nothing, &ecs]).source.to_string(), "the container's endpoint");
    let of_instance = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:2"), nothing[1]];
    let to = destinations::tests::on(read_from(Settings::from_pairs(&of_instance)).unwrap().0);
    assert_eq!(to.source.to_string(), "the instance's metadata at http://127.0.0.1:2");
    let fault = read(&[&at, &container, &[("AWS_PROFILE", "half"), ("AWS_REGION", "r")]]).unwrap_err();
    assert!(fault.starts_with("AWS_PROFILE: profile \"half\" has no keys ("), "{fault}");
    assert!(fault.contains("credentials: it has no keys") && fault.contains("config: no such profile"), "{fault}");
}

#[test]
fn missing_credentials_name_every_place() {
    let files = Files::new("", "[default]\nsso_session=mine\n");
    let fault = read(&[&[("OTEL_EXPORTER_OTLP_ENDPOINT", ADDRESS), files.home()]]).unwrap_err();
    assert_eq!(fault.lines().count(), 1);
    for place in [
        "OTEL_EXPORTER_OTLP_ENDPOINT: ",
        "AWS_ACCESS_KEY_ID is not set",
        ".aws/credentials: no such profile",
        ".aws/config: it has sso_session, which is not supported",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_EC2_METADATA_DISABLED is true",
    ] {
        assert!(fault.contains(place), "{place} in {fault}");
    }
}

#[test]
fn a_fault_quotes_no_secret() {
    let at = [("AWS_XRAY_OTLP_ENDPOINT", ADDRESS)];
    let half = read(&[&at, &KEYS[..1]]).unwrap_err();
    assert!(half.starts_with("AWS_SECRET_ACCESS_KEY: is not set"), "{half}");
    let half = read(&[&at, &KEYS[1..]]).unwrap_err();
    assert!(half.starts_with("AWS_ACCESS_KEY_ID: is not set") && !half.contains("canary"), "{half}");
    for (wrong, expected) in [
        (("AWS_SESSION_TOKEN", "a canary"), "AWS_ACCESS_KEY_ID: it, its secret or its token contain a space"),
        (("AWS_XRAY_OTLP_ENDPOINT", "http://xray.eu-west-1.amazonaws.com"), "would carry a key unencrypted"),
        (("AWS_XRAY_OTLP_ENDPOINT", "http://127.0.0.1:1"), "names no region; set AWS_REGION"),
        (("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "authorization=canary"), "but X-Ray accepts only signatures"),
    ] {
        let fault = read(&[&[wrong], &KEYS, &[("OTEL_EXPORTER_OTLP_ENDPOINT", ADDRESS)]]).unwrap_err();
        assert!(fault.contains(expected) && !fault.contains("canary"), "{fault}");
    }
    let (_, warnings) = read(&[&KEYS, &[("OTEL_EXPORTER_OTLP_ENDPOINT", ADDRESS)]]).unwrap();
    let warning = "OTEL_EXPORTER_OTLP_ENDPOINT: is X-Ray's, which accepts no log records, so none are sent there";
    assert!(warnings.iter().any(|line| line == warning), "{warnings:?}");
    let elsewhere = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://canary.example/creds"), ("HOME", "/nonexistent")];
    let fault = read(&[&at, &elsewhere]).unwrap_err();
    assert!(fault.starts_with("AWS_CONTAINER_CREDENTIALS_FULL_URI: ") && !fault.contains("canary"), "{fault}");
}

#[test]
fn credentials_are_searched_only_if_they_are_needed() {
    let (to, _) = read(&[&KEYS[..1], &[("AWS_PROFILE", "nobody")]]).unwrap();
    assert!(matches!(to, Switch::Off(why) if why == "AWS_XRAY_OTLP_ENDPOINT is not set"));
}
