//! The members of a cluster, as far as a node has heard.
//!
//! Records come from anywhere, in any order and more than once; each is checked by itself. Nodes that have been offered
//! the same records, until none changes anything, have the same roster.

use std::iter;
use std::mem;
use std::net::SocketAddr;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::kept;
use super::view::{Addresses, Records, Rotations, View};
use super::{Member, ROTATIONS_IN_A_ROW_MAX, Role, Rotation, SignedAddress, SignedMember, TrustError};
use crate::identity::{Identity, NodeId};

/// Most keys that one signer can speak of. So no operator takes the room of another, or of the authority.
pub const MEMBERS_MAX: usize = 4096;

/// Largest file of a roster: two records for each of [`MEMBERS_MAX`] keys of a few signers.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// What a record has changed about the key that it speaks of. Others may have lost or gained their place by it: unless
/// it is [`Change::Unchanged`], look up the role of each key that has a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// A new member.
    Added,
    /// A member has another name, address or role, or only the place of other keys has changed.
    Updated,
    /// The key is accepted no more: it was revoked, or has handed over.
    Removed,
    /// Nothing.
    Unchanged,
}

/// The members of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roster {
    authority: NodeId,
    records: Records,
    rotations: Rotations,
    addresses: Addresses,
    view: View,
}

/// What is kept of a roster. The rest follows.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    authority: NodeId,
    records: Vec<SignedMember>,
    rotations: Vec<Rotation>,
    #[serde(default)]
    addresses: Vec<SignedAddress>,
}

impl Roster {
    /// The roster of a new cluster, in which this key is the authority. [`Roster::admit`] it too, so that others learn
    /// its name and address.
    pub fn found(identity: &Identity) -> Self {
        Self::join(identity.id())
    }

    /// An empty roster of the cluster of this authority. The records of others fill it.
    pub fn join(authority: NodeId) -> Self {
        let (records, rotations, addresses) = Default::default();
        let view = View::derive(authority, &records, &rotations, &addresses);
        Self { authority, records, rotations, addresses, view }
    }

    /// The key that founded the cluster, by which it is known.
    pub fn authority(&self) -> NodeId {
        self.authority
    }

    /// What a key is here; none for strangers and for keys that are revoked or retired.
    pub fn role_of(&self, id: NodeId) -> Option<Role> {
        let authority = self.view.authorities.contains(&id) && !self.view.retired.contains(&id);
        self.member(id).map(|member| member.role).or(authority.then_some(Role::Operator))
    }

    /// A member, by its key.
    pub fn member(&self, id: NodeId) -> Option<&Member> {
        self.view.members.get(&id).filter(|_| !self.view.retired.contains(&id))
    }

