//! Explains why a request got no response, with a fix that names the variables to set. The messages contain no secrets.

use std::io::ErrorKind;

use rustls::{AlertDescription, CertificateError, Error as Tls, InvalidMessage};
use ureq::Error;

/// `error` as text, followed by its fix.
pub(crate) fn explain(error: &Error) -> String {
    let fix = match (tls(error), error) {
        (Some(tls), _) => fix_for_tls(tls),
        (_, Error::HostNotFound) => "check the address and this machine's DNS",
        (_, Error::Timeout(_)) => "a firewall may block it, or this network may have no route to it",
        (_, Error::Protocol(_)) => {
            "the server does not speak HTTP/1.1: is this a port for gRPC or TLS? OTLP over HTTP usually has port 4318"
        }
        (_, Error::Io(error)) if is_closed(error) => {
            "the server closed the connection: is this a port for TLS or gRPC, or does it require a client certificate?"
        }
        _ => "check that the server is running and that no firewall blocks it",
    };
    format!("{error}; {fix}")
}

/// Whether the server closed the connection before it responded.
fn is_closed(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof)
}

/// The TLS error, which may be wrapped in an I/O error.
fn tls(error: &Error) -> Option<&Tls> {
    match error {
        Error::Rustls(error) => Some(error),
        Error::Io(error) => error.get_ref()?.downcast_ref(),
        _ => None,
    }
}

/// How to fix an error of TLS.
pub(crate) fn fix_for_tls(error: &Tls) -> &'static str {
    match error {
        Tls::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "no trusted CA signed its certificate: name its CA in OTEL_EXPORTER_OTLP_CERTIFICATE or SSL_CERT_FILE, or check \
             whether a device on the way replaces certificates"
        }
        Tls::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "its certificate is for another name: use an address whose name is in the certificate",
        Tls::InvalidCertificate(CertificateError::Other(other)) if other.to_string().contains("CaUsedAsEndEntity") => {
            "its certificate is a CA's, which a server cannot use: give the server a certificate that the CA signed, with \
             basicConstraints=CA:FALSE"
        }
        Tls::InvalidCertificate(_) => "check its certificate, and this machine's clock",
        Tls::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "the server does not speak TLS: give its address with http://"
        }
        Tls::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::HandshakeFailure
            | AlertDescription::CertificateUnknown
            | AlertDescription::AccessDenied,
        ) => {
            "the server rejected this client's certificate, or requires one: set OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and \
             OTEL_EXPORTER_OTLP_CLIENT_KEY"
        }
        _ => "check that the server speaks TLS on this port",
    }
}
