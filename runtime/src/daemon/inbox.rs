//! Results that other nodes have delivered here, until somebody takes them away.
//!
//! What a node delivers of a deployment is a [`Journal`] of its own, which is the one at that node once more: the same
//! results with the same marks. A node that changes its key stays the same node.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use thalweg_planner::Bytes;

use super::DaemonError;
use super::outbox::RESULT_BYTES_MAX;
use super::state::State;
use crate::identity::NodeId;
use crate::store::{Hash, Journal, room_of};

/// Longer names are of no deployment: one is a file's name in hexadecimal digits.
const NAME_BYTES_MAX: usize = 120;
/// Deployments and nodes of which results are here at most.
const SENDERS_MAX: usize = 4096;

/// What a node delivers of a deployment.
#[derive(Debug)]
struct Inbox {
    folder: PathBuf,
    /// Opened when something is asked of it.
    journal: Option<Journal>,
    /// Bytes of it that are counted among those of all.
    counted: u64,
}

impl Inbox {
    fn journal(&mut self) -> Result<&mut Journal, DaemonError> {
        if self.journal.is_none() {
            self.journal = Some(Journal::open(&self.folder)?);
        }
        self.journal.as_mut().ok_or(DaemonError::Ended)
    }
}

/// The deployment, and the key of the node when it first delivered.
type Sender = (String, NodeId);

/// All that was delivered to a node.
#[derive(Debug)]
pub(crate) struct Inboxes {
    folder: PathBuf,
    room: u64,
    all: Mutex<BTreeMap<Sender, Arc<Mutex<Inbox>>>>,
    bytes: AtomicU64,
}

