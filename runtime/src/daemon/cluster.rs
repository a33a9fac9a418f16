//! Who is a member, by what this node has been told and has kept; the gate of its connections.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::DaemonError;
use super::state::{State, read_json, write_json};
use crate::clock::Clock;
use crate::identity::{Gate, Identity, NodeId};
use crate::link::Peer;
use crate::store::Hash;
use crate::trust::{
    Invitation, Invitations, KeyFile, Member, Operation, ROTATIONS_IN_A_ROW_MAX, Role, Roster, Rotation, Secret,
    SignedAddress, SignedMember,
};

/// A member that has moved is believed again that it has after so long. Each time costs a write to the disk, during which
/// nobody is looked up; and who has told of it is asked again by gossip, so nothing is lost.
const MOVES_EVERY: Duration = Duration::from_secs(5);

/// What one node tells another of the members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Told {
    pub(crate) authority: NodeId,
    pub(crate) records: Vec<SignedMember>,
    pub(crate) rotations: Vec<Rotation>,
    pub(crate) addresses: Vec<SignedAddress>,
}

impl Told {
    fn by(roster: &Roster) -> Self {
        Self {
            authority: roster.authority(),
            records: roster.records().cloned().collect(),
            rotations: roster.rotations().cloned().collect(),
            addresses: roster.addresses().cloned().collect(),
        }
    }

    fn digest(&self) -> String {
        blake3::hash(&serde_json::to_vec(self).unwrap_or_default()).to_hex().to_string()
    }
}

/// The cluster as a node knows it.
#[derive(Debug)]
pub(crate) struct Cluster {
    state: State,
    clock: Clock,
    identity: RwLock<Identity>,
    roster: RwLock<Roster>,
    /// Of all that is known of members.
    digest: Mutex<String>,
    invitations: Mutex<Invitations>,
    /// When what others say of where a member is was last believed, as far as that is not long ago.
    moved: Mutex<BTreeMap<NodeId, Duration>>,
}

impl Cluster {
    /// What the state folder says. A node that has joined no cluster founds one.
    pub(crate) fn open(state: &State, clock: Clock) -> Result<Self, DaemonError> {
        let mut identity = KeyFile::new(state.key()).read_or_make()?;
        let roster = Roster::load(&state.roster())?.unwrap_or_else(|| Roster::found(&identity));
        // It may have ended while its key was handing over.
        match told_key(state, &roster, identity.id())? {
            Some(next) => {
                state.take_next_key()?;
                identity = next;
            }
            None => state.drop_next_key()?,
        }
        // Peers that were connected when it ended know its resets by the key of then.
        if let Some(resets) = read_json::<Hash>(&state.resets())? {
            identity = identity.with_resets(*resets.as_bytes());
        }
        let invitations = Invitations::open(&state.invitations(), clock.now())?;
        let (state, digest) = (state.clone(), Mutex::new(Told::by(&roster).digest()));
        let (identity, roster, invitations) = (RwLock::new(identity), RwLock::new(roster), Mutex::new(invitations));
        Ok(Self { state, clock, identity, roster, digest, invitations, moved: Mutex::default() })
    }

