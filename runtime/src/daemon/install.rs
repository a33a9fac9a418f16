//! Prepares, activates and takes away what is deployed.
//!
//! ```text
//! prepare: signed? → manifest → files → trial → shares beside those that serve → written down
//! activate: the source sends new requests over it; what came before goes on until its requests are over, and is retired
//! follow: the source tells which epoch serves; nodes that were not told to activate it do, and those without a part in it
//!         retire what came before
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, Weak};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thalweg_planner::Bytes;

use super::DaemonError;
use super::files::fetch;
use super::held::{Held, Kept, read_manifest};
use super::source::Source;
use super::start::Inner;
use crate::deployment::{Here, Manifest, PartOf, RunsOf, Signed, SourceOf, read_files, unpack};
use crate::identity::NodeId;
use crate::memory;
use crate::store::FileEntry;
use crate::trial::{self, Limits, Tried};
use crate::trust::Operation;

/// What a model's part may take while it is tried out, beside a multiple of its files. The program itself maps some
/// hundred megabytes.
const TRIAL: Limits = Limits { memory: Bytes(1 << 30), cpu: Duration::from_secs(60), time: Duration::from_secs(180) };
/// How many times its files a part may take: they lie there as bytes and as tensors, and where weights are of one byte also as
/// f32, and packed in up to 16/9 of that.
const TRIAL_COPIES: u64 = 14;
/// After a change requests of before may go on for their deadline, and this for their answers to travel.
const RETIRE_SPARE: Duration = Duration::from_secs(2);

/// What it took to prepare a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepared {
    /// Bytes that were not here before.
    pub fetched_bytes: u64,
    /// Bytes of all files that it names.
    pub bytes: u64,
    /// Milliseconds until all of it was ready.
    pub took_ms: u64,
}

/// Prepares what a signed manifest names. Where this is not awaited to the end nothing is prepared, unless it just was.
pub(crate) async fn prepare(inner: &Arc<Inner>, signed: Signed, holders: &[NodeId]) -> Result<Prepared, DaemonError> {
    let (start, preparing, wanted) = (inner.clock.now(), inner.begin_preparing(), Arc::new(()));
    if !signed.is_genuine() || !inner.cluster.may(signed.by, Operation::Deploy) {
        return Err(DaemonError::NotSigned);
    }
    let mut fetched = fetch(inner, std::slice::from_ref(&signed.file), holders).await?;
    let manifest = {
        let signed = signed.clone();
        inner.blocking(move |inner| read_manifest(&inner.store, &signed)).await?
    };
    if let Some((newest, (known, _))) =
        inner.held().get(&manifest.name).and_then(|held| held.manifests.last_key_value())
        && *newest >= manifest.epoch
        && *known != signed
    {
        let (name, epoch, newest) = (manifest.name, manifest.epoch, *newest);
        return Err(DaemonError::OldEpoch { name, epoch, newest });
    }
    let source = inner.held().get(&manifest.name).and_then(|held| Some(held.manifests.values().next()?.1.source));
    if source.is_some_and(|source| inner.cluster.current(source) != inner.cluster.current(manifest.source)) {
        return Err(DaemonError::OtherSource { name: manifest.name });
    }
    if !manifest.is_sound() {
        return Err(DaemonError::Misunderstood);
    }
    let files = distinct(manifest.files());
    fetched += fetch(inner, &files, holders).await?;
    // Plans share parts.
    let mut tried: Vec<&PartOf> = Vec::new();
    for part in manifest.shares.iter().filter_map(|share| share.part.as_ref()) {
        if !tried.contains(&part) {
            try_part(inner, part).await?;
            tried.push(part);
        }
    }
    let bytes = files.iter().map(|file| file.bytes).sum();
    let is_wanted = Arc::downgrade(&wanted);
    let installing = inner.blocking(move |inner| {
        // The files are needed until it is over, and a thread goes on though nobody awaits it.
        let _preparing = preparing;
        install(inner, signed, manifest, For::Order(is_wanted))
    });
    installing.await?;
    let took_ms = u64::try_from((inner.clock.now() - start).as_millis()).unwrap_or(u64::MAX);
    Ok(Prepared { fetched_bytes: fetched, bytes, took_ms })
}

/// Brings back what was deployed before this node ended: what is damaged or gone is fetched again.
pub(crate) async fn restore(inner: &Arc<Inner>, kept: Vec<Kept>) {
    let (_preparing, mut greeted) = (inner.begin_preparing(), BTreeSet::from([inner.cluster.id()]));
    for Kept { name, active, manifests } in kept {
        for signed in manifests {
            if let Err(error) = restore_one(inner, signed, active, &mut greeted).await {
                tracing::error!(node = %inner.config.name, deployment = name, %error, "a part of a deployment is gone");
            }
        }
        let newer = inner.held().get(&name).and_then(|held| held.active);
        if let Some(epoch) = active.filter(|epoch| newer.is_none_or(|newer| newer < *epoch)) {
            activate_or_say(inner, &name, epoch).await;
        }
    }
}

