//! A job that asks AWS's STS, at the address in `STS`, for its account. The interceptor of xray-lite-aws-sdk makes a span of each
//! request that the AWS SDK sends, and puts that span's header on the request.
#![allow(clippy::print_stdout, reason = "the test reads the account")]

use std::env;
use std::error::Error;

use aws_sdk_sts::config::{Credentials, Region};
use aws_sdk_sts::{Client, Config};
use aws_smithy_http_client::Builder;
use telemetry::xray_lite::LiteContext;
use tracing::{Instrument, info_span};
use xray_lite_aws_sdk::ContextExt;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let telemetry = telemetry::Config::from_env()?.install("account")?;
    let account = account().instrument(info_span!("job")).await?;
    println!("{account}");
    telemetry.shutdown();
    Ok(())
}

async fn account() -> Result<String, Box<dyn Error>> {
    let config = Config::builder()
        .region(Region::new("us-east-1"))
        .endpoint_url(env::var("STS")?)
        .credentials_provider(Credentials::new("AKIDEXAMPLE", "example", None, None, "example"))
        // Without TLS, for a service on this machine.
        .http_client(Builder::new().build_http())
        .build();
    let identity = Client::from_conf(config)
        .get_caller_identity()
        .customize()
        .interceptor(LiteContext::default().intercept_operation("STS", "GetCallerIdentity"))
        .send()
        .await?;
    Ok(identity.account().ok_or("STS names no account")?.to_owned())
}
