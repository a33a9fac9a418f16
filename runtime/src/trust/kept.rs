//! Files of what a node knows of trust: JSON, replaced as a whole, readable by its owner only.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::TrustError;
use crate::store::replace::replace;

/// Replaces the file: after a crash it holds either what it held before or all of this, and where this returns, this.
pub(super) fn write(file: &Path, content: &impl Serialize) -> Result<(), TrustError> {
    let json = serde_json::to_vec_pretty(content).map_err(io::Error::from);
    let failed = |cause| TrustError::Unwritable { file: file.to_owned(), cause };
    json.and_then(|json| replace(file, &json)).map_err(failed)
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