impl Inboxes {
    /// With all that lies in the state folder.
    pub(crate) fn open(state: &State, room: Bytes) -> Result<Self, DaemonError> {
        let folder = state.inboxes();
        let (mut all, mut bytes) = (BTreeMap::new(), 0);
        for of_name in folders(&folder)? {
            for folder in folders(&of_name)? {
                let Some(sender) = sender(&folder) else { continue };
                let failed = |cause| DaemonError::State { path: folder.clone(), cause };
                let mut counted = 0;
                for file in fs::read_dir(&folder).map_err(failed)? {
                    counted += file.and_then(|file| file.metadata()).map_err(failed)?.len();
                }
                bytes += counted;
                all.insert(sender, Arc::new(Mutex::new(Inbox { folder, journal: None, counted })));
            }
        }
        Ok(Self { folder, room: room.0, all: Mutex::new(all), bytes: AtomicU64::new(bytes) })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Sender, Arc<Mutex<Inbox>>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes that all of it takes, and may take.
    pub(crate) fn bytes(&self) -> [Bytes; 2] {
        [Bytes(self.bytes.load(Ordering::SeqCst)), Bytes(self.room)]
    }

    /// Who has delivered what.
    pub(crate) fn senders(&self) -> Vec<(String, NodeId)> {
        self.lock().keys().cloned().collect()
    }

    /// Keeps what the node that is known as `from` delivers: whatever the caller says it has by now. What is kept
    /// of it after that, on disk for good, by its newest mark.
    pub(crate) fn deliver(
        &self,
        deployment: &str,
        from: NodeId,
        (has, follows): (Option<Hash>, Hash),
        results: &[u8],
    ) -> Result<Option<Hash>, DaemonError> {
        let results = divided(results)?;
        let sender = (deployment.to_owned(), from);
        let known = self.lock().get(&sender).cloned();
        let inbox = match known {
            Some(inbox) => inbox,
            None if results.is_empty() || has.is_some() => return Ok(None),
            None => self.begin(sender)?,
        };
        let mut inbox = inbox.lock().unwrap_or_else(PoisonError::into_inner);
        inbox.journal()?;
        self.count(&mut inbox);
        let newest = |journal: &Journal| (journal.newest() > 0).then(|| journal.mark());
        let journal = inbox.journal()?;
        let taken = if newest(journal) == has { self.add(journal, follows, &results) } else { Ok(()) };
        let now = newest(journal);
        let synced = journal.unsynced().sync();
        self.count(&mut inbox);
        taken?;
        synced?;
        Ok(now)
    }

    fn count(&self, inbox: &mut Inbox) {
        let bytes = inbox.journal.as_ref().map_or(inbox.counted, Journal::bytes);
        self.bytes.fetch_add(bytes, Ordering::SeqCst);
        self.bytes.fetch_sub(std::mem::replace(&mut inbox.counted, bytes), Ordering::SeqCst);
    }

    /// The key under which a node is known here, by any that it has or had.
    pub(crate) fn known_as(&self, deployment: &str, is_it: impl Fn(NodeId) -> bool) -> Option<NodeId> {
        self.lock().keys().find(|(name, id)| name == deployment && is_it(*id)).map(|(_, id)| *id)
    }

    fn begin(&self, sender: Sender) -> Result<Arc<Mutex<Inbox>>, DaemonError> {
        if sender.0.len() > NAME_BYTES_MAX {
            return Err(DaemonError::Misunderstood);
        }
        let mut all = self.lock();
        if all.len() >= SENDERS_MAX && !all.contains_key(&sender) {
            return Err(DaemonError::InboxFull { room: Bytes(self.room) });
        }
        let name = data_encoding::HEXLOWER.encode(sender.0.as_bytes());
        let folder = self.folder.join(name).join(sender.1.to_string());
        Ok(all
            .entry(sender)
            .or_insert_with(|| Arc::new(Mutex::new(Inbox { folder, journal: None, counted: 0 })))
            .clone())
    }

    /// Adds all of these or none.
    fn add(&self, journal: &mut Journal, follows: Hash, results: &[&[u8]]) -> Result<(), DaemonError> {
        let bytes: u64 = results.iter().map(|result| room_of(result.len())).sum();
        if self.bytes.load(Ordering::SeqCst) + bytes > self.room {
            return Err(DaemonError::InboxFull { room: Bytes(self.room) });
        }
        if !results.is_empty() {
            journal.follow(follows)?;
        }
        for result in results {
            journal.append(result)?;
        }
        Ok(())
    }

    /// Does something with what a node has delivered.
    pub(crate) fn with<T>(
        &self,
        sender: &(String, NodeId),
        act: impl FnOnce(&mut Journal) -> Result<T, DaemonError>,
    ) -> Result<T, DaemonError> {
        let inbox = self.lock().get(sender).cloned().ok_or(DaemonError::Ended)?;
        let mut inbox = inbox.lock().unwrap_or_else(PoisonError::into_inner);
        let done = act(inbox.journal()?);
        self.count(&mut inbox);
        done
    }
}

fn folders(folder: &Path) -> Result<Vec<PathBuf>, DaemonError> {
    let failed = |cause| DaemonError::State { path: folder.to_owned(), cause };
    let found = fs::read_dir(folder).map_err(failed)?;
    let paths = found.map(|found| Ok(found.map_err(failed)?.path()));
    Ok(paths.collect::<Result<Vec<_>, DaemonError>>()?.into_iter().filter(|path| path.is_dir()).collect())
}

/// Whose results lie in a folder; none where it is none of ours.
fn sender(folder: &Path) -> Option<Sender> {
    let name = folder.parent()?.file_name()?.to_str()?;
    let name = String::from_utf8(data_encoding::HEXLOWER.decode(name.as_bytes()).ok()?).ok()?;
    Some((name, folder.file_name()?.to_str()?.parse().ok()?))
}

/// Results that follow each other, each as its length and its bytes.
fn divided(mut bytes: &[u8]) -> Result<Vec<&[u8]>, DaemonError> {
    let mut results = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk().ok_or(DaemonError::Misunderstood)?;
        let length = u32::from_le_bytes(*length) as usize;
        let divided = rest.split_at_checked(length).filter(|_| length <= RESULT_BYTES_MAX);
        let (result, rest) = divided.ok_or(DaemonError::Misunderstood)?;
        results.push(result);
        bytes = rest;
    }
    Ok(results)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const NAME: &str = "eyes";

    fn open(folder: &Path, room: u64) -> Inboxes {
        Inboxes::open(&State::open(folder).unwrap(), Bytes(room)).unwrap()
    }

