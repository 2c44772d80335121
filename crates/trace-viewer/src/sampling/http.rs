//! The two requests of SDKs, and their errors in the format of AWS's JSON APIs.

use actix_web::guard::{self, GuardContext};
use actix_web::http::{StatusCode, header};
use actix_web::web::{self, Data, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use serde_json::{Value, json};
use settings::allowed_hosts::HostFault;
use xray::rules::{MAX_STATISTICS, TargetsRequest, TargetsResponse, Unprocessed};

use super::quotas::{MAX_BODY, Sampling, now, seconds};
use crate::body::Refusal;

/// The most characters of a process's id: SDKs send 24.
const CLIENT_ID: usize = 64;
const INVALID: &str = "InvalidRequestException";

pub(crate) fn routes(app: &mut ServiceConfig) {
    app.route("/GetSamplingRules", web::post().guard(guard::fn_guard(is_no_page)).to(rules))
        .route("/SamplingTargets", web::post().guard(guard::fn_guard(is_no_page)).to(targets))
        // Health checks can recognise the listener by this response.
        .route("/health/live", web::get().to(|| async { HttpResponse::Ok().json(json!({"status": "ok"})) }))
        .default_service(web::to(|| async {
            let message = "unknown operation; the operations are POST /GetSamplingRules and POST /SamplingTargets";
            problem(HttpResponse::NotFound(), "UnknownOperationException", message)
        }));
}

/// Whether no page made a request. Any page may make one post here, and could thereby divide our services' quotas.
fn is_no_page(request: &GuardContext<'_>) -> bool {
    !request.head().headers().contains_key(header::ORIGIN)
}

/// `POST /GetSamplingRules`, all on one page. The request's body does not affect the response.
async fn rules(sampling: Data<Sampling>, request: HttpRequest, payload: Payload) -> HttpResponse {
    if let Err(refusal) = sampling.bodies.read(request.headers(), payload).await {
        return unreadable(refusal);
    }
    let inner = sampling.current(now());
    let changed = seconds(inner.changed);
    let records: Vec<Value> = inner.rules.iter().map(|rule| rule.record(changed)).collect();
    HttpResponse::Ok().json(json!({"SamplingRuleRecords": records, "NextToken": null}))
}

/// `POST /SamplingTargets`
async fn targets(sampling: Data<Sampling>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let body = match sampling.bodies.read(request.headers(), payload).await {
        Ok(body) => body,
        Err(refusal) => return unreadable(refusal),
    };
    let request_body: TargetsRequest = match serde_json::from_slice(&body) {
        Ok(request_body) => request_body,
        Err(error) => return invalid(&format!("the body is not a SamplingTargets request: {error}")),
    };
    let documents = request_body.sampling_statistics_documents;
    if documents.len() > MAX_STATISTICS {
        return invalid(&format!("SamplingStatisticsDocuments has more than {MAX_STATISTICS} documents"));
    }
    if documents.iter().any(|statistics| statistics.client_id.len() > CLIENT_ID) {
        return invalid(&format!("a ClientID has more than {CLIENT_ID} characters"));
    }
    let now = now();
    let mut inner = sampling.current(now);
    let mut response =
        TargetsResponse { last_rule_modification: Some(seconds(inner.changed)), ..TargetsResponse::default() };
    for statistics in documents {
        match inner.target(&statistics, now) {
            Some(target) => response.sampling_target_documents.push(target),
            None => response.unprocessed_statistics.push(Unprocessed {
                rule_name: statistics.rule_name,
                error_code: "ResourceNotFoundException".to_owned(),
                message: "no rule has this name".to_owned(),
            }),
        }
    }
    HttpResponse::Ok().json(response)
}

/// The response for a host that is not served.
pub(crate) fn refuse_host(status: StatusCode, fault: HostFault) -> HttpResponse {
    problem(HttpResponse::build(status), INVALID, &fault.to_string())
}

fn unreadable(refusal: Refusal) -> HttpResponse {
    let (response, message) = match refusal {
        Refusal::Encoding => {
            let mut response = HttpResponse::UnsupportedMediaType();
            response.insert_header((header::ACCEPT_ENCODING, "gzip"));
            (response, "send the body plain or as content-encoding: gzip".to_owned())
        }
        Refusal::TooLarge => (HttpResponse::PayloadTooLarge(), format!("a body has at most {MAX_BODY} bytes, decoded")),
        Refusal::TooSlow => (HttpResponse::RequestTimeout(), "the body did not arrive in time".to_owned()),
        Refusal::Invalid => (HttpResponse::BadRequest(), "the body is incomplete or not gzip".to_owned()),
        Refusal::NoMemory => {
            return problem(HttpResponse::ServiceUnavailable(), "ThrottlingException", "too many bodies are arriving");
        }
    };
    problem(response, INVALID, &message)
}

fn invalid(message: &str) -> HttpResponse {
    problem(HttpResponse::BadRequest(), INVALID, message)
}

/// An error in the format of AWS's JSON APIs.
fn problem(mut response: HttpResponseBuilder, kind: &str, message: &str) -> HttpResponse {
    response.insert_header(("x-amzn-errortype", kind)).json(json!({"__type": kind, "Message": message}))
}
