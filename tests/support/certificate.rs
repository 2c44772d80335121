//! Certificates for this machine, made by `openssl`.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use super::{Folder, cannot_run};

/// A self-signed certificate and its key.
pub(crate) struct Certificate {
    folder: Folder,
}

impl Certificate {
    /// `None` without `openssl`, or without `curl` to check the result.
    pub(crate) fn make() -> Option<Self> {
        for program in ["openssl", "curl"] {
            if Command::new(program).arg("version").output().is_err() {
                cannot_run(program, &format!("{program} is not installed"));
                return None;
            }
        }
        let certificate = Self { folder: Folder::new() };
        certificate.renew();
        Some(certificate)
    }

    /// Replaces this pair with a new one.
    pub(crate) fn renew(&self) {
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
            .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"])
            .arg("-keyout")
            .arg(self.key())
            .arg("-out")
            .arg(self.file())
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("certificate.pem")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    /// A server's TLS configuration with this certificate.
    pub(crate) fn server(&self) -> ServerConfig {
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let chain = vec![CertificateDer::from_pem_file(self.file()).unwrap()];
        config.with_single_cert(chain, PrivateKeyDer::from_pem_file(self.key()).unwrap()).unwrap()
    }

    /// The proxy's variables for this certificate.
    pub(crate) fn variables(&self) -> [(&'static str, String); 2] {
        [
            ("CRUDDUR_PROXY_CERTIFICATE", self.file().to_str().unwrap().to_owned()),
            ("CRUDDUR_PROXY_KEY", self.key().to_str().unwrap().to_owned()),
        ]
    }
}

/// A private CA, and the certificates that it has issued.
pub(crate) struct Authority {
    folder: Folder,
}

impl Authority {
    /// `None` without `openssl`.
    pub(crate) fn make() -> Option<Self> {
        if Command::new("openssl").arg("version").output().is_err() {
            cannot_run("openssl", "openssl is not installed");
            return None;
        }
        let own = Self { folder: Folder::new() };
        own.openssl(&["req", "-x509", "-days", "2", "-subj", "/CN=a private CA"], "ca", "ca.pem");
        Some(own)
    }

    /// The authority's own certificate.
    pub(crate) fn file(&self) -> String {
        self.path("ca.pem")
    }

    /// The folder with all its files.
    pub(crate) fn folder(&self) -> String {
        self.folder.path().to_str().unwrap().to_owned()
    }

    /// Issues a certificate for this machine, and returns its file and its key's, named after `name`.
    pub(crate) fn issue(&self, name: &str) -> [String; 2] {
        let (request, extensions) = (format!("{name}.csr"), format!("{name}.ext"));
        self.openssl(&["req", "-subj", "/CN=localhost"], name, &request);
        let text = "subjectAltName=IP:127.0.0.1,DNS:localhost\nbasicConstraints=CA:FALSE\n";
        std::fs::write(self.path(&extensions), text).unwrap();
        let (issued, key) = (self.path(&format!("{name}.pem")), self.path(&format!("{name}.key")));
        let made = Command::new("openssl")
            .args(["x509", "-req", "-days", "2", "-in", &self.path(&request), "-extfile", &self.path(&extensions)])
            .args(["-CA", &self.file(), "-CAkey", &self.path("ca.key"), "-CAcreateserial", "-out", &issued])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        [issued, key]
    }

    /// The TLS configuration of a server with a certificate of this authority. If `show` is set, clients must present one too.
    pub(crate) fn server(&self, show: bool) -> ServerConfig {
        let [certificate, key] = self.issue("server");
        let provider = Arc::new(default_provider());
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let config = config.with_safe_default_protocol_versions().unwrap();
        let config = if show {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_file(self.file()).unwrap()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            config.with_client_cert_verifier(verifier.build().unwrap())
        } else {
            config.with_no_client_auth()
        };
        let chain = vec![CertificateDer::from_pem_file(certificate).unwrap()];
        config.with_single_cert(chain, PrivateKeyDer::from_pem_file(key).unwrap()).unwrap()
    }

    fn path(&self, file: &str) -> String {
        self.folder.path().join(file).to_str().unwrap().to_owned()
    }

    /// Makes the file `out`, with a new key in `NAME.key`.
    fn openssl(&self, arguments: &[&str], name: &str, out: &str) {
        let made = Command::new("openssl")
            .args(arguments)
            .args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
            .args(["-keyout", &self.path(&format!("{name}.key")), "-out", &self.path(out)])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
}