    /// All members whose keys are accepted, by their keys. One that is changing its key is there twice.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.view.members.values().filter(|member| !self.view.retired.contains(&member.id))
    }

    /// Whether a key was revoked.
    pub fn is_revoked(&self, id: NodeId) -> bool {
        self.view.revoked.contains(&id)
    }

    /// All records, for another roster of this cluster.
    pub fn records(&self) -> impl Iterator<Item = &SignedMember> {
        self.records.values()
    }

    /// All rotations, for another roster of this cluster.
    pub fn rotations(&self) -> impl Iterator<Item = &Rotation> {
        self.rotations.values()
    }

    /// All that members say of where they are, for another roster of this cluster.
    pub fn addresses(&self) -> impl Iterator<Item = &SignedAddress> {
        self.addresses.values()
    }

    /// Whether a key may admit members of this role.
    pub fn may_admit(&self, by: NodeId, role: Role) -> Result<(), TrustError> {
        match role {
            Role::Operator if !self.view.authorities.contains(&by) => Err(TrustError::OnlyTheAuthority { by, id: by }),
            _ if !self.view.signers.contains(&by) => Err(TrustError::NoOperator { by }),
            _ => Ok(()),
        }
    }

    /// Admits a member, or gives one another name or address. Hand the record on.
    pub fn admit(&mut self, by: &Identity, member: &Member) -> Result<SignedMember, TrustError> {
        self.may_admit(by.id(), member.role)?;
        if self.is_revoked(member.id) {
            return Err(TrustError::Revoked { id: member.id });
        }
        if let Some(held) = self.member(member.id).map(|known| known.role).filter(|held| *held != member.role) {
            return Err(TrustError::OtherRole { id: member.id, held, offered: member.role });
        }
        self.say(by, Member { revoked: false, ..member.clone() })
    }

    /// Says where the member of this key is by now. Hand it on.
    pub fn moves(&mut self, identity: &Identity, address: SocketAddr) -> Result<SignedAddress, TrustError> {
        let id = identity.id();
        let last = self.addresses.get(&id).map_or(0, |said| said.version);
        let version = last.checked_add(1).ok_or(TrustError::NoMoreVersions { id })?;
        let said = SignedAddress::sign(identity, address, version, self.authority);
        self.merge_address(said.clone())?;
        Ok(said)
    }

    /// Revokes a key, for good. Hand the record on. Of an operator only the authority can.
    pub fn revoke(&mut self, by: &Identity, id: NodeId) -> Result<SignedMember, TrustError> {
        let said = || self.records.values().map(|record| &record.member).find(|member| member.id == id);
        let member = self.member(id).or_else(said).ok_or(TrustError::NoMember { id })?;
        self.say(by, Member { revoked: true, ..member.clone() })
    }

    /// Signs with the next version, and takes it like a record from elsewhere.
    fn say(&mut self, by: &Identity, member: Member) -> Result<SignedMember, TrustError> {
        let id = member.id;
        let about = self.records.values().filter(|record| record.member.id == id);
        let last = about.map(|record| record.member.version).max();
        let next = last.map_or(Some(1), |last| last.checked_add(1));
        let version = next.ok_or(TrustError::NoMoreVersions { id })?;
        let record = SignedMember::sign(Member { version, ..member }, self.authority, by);
        self.merge(record.clone())?;
        Ok(record)
    }

    /// Takes in what somebody says of a key, if it is signed by who may say so and is not known better.
    pub fn merge(&mut self, record: SignedMember) -> Result<Change, TrustError> {
        let id = record.member.id;
        let before = self.member(id).cloned();
        let changed = self.take(record)?;
        Ok(self.settled(changed, id, before))
    }

    /// Takes in that a key hands over to another one. The change is that of the old key.
    pub fn merge_rotation(&mut self, rotation: Rotation) -> Result<Change, TrustError> {
        let id = rotation.old;
        let before = self.member(id).cloned();
        let changed = self.take_rotation(rotation)?;
        Ok(self.settled(changed, id, before))
    }

    /// Takes in where a member says that it is, if its key is accepted, which that of a retired one is not, and nothing
    /// later is known.
    pub fn merge_address(&mut self, said: SignedAddress) -> Result<Change, TrustError> {
        let id = said.id;
        let before = self.member(id).cloned();
        let changed = self.take_address(said)?;
        Ok(self.settled(changed, id, before))
    }

    /// Takes in all that another roster knows, in any order. What is refused is left out; the reason of one of these is
    /// told beside whether anyone's place has changed.
    pub fn merge_all(
        &mut self,
        records: Vec<SignedMember>,
        rotations: Vec<Rotation>,
        addresses: Vec<SignedAddress>,
    ) -> (bool, Option<TrustError>) {
        let (mut ever, mut refused) = (false, None);
        // What is refused in one turn, or forgotten after it, may count when more of this is known. A turn that goes on knows
        // one more at least.
        for _ in 0..=records.len() + rotations.len() + addresses.len() {
            let mut news = false;
            refused = None;
            let mut note = |taken: Result<bool, TrustError>| match taken {
                Ok(new) => news |= new,
                Err(error) => drop(refused.get_or_insert(error)),
            };
            records.iter().for_each(|record| note(self.take(record.clone())));
            rotations.iter().for_each(|rotation| note(self.take_rotation(rotation.clone())));
            addresses.iter().for_each(|said| note(self.take_address(said.clone())));
            if !news {
                break;
            }
            ever |= self.settle();
        }
        (ever, refused)
    }

    /// Whether it was news. The view is that of before.
    fn take(&mut self, record: SignedMember) -> Result<bool, TrustError> {
        let (id, by) = (record.member.id, record.by);
        let slot = (id, by, record.member.revoked);
        let held = self.records.get(&slot);
        if held == Some(&record) {
            return Ok(false);
        }
        self.check_standing(&record)?;
        record.member.check()?;
        record.verify(self.authority)?;
        if let Some(held) = held.filter(|held| held.rank() > record.rank()) {
            let (offered, held) = (record.member.version, held.member.version);
            return Err(TrustError::Outdated { id, offered, held });
        }
        let spoken_of = self.records.keys().filter(|(_, signer, revoked)| *signer == by && *revoked == slot.2).count();
        if held.is_none() && spoken_of >= MEMBERS_MAX {
            return Err(TrustError::TooManyMembers { by });
        }
        self.records.insert(slot, record);
        Ok(true)
    }

    /// Whether who signed may say so.
    fn check_standing(&self, record: &SignedMember) -> Result<(), TrustError> {
        let (view, by, member) = (&self.view, record.by, &record.member);
        let id = member.id;
        if view.counts(record) {
            return Ok(());
        }
        if !view.operators.contains(&by) {
            return Err(TrustError::NoOperator { by });
        }
        let revoked = [id, by].into_iter().find(|key| view.revoked.contains(key));
        if let Some(id) = revoked.filter(|_| !member.revoked) {
            return Err(TrustError::Revoked { id });
        }
        Err(TrustError::OnlyTheAuthority { by, id })
    }

    /// Whether it was news. The view is that of before.
    fn take_rotation(&mut self, rotation: Rotation) -> Result<bool, TrustError> {
        let (old, new) = (rotation.old, rotation.new);
        let held = self.rotations.get(&old);
        if held == Some(&rotation) {
            return Ok(false);
        }
        if self.view.revoked.contains(&old) {
            return Err(TrustError::Revoked { id: old });
        }
        if !self.view.knows(old) {
            return Err(TrustError::NoMember { id: old });
        }
        rotation.verify(self.authority)?;
        if let Some(held) = held.filter(|held| held.rank() > rotation.rank()) {
            return if held.new == new { Ok(false) } else { Err(TrustError::RotatedOtherwise { old, new: held.new }) };
        }
        if held.is_none() && self.row(old) >= ROTATIONS_IN_A_ROW_MAX {
            return Err(TrustError::TooManyRotations { id: old });
        }
        self.rotations.insert(old, rotation);
        Ok(true)
    }

    /// Whether it was news. The view is that of before.
    fn take_address(&mut self, said: SignedAddress) -> Result<bool, TrustError> {
        let id = said.id;
        let held = self.addresses.get(&id);
        if held == Some(&said) {
            return Ok(false);
        }
        if self.view.revoked.contains(&id) {
            return Err(TrustError::Revoked { id });
        }
        if self.view.retired.contains(&id) {
            return Err(TrustError::Retired { id });
        }
        if !self.view.knows(id) {
            return Err(TrustError::NoMember { id });
        }
        said.verify(self.authority)?;
        if let Some(held) = held.filter(|held| held.rank() > said.rank()) {
            return Err(TrustError::MovedOn { id, offered: said.version, held: held.version });
        }
        self.addresses.insert(id, said);
        Ok(true)
    }

    /// How many keys have followed each other up to this one, since one that was admitted itself.
    fn row(&self, id: NodeId) -> usize {
        let admitted = |id: NodeId| self.records.keys().any(|(of, _, revoked)| *of == id && !revoked);
        let before = |id: &NodeId| {
            let rotation = self.rotations.values().find(|rotation| rotation.new == *id)?;
            if admitted(*id) { None } else { Some(rotation.old) }
        };
        iter::successors(Some(id), before).skip(1).take(ROTATIONS_IN_A_ROW_MAX).count()
    }

    fn settled(&mut self, changed: bool, id: NodeId, before: Option<Member>) -> Change {
        let moved = changed && self.settle();
        match (before, self.member(id)) {
            (None, Some(_)) => Change::Added,
            (Some(_), None) => Change::Removed,
            _ if moved => Change::Updated,
            _ => Change::Unchanged,
        }
    }

    /// Looks at all that is known and forgets what has no weight any more: whether anyone's place has changed.
    fn settle(&mut self) -> bool {
        let view = View::derive(self.authority, &self.records, &self.rotations, &self.addresses);
        let before = mem::replace(&mut self.view, view);
        self.records.retain(|_, record| self.view.counts(record));
        self.rotations.retain(|old, _| self.view.knows(*old));
        self.addresses.retain(|id, _| self.view.knows(*id) && !self.view.retired.contains(id));
        self.view != before
    }

    /// Writes it to a file: the former one is there until the new one is whole.
    pub fn save(&self, file: &Path) -> Result<(), TrustError> {
        let (records, rotations) = (self.records().cloned().collect(), self.rotations().cloned().collect());
        let addresses = self.addresses().cloned().collect();
        kept::write(file, &Kept { authority: self.authority, records, rotations, addresses })
    }

    /// Reads it from a file, checking each signature as if it came from a stranger; none if there is no file.
    pub fn load(file: &Path) -> Result<Option<Self>, TrustError> {
        const REMEDY: &str = "and join again";
        let Some(Kept { authority, records, rotations, addresses }) = kept::read(file, FILE_BYTES_MAX, REMEDY)? else {
            return Ok(None);
        };
        let mut roster = Self::join(authority);
        match roster.merge_all(records, rotations, addresses) {
            (_, None) => Ok(Some(roster)),
            (_, Some(error)) => {
                Err(TrustError::Damaged { file: file.to_owned(), reason: error.to_string(), remedy: REMEDY })
            }
        }
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod order;
#[cfg(test)]
mod moving;
