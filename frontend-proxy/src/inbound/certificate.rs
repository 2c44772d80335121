//! The certificate that the proxy presents, from two PEM files that can be reread while it runs. Never reveals the key. Does not
//! check names or validity times: the clients do.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use settings::Settings;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert, ServerConfig};
use tokio_rustls::rustls::sign::CertifiedKey;

const CERTIFICATE: &str = "CRUDDUR_PROXY_CERTIFICATE";
const KEY: &str = "CRUDDUR_PROXY_KEY";
/// The largest size of either file, in bytes.
const LIMIT: u64 = 1024 * 1024;

/// The active certificate. Its clones share it.
#[derive(Clone)]
pub(crate) struct Certificate(Arc<SharedCertificate>);

struct SharedCertificate {
    files: Files,
    current: RwLock<Arc<CertifiedKey>>,
}

#[derive(Clone)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

/// Why there is no certificate to present.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertificateError {
    /// The file of certificates cannot be read.
    #[error("cannot read {0}: {1}; name a PEM file of the certificate and its issuers, the certificate first")]
    Certificate(PathBuf, String),
    /// The file of the key cannot be read.
    #[error("cannot read {0}: {1}; name a PEM file of the certificate's private key, without a password")]
    Key(PathBuf, String),
    /// The files do not belong together, or the key has an unsupported algorithm.
    #[error("{0} is not the key of {1}: {2}; name a certificate and its key")]
    Pair(PathBuf, PathBuf, rustls::Error),
}

impl CertificateError {
    /// The variable that names the file at fault.
    fn variable(&self) -> &'static str {
        if let Self::Certificate(..) = self { CERTIFICATE } else { KEY }
    }
}

impl Certificate {
    /// Reads the files named in `settings`, which records the faults; `None` if no variable is set.
    pub(crate) fn read(settings: &mut Settings) -> Option<Self> {
        let (certificate, key) = match (settings.text(CERTIFICATE), settings.text(KEY)) {
            (Some(certificate), Some(key)) => (certificate, key),
            (None, None) => return None,
            (Some(_), None) => {
                settings.fault(KEY, format!("is not set, but {CERTIFICATE} is; name the PEM file of its private key"));
                return None;
            }
            (None, Some(_)) => {
                settings.fault(CERTIFICATE, format!("is not set, but {KEY} is; name the PEM file of its certificate"));
                return None;
            }
        };
        let files = Files { certificate: certificate.into(), key: key.into() };
        match files.load() {
            Ok(current) => Some(Self(Arc::new(SharedCertificate { files, current: RwLock::new(current) }))),
            Err(error) => {
                settings.fault(error.variable(), error.to_string());
                None
            }
        }
    }

    /// Rereads the files, for new connections. Blocks on the files.
    ///
    /// # Errors
    /// The files are invalid; the certificate does not change.
    pub(crate) fn reload(&self) -> Result<(), CertificateError> {
        let next = self.0.files.load()?;
        *self.0.current.write().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(())
    }

    pub(crate) fn acceptor(&self) -> Result<TlsAcceptor, rustls::Error> {
        let resolver: Arc<dyn ResolvesServerCert> = self.0.clone();
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

impl Files {
    fn load(&self) -> Result<Arc<CertifiedKey>, CertificateError> {
        let chain = read(&self.certificate, |pem| CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>())
            .and_then(|chain| if chain.is_empty() { Err("no certificate found".to_owned()) } else { Ok(chain) })
            .map_err(|why| CertificateError::Certificate(self.certificate.clone(), why))?;
        let key = read(&self.key, PrivateKeyDer::from_pem_slice)
            .map_err(|why| CertificateError::Key(self.key.clone(), why))?;
        CertifiedKey::from_der(chain, key, &provider())
            .map(Arc::new)
            .map_err(|error| CertificateError::Pair(self.key.clone(), self.certificate.clone(), error))
    }
}

fn read<T>(path: &Path, parse: impl Fn(&[u8]) -> Result<T, pem::Error>) -> Result<T, String> {
    let bytes = settings::read_file(path, LIMIT).map_err(|error: io::Error| error.to_string())?;
    parse(&bytes).map_err(|error| error.to_string())
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

impl ResolvesServerCert for SharedCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl fmt::Debug for SharedCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedCertificate").field("files", &self.files.certificate).finish_non_exhaustive()
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
