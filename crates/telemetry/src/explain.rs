//! Why a request got no response, with the fix, in the terms of the variables that a person can set. No secret is in any of it.

use std::io::ErrorKind;

use rustls::{AlertDescription, CertificateError, Error as Tls, InvalidMessage};
use ureq::Error;

/// `error` in words, with its fix.
pub(crate) fn explain(error: &Error) -> String {
    let fix = match (tls(error), error) {
        (Some(tls), _) => of_tls(tls),
        (_, Error::HostNotFound) => "check the address and this machine's DNS",
        (_, Error::Timeout(_)) => "it may be blocked: a firewall, or a network without a way out",
        (_, Error::Protocol(_)) => {
            "it does not speak HTTP/1.1: is it a port of gRPC, or of TLS? OTLP over HTTP is usually at port 4318"
        }
        (_, Error::Io(error)) if is_closed(error) => {
            "it closed the connection: is it a port of TLS or of gRPC, or does it want a certificate of its client?"
        }
        _ => "is it running there, and does a firewall stand between?",
    };
    format!("{error}; {fix}")
}

/// The server ended the connection before it answered.
fn is_closed(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof)
}

/// The error of TLS, which may be wrapped in one of the socket.
fn tls(error: &Error) -> Option<&Tls> {
    match error {
        Error::Rustls(error) => Some(error),
        Error::Io(error) => error.get_ref()?.downcast_ref(),
        _ => None,
    }
}

fn of_tls(error: &Tls) -> &'static str {
    match error {
        Tls::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "its certificate is signed by none that is trusted: name its CA in OTEL_EXPORTER_OTLP_CERTIFICATE or SSL_CERT_FILE, \
             or find out whether something between here and there replaces certificates"
        }
        Tls::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "its certificate is for another name: give the address by a name that is in it",
        Tls::InvalidCertificate(CertificateError::Other(other)) if other.to_string().contains("CaUsedAsEndEntity") => {
            "its certificate is that of a CA, which cannot be a server's too: give the server one that the CA has signed, with \
             basicConstraints=CA:FALSE"
        }
        Tls::InvalidCertificate(_) => "check its certificate, and this machine's clock",
        Tls::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "it does not speak TLS: give its address with http://"
        }
        Tls::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::HandshakeFailure
            | AlertDescription::CertificateUnknown
            | AlertDescription::AccessDenied,
        ) => {
            "it refuses this client's certificate, or wants one: set OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and \
             OTEL_EXPORTER_OTLP_CLIENT_KEY"
        }
        _ => "does it speak TLS there?",
    }
}
