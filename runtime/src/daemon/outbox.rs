//! Results that wait on this node's disk until the node that they are for has them.
//!
//! Each deployment with such a node has an outbox: a [`Journal`]. An answer is stored before it is given to whoever asked,
//! so from then on the end of this process loses nothing. Stored results are made safe from a loss of power together, soon
//! after, and delivered only then. So such a loss takes away the newest of them alone, never one before another: whoever
//! asked has those answers, the node that they are for never gets them. A number or a mark that was delivered never comes
//! again for something else.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use thalweg_planner::Bytes;
use tokio::sync::Notify;

use super::DaemonError;
use super::source::Source;
use super::start::Inner;
use super::state::{State, read_json, write_json};
use crate::deployment::ResultOf;
use crate::identity::NodeId;
use crate::node::Answered;
use crate::store::{Hash, Journal, Page, StoreError, room_of};

/// Longer results are not stored: at 1 Mbit/s one of them takes half a minute, in which nothing else is delivered.
pub(crate) const RESULT_BYTES_MAX: usize = 4 << 20;
/// What is delivered stays until it takes so much, or an eighth of all there is room for: each cut costs some writing.
const TRIM_BYTES: u64 = 64 << 10;
/// Results that are delivered together, and their bytes: at 1 Mbit/s they take half a second.
pub(crate) const BATCH: usize = 256;
const BATCH_BYTES: usize = 64 << 10;
/// Beside the journal: whose it is.
const LABEL: &str = "outbox.json";

/// What an outbox is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Label {
    deployment: String,
    sink: NodeId,
}

/// How the delivery of a deployment's results is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryShown {
    /// To which node.
    pub to: String,
    /// Results that wait. After a start these are all that are on disk, until the other node has said what it has.
    pub waiting: u64,
    /// Delivered since this node has started.
    pub delivered: u64,
    /// Answered and not stored since then, because there was no room.
    pub not_stored: u64,
    /// Stored, and then damaged by the disk.
    pub damaged: u64,
    /// On disk.
    pub bytes: u64,
    /// What keeps results from being delivered; none where none waits.
    pub hindered: Option<String>,
}

/// Some results in a row, to be delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Batch {
    /// The mark before the first.
    pub(crate) follows: Hash,
    /// The mark of the last.
    pub(crate) mark: Hash,
    /// Each as its length and its bytes.
    pub(crate) bytes: Vec<u8>,
    count: u64,
    through: u64,
    /// Results before or behind these that the disk has damaged.
    damaged: u64,
}

/// The results of one deployment.
#[derive(Debug)]
pub(crate) struct Outbox {
    pub(crate) deployment: String,
    folder: PathBuf,
    room: u64,
    kept: Mutex<Kept>,
    /// Something was stored that is not safe yet.
    pub(super) stored: Notify,
    /// Something is safe that was not.
    pub(super) safe: Notify,
}

#[derive(Debug)]
struct Kept {
    journal: Journal,
    sink: NodeId,
    /// Number of the newest result that is safe.
    synced: u64,
    /// Number of the newest result that was delivered.
    through: u64,
    delivered: u64,
    not_stored: u64,
    damaged: u64,
    /// Whether the last result was not stored.
    refuses: bool,
    hindered: Option<String>,
}

