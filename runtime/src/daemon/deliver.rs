//! Brings results to the node that they are for: in their order, some at a time, again until it says that it has them.
//!
//! That node is told what it is believed to have last, and takes what follows only if that is so; in any case it says what
//! it has then. So an acknowledgement that was lost costs one question, and a result is there once whatever happens to
//! either node or the link in between.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use thalweg_flow::{Call, Reply};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::sleep;

use super::DaemonError;
use super::outbox::Outbox;
use super::start::Inner;
use crate::calls::call;
use crate::identity::NodeId;
use crate::store::{Hash, StoreError};

/// What is stored within this time is made safe together: it wears the disk as much as one result would.
const GATHER: Duration = Duration::from_millis(200);
/// How often it is looked whether a link that was down is up.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long nothing is tried after a failure; twice as long after each that follows, …
const PAUSE_MIN: Duration = Duration::from_millis(250);
/// … up to this.
const PAUSE_MAX: Duration = Duration::from_secs(8);
/// How long a delivery may take. A link that is cut ends it sooner.
pub(super) const DELIVERY_MAX: Duration = Duration::from_secs(120);

/// What the node that results are for is known to have: none of its results, or those up to a mark.
type Known = Option<(NodeId, Option<Hash>)>;

/// What a delivery says.
struct Told {
    /// The mark of what is believed to be there last.
    has: Option<Hash>,
    /// The mark before the first of the results.
    follows: Hash,
    /// Each as its length and its bytes; none to ask what is there.
    results: Vec<u8>,
}

/// Delivers what all outboxes have, as long as the node lives.
pub(crate) async fn keep_delivering(inner: Arc<Inner>) {
    let (mut known, mut running) = (BTreeSet::new(), JoinSet::new());
    loop {
        for outbox in inner.outboxes.all() {
            if known.insert(outbox.deployment.clone()) {
                running.spawn(keep_safe(outbox.clone()));
                running.spawn(deliver(inner.clone(), outbox));
            }
        }
        inner.outboxes.opened.notified().await;
    }
}

/// Makes safe what is stored.
async fn keep_safe(outbox: Arc<Outbox>) {
    loop {
        outbox.stored.notified().await;
        sleep(GATHER).await;
        if let Err(error) = on_disk(&outbox, Outbox::sync).await {
            tracing::error!(deployment = outbox.deployment, %error, "results are not safe yet");
            outbox.hindered_by(&error);
            sleep(PAUSE_MAX).await;
            outbox.stored.notify_one();
        }
    }
}

async fn deliver(inner: Arc<Inner>, outbox: Arc<Outbox>) {
    let (mut known, mut pause) = (Known::None, PAUSE_MIN);
    loop {
        let Some(sink) = outbox.sink() else {
            outbox.safe.notified().await;
            continue;
        };
        // Probes find out whether a link that plans use carries anything. Who tried that here would hold them up.
        let to = inner.cluster.current(sink);
        if let Some(link) = inner.neighbours.believed(to).filter(|link| !(link.up && link.known)) {
            if !link.up {
                outbox.hindered_by(&DaemonError::LinkDown { to: inner.cluster.name(to) });
            }
            pause = PAUSE_MIN;
            sleep(LOOK_EVERY).await;
            continue;
        }
        let start = inner.clock.now();
        let tell = |told| tell(inner.clone(), outbox.deployment.clone(), sink, told);
        match deliver_some(&outbox, sink, &mut known, tell).await {
            Ok(()) => {
                pause = PAUSE_MIN;
                // Requests have half of the link at least.
                sleep(inner.clock.now().saturating_sub(start)).await;
            }
            Err(error) => {
                tracing::info!(deployment = outbox.deployment, %error, "results wait");
                outbox.hindered_by(&error);
                sleep(pause).await;
                pause = (2 * pause).min(PAUSE_MAX);
            }
        }
    }
}

