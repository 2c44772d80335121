//! Certificates for this machine, made by `openssl`.

use std::path::PathBuf;
use std::process::Command;

use super::{Folder, cannot_run};

/// A certificate that signs itself, and its key.
pub(crate) struct Certificate {
    folder: Folder,
}

impl Certificate {
    /// None where there is no `openssl`, or no `curl` to look at what it makes.
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

    /// Puts another pair in the place of this one.
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

    /// What tells the proxy of it.
    pub(crate) fn variables(&self) -> [(&'static str, String); 2] {
        [
            ("CRUDDUR_PROXY_CERTIFICATE", self.file().to_str().unwrap().to_owned()),
            ("CRUDDUR_PROXY_KEY", self.key().to_str().unwrap().to_owned()),
        ]
    }
}
