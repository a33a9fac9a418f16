//! Who is a member, by all that is known: a function of records, rotations and addresses, so nodes that know the same
//! agree.
//!
//! What does not count at one time for a reason that is for good (a revoked key) is forgotten, see [`View::counts`]; it
//! would be refused if it came again.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;

use super::{Member, ROTATIONS_IN_A_ROW_MAX, Role, Rotation, SignedAddress, SignedMember};
use crate::identity::NodeId;

/// Records by whom they are about, whose they are, and whether they revoke: of each the greatest in
/// [`SignedMember::rank`].
pub(super) type Records = BTreeMap<(NodeId, NodeId, bool), SignedMember>;

/// Rotations by the key that hands over.
pub(super) type Rotations = BTreeMap<NodeId, Rotation>;

/// Where members say that they are, by their keys: of each the greatest in [`SignedAddress::rank`].
pub(super) type Addresses = BTreeMap<NodeId, SignedAddress>;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct View {
    /// Whose key is accepted, and whose was until it was retired.
    pub(super) members: BTreeMap<NodeId, Member>,
    /// The pinned key and those that followed it.
    pub(super) authorities: BTreeSet<NodeId>,
    /// Whom the authority has ever made an operator, revoked or not, and the authority.
    pub(super) operators: BTreeSet<NodeId>,
    /// Whose admissions count now.
    pub(super) signers: BTreeSet<NodeId>,
    /// Keys that count no more.
    pub(super) revoked: BTreeSet<NodeId>,
    /// Keys that have handed over for good.
    pub(super) retired: BTreeSet<NodeId>,
}

impl View {
    pub(super) fn derive(authority: NodeId, records: &Records, rotations: &Rotations, addresses: &Addresses) -> Self {
        let mut view = Self::default();
        view.authorities.insert(authority);
        view.authorities.extend(successors(rotations, authority).map(|rotation| rotation.new));

        let by_authority = records.values().filter(|record| view.authorities.contains(&record.by));
        let named = by_authority.filter(|record| !record.member.revoked && record.member.role == Role::Operator);
        view.operators = named.map(|record| record.member.id).chain(view.authorities.iter().copied()).collect();

        let revocations = records.values().filter(|record| view.counts_as_revocation(record));
        view.revoked = revocations.map(|record| record.member.id).collect();
        view.signers = view.operators.difference(&view.revoked).copied().collect();
        view.members = view.accepted(records, rotations);
        let retiring = rotations.values().filter(|rotation| rotation.retires && view.knows(rotation.old));
        view.retired = retiring.map(|rotation| rotation.old).collect();
        for said in addresses.values().filter(|said| !view.retired.contains(&said.id)) {
            // A key that follows another one says for itself where it is.
            if let Some(member) = view.members.get_mut(&said.id) {
                member.address = said.address;
            }
        }
        view
    }

    /// Whether a key is accepted, or was until it was retired.
    pub(super) fn knows(&self, id: NodeId) -> bool {
        self.members.contains_key(&id) || self.authorities.contains(&id)
    }

    /// Whether a record has any weight, now or later. That a key was made an operator has some even when it is revoked:
    /// what it has revoked stays so.
    pub(super) fn counts(&self, record: &SignedMember) -> bool {
        let made_operator = self.authorities.contains(&record.by) && record.member.role == Role::Operator;
        self.counts_as_revocation(record)
            || self.counts_as_admission(record) && (made_operator || !self.revoked.contains(&record.member.id))
    }

    /// A revocation stays even if the operator who made it is revoked later: else a lost operator's key, when it is
    /// revoked, would bring back all that it ever revoked.
    fn counts_as_revocation(&self, record: &SignedMember) -> bool {
        let id = record.member.id;
        let by_operator = self.operators.contains(&record.by) && !self.operators.contains(&id);
        record.member.revoked
            && !self.authorities.contains(&id)
            && (self.authorities.contains(&record.by) || by_operator)
    }

    /// What a revoked operator has admitted counts no more: a thief of its key could go on signing, and no date would
    /// tell what came before. The authority or another operator admits anew whom it knows.
    fn counts_as_admission(&self, record: &SignedMember) -> bool {
        let member = &record.member;
        let by_operator = self.signers.contains(&record.by) && !self.operators.contains(&member.id);
        let by_authority = self.authorities.contains(&record.by);
        !member.revoked && (by_authority || by_operator && member.role != Role::Operator)
    }

    /// Those whom an admission names, and those that followed them.
    fn accepted(&self, records: &Records, rotations: &Rotations) -> BTreeMap<NodeId, Member> {
        let mut named: BTreeMap<NodeId, &SignedMember> = BTreeMap::new();
        for record in records.values().filter(|record| self.counts_as_admission(record)) {
            let best = named.entry(record.member.id).or_insert(record);
            if best.rank() < record.rank() {
                *best = record;
            }
        }
        named.retain(|id, _| !self.revoked.contains(id));
        let follow = |(id, record): (&NodeId, &&SignedMember)| {
            let ids = successors(rotations, *id).map(|rotation| rotation.new);
            let valid = ids.take_while(|id| !named.contains_key(id) && !self.revoked.contains(id));
            let member = record.member.clone();
            let ids: Vec<_> = iter::once(*id).chain(valid).collect();
            ids.into_iter().map(move |id| (id, Member { id, ..member.clone() }))
        };
        named.iter().flat_map(follow).collect()
    }
}

/// The rotations that lead on from a key.
fn successors(rotations: &Rotations, from: NodeId) -> impl Iterator<Item = &Rotation> {
    let on = |rotation: &&Rotation| rotations.get(&rotation.new);
    iter::successors(rotations.get(&from), on).take(ROTATIONS_IN_A_ROW_MAX)
}