impl Outbox {
    fn open(folder: PathBuf, label: Label, room: u64) -> Result<Self, StoreError> {
        let journal = Journal::open(&folder)?;
        let before = journal.oldest() - 1;
        let kept = Kept {
            journal,
            sink: label.sink,
            synced: before,
            through: before,
            delivered: 0,
            not_stored: 0,
            damaged: 0,
            refuses: false,
            hindered: None,
        };
        let (stored, safe) = (Notify::new(), Notify::new());
        // What the process before has left may not be safe.
        stored.notify_one();
        Ok(Self { deployment: label.deployment, folder, room, kept: Mutex::new(kept), stored, safe })
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores a result, if there is room.
    pub(crate) fn store(&self, body: &[u8]) {
        let mut kept = self.kept();
        let stored = self.append(&mut kept, body);
        let refused = stored.is_err();
        kept.not_stored += u64::from(refused);
        // Said once, and not again for each that follows.
        if let Err(error) = stored
            && !kept.refuses
        {
            tracing::error!(deployment = self.deployment, %error, "a result was answered and not stored");
        }
        kept.refuses = refused;
        drop(kept);
        if !refused {
            self.stored.notify_one();
        }
    }

    fn append(&self, kept: &mut Kept, body: &[u8]) -> Result<(), DaemonError> {
        if body.len() > RESULT_BYTES_MAX {
            return Err(DaemonError::LongResult { bytes: Bytes(body.len() as u64) });
        }
        let fits = |kept: &Kept| kept.journal.bytes() + room_of(body.len()) <= self.room;
        if !fits(kept) && kept.through >= kept.journal.oldest() {
            kept.trim()?;
        }
        if !fits(kept) {
            return Err(DaemonError::OutboxFull { deployment: self.deployment.clone(), room: Bytes(self.room) });
        }
        kept.journal.append(body)?;
        Ok(())
    }

    /// Waits until all that is stored is safe.
    pub(crate) fn sync(&self) -> Result<(), StoreError> {
        let unsynced = self.kept().journal.unsynced()?;
        let through = unsynced.sync()?;
        let mut kept = self.kept();
        kept.synced = kept.synced.max(through);
        drop(kept);
        self.safe.notify_one();
        Ok(())
    }

    /// To whom results can be delivered; none while nothing waits that is safe.
    pub(crate) fn sink(&self) -> Option<NodeId> {
        let kept = self.kept();
        (kept.synced > kept.through).then_some(kept.sink)
    }

    /// The next results; none where nothing waits.
    pub(crate) fn batch(&self) -> Result<Option<Batch>, StoreError> {
        let mut kept = self.kept();
        let count = usize::try_from(kept.synced.saturating_sub(kept.through)).unwrap_or(BATCH).min(BATCH);
        let page = kept.journal.read(kept.through, count, BATCH_BYTES)?;
        let (through, damaged) = (page.through, page.damaged);
        let batch = batch(page);
        if batch.is_none() {
            kept.pass(&self.deployment, through, damaged);
            kept.cut(self.room)?;
        }
        Ok(batch)
    }

    /// All of this has come to where it is for.
    pub(crate) fn delivered(&self, batch: &Batch) -> Result<(), StoreError> {
        let mut kept = self.kept();
        kept.delivered += batch.count;
        kept.pass(&self.deployment, batch.through, batch.damaged);
        kept.hindered = None;
        kept.cut(self.room)
    }

    /// The newest result that is there where it is for, by its mark, none where nothing is: what counts as delivered.
    pub(crate) fn reconcile(&self, has: Option<Hash>) -> Result<(), StoreError> {
        let mut kept = self.kept();
        kept.hindered = None;
        let found = has.map_or(Ok(Some(kept.journal.oldest() - 1)), |mark| kept.journal.find(mark))?;
        match found {
            Some(through) => {
                kept.delivered += through.saturating_sub(kept.through);
                kept.through = through;
                kept.cut(self.room)
            }
            None => {
                let deployment = &self.deployment;
                tracing::warn!(deployment, "there are other results than came from here: what waits follows them");
                Ok(())
            }
        }
    }

    /// Results wait because of this.
    pub(crate) fn hindered_by(&self, error: &DaemonError) {
        self.kept().hindered = Some(error.to_string());
    }

    /// From now on results are for this node. Those that another one has are not for it.
    fn deliver_to(&self, sink: NodeId) -> Result<(), DaemonError> {
        let mut kept = self.kept();
        if kept.sink != sink {
            // Where one of these fails the disk and the memory still name the node before.
            kept.trim()?;
            write_json(&self.folder.join(LABEL), &Label { deployment: self.deployment.clone(), sink })?;
            (kept.sink, kept.hindered) = (sink, None);
        }
        Ok(())
    }

    /// How it is.
    pub(crate) fn shown(&self, name_of: impl Fn(NodeId) -> String) -> DeliveryShown {
        let kept = self.kept();
        let waiting = kept.journal.newest().saturating_sub(kept.through);
        DeliveryShown {
            to: name_of(kept.sink),
            waiting,
            delivered: kept.delivered,
            not_stored: kept.not_stored,
            damaged: kept.damaged,
            bytes: kept.journal.bytes(),
            hindered: kept.hindered.clone().filter(|_| waiting > 0),
        }
    }
}

impl Kept {
    /// Up to this number all is delivered, or damaged.
    fn pass(&mut self, deployment: &str, through: u64, damaged: u64) {
        if damaged > 0 {
            tracing::error!(deployment, damaged, "the disk has damaged results that waited: they are lost");
        }
        self.damaged += damaged;
        self.through = through;
    }

