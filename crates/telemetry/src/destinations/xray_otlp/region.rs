//! Finds the region in the address of an X-Ray endpoint.

use crate::address::Url;

/// The domains of AWS's endpoints: worldwide and in China, without and with IPv6.
const DOMAINS: [&str; 4] = [".amazonaws.com", ".amazonaws.com.cn", ".api.aws", ".api.amazonwebservices.com.cn"];

/// The region in an X-Ray address such as `xray.REGION.amazonaws.com`; `None` for any other address.
pub(super) fn region(url: &Url) -> Option<String> {
    let host = url.host();
    let name = DOMAINS.iter().find_map(|domain| host.strip_suffix(domain))?;
    // The name of a VPC endpoint starts with an id: `vpce-1-2.xray.REGION.vpce.amazonaws.com`.
    let (name, is_private) = name.strip_suffix(".vpce").map_or((name, false), |name| (name, true));
    let mut labels = name.rsplit('.');
    let (region, service) = (labels.next()?, labels.next()?);
    let is_xray = matches!(service, "xray" | "xray-fips") && (is_private || labels.next().is_none());
    (is_xray && !region.is_empty()).then(|| region.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_x_ray_names_its_region() {
        for (host, expected) in [
            ("xray.eu-west-1.amazonaws.com", Some("eu-west-1")),
            ("XRAY.us-gov-west-1.amazonaws.com:443", Some("us-gov-west-1")),
            ("xray-fips.us-east-1.amazonaws.com", Some("us-east-1")),
            ("xray.cn-north-1.amazonaws.com.cn", Some("cn-north-1")),
            ("xray.eu-west-1.api.aws", Some("eu-west-1")),
            ("vpce-0a-1b.xray.eu-west-1.vpce.amazonaws.com", Some("eu-west-1")),
            ("logs.eu-west-1.amazonaws.com", None),
            ("my.xray.eu-west-1.amazonaws.com", None),
            ("xray.amazonaws.com", None),
            ("xray..amazonaws.com", None),
            ("xray.eu-west-1.amazonaws.com.example.org", None),
            ("127.0.0.1:4318", None),
        ] {
            let url: Url = format!("https://{host}/v1/traces").parse().unwrap();
            assert_eq!(region(&url).as_deref(), expected, "{host}");
        }
    }
}
