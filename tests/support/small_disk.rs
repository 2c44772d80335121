//! A disk with little space.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::cannot_run;

/// A file system in memory, gone when dropped.
pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one at a folder that exists; `None` if this process may not mount.
    pub(crate) fn of(folder: &Path, size: &str) -> Option<Self> {
        let size = format!("size={size}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder).output();
        if mounted.is_ok_and(|mount| mount.status.success()) {
            return Some(Self(folder.to_owned()));
        }
        cannot_run("tmpfs", "no file system can be mounted; run the tests as root");
        None
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A process with an open file there keeps the disk until it closes the file.
        drop(Command::new("umount").arg("--lazy").arg(&self.0).status());
    }
}
