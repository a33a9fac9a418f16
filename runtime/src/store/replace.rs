//! Replaces a file as a whole: whatever happens to the machine, it holds the old content or the new.
//!
//! The new content is written under another name in the same folder and made safe, then takes the name, and that is
//! made safe too (T. S. Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014, shows what is lost
//! otherwise).

use std::path::Path;

use super::disk::{Disk, System};
use super::{StoreError, UNFINISHED};

/// Gives `file` this content, safe from a loss of power when this returns. Its folder must exist.
///
/// One thread at a time may replace a file. What a crash leaves beside it, under its name and `.new`, is written over
/// next time.
pub fn replace(file: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    replace_on(&System, file, bytes)
}

pub(super) fn replace_on(disk: &dyn Disk, file: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let mut unfinished = file.as_os_str().to_owned();
    unfinished.push(UNFINISHED);
    place(disk, Path::new(&unfinished), file, bytes)
}

/// Writes under the name `unfinished`, in the same folder, first. Where that fails nothing is left of it.
pub(super) fn place(disk: &dyn Disk, unfinished: &Path, file: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let written = disk.write(unfinished, bytes).and_then(|()| disk.sync(unfinished));
    let named = written.and_then(|()| disk.rename(unfinished, file));
    named.and_then(|()| disk.sync(file.parent().unwrap_or(Path::new(".")))).map_err(|cause| {
        let _ = disk.remove(unfinished);
        StoreError::of_writing(file, bytes.len() as u64, cause)
    })
}
