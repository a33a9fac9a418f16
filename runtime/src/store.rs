//! The files that a node has got, in a folder, each once however many deployments need it.
//!
//! A file is known by the hash of its content and kept in chunks that are known by theirs, so a transfer that was cut
//! off goes on where it stopped, and versions of a file share what is the same at the same place. Everything is checked
//! on the way in and again on the way out. Whatever happens to the machine, what is in the folder afterwards is a
//! complete chunk or nothing.

mod disk;
mod error;
mod hash;
pub(crate) mod replace;
mod journal;
#[cfg(test)]
mod power;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use disk::{Disk, System};
pub use error::StoreError;
pub use hash::{Hash, NotAHash};
pub use journal::{Journal, Page, Record, Unsynced, room_of};
use replace::place;

/// Bytes of a chunk; the last of a file may have fewer. Large enough that a file system is good at it, small enough
/// that a link of 1 Mbit/s brings one in about two seconds.
pub const CHUNK_BYTES: usize = 256 << 10;
/// Bytes of a file: what a header of a weight tensor can say, and more than any part has.
pub const FILE_BYTES_MAX: u64 = 4 << 30;

/// How the names of files end that are being written.
const UNFINISHED: &str = ".new";
/// Held as long as the store is open.
const LOCK: &str = "lock";

/// A file: what is in it, how long it is, and its chunks in order.
///
/// Where it is read from elsewhere, the number of chunks always fits the length.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct FileEntry {
    /// Of the whole content.
    pub hash: Hash,
    /// Length.
    pub bytes: u64,
    /// All of [`CHUNK_BYTES`] but the last.
    pub chunks: Vec<Hash>,
}

/// An entry as others send it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    hash: Hash,
    bytes: u64,
    chunks: Vec<Hash>,
}

impl TryFrom<Unchecked> for FileEntry {
    type Error = StoreError;

    fn try_from(Unchecked { hash, bytes, chunks }: Unchecked) -> Result<Self, StoreError> {
        let entry = Self { hash, bytes, chunks };
        entry.check().map(drop)?;
        Ok(entry)
    }
}

impl FileEntry {
    /// The entry of a file with this content.
    pub fn of(bytes: &[u8]) -> Self {
        let chunks = bytes.chunks(CHUNK_BYTES).map(Hash::of).collect();
        Self { hash: Hash::of(bytes), bytes: bytes.len() as u64, chunks }
    }

    /// The lengths of the chunks beside their hashes; fails when they do not make up the file.
    fn check(&self) -> Result<impl Iterator<Item = (Hash, usize)>, StoreError> {
        let count = self.bytes.div_ceil(CHUNK_BYTES as u64);
        if self.bytes > FILE_BYTES_MAX || count != self.chunks.len() as u64 {
            let (hash, chunks) = (self.hash, self.chunks.len());
            return Err(StoreError::NotAFile { hash, bytes: self.bytes, chunks });
        }
        let starts = (0..self.bytes).step_by(CHUNK_BYTES);
        let lengths = starts.map(|start| (self.bytes - start).min(CHUNK_BYTES as u64) as usize);
        Ok(self.chunks.iter().copied().zip(lengths))
    }
}

/// What [`Store::sweep`] has removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Chunks.
    pub chunks: usize,
    /// Bytes of them.
    pub bytes: u64,
}

/// A folder of chunks, open in one process at a time. May be used by several threads.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    disk: Arc<dyn Disk>,
    /// Numbers the files that are being written, so that threads never write the same.
    unfinished: AtomicU64,
    _lock: File,
}

