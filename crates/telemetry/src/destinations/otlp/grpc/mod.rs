//! OTLP over gRPC, by `tonic`, for collectors that take nothing else. The message is the one of OTLP over HTTP. Runs on a small
//! runtime on the worker's own thread, which blocks until the call has ended or its time is over. Verifies certificates as HTTP
//! does, follows the system's DNS, and uses no proxy of the environment.

mod channel;
mod connector;
mod raw;
mod verdict;

use std::io;
use std::time::Duration;

use ::http::uri::PathAndQuery;
use ::http::{HeaderMap, HeaderValue, Uri};
use bytes::Bytes;
use secrecy::ExposeSecret;
use tokio::runtime::{Builder, Runtime};
use tonic::client::Grpc;
use tonic::metadata::MetadataMap;
use tonic::transport::Endpoint as Connection;
use tonic::{Request, Status};

use self::channel::ExportChannel;
use self::connector::connect;
use self::raw::RawCodec;
use self::verdict::{judge, unreachable};
use super::endpoint::{AGENT, Endpoint, Protocol, Signal};
use super::message::MessageWriter;
use super::response::LONGEST;
use crate::ledger::Reason;
use crate::pipeline::{Exporter, Outcome, Record};

/// Sends `signal` to `endpoint` for the process that `resource`, an encoded message, describes. `None` if the endpoint has another
/// protocol.
pub(super) fn exporter(endpoint: &Endpoint, signal: Signal, resource: &[u8]) -> Option<Box<dyn Exporter>> {
    (endpoint.protocol == Protocol::Grpc).then(|| Box::new(GrpcExporter::new(endpoint.clone(), signal, resource)) as _)
}

/// Sends batches of one signal to one endpoint of OTLP over gRPC.
struct GrpcExporter {
    endpoint: Endpoint,
    method: PathAndQuery,
    /// The client, or why there is none.
    client: Result<GrpcClient, String>,
    message: MessageWriter,
}

/// A connection that is opened at the first call, and again whenever it has been lost.
struct GrpcClient {
    runtime: Runtime,
    grpc: Grpc<ExportChannel>,
    metadata: MetadataMap,
    timeout: Duration,
}

impl GrpcExporter {
    fn new(endpoint: Endpoint, signal: Signal, resource: &[u8]) -> Self {
        let client = GrpcClient::new(&endpoint).map_err(|error| error.to_string());
        let message = MessageWriter::new(&endpoint, signal, resource);
        Self { method: PathAndQuery::from_static(method(signal)), endpoint, client, message }
    }
}

/// The path of the service and its method.
fn method(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    }
}

impl Exporter for GrpcExporter {
    fn export(&mut self, batch: &[Record]) -> Outcome {
        let client = match &self.client {
            Ok(client) => client,
            Err(why) => return unreachable(&self.endpoint, Record::total(batch), why),
        };
        let message = match self.message.write(batch) {
            Ok(message) => Bytes::copy_from_slice(message),
            Err(error) => {
                let mut outcome = Outcome::default();
                outcome.lose(Record::total(batch), Reason::Refused, format!("the message cannot be written: {error}"));
                return outcome;
            }
        };
        match client.call(message, self.method.clone()) {
            Some(answered) => judge(&self.endpoint, Record::total(batch), answered),
            None => unreachable(&self.endpoint, Record::total(batch), "the time limit has passed"),
        }
    }
}

impl GrpcClient {
    fn new(endpoint: &Endpoint) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let url = &endpoint.url;
        let origin: Uri = url.as_str().parse().map_err(io::Error::other)?;
        // The connector does TLS, because tonic takes only PEM. Its own URL is plain, so that tonic asks for nothing more.
        let plain = format!("http://{}:{}", url.host(), url.port());
        let connection = Connection::from_shared(plain).and_then(|connection| connection.user_agent(AGENT));
        let connection = connection.map_err(io::Error::other)?.origin(origin);
        let channel = {
            let _entered = runtime.enter();
            connection.connect_with_connector_lazy(connect(endpoint)?)
        };
        let limit = usize::try_from(LONGEST).unwrap_or(usize::MAX);
        let grpc = Grpc::new(ExportChannel { channel, gzip: endpoint.gzip }).max_decoding_message_size(limit);
        Ok(Self { runtime, grpc, metadata: metadata(endpoint), timeout: endpoint.timeout })
    }

    /// The response, or why there is none; `None` if the time limit has passed.
    fn call(&self, message: Bytes, method: PathAndQuery) -> Option<Result<Bytes, Status>> {
        let mut request = Request::new(message);
        *request.metadata_mut() = self.metadata.clone();
        request.set_timeout(self.timeout);
        let mut grpc = self.grpc.clone();
        let call = async move {
            grpc.ready().await.map_err(Status::from_error)?;
            grpc.unary(request, method, RawCodec).await.map(tonic::Response::into_inner)
        };
        self.runtime.block_on(async { tokio::time::timeout(self.timeout, call).await }).ok()
    }
}

/// The endpoint's headers, none of which may be logged.
fn metadata(endpoint: &Endpoint) -> MetadataMap {
    let mut headers = HeaderMap::new();
    for (name, value) in &endpoint.headers {
        if let Ok(mut value) = HeaderValue::from_str(value.expose_secret()) {
            value.set_sensitive(true);
            headers.append(name, value);
        }
    }
    MetadataMap::from_headers(headers)
}
