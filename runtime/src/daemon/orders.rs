//! What people ask of a node, through the command line of this host or another one: JSON there, JSON back.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thalweg_planner::TensorSpec;

use super::DaemonError;
use super::files;
use super::install::{self, prepare};
use super::measure;
use super::results;
use super::rotate::rotate;
use super::start::Inner;
use super::status;
use crate::calls::json;
use crate::deployment::{InputOf, OutputOf, Signed};
use crate::identity::NodeId;
use crate::store::FileEntry;
use crate::trust::{Operation, Role};

/// An order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "kebab-case", deny_unknown_fields)]
#[allow(missing_docs)]
pub enum Order {
    /// How the node is. Answered by a [`Status`](super::Status).
    Status,
    /// What a deployment takes and gives. Answered by a [`Described`].
    Describe { name: String },
    /// To let one more node in. Answered by the invitation as text.
    Invite { role: Role, valid_s: u64, address: String },
    /// To let a node in no more, now and for good.
    Revoke { id: NodeId },
    /// To make itself a new key. Answered by its id.
    Rotate,
    /// To time a part, which lies in the store as JSON of a [`PartOf`](crate::deployment::PartOf), and the links to these
    /// nodes. Answered by a [`Measured`](measure::Measured).
    Measure { part: Option<FileEntry>, links: Vec<NodeId>, holders: Vec<NodeId> },
    /// To say which pieces of files it does not have. Answered by their hashes.
    Missing { files: Vec<FileEntry> },
    /// To get ready for what a manifest says. Answered by a [`Prepared`](install::Prepared).
    Prepare { signed: Signed, holders: Vec<NodeId> },
    /// To send requests over what was prepared.
    Activate { name: String, epoch: u32 },
    /// To show results that others have delivered here, of one deployment, after a number. Answered by
    /// [`Results`](results::Results).
    Results { name: String, from: Option<String>, after: u64 },
    /// To take away such results up to a number.
    Forget { name: String, from: Option<String>, through: u64 },
    /// To forget what was prepared and does not serve. Answered by whether it does serve.
    Abort { name: String, epoch: u32 },
}

/// What a deployment takes and gives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Described {
    /// What has to be given.
    pub inputs: Vec<InputOf>,
    /// What comes back.
    pub outputs: Vec<OutputOf>,
    /// How long a request may take that does not say it, in milliseconds.
    pub deadline_ms: u64,
}

impl Order {
    /// What whoever gives it has to be allowed.
    pub(crate) fn operation(&self) -> Operation {
        match self {
            Self::Status => Operation::Status,
            Self::Describe { .. } => Operation::Ask,
            Self::Invite { .. } => Operation::Invite,
            Self::Revoke { .. } => Operation::Revoke,
            Self::Measure { .. } | Self::Missing { .. } | Self::Prepare { .. } => Operation::Install,
            // What others have delivered is for this node and for who has deployed it so, not for every member.
            Self::Results { .. } | Self::Forget { .. } => Operation::Deploy,
            Self::Rotate | Self::Activate { .. } | Self::Abort { .. } => Operation::Deploy,
        }
    }
}

/// Carries out an order of `by`, who may give it; its answer as JSON.
pub(crate) async fn carry_out(inner: &Arc<Inner>, by: NodeId, order: Order) -> Result<Vec<u8>, DaemonError> {
    if matches!(order, Order::Prepare { .. } | Order::Activate { .. } | Order::Abort { .. }) {
        // What is written down of a deployment is all that is known of it until it is back.
        inner.restored().await;
    }
    match order {
        Order::Status => json(&status::status(inner)),
        Order::Describe { name } => {
            let source = inner.source(&name)?;
            let of = &source.of;
            let deadline_ms = of.deadline_us / 1000;
            json(&Described { inputs: of.inputs.clone(), outputs: of.outputs.clone(), deadline_ms })
        }
        Order::Invite { role, valid_s, address } => {
            let valid_for = Duration::from_secs(valid_s);
            let invited = inner.blocking(move |inner| inner.cluster.invite(by, role, valid_for, &address)).await?;
            json(&invited.to_string())
        }
        Order::Revoke { id } => {
            inner.blocking(move |inner| inner.cluster.revoke(by, id)).await?;
            inner.node.hang_up(id);
            json(&())
        }
        Order::Rotate => json(&rotate(inner).await?),
        Order::Measure { part, links, holders } => {
            let _preparing = inner.begin_preparing();
            json(&measure::measure(inner, part, &links, &holders).await?)
        }
        Order::Missing { files } => json(&files::missing(inner, files).await?),
        Order::Prepare { signed, holders } => json(&prepare(inner, signed, &holders).await?),
        Order::Activate { name, epoch } => {
            inner.blocking(move |inner| json(&install::activate(inner, &name, epoch)?)).await
        }
        Order::Results { name, from, after } => json(&results::show(inner, name, from, after).await?),
        Order::Forget { name, from, through } => json(&results::forget(inner, name, from, through).await?),
        Order::Abort { name, epoch } => inner.blocking(move |inner| json(&install::abort(inner, &name, epoch))).await,
    }
}

/// The inputs of a request, if they are those of the deployment.
pub(crate) fn fits(of: &[InputOf], sizes: &[u64]) -> bool {
    let bytes = |spec: &TensorSpec| spec.bytes().0;
    of.len() == sizes.len() && of.iter().zip(sizes).all(|(input, size)| bytes(&input.spec) == *size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_others_are_shown_to_no_helper() {
        let results = Order::Results { name: "eyes".into(), from: None, after: 0 };
        let forget = Order::Forget { name: "eyes".into(), from: None, through: 1 };
        for order in [results, forget] {
            let allowed = Role::ALL.into_iter().filter(|role| role.may(order.operation()));
            assert_eq!(allowed.collect::<Vec<_>>(), [Role::Operator], "{order:?}");
        }
    }
}
