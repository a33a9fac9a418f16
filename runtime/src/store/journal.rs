//! Records in the order in which they came, on disk until they are taken away.
//!
//! A folder of segments, each a file that grows at its end. The *mark* of a record is the BLAKE3 of the mark before it and
//! of its body, and the first mark is chance: so one mark names all that came before it, two journals with the same last
//! mark have the same records, and what was not written in one piece with what is before it is found.
//!
//! ```text
//! 00000000000000000017.log   "thalweg journal1", the mark of record 16, then records 17, 18, …
//! a record                   bytes of its body (u32, little-endian), its mark (32 bytes), its body
//! ```
//! What is appended is safe from the end of the process at once, and from a loss of power after [`Unsynced::sync`]. A loss
//! of power takes away the newest records that were not synchronised, and nothing before them. A disk that has failed to
//! make something safe may have dropped it, and say later that all is well: it is believed again when the last segment was
//! written anew (A. Rebello et al., "Can Applications Recover from fsync Failures?", ATC 2020, shows how systems differ).

mod segment;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ring::rand::{SecureRandom as _, SystemRandom};

use super::disk::{Disk, System};
use super::replace::put;
use super::{Hash, StoreError, UNFINISHED};
use segment::{HEAD_BYTES, PREFIX_BYTES, Walk, head, mark_before, mark_of, name, number};

/// From this length on a segment is followed by another one: what is taken away is rewritten at most so much.
const SEGMENT_BYTES: u64 = 1 << 20;

/// Bytes that a record of this length takes.
pub fn room_of(body: usize) -> u64 {
    (PREFIX_BYTES + body) as u64
}

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// From 1, without gaps but for what was damaged.
    pub number: u64,
    /// Names it and all before it.
    pub mark: Hash,
    /// What was appended.
    pub body: Vec<u8>,
}

/// Some records in a row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// As they came.
    pub records: Vec<Record>,
    /// The mark before the first of them; none where there are none.
    pub follows: Option<Hash>,
    /// Numbers among these that the disk has damaged, and that are gone.
    pub damaged: u64,
    /// The last number that was looked at, damaged ones included.
    pub through: u64,
}

/// A folder of records, open once at a time.
#[derive(Debug)]
pub struct Journal {
    folder: PathBuf,
    disk: Arc<dyn Disk>,
    segment_bytes: u64,
    /// Lengths by the number of the first record. There is at least one.
    segments: BTreeMap<u64, u64>,
    /// Number of the next record.
    next: u64,
    /// Of the newest record.
    mark: Hash,
    /// Whether the disk has failed to make the last segment safe, and that was not written anew since.
    doubtful: Arc<Mutex<bool>>,
}

