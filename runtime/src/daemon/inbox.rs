//! Results that other nodes have delivered here, until somebody takes them away.
//!
//! What a node delivers of a deployment is a [`Journal`] of its own, which is the one at that node once more: the same
//! results with the same marks. A node that changes its key stays the same node. None of them can take so much that there
//! is no room for others.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use thalweg_planner::Bytes;

use super::DaemonError;
use super::outbox::{BATCH, RESULT_BYTES_MAX};
use super::state::{State, as_file, of_file};
use crate::identity::NodeId;
use crate::store::{Hash, Journal, room_of};

/// Longer names are of no deployment: one is a file's name in hexadecimal digits.
const NAME_BYTES_MAX: usize = 120;
/// Deployments and nodes of which results are here at most: each takes a folder.
const SENDERS_MAX: usize = 4096;
/// Of these, and of the room, one node has at most one part in so many, …
const SHARES: usize = 4;
/// … but as much room as the longest results need.
const SHARE_BYTES_MIN: u64 = 2 * RESULT_BYTES_MAX as u64;

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
    /// Bytes by node, those included that are just about to be written.
    bytes: Mutex<BTreeMap<NodeId, u64>>,
}

impl Inboxes {
    /// With all that lies in the state folder.
    pub(crate) fn open(state: &State, room: Bytes) -> Result<Self, DaemonError> {
        let folder = state.inboxes();
        let (mut all, mut bytes) = (BTreeMap::new(), BTreeMap::new());
        for of_name in folders(&folder)? {
            for folder in folders(&of_name)? {
                let Some(sender) = sender(&folder) else { continue };
                let failed = |cause| DaemonError::State { path: folder.clone(), cause };
                let mut counted = 0;
                for file in fs::read_dir(&folder).map_err(failed)? {
                    counted += file.and_then(|file| file.metadata()).map_err(failed)?.len();
                }
                *bytes.entry(sender.1).or_default() += counted;
                all.insert(sender, Arc::new(Mutex::new(Inbox { folder, journal: None, counted })));
            }
        }
        Ok(Self { folder, room: room.0, all: Mutex::new(all), bytes: Mutex::new(bytes) })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Sender, Arc<Mutex<Inbox>>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn taken(&self) -> MutexGuard<'_, BTreeMap<NodeId, u64>> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes that all of it takes, and may take.
    pub(crate) fn bytes(&self) -> [Bytes; 2] {
        [Bytes(self.taken().values().sum()), Bytes(self.room)]
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
        self.count(from, &mut inbox);
        let newest = |journal: &Journal| (journal.newest() > 0).then(|| journal.mark());
        let is_next = newest(inbox.journal()?) == has;
        let taken = if is_next { self.add(from, &mut inbox, follows, &results) } else { Ok(()) };
        let journal = inbox.journal()?;
        let now = newest(journal);
        let synced = journal.unsynced().and_then(|unsynced| unsynced.sync());
        self.count(from, &mut inbox);
        taken?;
        synced?;
        Ok(now)
    }

    fn count(&self, from: NodeId, inbox: &mut Inbox) {
        let bytes = inbox.journal.as_ref().map_or(inbox.counted, Journal::bytes);
        let mut taken = self.taken();
        let of_node = taken.entry(from).or_default();
        *of_node = (*of_node + bytes).saturating_sub(std::mem::replace(&mut inbox.counted, bytes));
    }

    /// Counts these bytes as well, if there is room for them.
    fn reserve(&self, from: NodeId, inbox: &mut Inbox, bytes: u64) -> Result<(), DaemonError> {
        let mut taken = self.taken();
        if taken.values().sum::<u64>() + bytes > self.room {
            return Err(DaemonError::InboxFull { room: Bytes(self.room) });
        }
        let share = (self.room / SHARES as u64).max(SHARE_BYTES_MIN);
        let of_node = taken.entry(from).or_default();
        if *of_node + bytes > share {
            return Err(DaemonError::InboxShare { share: Bytes(share) });
        }
        *of_node += bytes;
        inbox.counted += bytes;
        Ok(())
    }

    /// The key under which a node is known here, by any that it has or had: the one of this deployment first, so that a
    /// node has one key here, and one share.
    pub(crate) fn known_as(&self, deployment: &str, is_it: impl Fn(NodeId) -> bool) -> Option<NodeId> {
        let all = self.lock();
        let mut found = all.keys().filter(|(_, id)| is_it(*id));
        let any = found.clone().next();
        found.find(|(name, _)| name == deployment).or(any).map(|(_, id)| *id)
    }

    fn begin(&self, sender: Sender) -> Result<Arc<Mutex<Inbox>>, DaemonError> {
        if sender.0.len() > NAME_BYTES_MAX {
            return Err(DaemonError::Misunderstood);
        }
        let mut all = self.lock();
        let is_new = !all.contains_key(&sender);
        let (most, of_node) = (SENDERS_MAX / SHARES, all.keys().filter(|(_, id)| *id == sender.1).count());
        if is_new && (all.len() >= SENDERS_MAX || of_node >= most) {
            return Err(DaemonError::InboxSenders { all: SENDERS_MAX, most });
        }
        let folder = self.folder.join(as_file(&sender.0)).join(sender.1.to_string());
        Ok(all
            .entry(sender)
            .or_insert_with(|| Arc::new(Mutex::new(Inbox { folder, journal: None, counted: 0 })))
            .clone())
    }

    /// Adds all of these or none.
    fn add(&self, from: NodeId, inbox: &mut Inbox, follows: Hash, results: &[&[u8]]) -> Result<(), DaemonError> {
        if results.is_empty() {
            return Ok(());
        }
        self.reserve(from, inbox, results.iter().map(|result| room_of(result.len())).sum())?;
        let journal = inbox.journal()?;
        journal.follow(follows)?;
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
        self.count(sender.1, &mut inbox);
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
    let name = of_file(folder.parent()?.file_name()?.to_str()?)?;
    Some((name, folder.file_name()?.to_str()?.parse().ok()?))
}

/// Results that follow each other, each as its length and its bytes; as many as one delivery has.
fn divided(mut bytes: &[u8]) -> Result<Vec<&[u8]>, DaemonError> {
    let mut results = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk().ok_or(DaemonError::Misunderstood)?;
        let length = u32::from_le_bytes(*length) as usize;
        let fits = length <= RESULT_BYTES_MAX && results.len() < BATCH;
        let divided = rest.split_at_checked(length).filter(|_| fits);
        let (result, rest) = divided.ok_or(DaemonError::Misunderstood)?;
        results.push(result);
        bytes = rest;
    }
    Ok(results)
}

#[cfg(test)]
mod tests;
