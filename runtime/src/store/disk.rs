//! The four things that are done to a disk. Tests let it crash, forget and fill up between them.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

/// What writes; reading needs no seam, because what is read is checked.
pub(super) trait Disk: Send + Sync + std::fmt::Debug {
    /// Makes or empties the file and writes all of it. Not yet safe from a loss of power.
    fn write(&self, file: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Waits until a file's content, or what is in a folder, is safe.
    fn sync(&self, path: &Path) -> io::Result<()>;
    /// Gives a file another name in its folder; what had that name is gone at the same moment.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, file: &Path) -> io::Result<()>;
}

/// The file system.
#[derive(Debug)]
pub(super) struct System;

impl Disk for System {
    fn write(&self, file: &Path, bytes: &[u8]) -> io::Result<()> {
        File::create(file)?.write_all(bytes)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, file: &Path) -> io::Result<()> {
        fs::remove_file(file)
    }
}
