//! Results that were delivered here, for people and their programs.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thalweg_planner::{Tensor, TensorSpec};

use super::DaemonError;
use super::start::Inner;
use crate::deployment::{NotAResult, OutputOf, ResultOf};
use crate::identity::NodeId;
use crate::store::{Journal, Record};

/// Results that are shown together, and their bytes: in hexadecimal digits twice as many, within what a reply may have.
const SHOWN: usize = 256;
const SHOWN_BYTES: usize = 1 << 20;

/// Some results of a deployment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// Who has delivered any.
    pub senders: Vec<SenderShown>,
    /// In their order; none where several nodes have delivered and none of them was named.
    pub results: Vec<ResultShown>,
    /// Number of the last that was looked at: what follows is shown after it.
    pub through: u64,
    /// Number of the newest of the node that is shown; 0 where none is.
    pub newest: u64,
    /// Those among them that the disk has damaged, or that are no results.
    pub damaged: u64,
}

/// A node that has delivered results of a deployment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SenderShown {
    /// Its name.
    pub name: String,
    /// Its key.
    pub id: NodeId,
    /// Number of the oldest result that is still here.
    pub oldest: u64,
    /// Number of the newest.
    pub newest: u64,
}

/// A result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResultShown {
    /// Which it is of those that its node has delivered, from 1.
    pub number: u64,
    /// The version of the deployment that has answered.
    pub epoch: u32,
    /// Whether its node has answered alone.
    pub local: bool,
    /// Whether less than all of some tensor was awaited, to answer in time.
    pub coarse: bool,
    /// Its tensors.
    pub outputs: Vec<OutputShown>,
}

/// A tensor of a result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutputShown {
    /// Its name.
    pub name: String,
    /// Its type and shape.
    pub spec: TensorSpec,
    /// Its bytes in hexadecimal digits.
    pub data: String,
}

impl OutputShown {
    /// The tensor.
    pub fn tensor(&self) -> Option<Tensor> {
        let data = data_encoding::HEXLOWER.decode(self.data.as_bytes()).ok()?;
        Tensor::new(self.spec.clone(), data).ok()
    }
}

/// Results after a number, of the node that is meant.
pub(crate) async fn show(
    inner: &Arc<Inner>,
    name: String,
    from: Option<String>,
    after: u64,
) -> Result<Results, DaemonError> {
    let shown = inner.blocking(move |inner| {
        let senders = senders(inner, &name)?;
        let mut results = Results { senders: senders.clone(), ..Results::default() };
        if from.is_none() && senders.len() > 1 {
            return Ok(results);
        }
        let id = meant(&name, from, &senders, |id| inner.cluster.current(id))?;
        let read = |journal: &mut Journal| Ok((journal.read(after, SHOWN, SHOWN_BYTES)?, journal.newest()));
        let (page, newest) = inner.inboxes.with(&(name, id), read)?;
        results.newest = newest;
        (results.through, results.damaged) = (page.through, page.damaged);
        for record in &page.records {
            match shown(record) {
                Ok(result) => results.results.push(result),
                // Another node may deliver what it likes.
                Err(_) => results.damaged += 1,
            }
        }
        Ok::<_, DaemonError>(results)
    });
    shown.await
}

/// Takes away results up to a number, of the node that is meant.
pub(crate) async fn forget(
    inner: &Arc<Inner>,
    name: String,
    from: Option<String>,
    through: u64,
) -> Result<(), DaemonError> {
    let taken = inner.blocking(move |inner| {
        let id = meant(&name, from, &senders(inner, &name)?, |id| inner.cluster.current(id))?;
        inner.inboxes.with(&(name, id), |journal| Ok(journal.take(through)?))
    });
    taken.await
}

