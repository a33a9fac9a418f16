//! Replaces a file as a whole: whatever happens to the machine, it holds the old content or the new.
//!
//! The new content is written under another name in the same folder and made safe, then takes the name, and that is
//! made safe too (T. S. Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014, shows what is lost
//! otherwise). Only the owner of a file may read it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::UNFINISHED;
use super::disk::{Disk, System};

/// Gives `file` this content, safe from a loss of power when this returns. Its folder must exist.
///
/// One thread at a time may replace a file. What a crash leaves beside it, under its name and `.new`, is written over
/// next time.
pub(crate) fn replace(file: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_on(&System, file, bytes)
}

/// Makes `file` with this content, safe from a loss of power when this returns. Fails where there is one already, which
/// stays as it is, also when two processes do this at once.
pub(crate) fn make(file: &Path, bytes: &[u8]) -> io::Result<()> {
    // The name is this process's own, and a link, unlike a rename, does not replace what is there.
    let unfinished = unfinished(&file.with_added_extension(std::process::id().to_string()));
    let written = System.write(&unfinished, bytes).and_then(|()| System.sync(&unfinished));
    let linked = written.and_then(|()| fs::hard_link(&unfinished, file));
    let removed = System.remove(&unfinished);
    linked.and(removed).and_then(|()| System.sync(folder(file)))
}

pub(super) fn replace_on(disk: &dyn Disk, file: &Path, bytes: &[u8]) -> io::Result<()> {
    place(disk, &unfinished(file), file, bytes)
}

/// Writes under the name `unfinished`, in the same folder, first. Where that fails nothing is left of it.
pub(super) fn place(disk: &dyn Disk, unfinished: &Path, file: &Path, bytes: &[u8]) -> io::Result<()> {
    put(disk, unfinished, file, bytes).and_then(|()| disk.sync(folder(file)))
}

/// The same, and the content is safe, but not yet that it has the name.
pub(super) fn put(disk: &dyn Disk, unfinished: &Path, file: &Path, bytes: &[u8]) -> io::Result<()> {
    let written = disk.write(unfinished, bytes).and_then(|()| disk.sync(unfinished));
    written.and_then(|()| disk.rename(unfinished, file)).inspect_err(|_| {
        let _ = disk.remove(unfinished);
    })
}

fn unfinished(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(UNFINISHED);
    name.into()
}

fn folder(file: &Path) -> &Path {
    let parent = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}