/// Delivers some of what waits; `tell` brings it there and comes back with what is there then.
async fn deliver_some<Telling>(
    outbox: &Arc<Outbox>,
    sink: NodeId,
    known: &mut Known,
    tell: impl Fn(Told) -> Telling,
) -> Result<(), DaemonError>
where
    Telling: Future<Output = Result<Option<Hash>, DaemonError>> + Send,
{
    let has = match known {
        Some((of, has)) if *of == sink => *has,
        _ => {
            let has = tell(Told { has: None, follows: [0; 32].into(), results: Vec::new() }).await?;
            on_disk(outbox, move |outbox| outbox.reconcile(has)).await?;
            *known = Some((sink, has));
            has
        }
    };
    let Some(mut batch) = on_disk(outbox, Outbox::batch).await? else { return Ok(()) };
    let results = std::mem::take(&mut batch.bytes);
    let now = tell(Told { has, follows: batch.follows, results }).await?;
    *known = Some((sink, now));
    if now == Some(batch.mark) {
        return on_disk(outbox, move |outbox| outbox.delivered(&batch)).await;
    }
    if now == has {
        return Err(DaemonError::Misunderstood);
    }
    on_disk(outbox, move |outbox| outbox.reconcile(now)).await
}

/// Brings some results, or none, to the node that they are for; what is there then.
async fn tell(inner: Arc<Inner>, deployment: String, sink: NodeId, told: Told) -> Result<Option<Hash>, DaemonError> {
    let peer = inner.cluster.peer(sink).ok_or(DaemonError::NoMember { id: sink })?;
    let connection = inner.node.connection(peer).await?;
    let Told { has, follows, results } = told;
    let asked = Call::Deliver {
        deployment: deployment.into(),
        has: has.map(|mark| *mark.as_bytes()),
        follows: *follows.as_bytes(),
        bytes: results.len() as u64,
    };
    match call(&connection, asked, results, size_of::<Hash>() as u64, DELIVERY_MAX).await? {
        (Reply::NotHere, _) => Ok(None),
        (Reply::Done { .. }, mark) => {
            let mark: [u8; 32] = mark.try_into().map_err(|_| DaemonError::Misunderstood)?;
            Ok(Some(mark.into()))
        }
        _ => Err(DaemonError::Misunderstood),
    }
}

