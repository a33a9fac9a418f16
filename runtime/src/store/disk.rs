//! The five things that are done to a disk. Tests let it crash, forget and fill up between them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// What writes; reading needs no seam, because what is read is checked.
pub(super) trait Disk: Send + Sync + std::fmt::Debug {
    /// Makes the file, which only its owner may read, in place of one of that name, and writes all of it. Not yet safe
    /// from a loss of power.
    fn write(&self, file: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Writes after the first `at` bytes of a file that is there; what was after them is gone. Not yet safe either.
    fn append(&self, file: &Path, at: u64, bytes: &[u8]) -> io::Result<()>;
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
        // One that is there may be readable by others, and stay so.
        match fs::remove_file(file) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(cause),
            _ => {}
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(file)?.write_all(bytes)
    }

    fn append(&self, file: &Path, at: u64, bytes: &[u8]) -> io::Result<()> {
        let file = File::options().write(true).open(file)?;
        file.set_len(at)?;
        file.write_all_at(bytes, at)
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