async fn restore_one(
    inner: &Arc<Inner>,
    signed: Signed,
    active: Option<u32>,
    greeted: &mut BTreeSet<NodeId>,
) -> Result<(), DaemonError> {
    fetch(inner, std::slice::from_ref(&signed.file), &[]).await?;
    let read = signed.clone();
    let manifest = inner.blocking(move |inner| read_manifest(&inner.store, &read)).await?;
    if active.is_some_and(|active| manifest.epoch < active) {
        // Requests that went over it have ended with this node.
        return Ok(());
    }
    if let Some(source) = inner.cluster.peer(manifest.source).filter(|source| greeted.insert(source.id)) {
        // It hears that this node is there again, and does not find out by trying. One that is away probes when it is back.
        let inner = inner.clone();
        tokio::spawn(async move { inner.node.join(source).await });
    }
    let files = distinct(manifest.files());
    fetch(inner, &files, &[]).await?;
    let again = (signed.clone(), manifest.clone());
    match inner.blocking(move |inner| install(inner, signed, manifest, For::Restart)).await {
        // What was damaged is removed when it is read: once more, with what others have.
        Err(DaemonError::Unpack(_)) => {
            fetch(inner, &files, &[]).await?;
            inner.blocking(move |inner| install(inner, again.0, again.1, For::Restart)).await
        }
        other => other,
    }
}

/// Activates an epoch of which nobody has asked to hear.
async fn activate_or_say(inner: &Arc<Inner>, name: &str, epoch: u32) {
    let deployment = name.to_owned();
    if let Err(error) = inner.blocking(move |inner| activate(inner, &deployment, epoch)).await {
        tracing::error!(node = %inner.config.name, deployment = name, %error, "a deployment does not serve");
    }
}

/// Changes what is deployed under a name, for who holds [`Inner::changing`]. Nothing of it counts before it is on the disk.
fn change<T>(
    inner: &Inner,
    _one_at_a_time: &MutexGuard<'_, ()>,
    name: &str,
    change: impl FnOnce(&mut Held) -> Result<T, DaemonError>,
) -> Result<T, DaemonError> {
    let mut held = inner.held().get(name).cloned().unwrap_or_default();
    let came = change(&mut held)?;
    held.keep(&inner.state, name)?;
    let mut all = inner.held();
    if held.manifests.is_empty() {
        all.remove(name)
    } else {
        all.insert(name.to_owned(), held)
    };
    Ok(came)
}

/// Why a manifest is installed.
pub(super) enum For {
    /// An order, as long as it is waited for: then somebody holds this.
    Order(Weak<()>),
    /// It is written down that it was, before this node ended.
    Restart,
}

/// Loads the shares of a manifest whose files are here, beside those that serve, and writes down that they are.
pub(super) fn install(inner: &Inner, signed: Signed, manifest: Manifest, why: For) -> Result<(), DaemonError> {
    let sandbox = if manifest.has_modules() { inner.sandbox() } else { None };
    let here = Here { backends: &inner.backends, sandbox: sandbox.as_ref(), emulates: inner.config.emulates() };
    let shares = inner.cores()?.run(|| unpack(&manifest, &inner.store, here, |id| inner.cluster.peer(id)))?;
    let (name, epoch) = (manifest.name.clone(), manifest.epoch);
    let planned: Vec<_> = manifest.requests.iter().flat_map(SourceOf::takes_here).collect();
    let prepared = (signed, Arc::new(manifest));
    // Until its shares are there as well: else who takes it away would take away none.
    let turn = inner.changing();
    match why {
        For::Order(wanted) => change(inner, &turn, &name, |held| {
            // Whoever has given up the order has looked already whether anything is to be taken away.
            if wanted.strong_count() == 0 {
                return Err(DaemonError::GivenUp);
            }
            held.manifests.insert(epoch, prepared);
            Ok(())
        })?,
        For::Restart => drop(inner.held().entry(name).or_default().manifests.insert(epoch, prepared)),
    }
    shares.into_iter().for_each(|share| inner.node.install(share));
    for (plan, takes) in planned {
        inner.node.expect(plan, epoch, takes);
    }
    drop(turn);
    memory::give_back();
    Ok(())
}

/// From now on requests go over this epoch; those before it are retired when their requests are over.
pub(crate) fn activate(inner: &Arc<Inner>, name: &str, epoch: u32) -> Result<(), DaemonError> {
    let (wait, sink) = change(inner, &inner.changing(), name, |held| {
        let not_prepared = || DaemonError::NotPrepared { name: name.to_owned(), epoch };
        let manifest = held.manifests.get(&epoch).ok_or_else(not_prepared)?.1.clone();
        let before = held.active.replace(epoch);
        held.left = None;
        if manifest.requests.is_some() && before != Some(epoch) || held.source.is_none() {
            held.source = Source::new(&manifest, held.source.as_deref(), inner.clock.now()).map(Arc::new);
        }
        let sink = manifest.requests.as_ref().and_then(|requests| requests.deliver_to);
        Ok((manifest.deadline() + RETIRE_SPARE, sink))
    })?;
    if let Some(sink) = sink
        && let Err(error) = inner.outboxes.deliver_to(name, sink)
    {
        let node = &inner.config.name;
        tracing::error!(node = %node, deployment = name, %error, "results are not stored until this comes about");
    }
    tracing::info!(node = %inner.config.name, deployment = name, epoch, "a deployment serves");
    let (inner, name) = (inner.clone(), name.to_owned());
    tokio::spawn(async move {
        tokio::time::sleep(wait).await;
        inner
            .blocking(move |inner| take_away(inner, &name, |held, other| other < epoch && held.active != Some(other)))
            .await
    });
    Ok(())
}

