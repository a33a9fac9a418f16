//! Who belongs to a cluster, and what each may do: roles, signed members, keys that change, invitations.
//!
//! A cluster is named by its *authority*: the key of the node that founded it, which every other node pins when it
//! joins. The authority says who is a member, and so do operators whom the authority itself has signed. Each node keeps
//! a [`Roster`] of what was said and checks every word of it, so it does not matter from whom it hears. Of itself a member
//! says only where it is.
//!
//! No clock of day is read here. Invitations expire by a monotonic clock that is an argument; members do not expire,
//! they are revoked.

mod error;
mod role;
mod member;
mod rotation;
mod address;
mod view;
mod roster;
mod invitation;
mod invitations;
mod key_file;
mod kept;

pub use address::SignedAddress;
pub use error::TrustError;
pub use invitation::{Invitation, Secret};
pub use invitations::{INVITATION_SPAN_MAX, INVITATIONS_MAX, Invitations};
pub use key_file::KeyFile;
pub use member::{Member, NAME_BYTES_MAX, SignedMember};
pub use role::{Operation, Role};
pub use roster::{Change, MEMBERS_MAX, Roster};
pub use rotation::{ROTATIONS_IN_A_ROW_MAX, Rotation};