/// Does something that waits for the disk.
async fn on_disk<T: Send + 'static>(
    outbox: &Arc<Outbox>,
    act: impl FnOnce(&Outbox) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, DaemonError> {
    let outbox = outbox.clone();
    Ok(spawn_blocking(move || act(&outbox)).await.map_err(|_| DaemonError::Ended)??)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;

    use proptest::prelude::*;
    use tempfile::TempDir;
    use thalweg_planner::Bytes;

    use super::super::inbox::Inboxes;
    use super::super::outbox::Outboxes;
    use super::super::state::State;
    use super::*;

    const NAME: &str = "eyes";

    /// What happens to two nodes and the link between them.
    #[derive(Debug, Clone)]
    enum Event {
        Store(usize),
        Sync,
        Deliver,
        /// It does not arrive.
        LoseDelivery,
        /// It arrives, and what is said to it does not come back.
        LoseReply,
        RestartSource,
        RestartSink,
        /// Somebody takes away so many results there.
        Forget(usize),
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            6 => (1usize..200).prop_map(Event::Store),
            4 => Just(Event::Sync),
            4 => Just(Event::Deliver),
            1 => Just(Event::LoseDelivery),
            2 => Just(Event::LoseReply),
            1 => Just(Event::RestartSource),
            1 => Just(Event::RestartSink),
            1 => (0usize..20).prop_map(Event::Forget),
        ]
    }

    struct World {
        folders: [TempDir; 2],
        outboxes: Outboxes,
        outbox: Arc<Outbox>,
        inboxes: Inboxes,
        source: NodeId,
        sink: NodeId,
        known: Known,
        /// What the outbox has accepted, and what was taken away at the other end.
        stored: Vec<Vec<u8>>,
        taken: Vec<Vec<u8>>,
    }

    /// An outbox that is soon full, and an inbox that is.
    fn outboxes(folder: &Path) -> Outboxes {
        Outboxes::open(&State::open(folder).unwrap(), Bytes(2000)).unwrap()
    }

    fn inboxes(folder: &Path) -> Inboxes {
        Inboxes::open(&State::open(folder).unwrap(), Bytes(4000)).unwrap()
    }

    impl World {
        fn new() -> Self {
            let folders = [(); 2].map(|()| TempDir::new().unwrap());
            let [source, sink] = [1, 2].map(|key| NodeId::from([key; 32]));
            let (outboxes, inboxes) = (outboxes(folders[0].path()), inboxes(folders[1].path()));
            let outbox = outboxes.deliver_to(NAME, sink).unwrap();
            let (known, stored, taken) = (None, Vec::new(), Vec::new());
            Self { folders, outboxes, outbox, inboxes, source, sink, known, stored, taken }
        }

        async fn deliver(&mut self, arrives: bool, comes_back: bool) -> Result<(), DaemonError> {
            let lost = || DaemonError::Ended;
            let (inboxes, source) = (&self.inboxes, self.source);
            let tell = |told: Told| async move {
                if !arrives && !told.results.is_empty() {
                    return Err(lost());
                }
                let came = inboxes.deliver(NAME, source, (told.has, told.follows), &told.results);
                if comes_back || told.results.is_empty() { came } else { Err(lost()) }
            };
            deliver_some(&self.outbox, self.sink, &mut self.known, tell).await
        }

        async fn happens(&mut self, event: Event) {
            match event {
                Event::Store(length) => {
                    let body = [&(self.stored.len() as u32).to_le_bytes()[..], &vec![7; length]].concat();
                    let before = self.outbox.shown(|id| id.to_string()).not_stored;
                    self.outbox.store(&body);
                    if self.outbox.shown(|id| id.to_string()).not_stored == before {
                        self.stored.push(body);
                    }
                }
                Event::Sync => self.outbox.sync().unwrap(),
                // It may not be taken where there is no room.
                Event::Deliver => drop(self.deliver(true, true).await),
                Event::LoseDelivery => drop(self.deliver(false, false).await),
                Event::LoseReply => drop(self.deliver(true, false).await),
                Event::RestartSource => {
                    self.outboxes = outboxes(self.folders[0].path());
                    self.outbox = self.outboxes.of(NAME).unwrap();
                    self.known = None;
                }
                Event::RestartSink => self.inboxes = inboxes(self.folders[1].path()),
                Event::Forget(count) => self.forget(count),
            }
        }

        fn forget(&mut self, count: usize) {
            let sender = (NAME.to_owned(), self.source);
            if !self.inboxes.senders().contains(&sender) {
                return;
            }
            let taken = self.inboxes.with(&sender, |journal| {
                let records = journal.read(0, count, usize::MAX)?.records;
                journal.take(records.last().map_or(0, |record| record.number))?;
                Ok(records)
            });
            self.taken.extend(taken.unwrap().into_iter().map(|record| record.body));
        }
    }

    proptest! {
        #[test]
        fn what_was_stored_is_there_once_and_in_order(events in prop::collection::vec(event(), 1..80)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let mut world = World::new();
            runtime.block_on(async {
                for event in events {
                    world.happens(event).await;
                }
                world.outbox.sync().unwrap();
                while world.outbox.sink().is_some() {
                    world.forget(usize::MAX);
                    world.deliver(true, true).await.unwrap();
                }
                world.forget(usize::MAX);
            });
            prop_assert_eq!(world.outbox.shown(|id| id.to_string()).waiting, 0);
            prop_assert_eq!(world.taken, world.stored);
        }
    }
}
