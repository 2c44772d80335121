//! Opens the connection of a client of gRPC: TCP, and TLS if the address wants it, with the endpoint's certificates.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ::http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_util::either::Either;
use tower_service::Service;

use super::super::endpoint::{CONNECT, Endpoint};

type GrpcConnection = TokioIo<Either<TcpStream, TlsStream<TcpStream>>>;

/// Connects to one endpoint, whatever address it is called with.
#[derive(Clone)]
pub(super) struct GrpcConnector {
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// # Errors
/// The host's name cannot be in a certificate.
pub(super) fn connect(to: &Endpoint) -> io::Result<GrpcConnector> {
    let host = to.url.host().trim_matches(['[', ']']).to_owned();
    let tls = if to.url.is_encrypted() {
        let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
        Some((TlsConnector::from(Arc::new(to.tls.http2()?)), name))
    } else {
        None
    };
    Ok(GrpcConnector { host, port: to.url.port(), tls })
}

impl GrpcConnector {
    async fn open(self) -> io::Result<GrpcConnection> {
        let opened = async {
            let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
            stream.set_nodelay(true)?;
            Ok(match self.tls {
                Some((tls, name)) => Either::Right(tls.connect(name, stream).await?),
                None => Either::Left(stream),
            })
        };
        let opened = tokio::time::timeout(CONNECT, opened).await;
        opened.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map(TokioIo::new)
    }
}

impl Service<Uri> for GrpcConnector {
    type Response = GrpcConnection;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<GrpcConnection>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        Box::pin(self.clone().open())
    }
}
