//! Files of what a node knows of trust: JSON, replaced as a whole, readable by its owner only.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::TrustError;

/// Replaces the file: after a crash it holds either what it held before or all of this, and where this returns, this.
pub(super) fn write(file: &Path, content: &impl Serialize) -> Result<(), TrustError> {
    let json = serde_json::to_vec_pretty(content).map_err(io::Error::from);
    let beside = beside(file);
    let replaced = json.and_then(|json| write_synced(&beside, &json)).and_then(|()| fs::rename(&beside, file));
    replaced.and_then(|()| sync_folder(file)).map_err(|cause| TrustError::Unwritable { file: file.to_owned(), cause })
}

/// What the file holds; none if it is not there. `remedy` completes what an error says to do where it is damaged.
pub(super) fn read<T: DeserializeOwned>(
    file: &Path,
    bytes_max: u64,
    remedy: &'static str,
) -> Result<Option<T>, TrustError> {
    let json = match read_bounded(file, bytes_max) {
        Ok(json) => json,
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(TrustError::Unreadable { file: file.to_owned(), cause }),
    };
    let damaged = |cause: serde_json::Error| {
        let reason = cause.to_string();
        TrustError::Damaged { file: file.to_owned(), reason, remedy }
    };
    serde_json::from_slice(&json).map(Some).map_err(damaged)
}

/// The file that is written first, in the same folder, so that it can take the place of `file`.
pub(super) fn beside(file: &Path) -> PathBuf {
    let mut beside = file.as_os_str().to_owned();
    beside.push(".part");
    beside.into()
}

/// Writes a file that only its owner may read, and waits until it is on the disk. One of that name was left by a crash.
pub(super) fn write_synced(file: &Path, bytes: &[u8]) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => return Err(cause),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(file)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Waits until the names in the folder of `file` are on the disk.
pub(super) fn sync_folder(file: &Path) -> io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// All of a file, if it is no larger than this.
pub(super) fn read_bounded(file: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    bounded(File::open(file)?, bytes_max)
}

/// All of an open file, if it is no larger than this.
pub(super) fn bounded(file: File, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes)?;
    let fits = bytes.len() as u64 <= bytes_max;
    let too_large = || io::Error::new(ErrorKind::FileTooLarge, format!("it has more than {bytes_max} bytes"));
    if fits { Ok(bytes) } else { Err(too_large()) }
}
