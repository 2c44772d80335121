//! X-Ray's OTLP endpoint, if a variable requests it: its region, and the credentials that sign for it. Opens no files except
//! AWS's profile files.

use settings::Settings;

use super::source::{self, Source};
use crate::config::{Switch, unset};
use crate::destinations::otlp::endpoint::Endpoint;

/// X-Ray's own OTLP endpoint.
#[derive(Debug)]
pub struct XrayOtlp {
    /// Where spans go.
    pub endpoint: Endpoint,
    /// The region that requests are signed for.
    pub region: String,
    pub(crate) source: Source,
}

impl XrayOtlp {
    /// The source of its credentials; for a key, the last four characters of its id.
    pub fn credentials(&self) -> String {
        self.source.to_string()
    }
}

/// `endpoint` and the variable that names it, if one does.
pub(crate) fn read(settings: &mut Settings, endpoint: Option<(Endpoint, &'static str)>) -> Switch<XrayOtlp> {
    let Some((endpoint, by)) = endpoint else { return unset(settings, crate::destinations::otlp::settings::XRAY) };
    let profiles = source::profiles(settings);
    let profile = profiles.read();
    let regions = [settings.text("AWS_REGION"), settings.text("AWS_DEFAULT_REGION"), profile.region.clone()];
    let region = endpoint.url.xray_region().or_else(|| regions.into_iter().flatten().next());
    // The region becomes a part of a header.
    let is_region = |region: &String| region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    match &region {
        Some(region) if !is_region(region) => {
            settings.fault("AWS_REGION", format!("{region:?} is not a region; give one such as eu-west-1"));
        }
        None if !settings.is_wrong("AWS_REGION") && !settings.is_wrong("AWS_DEFAULT_REGION") => {
            settings.fault(by, format!("\"{}\" names no region; set AWS_REGION, such as eu-west-1", endpoint.url));
        }
        _ => {}
    }
    let region = region.filter(is_region);
    let source = source::read(settings, &profiles, profile, by);
    match region.zip(source) {
        Some((region, source)) => Switch::On(XrayOtlp { endpoint, region, source }, by),
        None => Switch::off("its region or its credentials are wrong"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;
    use crate::config::Config;

    const ADDRESS: &str = "https://xray.eu-west-1.amazonaws.com";
    const KEYS: [(&str, &str); 2] =
        [("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "canary")];
    /// Keeps tests from sending requests to a missing metadata service, on any machine.
    const NOWHERE: [(&str, &str); 1] = [("AWS_EC2_METADATA_DISABLED", "true")];

    fn read(pairs: &[&[(&str, &str)]]) -> Result<Config, String> {
        let mut settings = Settings::from_pairs(&[&[NOWHERE.as_slice()], pairs].concat().concat());
        let config = Config::read(&mut settings);
        settings.finish(config).map_err(|faults| faults.to_string())
    }

    fn on(pairs: &[&[(&str, &str)]]) -> XrayOtlp {
        match read(pairs).unwrap().xray_otlp {
            Switch::On(to, _) => to,
            Switch::Off(why) => panic!("off: {why}"),
        }
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
    fn x_rays_address_means_x_ray_and_no_collector() {
        for variable in ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] {
            let address = format!("{ADDRESS}/v1/traces");
            let config = read(&[&KEYS, &[(variable, &address)]]).unwrap();
            assert!(matches!(config.otlp, Switch::Off(why) if why == format!("{variable} is X-Ray's")));
            let Switch::On(to, by) = config.xray_otlp else { panic!("it is off") };
            assert_eq!((by, to.region.as_str()), (variable, "eu-west-1"));
            assert_eq!(to.endpoint.to_string(), "https://xray.eu-west-1.amazonaws.com/v1/traces, http/protobuf, gzip");
            assert_eq!(to.credentials(), "environment …MPLE");
        }
    }

    #[test]
    fn its_own_variable_stands_beside_a_collector() {
        let own = [
            ("AWS_XRAY_OTLP_ENDPOINT", "http://127.0.0.1:4319"),
            ("AWS_DEFAULT_REGION", "eu-north-1"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=canary"),
        ];
        let config = read(&[&KEYS, &own]).unwrap();
        assert!(matches!(&config.otlp, Switch::On(..)));
        let told = config.variables("http://127.0.0.1:1", "127.0.0.1:2000");
        assert!(!told.iter().any(|(name, _)| name.starts_with("OTEL_")), "{told:?}");
        let to = on(&[&KEYS, &own]);
        assert_eq!((to.endpoint.url.as_str(), to.region.as_str()), ("http://127.0.0.1:4319/v1/traces", "eu-north-1"));
        assert!(to.endpoint.header("x-key").is_none(), "the collector's headers go to the collector alone");
    }

    #[test]
    fn another_process_is_told_the_same_in_x_rays_own_variable() {
        let config = read(&[&KEYS, &[("OTEL_EXPORTER_OTLP_ENDPOINT", ADDRESS), ("OTEL_EXPORTER_OTLP_HEADERS", "a=b")]]);
        let told = config.unwrap().variables("http://127.0.0.1:4318", "127.0.0.1:2000");
        let of = |name| told.iter().rev().find(|(own, _)| *own == name).map(|(_, value)| value.as_deref());
        assert_eq!(of("AWS_XRAY_OTLP_ENDPOINT"), Some(Some("https://xray.eu-west-1.amazonaws.com/v1/traces")));
        assert_eq!(of("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), Some(Some("http://127.0.0.1:4318/v1/traces")));
        assert_eq!((of("OTEL_EXPORTER_OTLP_ENDPOINT"), of("OTEL_EXPORTER_OTLP_HEADERS")), (Some(None), Some(None)));
    }

    #[test]
    fn credentials_are_looked_for_in_the_order_of_awss_tools() {
        let files = Files::new(
            "[default]\naws_access_key_id=AKIADEFAULTDEFA\naws_secret_access_key=canary\n[half]\naws_access_key_id=AKIAHALF\n",
            "[default]\nregion=eu-south-1\n[profile other]\naws_access_key_id=AKIAOTHEROTHERO\naws_secret_access_key=canary\nregion=us-west-2",
        );
        let at = [("AWS_XRAY_OTLP_ENDPOINT", "http://127.0.0.1:1"), files.home()];
        let container = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/creds")];
        let told = |more: &[(&str, &str)]| {
            let to = on(&[&at, &container, more]);
            (to.credentials(), to.region)
        };
        let text = |credentials: &str, region: &str| (credentials.to_owned(), region.to_owned());
        assert_eq!(told(&KEYS), text("environment …MPLE", "eu-south-1"));
        assert_eq!(told(&[]), text("profile \"default\" …DEFA", "eu-south-1"));
        assert_eq!(told(&[("AWS_PROFILE", "other")]), text("profile \"other\" …HERO", "us-west-2"));
        assert_eq!(told(&[("AWS_REGION", "eu-west-3")]).1, "eu-west-3");
        let nothing = [("HOME", "/nonexistent"), ("AWS_XRAY_OTLP_ENDPOINT", ADDRESS)];
        assert_eq!(on(&[&nothing, &container]).credentials(), "the container's endpoint");
        let ecs = [("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/id")];
        assert_eq!(on(&[&nothing, &ecs]).credentials(), "the container's endpoint");
        let of_instance = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:2"), nothing[1]];
        let mut settings = Settings::from_pairs(&of_instance);
        let Switch::On(to, _) = Config::read(&mut settings).xray_otlp else { panic!("it is off") };
        assert_eq!(to.credentials(), "the instance's metadata at http://127.0.0.1:2");
        let fault = read(&[&at, &container, &[("AWS_PROFILE", "half"), ("AWS_REGION", "r")]]).unwrap_err();
        assert!(fault.starts_with("AWS_PROFILE: profile \"half\" has no keys ("), "{fault}");
        assert!(fault.contains("credentials: it has no keys") && fault.contains("config: no such profile"), "{fault}");
    }

    #[test]
    fn where_nobody_has_credentials_every_place_is_named() {
        let files = Files::new("", "[default]\nsso_session=mine\n");
        let fault = read(&[&[("OTEL_EXPORTER_OTLP_ENDPOINT", ADDRESS), files.home()]]).unwrap_err();
        assert_eq!(fault.lines().count(), 1);
        for place in [
            "OTEL_EXPORTER_OTLP_ENDPOINT: ",
            "AWS_ACCESS_KEY_ID is not set",
            ".aws/credentials: no such profile",
            ".aws/config: it has sso_session, which is not understood",
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            "AWS_EC2_METADATA_DISABLED is true",
        ] {
            assert!(fault.contains(place), "{place} in {fault}");
        }
    }

    #[test]
    fn what_is_wrong_is_a_fault_and_no_secret_is_quoted() {
        let at = [("AWS_XRAY_OTLP_ENDPOINT", ADDRESS)];
        let half = read(&[&at, &KEYS[..1]]).unwrap_err();
        assert!(half.starts_with("AWS_SECRET_ACCESS_KEY: is not set"), "{half}");
        let half = read(&[&at, &KEYS[1..]]).unwrap_err();
        assert!(half.starts_with("AWS_ACCESS_KEY_ID: is not set") && !half.contains("canary"), "{half}");
        for (wrong, expected) in [
            (("AWS_SESSION_TOKEN", "a canary"), "AWS_ACCESS_KEY_ID: it, its secret or its token hold a space"),
            (("AWS_XRAY_OTLP_ENDPOINT", "http://xray.eu-west-1.amazonaws.com"), "would carry a key unencrypted"),
            (("AWS_XRAY_OTLP_ENDPOINT", "http://127.0.0.1:1"), "names no region; set AWS_REGION"),
            (("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "authorization=canary"), "which X-Ray takes by a signature alone"),
        ] {
            let fault = read(&[&[wrong], &KEYS, &[("OTEL_EXPORTER_OTLP_ENDPOINT", ADDRESS)]]).unwrap_err();
            assert!(fault.contains(expected) && !fault.contains("canary"), "{fault}");
        }
        let logs = read(&[&KEYS, &[("OTEL_EXPORTER_OTLP_ENDPOINT", ADDRESS), ("OTEL_LOGS_EXPORTER", "otlp")]]).unwrap();
        let warning = "OTEL_EXPORTER_OTLP_ENDPOINT: is X-Ray's, which takes no log records, so none are sent there";
        assert!(logs.warnings.iter().any(|line| line == warning), "{:?}", logs.warnings);
        let elsewhere =
            [("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://canary.example/creds"), ("HOME", "/nonexistent")];
        let fault = read(&[&at, &elsewhere]).unwrap_err();
        assert!(fault.starts_with("AWS_CONTAINER_CREDENTIALS_FULL_URI: ") && !fault.contains("canary"), "{fault}");
    }

    #[test]
    fn nobody_looks_for_credentials_that_nobody_asked_for() {
        let config = read(&[&KEYS[..1], &[("AWS_PROFILE", "nobody")]]).unwrap();
        assert!(matches!(config.xray_otlp, Switch::Off(why) if why == "AWS_XRAY_OTLP_ENDPOINT is not set"));
        let config = read(&[&KEYS, &[("AWS_XRAY_OTLP_ENDPOINT", ADDRESS), ("OTEL_SDK_DISABLED", "true")]]).unwrap();
        assert!(matches!(config.xray_otlp, Switch::Off(why) if why == "OTEL_SDK_DISABLED is true"));
    }
}
