//! Gives a node a new key: others are told of it, then it takes the place of the old one, which is retired later.

use std::sync::Arc;
use std::time::Duration;

use super::DaemonError;
use super::start::Inner;
use crate::identity::NodeId;
use crate::trust::Rotation;

/// A key that has handed over counts for so long: by then all nodes that can be reached have heard of the new one.
const RETIRES_AFTER: Duration = Duration::from_secs(120);

/// By then a new key is known to all nodes that can be reached: gossip ticks twice a second.
const HEARD_AFTER: Duration = Duration::from_secs(5);

/// Makes this node a new key, by which it is known from then on. One at a time, and what is begun is ended whether or not
/// this is awaited: others reach the node under the key that they were told, and not for long under the old one.
pub(crate) async fn rotate(inner: &Arc<Inner>) -> Result<NodeId, DaemonError> {
    let turn = inner.rotating.clone().lock_owned().await;
    let inner = inner.clone();
    let rotating = tokio::spawn(async move {
        let _one_at_a_time = turn;
        let node = inner.config.name.clone();
        let rotated = announce_and_take(inner).await;
        rotated.inspect_err(|error| tracing::error!(%node, %error, "the key was not changed, or not to the end"))
    });
    rotating.await.map_err(|_| DaemonError::Ended)?
}

async fn announce_and_take(inner: Arc<Inner>) -> Result<NodeId, DaemonError> {
    let (new, retires) = inner.blocking(|inner| inner.cluster.announce_key()).await?;
    let id = new.id();
    // Who has a connection hears of it by gossip, and knows the new key when it is first shown.
    tokio::time::sleep(HEARD_AFTER).await;
    inner.cluster.take_key(&new)?;
    inner.node.rotate(new)?;
    inner.gossip.rename(id, inner.incarnation);
    tokio::spawn(retire(inner, retires));
    Ok(id)
}

/// Retires a key of this node that has handed over, when others have had time to hear of the new one.
pub(crate) async fn retire(inner: Arc<Inner>, old: Rotation) {
    tokio::time::sleep(RETIRES_AFTER).await;
    if let Err(error) = inner.blocking(move |inner| inner.cluster.retire(&old)).await {
        tracing::warn!(node = %inner.config.name, %error, "the old key was not retired");
    }
}
