//! A job that calls AWS: the interceptor of `xray-lite-aws-sdk` makes a subsegment of each attempt, which is a span of the job's trace. The
//! service is a fake in this process, which continues the trace as a traced service would. Sends nothing to AWS.
//!
//! ```sh
//! OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 cargo run --manifest-path examples/aws/Cargo.toml
//! ```

use aws_sdk_sts::config::{Credentials, Region, RuntimeComponents};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use http::{HeaderMap, HeaderName, HeaderValue};
use telemetry::propagation::{Trust, extract};
use telemetry::xray_lite::LiteContext;
use tracing::Instrument;
use xray_lite_aws_sdk::ContextExt;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let telemetry = telemetry::Config::from_env()?.service_version(env!("CARGO_PKG_VERSION")).install("aws-example")?;
    let account = job().instrument(tracing::info_span!("job")).await?;
    println!("{account}");
    telemetry.shutdown();
    Ok(())
}

async fn job() -> Result<String, Box<dyn std::error::Error>> {
    let config = aws_sdk_sts::Config::builder()
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("AKIDEXAMPLE", "example", None, None, "example"))
        .http_client(FakeSts)
        .build();
    let identity = aws_sdk_sts::Client::from_conf(config)
        .get_caller_identity()
        .customize()
        .interceptor(LiteContext::default().intercept_operation("STS", "GetCallerIdentity"))
        .send()
        .await?;
    Ok(identity.account().unwrap_or("no account").to_owned())
}

/// Answers each request with one identity.
#[derive(Debug, Clone)]
struct FakeSts;

impl HttpClient for FakeSts {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for FakeSts {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::ready(Ok(serve(&request)))
    }
}

fn serve(request: &HttpRequest) -> HttpResponse {
    let mut headers = HeaderMap::new();
    if let Some(value) = request.headers().get("x-amzn-trace-id").and_then(|value| HeaderValue::from_str(value).ok()) {
        headers.insert(HeaderName::from_static("x-amzn-trace-id"), value);
    }
    let segment = telemetry::xray::begin_segment("sts", &extract(&headers, &Trust::ALWAYS, None));
    let identity = "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
        <Arn>arn:aws:iam::123456789012:user/andrew</Arn><UserId>AIDAEXAMPLE</UserId><Account>123456789012</Account>\
        </GetCallerIdentityResult><ResponseMetadata><RequestId>request-1</RequestId></ResponseMetadata>\
        </GetCallerIdentityResponse>";
    segment.close();
    let mut response = HttpResponse::new(200_u16.try_into().expect("a status"), SdkBody::from(identity));
    response.headers_mut().insert("x-amzn-requestid", "request-1");
    response
}