    fn body(number: u8) -> Vec<u8> {
        [&5u32.to_le_bytes()[..], &[number; 5]].concat()
    }

    fn bodies(inboxes: &Inboxes, from: NodeId) -> Vec<Vec<u8>> {
        let read = |journal: &mut Journal| Ok(journal.read(0, usize::MAX, usize::MAX)?.records);
        inboxes.with(&(NAME.to_owned(), from), read).unwrap().into_iter().map(|record| record.body).collect()
    }

    /// A journal elsewhere with this many records, and the marks of all, that before the first included.
    fn source(folder: &Path, count: u8) -> Vec<Hash> {
        let mut journal = Journal::open(folder).unwrap();
        let before = journal.mark();
        let mark = |number| {
            journal.append(&[number; 5]).unwrap();
            journal.mark()
        };
        std::iter::once(before).chain((1..=count).map(mark).collect::<Vec<_>>()).collect()
    }

    #[test]
    fn what_comes_twice_or_too_early_is_not_taken() {
        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (marks, from) = (source(elsewhere.path(), 4), NodeId::from([1; 32]));
        let inboxes = open(folder.path(), 10_000);
        let none = Hash::from([0; 32]);
        assert_eq!(inboxes.deliver(NAME, from, (None, none), &[]).unwrap(), None);
        assert_eq!(inboxes.deliver(NAME, from, (Some(marks[1]), marks[1]), &body(2)).unwrap(), None, "too early");
        let both = [body(1), body(2)].concat();
        let now = inboxes.deliver(NAME, from, (None, marks[0]), &both).unwrap();
        assert_eq!(now, Some(marks[2]), "the marks are those of where it comes from");
        // The acknowledgement was lost.
        assert_eq!(inboxes.deliver(NAME, from, (None, marks[0]), &both).unwrap(), now);
        assert_eq!(inboxes.deliver(NAME, from, (Some(marks[3]), marks[3]), &body(4)).unwrap(), now, "too early");
        drop(inboxes);
        let inboxes = open(folder.path(), 10_000);
        assert_eq!(inboxes.deliver(NAME, from, (None, none), &[]).unwrap(), now);
        assert_eq!(inboxes.deliver(NAME, from, (now, marks[2]), &body(3)).unwrap(), Some(marks[3]));
        assert_eq!(bodies(&inboxes, from), [[1; 5], [2; 5], [3; 5]]);
    }

    #[test]
    fn a_full_inbox_refuses_until_there_is_room() {
        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (marks, from) = (source(elsewhere.path(), 4), NodeId::from([1; 32]));
        let inboxes = open(folder.path(), 48 + 2 * room_of(5));
        let both = [body(1), body(2)].concat();
        let full = inboxes.deliver(NAME, from, (None, marks[0]), &[both.clone(), body(3)].concat()).unwrap_err();
        assert!(full.to_string().contains("`thalweg results --forget`"), "{full}");
        inboxes.deliver(NAME, from, (None, marks[0]), &both).unwrap();
        inboxes.deliver(NAME, from, (Some(marks[2]), marks[2]), &body(3)).unwrap_err();
        inboxes.with(&(NAME.to_owned(), from), |journal| Ok(journal.take(1)?)).unwrap();
        assert_eq!(inboxes.deliver(NAME, from, (Some(marks[2]), marks[2]), &body(3)).unwrap(), Some(marks[3]));
        assert_eq!(bodies(&inboxes, from), [[2; 5], [3; 5]]);
        assert_eq!(inboxes.bytes()[0], open(folder.path(), 0).bytes()[0]);
    }

    #[test]
    fn what_is_no_list_of_results_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let inboxes = open(folder.path(), 10_000);
        let (from, none) = (NodeId::from([1; 32]), Hash::from([0; 32]));
        for wrong in [&b"abc"[..], &[9, 0, 0, 0, 1], &u32::MAX.to_le_bytes()] {
            assert!(inboxes.deliver(NAME, from, (None, none), wrong).is_err());
        }
        let long = "n".repeat(NAME_BYTES_MAX + 1);
        assert!(inboxes.deliver(&long, from, (None, none), &body(1)).is_err());
        assert_eq!(inboxes.senders(), []);
    }
}
