//! Files of parts: given out, and fetched from the nearest node that has them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use thalweg_flow::{Call, Reply};
use tokio::task::JoinSet;

use super::DaemonError;
use super::start::Inner;
use crate::calls::{PIECE_TIME_MAX, call};
use crate::identity::NodeId;
use crate::link::Peer;
use crate::store::{CHUNK_BYTES, FileEntry, Hash, StoreError};

/// Pieces that are fetched at a time: with 256 KiB each, what a gigabit holds over 10 ms.
const PIECES_MAX: usize = 6;
/// How often all nodes are asked for a piece.
const ROUNDS: usize = 5;
/// And how long it is waited until they are asked again.
const BETWEEN_ROUNDS: Duration = Duration::from_millis(500);

/// Brings all of these files here, from `holders` or any other node that has them. What was fetched stays, so another
/// attempt goes on where this one ended. How many bytes were not here before.
pub(crate) async fn fetch(inner: &Arc<Inner>, files: &[FileEntry], holders: &[NodeId]) -> Result<u64, DaemonError> {
    let missing: BTreeSet<Hash> = missing(inner, files.to_vec()).await?.into_iter().collect();
    let peers = Arc::new(nearest_first(inner, holders));
    let (mut fetched, mut pieces) = (0, JoinSet::new());
    let mut missing = missing.into_iter();
    loop {
        while pieces.len() < PIECES_MAX
            && let Some(hash) = missing.next()
        {
            pieces.spawn(fetch_piece(inner.clone(), peers.clone(), hash));
        }
        match pieces.join_next().await {
            Some(piece) => fetched += piece.map_err(|_| DaemonError::Ended)??,
            None => return Ok(fetched),
        }
    }
}

/// The pieces of these files that are not here.
pub(crate) async fn missing(inner: &Arc<Inner>, files: Vec<FileEntry>) -> Result<Vec<Hash>, DaemonError> {
    let missing = move |inner: &Arc<Inner>| {
        let missing = files.iter().map(|file| inner.store.missing_chunks(file));
        missing.collect::<Result<Vec<_>, _>>().map(|missing| missing.concat())
    };
    inner.blocking(missing).await
}

/// Nodes that may have a file: those that were named, then all other members; the nearest of each first, those that are
/// down last.
fn nearest_first(inner: &Inner, holders: &[NodeId]) -> Vec<Peer> {
    let others = inner.cluster.roster().members().map(|member| member.id).collect::<Vec<_>>();
    let distance = |id: &NodeId| {
        let believed = inner.neighbours.believed(*id).filter(|believed| believed.known);
        let is_down = believed.as_ref().is_some_and(|believed| !believed.up);
        (is_down, !holders.contains(id), believed.map_or(Duration::MAX, |believed| believed.link.round_trip_smoothed()))
    };
    let mut ids: Vec<NodeId> = holders.iter().copied().chain(others).collect();
    ids.sort_by_cached_key(distance);
    let mut seen = BTreeSet::from([inner.cluster.id()]);
    ids.retain(|id| seen.insert(*id));
    ids.into_iter().filter_map(|id| inner.cluster.peer(id)).collect()
}

/// Asks one node after the other, and all of them again where a link broke.
async fn fetch_piece(inner: Arc<Inner>, peers: Arc<Vec<Peer>>, hash: Hash) -> Result<u64, DaemonError> {
    for _ in 1..ROUNDS {
        match fetch_from(&inner, &peers, hash).await {
            Err(DaemonError::Link(_) | DaemonError::Silent { .. }) => tokio::time::sleep(BETWEEN_ROUNDS).await,
            other => return other,
        }
    }
    fetch_from(&inner, &peers, hash).await
}

async fn fetch_from(inner: &Arc<Inner>, peers: &[Peer], hash: Hash) -> Result<u64, DaemonError> {
    let mut refused = None;
    for peer in peers {
        let asked = async {
            let connection = inner.node.connection(*peer).await?;
            call(&connection, Call::Fetch { hash: *hash.as_bytes() }, Vec::new(), CHUNK_BYTES as u64, PIECE_TIME_MAX)
                .await
        };
        match asked.await {
            Ok((Reply::Done { .. }, bytes)) => {
                let length = bytes.len() as u64;
                match inner.blocking(move |inner| inner.store.put_chunk(hash, &bytes)).await {
                    Ok(()) => return Ok(length),
                    // Another node may give what it says it is; a full disk stays full.
                    Err(error @ DaemonError::Store(StoreError::OtherChunk { .. } | StoreError::NotAFile { .. })) => {
                        refused = Some(error);
                    }
                    Err(error) => return Err(error),
                }
            }
            Ok(_) => {}
            Err(error) => refused = Some(error),
        }
    }
    Err(refused.unwrap_or(DaemonError::Nowhere { hash, tried: peers.len() }))
}
