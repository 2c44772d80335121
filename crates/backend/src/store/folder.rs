//! The folder and files of an embedded database: makes the folder, and checks what can be written and who else can reach it.

use std::fmt;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::config::Database;

/// Makes the folder of an embedded database, for its owner alone, if it does not exist, and checks it.
///
/// # Errors
/// The folder cannot be made, or the database or folder cannot be written.
pub fn prepare(database: &Database) -> Result<(), NotWritable> {
    if let Database::Sqlite(file) = database {
        let folder = file.folder();
        let failed = |error| NotWritable(folder.display().to_string(), error);
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    }
    check(database)
}

/// Checks that an embedded database and its folder can be written or, if there is no folder, that one can be made. Leaves nothing behind: a folder made by
/// one user's check would be closed to the user who starts the backend.
///
/// # Errors
/// They cannot be written or made.
pub(super) fn check(database: &Database) -> Result<(), NotWritable> {
    let Database::Sqlite(file) = database else { return Ok(()) };
    let (path, folder) = (&file.path, existing(file.folder()));
    let failed = |error| NotWritable(folder.display().to_string(), error);
    let probe = folder.join(format!(".writable-{}", std::process::id()));
    let written = private().open(&probe).and_then(|mut file| file.write_all(&[0; 4096]));
    let removed = std::fs::remove_file(&probe);
    written.and(removed).map_err(failed)?;
    match OpenOptions::new().write(true).open(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(NotWritable(path.display().to_string(), error)),
        _ => Ok(()),
    }
}

/// Which files of an embedded database other users of this machine can reach, with the fix.
pub(super) fn exposure(database: &Database) -> Option<String> {
    let Database::Sqlite(file) = database else { return None };
    let is_open =
        |path: &Path, to: u32| std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & to != 0);
    // Without the right to search the folder, its files' modes do not matter.
    if !is_open(file.folder(), 0o011) {
        return None;
    }
    let files = [file.path.clone(), file.sibling("-wal"), file.sibling("-shm")];
    let exposed: Vec<String> = file
        .data
        .iter()
        .chain(&files)
        .filter(|path| is_open(path, 0o077))
        .map(|path| path.display().to_string())
        .collect();
    let exposed = exposed.join(" ");
    (!exposed.is_empty()).then(|| format!("other users of this machine can reach {exposed}; run chmod go= {exposed}"))
}

/// The folder itself if it exists, else the nearest one above it that does.
fn existing(folder: &Path) -> &Path {
    // A dangling link exists: no folder can be made at its path.
    let is_missing = |path: &Path| path.symlink_metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound);
    folder.ancestors().find(|path| !is_missing(path)).unwrap_or(Path::new("."))
}

/// Options that open a file, and create it for its owner alone if it does not exist.
pub(super) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).mode(0o600);
    options
}

/// A folder or file that cannot be written.
#[derive(Debug)]
pub struct NotWritable(String, io::Error);

impl std::error::Error for NotWritable {}

impl fmt::Display for NotWritable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(path, error) = self;
        write!(f, "cannot write {path}: {error}; {}", file_fix(error))
    }
}

/// The fix for a file or folder of an embedded database that cannot be written.
pub(super) fn file_fix(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "free space on its disk, or set CRUDDUR_DATA to a folder on another"
        }
        ErrorKind::IsADirectory | ErrorKind::NotADirectory | ErrorKind::AlreadyExists => {
            "set CRUDDUR_DATA to a folder, or DATABASE_URL to sqlite: and the path of a file"
        }
        ErrorKind::NotFound => "set CRUDDUR_DATA to a folder that exists or can be made",
        ErrorKind::ReadOnlyFilesystem => "mount its disk for writing, or set CRUDDUR_DATA to another folder",
        _ => "make it writable, or set CRUDDUR_DATA to another folder",
    }
}