    /// Takes away of what was delivered what costs no writing, and the rest when nothing waits and it takes much.
    fn cut(&mut self, room: u64) -> Result<(), StoreError> {
        self.journal.take_whole(self.through)?;
        let enough = TRIM_BYTES.min(room / 8);
        if self.through == self.journal.newest() && self.journal.bytes() > enough { self.trim() } else { Ok(()) }
    }

    /// Takes away what was delivered.
    fn trim(&mut self) -> Result<(), StoreError> {
        self.journal.take(self.through)
    }
}

fn batch(page: Page) -> Option<Batch> {
    let (follows, mark) = (page.follows?, page.records.last()?.mark);
    let mut bytes = Vec::new();
    for record in &page.records {
        bytes.extend_from_slice(&u32::try_from(record.body.len()).ok()?.to_le_bytes());
        bytes.extend_from_slice(&record.body);
    }
    let (count, through, damaged) = (page.records.len() as u64, page.through, page.damaged);
    Some(Batch { follows, mark, bytes, count, through, damaged })
}

/// All outboxes of a node.
#[derive(Debug)]
pub(crate) struct Outboxes {
    state: State,
    room: u64,
    all: Mutex<BTreeMap<String, Arc<Outbox>>>,
    /// There is one more.
    pub(super) opened: Notify,
}

impl Outboxes {
    /// With all that lies in the state folder, also of deployments that deliver nothing any more.
    pub(crate) fn open(state: &State, room: Bytes) -> Result<Self, DaemonError> {
        let folder = state.outboxes();
        let failed = |cause| DaemonError::State { path: folder.clone(), cause };
        let mut all = BTreeMap::new();
        for found in fs::read_dir(&folder).map_err(failed)? {
            let folder = found.map_err(failed)?.path();
            // One without a label was never used.
            let Some(label) = read_json::<Label>(&folder.join(LABEL))? else { continue };
            let name = label.deployment.clone();
            all.insert(name, Arc::new(Outbox::open(folder, label, room.0)?));
        }
        Ok(Self { state: state.clone(), room: room.0, all: Mutex::new(all), opened: Notify::new() })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Outbox>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<Arc<Outbox>> {
        self.lock().values().cloned().collect()
    }

    /// The one of a deployment.
    pub(crate) fn of(&self, deployment: &str) -> Option<Arc<Outbox>> {
        self.lock().get(deployment).cloned()
    }

    /// The one of a deployment whose results are for this node, made where it is not there.
    pub(crate) fn deliver_to(&self, deployment: &str, sink: NodeId) -> Result<Arc<Outbox>, DaemonError> {
        let mut all = self.lock();
        if let Some(outbox) = all.get(deployment) {
            outbox.deliver_to(sink)?;
            return Ok(outbox.clone());
        }
        let (folder, label) = (self.state.outbox(deployment), Label { deployment: deployment.to_owned(), sink });
        fs::create_dir_all(&folder).map_err(|cause| DaemonError::State { path: folder.clone(), cause })?;
        write_json(&folder.join(LABEL), &label)?;
        let outbox = Arc::new(Outbox::open(folder, label, self.room)?);
        all.insert(deployment.to_owned(), outbox.clone());
        self.opened.notify_one();
        Ok(outbox)
    }

    /// Leaves on disk what is not delivered, and no more.
    pub(crate) fn close(&self) -> Result<(), StoreError> {
        self.all().iter().try_for_each(|outbox| outbox.kept().trim())
    }
}

/// Stores an answer, where it is to be delivered.
pub(crate) async fn keep(inner: &Arc<Inner>, source: &Source, answered: &Answered) {
    let Some(sink) = source.of.deliver_to else { return };
    let result = ResultOf {
        epoch: source.epoch,
        local: answered.spans.iter().all(|span| span.hop == 0),
        coarse: !answered.coarse.is_empty(),
        outputs: source.of.outputs.clone(),
    };
    let (name, outputs) = (source.name.clone(), answered.outputs.clone());
    let storing = inner.blocking(move |inner| {
        // It may have been asked before the epoch that serves now, which may deliver elsewhere.
        let sink = inner.source(&name).ok().and_then(|serving| serving.of.deliver_to).unwrap_or(sink);
        let outbox = inner.outboxes.deliver_to(&name, sink)?;
        outbox.store(&result.to_bytes(&outputs)?);
        Ok::<(), DaemonError>(())
    });
    if let Err(error) = storing.await {
        tracing::error!(deployment = source.name, %error, "a result was answered and not stored");
    }
}

#[cfg(test)]
mod tests;
