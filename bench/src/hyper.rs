//! A baseline proxy: hyper's server and hyper-util's client with their defaults. It forwards all messages and inspects nothing.

use std::net::SocketAddr;

use hyper::body::Incoming;
use hyper::http::uri::{Authority, PathAndQuery, Scheme, Uri};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

/// Runs until the process is stopped.
pub(crate) fn run(address: &str, upstream: &str) -> std::io::Result<()> {
    let address: SocketAddr = address.parse().expect("an address");
    let upstream: Authority = upstream.parse().expect("a host and port");
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        let listener = TcpListener::bind(address).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let (client, upstream) = (client.clone(), upstream.clone());
            let forward = service_fn(move |request| forward(client.clone(), upstream.clone(), request));
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), forward));
        }
    })
}

async fn forward(
    client: Client<HttpConnector, Incoming>,
    upstream: Authority,
    mut request: Request<Incoming>,
) -> Result<Response<Incoming>, Error> {
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(upstream);
    parts.path_and_query = parts.path_and_query.or_else(|| Some(PathAndQuery::from_static("/")));
    *request.uri_mut() = Uri::from_parts(parts).expect("all parts");
    client.request(request).await
}
