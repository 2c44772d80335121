//! Checks the region, the credentials and the address, and sends X-Ray a signed request without spans.

use std::sync::Arc;

use super::exporter::{Signer, XrayOtlpExporter};
use super::settings::XrayOtlp;
use crate::destinations::otlp::probe::{accepted, export_nothing, reaches};
use crate::probe::{Report, Status};

pub(super) fn probe(to: &XrayOtlp, report: &mut Report) {
    report.add("xray-otlp region", Status::Ok, format!("requests are signed for {}", to.region));
    let signer = Signer::new(to);
    let held = report.found("xray-otlp credentials", signer.credentials(), |id| {
        format!("from {}; the key's id ends in {id}", to.source)
    });
    if held.is_some() && reaches(report, "xray-otlp", &to.endpoint) {
        let new = |resource: &[u8]| XrayOtlpExporter::new(to.endpoint.clone(), Arc::new(signer), resource);
        report.found("xray-otlp span", export_nothing(&to.endpoint, new), |()| accepted("spans", &to.endpoint));
    }
}