impl Store {
    /// Opens the store in `folder`, which is made where it is not there, and removes what a crash has left unfinished.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        Self::open_on(folder, Arc::new(System))
    }

    fn open_on(folder: &Path, disk: Arc<dyn Disk>) -> Result<Self, StoreError> {
        let failed = |cause| StoreError::Folder { folder: folder.to_owned(), cause };
        fs::create_dir_all(folder).map_err(failed)?;
        let lock = File::create(folder.join(LOCK)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(StoreError::InUse { folder: folder.to_owned() }),
            Err(fs::TryLockError::Error(cause)) => return Err(failed(cause)),
        }
        for found in fs::read_dir(folder).map_err(failed)? {
            let path = found.map_err(failed)?.path();
            if path.to_string_lossy().ends_with(UNFINISHED) {
                disk.remove(&path).map_err(failed)?;
            }
        }
        Ok(Self { folder: folder.to_owned(), disk, unfinished: AtomicU64::new(0), _lock: lock })
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether all chunks of the file are there. Their content is checked when it is read.
    pub fn has(&self, entry: &FileEntry) -> bool {
        entry.check().is_ok_and(|mut chunks| chunks.all(|(hash, length)| self.is_there(hash, length)))
    }

    /// The chunks that are not there, each once, in the order of the file.
    pub fn missing_chunks(&self, entry: &FileEntry) -> Result<Vec<Hash>, StoreError> {
        let mut seen = BTreeSet::new();
        let missing = entry.check()?.filter(|(hash, length)| seen.insert(*hash) && !self.is_there(*hash, *length));
        Ok(missing.map(|(hash, _)| hash).collect())
    }

    /// Keeps a chunk, if `bytes` are what `hash` says. On disk for good when this returns.
    pub fn put_chunk(&self, hash: Hash, bytes: &[u8]) -> Result<(), StoreError> {
        let got = Hash::of(bytes);
        if got != hash || bytes.len() > CHUNK_BYTES {
            return Err(StoreError::OtherChunk { hash, got, bytes: bytes.len() });
        }
        if self.is_there(hash, bytes.len()) && self.read_chunk(hash, bytes.len()).is_ok() {
            return Ok(());
        }
        self.place(hash, bytes)
    }

    /// One chunk, checked: what a node gives to others.
    ///
    /// A damaged one is removed, so that [`Store::missing_chunks`] names it from now on.
    pub fn chunk(&self, hash: Hash) -> Result<Vec<u8>, StoreError> {
        let found = fs::metadata(self.path(hash)).map_err(|cause| self.of_chunk(hash, cause))?;
        self.read_chunk(hash, usize::try_from(found.len()).unwrap_or(usize::MAX))
    }

    /// The content of a file, checked again.
    ///
    /// A damaged chunk is removed, so that [`Store::missing_chunks`] names it from now on.
    pub fn read(&self, entry: &FileEntry) -> Result<Vec<u8>, StoreError> {
        let mut content = Vec::new();
        for (hash, length) in entry.check()? {
            content.extend_from_slice(&self.read_chunk(hash, length)?);
        }
        match Hash::of(&content) {
            got if got == entry.hash => Ok(content),
            got => Err(StoreError::OtherFile { hash: entry.hash, got }),
        }
    }

    /// Keeps a file, on disk for good when this returns. Where it fails, the store has what it had before.
    pub fn insert(&self, bytes: &[u8]) -> Result<FileEntry, StoreError> {
        let entry = FileEntry::of(bytes);
        let mut placed = Vec::new();
        for (hash, chunk) in entry.chunks.iter().zip(bytes.chunks(CHUNK_BYTES)) {
            let there = self.is_there(*hash, chunk.len());
            if let Err(error) = self.put_chunk(*hash, chunk) {
                for hash in placed {
                    let _ = self.disk.remove(&self.path(hash));
                }
                return Err(error.needing(entry.bytes));
            }
            if !there {
                placed.push(*hash);
            }
        }
        Ok(entry)
    }

    /// Removes all chunks that no file of `keep` has: name what is installed and what is being installed.
    pub fn sweep<'a>(&self, keep: impl IntoIterator<Item = &'a FileEntry>) -> Result<Swept, StoreError> {
        let kept: BTreeSet<Hash> = keep.into_iter().flat_map(|entry| entry.chunks.iter().copied()).collect();
        let failed = |cause| StoreError::Folder { folder: self.folder.clone(), cause };
        let mut swept = Swept::default();
        for found in fs::read_dir(&self.folder).map_err(failed)? {
            let found = found.map_err(failed)?;
            let hash = found.file_name().to_str().and_then(|name| name.parse::<Hash>().ok());
            if hash.is_some_and(|hash| !kept.contains(&hash)) {
                swept.bytes += found.metadata().map_err(failed)?.len();
                swept.chunks += 1;
                self.disk.remove(&found.path()).map_err(failed)?;
            }
        }
        Ok(swept)
    }

    fn path(&self, hash: Hash) -> PathBuf {
        self.folder.join(hash.to_string())
    }

    fn of_chunk(&self, hash: Hash, cause: io::Error) -> StoreError {
        match cause.kind() {
            io::ErrorKind::NotFound => StoreError::Missing { folder: self.folder.clone(), hash },
            _ => StoreError::Folder { folder: self.folder.clone(), cause },
        }
    }

    fn is_there(&self, hash: Hash, length: usize) -> bool {
        fs::metadata(self.path(hash)).is_ok_and(|found| found.is_file() && found.len() == length as u64)
    }

    /// A chunk of this length. What is there and is not that chunk is removed.
    fn read_chunk(&self, hash: Hash, length: usize) -> Result<Vec<u8>, StoreError> {
        let path = self.path(hash);
        let mut bytes = Vec::new();
        let file = File::open(&path).map_err(|cause| self.of_chunk(hash, cause))?;
        // One byte more tells that the file is too long.
        let most = length.min(CHUNK_BYTES) as u64 + 1;
        file.take(most).read_to_end(&mut bytes).map_err(|cause| self.of_chunk(hash, cause))?;
        if bytes.len() == length && Hash::of(&bytes) == hash {
            return Ok(bytes);
        }
        self.disk.remove(&path).map_err(|cause| self.of_chunk(hash, cause))?;
        Err(StoreError::Damaged { folder: self.folder.clone(), hash })
    }

    fn place(&self, hash: Hash, bytes: &[u8]) -> Result<(), StoreError> {
        let number = self.unfinished.fetch_add(1, Ordering::Relaxed);
        let unfinished = self.folder.join(format!("{hash}.{number}{UNFINISHED}"));
        let file = self.path(hash);
        let failed = |cause| StoreError::of_writing(&file, bytes.len() as u64, cause);
        place(&*self.disk, &unfinished, &file, bytes).map_err(failed)
    }
}
