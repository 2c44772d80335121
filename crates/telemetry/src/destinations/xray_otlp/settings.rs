//! The variables of X-Ray's OTLP endpoint: its address, its region, and the credentials that sign requests. Opens no files
//! except AWS's profile files.

use settings::Settings;

use super::region::region;
use super::source::{self, Source};
use crate::address::Url;
use crate::destinations::destination::{Switch, Variables};
use crate::destinations::otlp::endpoint::{Endpoint, Signal};
use crate::destinations::otlp::headers::find;
use crate::destinations::otlp::settings::require_private;
use crate::destinations::otlp::variables::{OtlpVariables, Owner, OwnershipClaim, SignalSettings};

pub(crate) const XRAY_OTLP: Owner = Owner { name: "xray-otlp", title: "X-Ray" };

const VARIABLE: &str = "AWS_XRAY_OTLP_ENDPOINT";

/// The settings of X-Ray's own OTLP endpoint when it is on.
#[derive(Debug)]
pub(crate) struct XrayOtlp {
    pub(crate) endpoint: Endpoint,
    /// The region that requests are signed for.
    pub(crate) region: String,
    pub(crate) source: Source,
}

pub(super) fn claim(signal: &SignalSettings) -> OwnershipClaim {
    if signal.url.as_ref().and_then(region).is_some() { OwnershipClaim::Address } else { OwnershipClaim::None }
}

/// Reads X-Ray's own variable, then OTLP's, and then AWS's if X-Ray is on.
pub(crate) fn read(settings: &mut Settings, otlp: &OtlpVariables) -> Switch<XrayOtlp> {
    let Some((endpoint, by)) = endpoint(settings, otlp) else { return Switch::unset(settings, VARIABLE) };
    let profiles = source::profiles(settings);
    let profile = profiles.read();
    let regions = [settings.text("AWS_REGION"), settings.text("AWS_DEFAULT_REGION"), profile.region.clone()];
    let region = region(&endpoint.url).or_else(|| regions.into_iter().flatten().next());
    // The region becomes part of a header.
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
        None => Switch::Off("its region or its credentials are invalid".to_owned()),
    }
}

/// The endpoint, which receives only spans, and the variable that names it.
fn endpoint(settings: &mut Settings, otlp: &OtlpVariables) -> Option<(Endpoint, &'static str)> {
    let OtlpVariables { traces, logs, metrics, .. } = otlp;
    for (signal, what) in [(logs, "log records"), (metrics, "metrics")] {
        if signal.owner == XRAY_OTLP {
            settings.warn(signal.url_by, format!("is X-Ray's, which accepts no {what}, so none are sent there"));
        }
    }
    let own = settings.parse::<Url>(VARIABLE, "a URL such as https://xray.eu-west-1.amazonaws.com");
    let (url, headers, by) = match own {
        Some(own) => (own.base().join(Signal::Traces.path()), Vec::new(), VARIABLE),
        None if traces.owner == XRAY_OTLP => (traces.url_over_http()?, traces.headers.clone(), traces.url_by),
        None => return None,
    };
    require_private(settings, by, &url);
    if find(&headers, "authorization").is_some() {
        let problem = "has an authorization header, but X-Ray accepts only signatures; remove it";
        settings.fault(traces.headers_by, problem);
    }
    let certificates = (by != VARIABLE).then_some(&traces.certificates);
    Some((traces.endpoint(settings, url, headers, true, certificates).over_http(), by))
}

impl XrayOtlp {
    /// X-Ray's own variable, which cannot express certificates.
    pub(super) fn own_variables(&self) -> Option<Variables> {
        (!self.endpoint.has_certificates).then(|| vec![(VARIABLE, Some(self.endpoint.url.as_str().to_owned()))])
    }
}
