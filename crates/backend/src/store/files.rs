//! The files of an embedded database. SQLite goes on writing to a file that has been deleted, moved or replaced, and reports success; the next start would
//! find nothing of it. So each write is followed by a look at whether the database and its log are still those that its connection has open: two
//! system calls, where the write itself has waited for the disk.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use crate::config::Embedded;

/// A file's device and number.
type Identity = (u64, u64);

/// Which files a database consists of.
#[derive(Debug)]
pub(super) struct Files {
    database: PathBuf,
    log: PathBuf,
    /// Of the database since the store was opened, and of the log since its writer was.
    opened: Mutex<Option<(Identity, Identity)>>,
}

impl Files {
    pub(super) fn of(file: &Embedded) -> Self {
        Self { database: file.path.clone(), log: file.beside("-wal"), opened: Mutex::new(None) }
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

    /// Whether the files are those of the writer.
    ///
    /// # Errors
    /// They are not.
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
