//! Why a node is not trusted, and what cannot be read or kept of who is.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::{INVITATION_SPAN_MAX, INVITATIONS_MAX, MEMBERS_MAX, NAME_BYTES_MAX, ROTATIONS_IN_A_ROW_MAX, Role};
use crate::identity::{IdentityError, NodeId};

/// Why a node is not trusted, or what is known of trust not kept.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum TrustError {
    /// Neither the authority nor an operator of it has signed.
    #[error("{by} has signed this, but is not an operator of this cluster: ask one to do it")]
    NoOperator { by: NodeId },
    /// An operator has signed what only the authority may.
    #[error("{by} has signed this about {id}, but only the cluster's authority says who is an operator")]
    OnlyTheAuthority { by: NodeId, id: NodeId },
    /// The signature is not one of these bytes.
    #[error("what is said about {id} was not signed by {by}, or was changed afterwards: get it anew")]
    Forged { by: NodeId, id: NodeId },
    /// A key that counts no more.
    #[error("the key {id} is revoked, for good: make a new key and join again")]
    Revoked { id: NodeId },
    /// A key that has handed over for good.
    #[error("the key {id} is retired: speak with the one that follows it")]
    Retired { id: NodeId },
    /// Something newer is known.
    #[error("of {id} version {offered} was offered, but {held} is known: get the newer one")]
    Outdated { id: NodeId, offered: u32, held: u32 },
    /// A later word of a member on where it is is known.
    #[error("of where {id} is version {offered} was offered, but {held} is known: get the newer one")]
    MovedOn { id: NodeId, offered: u64, held: u64 },
    /// There can be no newer record of this member by this signer.
    #[error("{id} has changed as often as it can: make a new key for it and join again")]
    NoMoreVersions { id: NodeId },
    /// Not in the roster.
    #[error("{id} is not a member of this cluster")]
    NoMember { id: NodeId },
    /// The role of a key would change.
    #[error("{id} is {held}, not {offered}: a key keeps its role, so make a new key and join again")]
    OtherRole { id: NodeId, held: Role, offered: Role },
    /// The key has handed over to another one.
    #[error("{old} has already handed over to {new}")]
    RotatedOtherwise { old: NodeId, new: NodeId },
    /// A key that hands over to itself.
    #[error("{id} cannot hand over to itself: make a new key")]
    RotatedToItself { id: NodeId },
    /// Keys have followed each other too often.
    #[error("{ROTATIONS_IN_A_ROW_MAX} keys have followed each other: an operator has to admit {id} anew")]
    TooManyRotations { id: NodeId },
    /// The signer has said as much as is kept.
    #[error("{by} has signed {MEMBERS_MAX} keys, which is the most: let another operator sign, or found a new cluster")]
    TooManyMembers { by: NodeId },
    /// No name for people.
    #[error("\"{name}\" is no name: write 1 to {NAME_BYTES_MAX} bytes of printable text")]
    NotAName { name: String },
    /// The text is no invitation.
    #[error("this is no invitation: {reason}; copy all of the line that `thalweg invite` has printed")]
    NotAnInvitation { reason: &'static str },
    /// There is nothing behind the secret. It does not say whether there ever was.
    #[error("this invitation is not open here: it was used or never made; ask for a new one")]
    NotInvited,
    /// The time of the invitation is over.
    #[error("this invitation has expired: ask for a new one")]
    InvitationExpired,
    /// The invitation is for another role, and stays open.
    #[error(
        "the invitation is for a node of role {invited}, and node.toml says {asked}: ask for another one, or change it"
    )]
    InvitedOtherwise { invited: Role, asked: Role },
    /// Too many are open.
    #[error("{INVITATIONS_MAX} invitations are open, which is the most: wait until some are used or expire")]
    TooManyInvitations,
    /// An invitation for no time, or for too long.
    #[error("an invitation cannot be open for {asked:?}: choose more than 0 and at most {INVITATION_SPAN_MAX:?}")]
    InvitationSpan { asked: Duration },
    /// The system gave no randomness.
    #[error("no secret could be made: the system's random number generator failed")]
    NoRandomness,
    /// There is a key already.
    #[error("{} is there already, and a key is never overwritten: use it, or name another file", file.display())]
    KeyExists { file: PathBuf },
    /// Others may read the private key.
    #[error("others can read the private key {} (mode {mode:04o}): run `chmod 600 {}`", file.display(), file.display())]
    Exposed { file: PathBuf, mode: u32 },
    /// The file does not hold a key.
    #[error("{}: {cause}", file.display())]
    Key { file: PathBuf, cause: IdentityError },
    /// The file cannot be read.
    #[error("{} cannot be read: {cause}", file.display())]
    Unreadable { file: PathBuf, cause: io::Error },
    /// The file cannot be written. What was in it is still there.
    #[error("{} cannot be written: {cause}", file.display())]
    Unwritable { file: PathBuf, cause: io::Error },
    /// The file holds something else than was written to it.
    #[error("{} is damaged: {reason}; put back a copy of it, or delete it {remedy}", file.display())]
    Damaged { file: PathBuf, reason: String, remedy: &'static str },
}
