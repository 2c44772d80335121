//! The files of an embedded database. If a file has been deleted, moved or replaced, SQLite keeps writing to it and reports success; the next start would find
//! none of those writes. So after each write, the store checks that the database and its log are still the files that its connection has open. That costs two
//! system calls, whereas the write itself has waited for the disk.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use crate::config::Embedded;

/// A file's device and number.
type Identity = (u64, u64);

/// The files that a database consists of.
#[derive(Debug)]
pub(super) struct Files {
    database: PathBuf,
    log: PathBuf,
    /// The database's identity since the store was opened, and the log's since its writer was opened.
    opened: Mutex<Option<(Identity, Identity)>>,
}

impl Files {
    pub(super) fn of(file: &Embedded) -> Self {
        Self { database: file.path.clone(), log: file.sibling("-wal"), opened: Mutex::new(None) }
    }

    /// Remembers the files of a connection that has just been opened to write.
    ///
    /// # Errors
    /// The database is not the one that was opened first.
    pub(super) fn open(&self) -> Result<(), sqlx::Error> {
        let found = self.found()?;
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if opened.is_some_and(|opened| opened.0 != found.0) {
            return Err(gone());
        }
        *opened = Some(found);
        Ok(())
    }

    /// Checks that the files are still those of the writer.
    ///
    /// # Errors
    /// The files are others.
    pub(super) fn check(&self) -> Result<(), sqlx::Error> {
        let found = self.found()?;
        let opened = *self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if opened == Some(found) { Ok(()) } else { Err(gone()) }
    }

    fn found(&self) -> Result<(Identity, Identity), sqlx::Error> {
        let identity = |path| fs::metadata(path).map(|file| (file.dev(), file.ino())).map_err(|_| gone());
        Ok((identity(&self.database)?, identity(&self.log)?))
    }
}

fn gone() -> sqlx::Error {
    let what = "cannot find the database's files where they were opened: they were deleted, moved or replaced; put them back, or restart";
    sqlx::Error::Io(io::Error::new(io::ErrorKind::NotFound, what))
}
