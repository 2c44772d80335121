//! The configured files of a TLS connection, not yet read.

use std::path::PathBuf;

/// A file or folder, and the variable that names it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NamedFile {
    pub(crate) variable: &'static str,
    pub(crate) path: PathBuf,
}

/// The files of one connection.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct TlsFiles {
    /// Files and folders of the CAs to trust; if empty, the public CAs.
    pub(crate) roots: Vec<NamedFile>,
    /// The client's own certificate with its chain, and its key.
    pub(crate) client: Option<[NamedFile; 2]>,
}