impl Journal {
    /// Opens the journal in `folder`, which is made where it is not there. What a crash has left unfinished is cut off.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        Self::open_on(folder, Arc::new(System), SEGMENT_BYTES)
    }

    fn open_on(folder: &Path, disk: Arc<dyn Disk>, segment_bytes: u64) -> Result<Self, StoreError> {
        let failed = |cause| StoreError::Folder { folder: folder.to_owned(), cause };
        fs::create_dir_all(folder).map_err(failed)?;
        let mut segments = BTreeMap::new();
        for found in fs::read_dir(folder).map_err(failed)? {
            let path = found.map_err(failed)?.path();
            if path.to_string_lossy().ends_with(UNFINISHED) {
                disk.remove(&path).map_err(failed)?;
            } else if let Some(first) = number(&path) {
                segments.insert(first, fs::metadata(&path).map_err(failed)?.len());
            }
        }
        let mark = Hash::from([0; 32]);
        let (folder_of, doubtful) = (folder.to_owned(), Arc::default());
        let mut journal = Self { folder: folder_of, disk, segment_bytes, segments, next: 1, mark, doubtful };
        match journal.last() {
            None => journal.begin_anew(chance(folder)?)?,
            Some((first, _)) => journal.find_end(first)?,
        }
        Ok(journal)
    }

    /// Number of the newest record; 0 before there is one.
    pub fn newest(&self) -> u64 {
        self.next - 1
    }

    /// Number of the oldest record that is there; of the next one where none is.
    pub fn oldest(&self) -> u64 {
        self.segments.keys().next().copied().unwrap_or(self.next)
    }

    /// The mark of the newest record.
    pub fn mark(&self) -> Hash {
        self.mark
    }

    /// Bytes of its files.
    pub fn bytes(&self) -> u64 {
        self.segments.values().sum()
    }

    /// Adds a record; its number. Where it fails nothing was added.
    pub fn append(&mut self, body: &[u8]) -> Result<u64, StoreError> {
        let length = u32::try_from(body.len()).map_err(|_| self.failed(io::ErrorKind::FileTooLarge.into()))?;
        if self.last().is_none_or(|(_, bytes)| bytes >= self.segment_bytes) {
            self.begin_anew(self.mark)?;
        }
        let (first, at) = self.last().unwrap_or((self.next, HEAD_BYTES as u64));
        let mark = mark_of(self.mark, body);
        let bytes = [&length.to_le_bytes(), mark.as_bytes().as_slice(), body].concat();
        let file = self.path(first);
        let written = self.disk.append(&file, at, &bytes);
        written.map_err(|cause| StoreError::of_writing(&file, bytes.len() as u64, cause))?;
        self.segments.insert(first, at + bytes.len() as u64);
        self.mark = mark;
        self.next += 1;
        Ok(self.next - 1)
    }

    /// From now on records follow this mark: they are those of another journal.
    pub fn follow(&mut self, mark: Hash) -> Result<(), StoreError> {
        if mark == self.mark { Ok(()) } else { self.begin_anew(mark) }
    }

    /// What has to be made safe. The caller need not keep the journal while it waits for that.
    pub fn unsynced(&mut self) -> Result<Unsynced, StoreError> {
        if *self.doubtful.lock().unwrap_or_else(PoisonError::into_inner) {
            self.rewrite_last()?;
        }
        let (first, _) = self.last().unwrap_or((self.next, 0));
        let (file, through, doubtful) = (self.path(first), self.newest(), self.doubtful.clone());
        Ok(Unsynced { disk: self.disk.clone(), file, through, doubtful })
    }

    /// Writes the last segment once more, into another file that takes its name, if all of it can still be read.
    fn rewrite_last(&mut self) -> Result<(), StoreError> {
        let Some((first, _)) = self.last() else { return Ok(()) };
        let content = self.content(first)?;
        let mut walk = Walk::of(&content, first);
        let count = std::iter::from_fn(|| walk.next_before(self.next)).count() as u64;
        let before = mark_before(&content).filter(|_| first + count == self.next);
        let before = before.ok_or_else(|| self.failed(io::ErrorKind::InvalidData.into()))?;
        self.begin(first, before, &content[HEAD_BYTES..])
    }

    /// Records after this number, at most `count`, and no more than make up `bytes`, but one if there is one.
    pub fn read(&self, after: u64, count: usize, bytes: usize) -> Result<Page, StoreError> {
        let mut page = Page { through: after.max(self.oldest() - 1), ..Page::default() };
        let mut taken = 0;
        while page.through < self.newest() {
            let wanted = page.through + 1;
            let Some((&first, _)) = self.segments.range(..=wanted).next_back() else { break };
            let end = self.segments.range(wanted + 1..).next().map_or(self.next, |(next, _)| *next);
            let content = self.content(first)?;
            let mut walk = Walk::of(&content, first);
            while let Some(record) = walk.next_before(end) {
                if record.number < wanted {
                    continue;
                }
                if page.records.len() >= count || (taken > 0 && taken + record.body.len() > bytes) {
                    return Ok(page);
                }
                // What is behind damage follows nothing that is there.
                if page.records.is_empty() {
                    page.follows = Some(record.follows);
                } else if page.damaged > 0 {
                    return Ok(page);
                }
                taken += record.body.len();
                page.through = record.number;
                page.records.push(Record { number: record.number, mark: record.mark, body: record.body.to_vec() });
            }
            if page.through + 1 < end {
                page.damaged += end - 1 - page.through;
                page.through = end - 1;
            }
        }
        Ok(page)
    }

    /// The number of the record that has this mark, or of the one before the oldest if it has.
    pub fn find(&self, mark: Hash) -> Result<Option<u64>, StoreError> {
        if mark == self.mark {
            return Ok(Some(self.newest()));
        }
        for first in self.segments.keys() {
            let content = self.content(*first)?;
            if mark_before(&content) == Some(mark) {
                return Ok(Some(first - 1));
            }
            let mut walk = Walk::of(&content, *first);
            while let Some(record) = walk.next_before(self.next) {
                if record.mark == mark {
                    return Ok(Some(record.number));
                }
            }
        }
        Ok(None)
    }

    /// Takes away all records up to this number, for good when this returns.
    pub fn take(&mut self, through: u64) -> Result<(), StoreError> {
        let through = through.min(self.newest());
        let Some((&first, _)) = self.segments.range(..=through).next_back() else { return Ok(()) };
        if through == self.newest() {
            self.begin_anew(self.mark)?;
        } else if !self.segments.contains_key(&(through + 1)) {
            // What is left of the segment becomes one of its own. Both are safe then, or the old one alone.
            self.unsynced()?.sync()?;
            let content = self.content(first)?;
            let mut walk = Walk::of(&content, first);
            let mut last = None;
            while let Some(record) = walk.next_before(through + 1) {
                last = Some((record.number, record.mark));
            }
            match last {
                Some((number, mark)) if number == through => self.begin(through + 1, mark, walk.rest())?,
                // It is damaged there: it goes with those that follow.
                _ => return self.remove_before(first),
            }
        }
        self.remove_before(through + 1)
    }

    /// Takes away those segments that hold nothing newer than this number, for good when this returns: less than
    /// [`Journal::take`] does, and nothing is written for it.
    pub fn take_whole(&mut self, through: u64) -> Result<(), StoreError> {
        let whole = self.segments.range(..=through.saturating_add(1)).next_back().map(|(first, _)| *first);
        whole.map_or(Ok(()), |first| self.remove_before(first))
    }

    fn remove_before(&mut self, number: u64) -> Result<(), StoreError> {
        let over: Vec<u64> = self.segments.range(..number).map(|(first, _)| *first).collect();
        for first in over {
            // The oldest first, each for good, so that a crash leaves no hole.
            match self.disk.remove(&self.path(first)) {
                Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(self.failed(cause)),
                _ => self.segments.remove(&first),
            };
            self.disk.sync(&self.folder).map_err(|cause| self.failed(cause))?;
        }
        Ok(())
    }

    /// Begins a segment for the next record; what is in the one before is made safe first, because nothing looks there
    /// again.
    fn begin_anew(&mut self, mark: Hash) -> Result<(), StoreError> {
        self.unsynced()?.sync()?;
        self.begin(self.next, mark, &[])
    }

    /// Gives a segment these records. Where it fails, and the segment is there nevertheless, it counts: what was there
    /// under its name is gone.
    fn begin(&mut self, first: u64, before: Hash, records: &[u8]) -> Result<(), StoreError> {
        let (file, bytes) = (self.path(first), [&head(before), records].concat());
        let mut unfinished = file.clone().into_os_string();
        unfinished.push(UNFINISHED);
        let failed = |cause| StoreError::of_writing(&file, bytes.len() as u64, cause);
        put(&*self.disk, Path::new(&unfinished), &file, &bytes).map_err(failed)?;
        self.segments.insert(first, bytes.len() as u64);
        if first == self.next {
            self.mark = before;
        }
        let synced = self.disk.sync(&self.folder);
        *self.doubtful.lock().unwrap_or_else(PoisonError::into_inner) = synced.is_err();
        synced.map_err(failed)
    }

    /// The newest record of the last segment, which is cut off behind it.
    fn find_end(&mut self, first: u64) -> Result<(), StoreError> {
        let content = self.content(first)?;
        self.next = first;
        let Some(before) = mark_before(&content) else {
            tracing::error!(file = %self.path(first).display(), "its beginning is damaged: the records in it are gone");
            self.segments.remove(&first);
            return self.begin_anew(chance(&self.folder)?);
        };
        self.mark = before;
        let mut walk = Walk::of(&content, first);
        while let Some(record) = walk.next_before(u64::MAX) {
            (self.next, self.mark) = (record.number + 1, record.mark);
        }
        let end = (content.len() - walk.rest().len()) as u64;
        if end < content.len() as u64 {
            self.disk.append(&self.path(first), end, &[]).map_err(|cause| self.failed(cause))?;
        }
        self.segments.insert(first, end);
        Ok(())
    }

    /// A segment as far as it is known to have been written.
    fn content(&self, first: u64) -> Result<Vec<u8>, StoreError> {
        let mut content = fs::read(self.path(first)).map_err(|cause| self.failed(cause))?;
        let length = self.segments.get(&first).copied().unwrap_or_default();
        content.truncate(usize::try_from(length).unwrap_or(usize::MAX));
        Ok(content)
    }

    fn last(&self) -> Option<(u64, u64)> {
        self.segments.last_key_value().map(|(first, bytes)| (*first, *bytes))
    }

    fn path(&self, first: u64) -> PathBuf {
        self.folder.join(name(first))
    }

    fn failed(&self, cause: io::Error) -> StoreError {
        StoreError::Folder { folder: self.folder.clone(), cause }
    }
}

fn chance(folder: &Path) -> Result<Hash, StoreError> {
    let mut bytes = [0; 32];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map(|()| Hash::from(bytes)).map_err(|_| StoreError::NoRandomness { folder: folder.to_owned() })
}

/// What was appended and may still be lost with the power.
#[derive(Debug)]
pub struct Unsynced {
    disk: Arc<dyn Disk>,
    file: PathBuf,
    through: u64,
    doubtful: Arc<Mutex<bool>>,
}

impl Unsynced {
    /// Waits until all records that were there are safe; the number of the newest of them.
    pub fn sync(&self) -> Result<u64, StoreError> {
        // Of several that sync at a time a disk may tell one alone that it has failed.
        let mut doubtful = self.doubtful.lock().unwrap_or_else(PoisonError::into_inner);
        let synced = if *doubtful { Err(io::Error::other("it failed before")) } else { self.disk.sync(&self.file) };
        match synced {
            Ok(()) => Ok(self.through),
            // What is not there any more was written anew, or is not needed.
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(self.through),
            Err(cause) => {
                *doubtful = true;
                Err(StoreError::of_writing(&self.file, 0, cause))
            }
        }
    }
}