/// All that have delivered results of a deployment, each under the key by which it is known here.
fn senders(inner: &Inner, deployment: &str) -> Result<Vec<SenderShown>, DaemonError> {
    let mut all = Vec::new();
    for sender in inner.inboxes.senders().into_iter().filter(|(name, _)| name == deployment) {
        let [oldest, newest] = inner.inboxes.with(&sender, |journal| Ok([journal.oldest(), journal.newest()]))?;
        let (_, id) = sender;
        all.push(SenderShown { name: inner.cluster.name(inner.cluster.current(id)), id, oldest, newest });
    }
    Ok(all)
}

/// The one that is meant by a name or a key, also one that it has had or has by now, or by nothing where there is one.
fn meant(
    deployment: &str,
    from: Option<String>,
    senders: &[SenderShown],
    current: impl Fn(NodeId) -> NodeId,
) -> Result<NodeId, DaemonError> {
    let key: Option<NodeId> = from.as_ref().and_then(|from| from.parse().ok());
    if let Some(exact) = senders.iter().find(|sender| Some(sender.id) == key) {
        return Ok(exact.id);
    }
    let is_it = |sender: &&SenderShown| {
        let is_key = || key.is_some_and(|key| current(key) == current(sender.id));
        from.as_ref().is_none_or(|from| sender.name == *from || is_key())
    };
    let found: Vec<&SenderShown> = senders.iter().filter(is_it).collect();
    let deployment = deployment.to_owned();
    match found[..] {
        [only] => Ok(only.id),
        [] => {
            let known: Vec<&str> = senders.iter().map(|sender| sender.name.as_str()).collect();
            Err(DaemonError::NoResults {
                deployment,
                from: from.unwrap_or_else(|| "any node".to_owned()),
                known: if known.is_empty() { "none".to_owned() } else { known.join(", ") },
            })
        }
        _ => {
            let of: Vec<_> = found.iter().map(|sender| format!("{} with key {}", sender.name, sender.id)).collect();
            Err(DaemonError::ManySenders { deployment, of: of.join(", ") })
        }
    }
}

fn shown(record: &Record) -> Result<ResultShown, NotAResult> {
    let (ResultOf { epoch, local, coarse, outputs }, tensors) = ResultOf::from_bytes(&record.body)?;
    let output = |(of, tensor): (OutputOf, Tensor)| OutputShown {
        name: of.name,
        spec: of.spec,
        data: data_encoding::HEXLOWER.encode(tensor.data()),
    };
    let outputs = outputs.into_iter().zip(tensors).map(output).collect();
    Ok(ResultShown { number: record.number, epoch, local, coarse, outputs })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn key(byte: u8) -> NodeId {
        NodeId::from([byte; 32])
    }

    fn sender(name: &str, byte: u8) -> SenderShown {
        SenderShown { name: name.to_owned(), id: key(byte), oldest: 1, newest: 1 }
    }

    #[test]
    fn a_sender_is_named_by_its_name_and_by_any_of_its_keys() {
        // The key 1 has handed over to the key 9.
        let current = |id| if id == key(1) { key(9) } else { id };
        let from = |from: Option<String>, senders: &[SenderShown]| meant("eyes", from, senders, current);
        let senders = [sender("door", 1), sender("gate", 2), sender("gate", 3)];
        assert_eq!(from(Some("door".into()), &senders).unwrap(), key(1));
        assert_eq!(from(Some(key(1).to_string()), &senders).unwrap(), key(1));
        assert_eq!(from(Some(key(9).to_string()), &senders).unwrap(), key(1));
        assert_eq!(from(Some(key(3).to_string()), &senders).unwrap(), key(3));
        assert_eq!(from(None, &senders[..1]).unwrap(), key(1));
        for of in [Some("gate".into()), None] {
            let error = from(of, &senders).unwrap_err().to_string();
            assert!(error.contains(&key(2).to_string()) && error.contains(&key(3).to_string()), "{error}");
        }
        for of in ["window".to_owned(), key(4).to_string()] {
            let error = from(Some(of), &senders).unwrap_err().to_string();
            assert!(error.contains("there are those of door, gate, gate"), "{error}");
        }
        assert!(from(None, &[]).unwrap_err().to_string().contains("none"));
    }
}