    pub(crate) fn identity(&self) -> Identity {
        self.identity.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn id(&self) -> NodeId {
        self.identity.read().unwrap_or_else(PoisonError::into_inner).id()
    }

    /// The members, while nothing changes.
    pub(crate) fn roster(&self) -> RwLockReadGuard<'_, Roster> {
        self.roster.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is known of members. Nothing of it counts, or is told, before it is on the disk.
    fn change<T>(&self, change: impl FnOnce(&mut Roster) -> Result<T, DaemonError>) -> Result<T, DaemonError> {
        let mut roster = self.roster.write().unwrap_or_else(PoisonError::into_inner);
        let mut changed = roster.clone();
        let came = change(&mut changed)?;
        if changed != *roster {
            changed.save(&self.state.roster())?;
            *self.digest.lock().unwrap_or_else(PoisonError::into_inner) = Told::by(&changed).digest();
            *roster = changed;
        }
        Ok(came)
    }

    pub(crate) fn invitations(&self) -> MutexGuard<'_, Invitations> {
        self.invitations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the holder of a key may ask this of this node. The node itself may ask everything, and so may the
    /// authority and operators, whatever else they are.
    pub(crate) fn may(&self, id: NodeId, operation: Operation) -> bool {
        let roster = self.roster();
        let is_operator = || roster.may_admit(id, Role::Device).is_ok();
        id == self.id() || roster.role_of(id).is_some_and(|role| role.may(operation) || is_operator())
    }

    /// The key that a node has by now.
    pub(crate) fn current(&self, id: NodeId) -> NodeId {
        let roster = self.roster();
        let (mut last, mut current) = (id, id);
        // Each key hands over once, and the roster accepts no more in a row. Those between may be retired.
        for _ in 0..ROTATIONS_IN_A_ROW_MAX {
            let next = roster.rotations().find(|rotation| rotation.old == last).map(|rotation| rotation.new);
            let Some(next) = next else { break };
            last = next;
            if roster.member(last).is_some() {
                current = last;
            }
        }
        current
    }

    /// Where a member is; of one that has another key by now, under that.
    pub(crate) fn peer(&self, id: NodeId) -> Option<Peer> {
        let id = self.current(id);
        let address = self.roster().member(id)?.address;
        Some(Peer { id, address })
    }

    /// Where each member is, by all keys that it has had.
    pub(crate) fn found_as(&self) -> BTreeMap<NodeId, Peer> {
        let roster = self.roster();
        let members = roster.members().map(|member| member.id);
        let ids: Vec<NodeId> = members.chain(roster.rotations().map(|rotation| rotation.old)).collect();
        drop(roster);
        ids.into_iter().filter_map(|id| Some((id, self.peer(id)?))).collect()
    }

    /// What people call a node; the beginning of its key where it is unknown.
    pub(crate) fn name(&self, id: NodeId) -> String {
        let known = self.roster().member(id).map(|member| member.name.clone());
        known.unwrap_or_else(|| id.to_string().chars().take(8).collect())
    }

    /// Says who this node is and where, as far as others do not know it yet: where it is each member says of itself, its name
    /// only who may admit members.
    pub(crate) fn tell_of_self(&self, name: &str, role: Role, address: SocketAddr) -> Result<(), DaemonError> {
        let identity = self.identity();
        let member = Member { id: identity.id(), name: name.to_owned(), role, address, version: 0, revoked: false };
        self.change(|roster| {
            let named = roster.member(member.id).is_some_and(|known| known.name == member.name);
            if !named && roster.may_admit(member.id, role).is_ok() {
                roster.admit(&identity, &member)?;
            }
            if roster.member(member.id).is_some_and(|known| known.address != address) {
                roster.moves(&identity, address)?;
            }
            Ok(())
        })
    }

    /// Invites one node, for `by`: nobody has this node do what it could not do itself.
    pub(crate) fn invite(
        &self,
        by: NodeId,
        role: Role,
        valid_for: Duration,
        address: &str,
    ) -> Result<Invitation, DaemonError> {
        self.roster().may_admit(by, role)?;
        self.roster().may_admit(self.id(), role)?;
        let (now, id) = (self.clock.now(), self.id());
        Ok(self.invitations().invite(role, valid_for, now, id, address)?)
    }

    /// Lets in who shows the secret of an invitation, under the key that it has shown; what it is told then.
    pub(crate) fn admit(&self, secret: [u8; 16], member: Member) -> Result<Told, DaemonError> {
        self.invitations().accept(&Secret::from(secret), member.role, self.clock.now())?;
        self.change(|roster| Ok(roster.admit(&self.identity(), &member)?))?;
        Ok(self.told())
    }

    /// All that this node knows of members.
    pub(crate) fn told(&self) -> Told {
        Told::by(&self.roster())
    }

    /// A short name of all that this node knows of members: nodes with the same one need not talk of it.
    pub(crate) fn digest(&self) -> String {
        self.digest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes in what another node says; those whose keys count no more.
    pub(crate) fn hear(&self, told: Told) -> Result<Vec<NodeId>, DaemonError> {
        self.hear_at(told, self.clock.now())
    }

    fn hear_at(&self, mut told: Told, now: Duration) -> Result<Vec<NodeId>, DaemonError> {
        self.change(|roster| {
            if told.authority != roster.authority() {
                // Nodes of another cluster are not let in, so this is one that has changed its mind.
                return Err(DaemonError::Misunderstood);
            }
            let mut moved = self.moved.lock().unwrap_or_else(PoisonError::into_inner);
            moved.retain(|_, at| now.saturating_sub(*at) < MOVES_EVERY);
            told.addresses.retain(|said| !moved.contains_key(&said.id));
            let before: Vec<NodeId> = roster.members().map(|member| member.id).collect();
            let said: BTreeMap<NodeId, SignedAddress> =
                roster.addresses().map(|said| (said.id, said.clone())).collect();
            if let (_, Some(error)) = roster.merge_all(told.records, told.rotations, told.addresses) {
                tracing::warn!(%error, "what a peer says of members is not all believed");
            }
            let news = roster.addresses().filter(|address| said.get(&address.id) != Some(address));
            moved.extend(news.map(|address| (address.id, now)));
            Ok(before.into_iter().filter(|id| roster.role_of(*id).is_none()).collect())
        })
    }

    /// Revokes a key, for `by`: nobody has this node do what it could not do itself.
    pub(crate) fn revoke(&self, by: NodeId, id: NodeId) -> Result<(), DaemonError> {
        self.change(|roster| {
            let role = roster.member(id).map_or(Role::Device, |member| member.role);
            roster.may_admit(by, role)?;
            roster.revoke(&self.identity(), id)?;
            Ok(())
        })
    }

    /// Makes a new key that is to take the place of this node's, and says so; both are accepted from then on, until the old
    /// one is retired. The new one, and what retires the old one, which stands in a file by then: the old key will not be
    /// there any more to sign it. Where that was begun before and not ended, it goes on with the key that others were told.
    pub(crate) fn announce_key(&self) -> Result<(Identity, Rotation), DaemonError> {
        if !self.state.resets().exists() {
            write_json(&self.state.resets(), &Hash::from(self.identity().resets()))?;
        }
        let old = self.identity();
        let told = told_key(&self.state, &self.roster(), old.id())?;
        let new = match told {
            Some(told) => told,
            None => {
                self.state.drop_next_key()?;
                KeyFile::new(self.state.next_key()).make()?
            }
        };
        let [hands_over, retires] =
            [false, true].map(|retires| Rotation::sign(&old, &new, retires, self.roster().authority()));
        self.keep_retirements(|all| {
            all.retain(|one| *one != retires);
            all.push(retires.clone());
        })?;
        self.change(|roster| {
            let address = roster.member(old.id()).map(|member| member.address);
            roster.merge_rotation(hands_over)?;
            if let Some(address) =
                address.filter(|known| roster.member(new.id()).is_some_and(|it| it.address != *known))
            {
                roster.moves(&new, address)?;
            }
            Ok(())
        })?;
        Ok((new, retires))
    }

    /// From now on this node is the one of the new key.
    pub(crate) fn take_key(&self, new: &Identity) -> Result<(), DaemonError> {
        self.state.take_next_key()?;
        *self.identity.write().unwrap_or_else(PoisonError::into_inner) = new.clone();
        Ok(())
    }

    /// What is to retire keys that this node had: those that handed over before it last ended.
    pub(crate) fn retirements(&self) -> Result<Vec<Rotation>, DaemonError> {
        let roster = self.roster();
        let handed_over = |one: &Rotation| roster.rotations().any(|known| (known.old, known.new) == (one.old, one.new));
        let all: Vec<Rotation> = read_json(&self.state.retirements())?.unwrap_or_default();
        Ok(all.into_iter().filter(handed_over).collect())
    }

    /// Lets an old key of this node count no more.
    pub(crate) fn retire(&self, old: &Rotation) -> Result<(), DaemonError> {
        self.change(|roster| Ok(roster.merge_rotation(old.clone()).map(drop)?))?;
        self.keep_retirements(|all| all.retain(|other| other != old))
    }

    /// Those of keys that never handed over are left out.
    fn keep_retirements(&self, change: impl FnOnce(&mut Vec<Rotation>)) -> Result<(), DaemonError> {
        let mut all = self.retirements()?;
        change(&mut all);
        write_json(&self.state.retirements(), &all)
    }

    /// Writes down how long invitations still hold.
    pub(crate) fn keep(&self) -> Result<(), DaemonError> {
        Ok(self.invitations().keep(self.clock.now())?)
    }
}

/// The key that is to follow this one, if others may have been told of it.
fn told_key(state: &State, roster: &Roster, key: NodeId) -> Result<Option<Identity>, DaemonError> {
    if !state.next_key().exists() {
        return Ok(None);
    }
    let next = KeyFile::new(state.next_key()).read()?;
    let told = roster.rotations().any(|rotation| (rotation.old, rotation.new) == (key, next.id()));
    Ok(told.then_some(next))
}

impl Gate for Cluster {
    fn lets_in(&self, id: NodeId) -> bool {
        self.knows(id) || (self.invitations().count(self.clock.now()) > 0 && !self.roster().is_revoked(id))
    }

    fn knows(&self, id: NodeId) -> bool {
        id == self.id() || self.roster().role_of(id).is_some()
    }

    fn may_infer(&self, id: NodeId) -> bool {
        self.may(id, Operation::Infer)
    }
}

#[cfg(test)]
mod tests;
