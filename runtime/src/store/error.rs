//! What can go wrong with files that are kept.

use std::io;
use std::path::{Path, PathBuf};

use super::{CHUNK_BYTES, FILE_BYTES_MAX, Hash};

/// A file or chunk that cannot be kept or read.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum StoreError {
    #[error(
        "{}: cannot be read or written: {cause}; check that it is a folder that this user may write",
        folder.display()
    )]
    Folder { folder: PathBuf, cause: io::Error },
    #[error("{}: is in use by another node: stop that, or give this one a folder of its own", folder.display())]
    InUse { folder: PathBuf },
    #[error(
        "{}: the disk is full: {needed} bytes were to be written; free as many, or take another folder",
        folder.display()
    )]
    Full { folder: PathBuf, needed: u64 },
    #[error("{}: this system gives no random numbers, which a new journal needs to begin with", folder.display())]
    NoRandomness { folder: PathBuf },
    #[error("{}: has no chunk {hash}: fetch it again", folder.display())]
    Missing { folder: PathBuf, hash: Hash },
    #[error("{}: the chunk {hash} was damaged and is removed: fetch it again, and check the disk", folder.display())]
    Damaged { folder: PathBuf, hash: Hash },
    #[error(
        "{bytes} bytes with the hash {got} were sent as the chunk {hash}, of at most {CHUNK_BYTES}: ask another node"
    )]
    OtherChunk { hash: Hash, got: Hash, bytes: usize },
    #[error("the chunks that are said to be the file {hash} make up {got}: ask another node what the file is")]
    OtherFile { hash: Hash, got: Hash },
    #[error(
        "the file {hash} is said to have {bytes} bytes in {chunks} chunks: it can have at most {FILE_BYTES_MAX}, in \
         chunks of {CHUNK_BYTES}"
    )]
    NotAFile { hash: Hash, bytes: u64, chunks: usize },
}

impl StoreError {
    /// The error of writing `needed` bytes into the folder of `file`.
    pub(crate) fn of_writing(file: &Path, needed: u64, cause: io::Error) -> Self {
        let folder = file.parent().unwrap_or(file).to_owned();
        match cause.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { folder, needed },
            _ => Self::Folder { folder, cause },
        }
    }

    /// The same, when what did not fit was a piece of something larger.
    pub(super) fn needing(self, bytes: u64) -> Self {
        match self {
            Self::Full { folder, .. } => Self::Full { folder, needed: bytes },
            other => other,
        }
    }
}