/// Goes along with what the sources of deployments say of themselves. A node that has prepared the epoch that serves, but was
/// not reached when it was activated, activates it. One that has no part in it takes away what came before, when requests
/// of then are over: nobody orders that, and so it does not matter when the node hears of it.
pub(crate) async fn follow(inner: &Arc<Inner>) {
    let (mut serving, mut over) = (Vec::new(), Vec::new());
    for (name, held) in inner.held().iter_mut() {
        let Some((_, (_, manifest))) = held.manifests.last_key_value() else { continue };
        let source = inner.cluster.current(manifest.source);
        let Some(epoch) = inner.gossip.serves(source, name) else { continue };
        if held.manifests.contains_key(&epoch) {
            let is_behind = held.active.is_none_or(|active| active < epoch);
            serving.extend(is_behind.then(|| (name.clone(), epoch)));
        } else if held.manifests.keys().any(|before| *before < epoch) {
            let (now, wait) = (inner.clock.now(), manifest.deadline() + RETIRE_SPARE);
            let waited = now.saturating_sub(*held.left.get_or_insert(now));
            over.extend((waited >= wait).then(|| (name.clone(), epoch)));
        }
    }
    for (name, epoch) in serving {
        activate_or_say(inner, &name, epoch).await;
    }
    for (name, epoch) in over {
        tracing::info!(node = %inner.config.name, deployment = name, epoch, "a deployment has no part here any more");
        // It says itself what does not come about.
        let _ = inner.blocking(move |inner| take_away(inner, &name, |_, before| before < epoch)).await;
    }
}

/// Takes away an epoch that does not serve; whether it does.
pub(crate) fn abort(inner: &Inner, name: &str, epoch: u32) -> bool {
    let _ = take_away(inner, name, |held, other| other == epoch && held.active != Some(epoch));
    inner.held().get(name).is_some_and(|held| held.active == Some(epoch))
}

/// Takes away the epochs that are over, and files that nothing needs any more. What does not come about is logged.
fn take_away(inner: &Inner, name: &str, is_over: impl Fn(&Held, u32) -> bool) -> Result<(), DaemonError> {
    let turn = inner.changing();
    let taken = change(inner, &turn, name, |held| {
        let over: Vec<u32> = held.manifests.keys().copied().filter(|epoch| is_over(held, *epoch)).collect();
        held.active = held.active.filter(|epoch| !over.contains(epoch));
        Ok(over.into_iter().filter_map(|epoch| held.manifests.remove(&epoch)).collect::<Vec<_>>())
    });
    let taken = taken.inspect_err(|error| {
        tracing::error!(node = %inner.config.name, deployment = name, %error, "what is deployed was not written down");
    })?;
    for (_, manifest) in taken {
        for share in &manifest.shares {
            inner.node.remove(share.plan, manifest.epoch);
        }
    }
    drop(turn);
    sweep(inner);
    Ok(())
}

/// Removes files that nothing needs. While something is being prepared, or brought for that, its files are needed as well,
/// and nobody has noted which: then it is left for later.
pub(crate) fn sweep(inner: &Inner) {
    let later = inner.is_preparing();
    inner.unswept.store(later, Ordering::SeqCst);
    if later {
        return;
    }
    let needed: Vec<FileEntry> = inner
        .held()
        .values()
        .flat_map(|held| held.manifests.values())
        .flat_map(|(signed, manifest)| std::iter::once(&signed.file).chain(manifest.files()))
        .cloned()
        .collect();
    if let Err(error) = inner.store.sweep(&needed) {
        tracing::warn!(node = %inner.config.name, %error, "files that nothing needs were not removed");
    }
}

/// Tries out the models of a part in a process with limits.
pub(crate) async fn try_part(inner: &Arc<Inner>, part: &PartOf) -> Result<Vec<Tried>, DaemonError> {
    let mut tried = Vec::new();
    for piece in &part.pieces {
        if let RunsOf::Model(files) = &piece.runs {
            let files = files.clone();
            let files = inner.blocking(move |inner| read_files(&files, &inner.store)).await?;
            let bytes = files.iter().map(|file| file.bytes.len() as u64).sum::<u64>();
            let limits = Limits { memory: Bytes(TRIAL.memory.0 + TRIAL_COPIES * bytes), ..TRIAL };
            tried.push(trial::run(&inner.program, &files, &limits).await?);
        }
    }
    Ok(tried)
}

fn distinct<'a>(files: impl Iterator<Item = &'a FileEntry>) -> Vec<FileEntry> {
    let by_hash: BTreeMap<_, _> = files.map(|file| (file.hash, file)).collect();
    by_hash.into_values().cloned().collect()
}
