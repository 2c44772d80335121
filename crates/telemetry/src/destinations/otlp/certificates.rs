//! The certificates that variables name. Those of OTLP apply only to the collector for which they were given, `SSL_CERT_FILE`
//! and `SSL_CERT_DIR` to every destination. Files are read only for an encrypted address, so that a variable set by the
//! platform is harmless otherwise.

use std::path::PathBuf;

use settings::Settings;

use crate::address::Url;
use crate::certificates::{NamedFile, TlsFiles};
use crate::tls::Tls;

/// The certificate files of a signal: its own, otherwise the general ones.
#[derive(Debug, Clone, Default)]
pub(crate) struct Certificates {
    trusted: Option<NamedFile>,
    client: Option<NamedFile>,
    key: Option<NamedFile>,
}

/// Names of variables, the signal's own before the general one.
pub(crate) struct CertificateVariables {
    pub(crate) trusted: [&'static str; 2],
    pub(crate) client: [&'static str; 2],
    pub(crate) key: [&'static str; 2],
}

impl Certificates {
    pub(crate) fn read(settings: &mut Settings, by: &CertificateVariables) -> Self {
        let mut first = |variables: [&'static str; 2]| variables.into_iter().find_map(|name| named(settings, name));
        Self { trusted: first(by.trusted), client: first(by.client), key: first(by.key) }
    }

    /// Whether any file is named.
    pub(crate) fn any(&self) -> bool {
        self.trusted.is_some() || self.client.is_some() || self.key.is_some()
    }

    /// The TLS settings of a connection to `url`, if these certificates were given for this address.
    pub(crate) fn load(&self, settings: &mut Settings, url: &Url) -> Tls {
        if !url.is_encrypted() {
            let set = [&self.trusted, &self.client, &self.key];
            for named in set.into_iter().flatten().filter(|_| !url.is_loopback()) {
                settings.warn(named.variable, format!("not used: {url} is not encrypted"));
            }
            return Tls::default();
        }
        let client = match (self.client.clone(), self.key.clone()) {
            (Some(certificate), Some(key)) => Some([certificate, key]),
            (Some(alone), None) | (None, Some(alone)) => {
                let problem = "needs a certificate and its key; set OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and \
                               OTEL_EXPORTER_OTLP_CLIENT_KEY";
                settings.fault(alone.variable, problem);
                None
            }
            (None, None) => None,
        };
        let roots = match self.trusted.clone() {
            Some(trusted) => vec![trusted],
            None => system(settings),
        };
        open(settings, &TlsFiles { roots, client })
    }
}

/// The TLS settings of a connection to `url` if no certificates were given for its address.
pub(crate) fn general(settings: &mut Settings, url: &Url) -> Tls {
    Certificates::default().load(settings, url)
}

fn system(settings: &mut Settings) -> Vec<NamedFile> {
    ["SSL_CERT_FILE", "SSL_CERT_DIR"].into_iter().filter_map(|name| named(settings, name)).collect()
}

fn open(settings: &mut Settings, files: &TlsFiles) -> Tls {
    Tls::load(files).unwrap_or_else(|(variable, problem)| {
        settings.fault(variable, problem);
        Tls::default()
    })
}

fn named(settings: &mut Settings, variable: &'static str) -> Option<NamedFile> {
    Some(NamedFile { variable, path: PathBuf::from(settings.text(variable)?) })
}
