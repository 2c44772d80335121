//! What a client of gRPC trusts and shows: the same as over HTTP/1.1, and agreement on HTTP/2.

use std::io;
use std::sync::Arc;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use ureq::tls::{Certificate, RootCerts};

use super::Tls;

impl Tls {
    /// For a client of HTTP/2.
    ///
    /// # Errors
    /// The client's certificate does not fit its key, which [`Tls::load`] excludes.
    pub(crate) fn http2(&self) -> io::Result<ClientConfig> {
        let Self(own) = self;
        let der = |certificate: &Certificate<'_>| CertificateDer::from(certificate.der().to_vec());
        let mut roots = RootCertStore::empty();
        match own.as_ref().map(ureq::tls::TlsConfig::root_certs) {
            Some(RootCerts::Specific(own)) => drop(roots.add_parsable_certificates(own.iter().map(der))),
            _ => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots);
        let mut config = match own.as_ref().and_then(ureq::tls::TlsConfig::client_cert) {
            Some(client) => {
                let key = PrivateKeyDer::try_from(client.private_key().der().to_vec()).map_err(io::Error::other)?;
                let chain = client.certs().iter().map(der).collect();
                builder.with_client_auth_cert(chain, key).map_err(io::Error::other)?
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(config)
    }
}
