//! What a member may ask of another node: one table, in which whatever is not named is denied.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a member is. A key keeps its role: who gets another one gets another key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Where requests arise.
    Device,
    /// Near devices: computes for them.
    Edge,
    /// Far from devices: computes for them and for edges.
    Cloud,
    /// Whoever runs the cluster.
    Operator,
}

/// What one node asks of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// Answer a request, as its source.
    Ask,
    /// Compute a hop of a request.
    Infer,
    /// Exchange the states of nodes.
    Gossip,
    /// Measure the link.
    Probe,
    /// Get files of parts.
    Fetch,
    /// Keep a part, to be deployed.
    Install,
    /// Begin, change or end a deployment.
    Deploy,
    /// Make an invitation.
    Invite,
    /// Revoke a key.
    Revoke,
    /// Tell how it is.
    Status,
    /// Take results that were made while the link was down.
    Deliver,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Ask,
        Self::Infer,
        Self::Gossip,
        Self::Probe,
        Self::Fetch,
        Self::Install,
        Self::Deploy,
        Self::Invite,
        Self::Revoke,
        Self::Status,
        Self::Deliver,
    ];
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Device, Self::Edge, Self::Cloud, Self::Operator];

    /// Whether a member of this role may ask this of another node. Of itself a node may ask everything: who holds its
    /// key is its owner.
    pub fn may(self, operation: Operation) -> bool {
        use Operation::{Ask, Deliver, Fetch, Gossip, Infer, Probe, Status};
        match self {
            Self::Device => matches!(operation, Ask | Infer | Gossip | Probe | Fetch | Deliver),
            Self::Edge | Self::Cloud => matches!(operation, Ask | Infer | Gossip | Probe | Fetch | Deliver | Status),
            Self::Operator => true,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(match self {
            Self::Device => "device",
            Self::Edge => "edge",
            Self::Cloud => "cloud",
            Self::Operator => "operator",
        })
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(match self {
            Self::Ask => "ask",
            Self::Infer => "infer",
            Self::Gossip => "gossip",
            Self::Probe => "probe",
            Self::Fetch => "fetch",
            Self::Install => "install",
            Self::Deploy => "deploy",
            Self::Invite => "invite",
            Self::Revoke => "revoke",
            Self::Status => "status",
            Self::Deliver => "deliver",
        })
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn who_may_what() {
        let row = |operation: Operation| {
            let marks =
                Role::ALL.map(|role| if role.may(operation) { format!("{role:9}") } else { format!("{:9}", "-") });
            format!("{operation:8} {}\n", marks.concat().trim_end())
        };
        expect![[r#"
            ask      device   edge     cloud    operator
            infer    device   edge     cloud    operator
            gossip   device   edge     cloud    operator
            probe    device   edge     cloud    operator
            fetch    device   edge     cloud    operator
            install  -        -        -        operator
            deploy   -        -        -        operator
            invite   -        -        -        operator
            revoke   -        -        -        operator
            status   -        edge     cloud    operator
            deliver  device   edge     cloud    operator
        "#]]
        .assert_eq(&Operation::ALL.map(row).concat());
    }
}
