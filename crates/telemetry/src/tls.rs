//! Loads the CAs that an encrypted connection trusts, and the certificate that it presents, from PEM files. Files are read
//! once, at start, so that an invalid file is reported then and not by a failed handshake. No message contains any part of a
//! key.

#[cfg(feature = "grpc")]
mod http2;

use std::env;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

use crate::certificates::{NamedFile, TlsFiles};

/// The most bytes that are read of a file. A system's CA bundle has about 200 KiB.
const LONGEST: u64 = 4 * 1024 * 1024;
/// The most files that are read in a folder.
const MOST: usize = 1_000;

/// The trusted CAs (by default the public ones) and this client's own certificate (by default none).
#[derive(Clone, Default)]
pub(crate) struct Tls(Option<TlsConfig>);

impl Tls {
    /// The configuration for the HTTP client.
    pub(crate) fn config(&self) -> TlsConfig {
        self.0.clone().unwrap_or_default()
    }

    /// Loads these files.
    ///
    /// # Errors
    /// The variable that names an unusable file, and why it is unusable.
    pub(crate) fn load(files: &TlsFiles) -> Result<Self, (&'static str, String)> {
        if *files == TlsFiles::default() {
            return Ok(Self::default());
        }
        let mut config = TlsConfig::builder();
        if !files.roots.is_empty() {
            let mut roots = Vec::new();
            for named in &files.roots {
                roots.extend(trusted(&named.path).map_err(|problem| named.wrong(&problem))?);
            }
            config = config.root_certs(RootCerts::from(roots));
        }
        if let Some([certificate, key]) = &files.client {
            config = config.client_cert(Some(client(certificate, key)?));
        }
        Ok(Self(Some(config.build())))
    }
}

impl NamedFile {
    fn wrong(&self, problem: &str) -> (&'static str, String) {
        (self.variable, format!("{} {problem}", self.path.display()))
    }
}

/// Shows nothing, because keys must not be logged.
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "own certificates" } else { "public CAs" })
    }
}

/// The CAs in a file, a folder, or several folders. Like OpenSSL, reads `SSL_CERT_DIR` as a list of folders and ignores missing
/// ones.
fn trusted(path: &Path) -> Result<Vec<Certificate<'static>>, String> {
    if path.is_dir() {
        return folder(path);
    }
    let folders: Vec<PathBuf> = env::split_paths(path).collect();
    if path.exists() || folders.len() < 2 {
        return authorities(path);
    }
    let found: Vec<_> = folders.iter().filter_map(|path| folder(path).ok()).flatten().collect();
    if found.is_empty() {
        Err("contains no CA certificates in PEM; name a folder that contains some".to_owned())
    } else {
        Ok(found)
    }
}

/// The certificates in a file that are valid as CAs.
fn authorities(path: &Path) -> Result<Vec<Certificate<'static>>, String> {
    let certificates = certificates(&read(path)?)?;
    let ders = certificates.iter().map(|certificate| CertificateDer::from(certificate.der()));
    match RootCertStore::empty().add_parsable_certificates(ders) {
        (0, _) => Err("contains no readable certificate; give CA certificates in PEM".to_owned()),
        _ => Ok(certificates),
    }
}

/// The CAs of all files in a folder; files without CAs are skipped.
fn folder(path: &Path) -> Result<Vec<Certificate<'static>>, String> {
    let entries = fs::read_dir(path).map_err(|error| format!("cannot be read: {error}; give a readable folder"))?;
    let found: Vec<_> =
        entries.flatten().take(MOST).filter_map(|entry| authorities(&entry.path()).ok()).flatten().collect();
    if found.is_empty() {
        Err("contains no CA certificates in PEM; name a folder that contains some".to_owned())
    } else {
        Ok(found)
    }
}

fn client(certificate: &NamedFile, key: &NamedFile) -> Result<ClientCert, (&'static str, String)> {
    let chain =
        read(&certificate.path).and_then(|pem| certificates(&pem)).map_err(|problem| certificate.wrong(&problem))?;
    let pem = read(&key.path).map_err(|problem| key.wrong(&problem))?;
    let no_key = || key.wrong("contains no private key in PEM; give one without a passphrase");
    let own = PrivateKey::from_pem(&pem).map_err(|_| no_key())?;
    // Checked here, because the client would panic at its first handshake if the key and the certificate did not match.
    let ders = chain.iter().map(|certificate| CertificateDer::from(certificate.der().to_vec())).collect();
    let der = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| no_key())?;
    CertifiedKey::from_der(ders, der, &default_provider()).map_err(|error| {
        key.wrong(&format!(
            "is not the key of {}: {error}; give a certificate and its own key",
            certificate.path.display()
        ))
    })?;
    Ok(ClientCert::new_with_certs(&chain, own))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    settings::read_file(path, LONGEST).map_err(|error| format!("cannot be read: {error}; give a PEM file"))
}

fn certificates(pem: &[u8]) -> Result<Vec<Certificate<'static>>, String> {
    let of = |item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    };
    let found: Vec<_> = parse_pem(pem).filter_map(of).collect();
    if found.is_empty() {
        Err("contains no certificate in PEM; give a file that contains one".to_owned())
    } else {
        Ok(found)
    }
}
