//! What members say of where they are changes that and nothing else.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::order::{moved, offered, saying};
use super::tests::{key, member};
use super::*;

/// All but the address of a member.
fn standing(member: &Member) -> (NodeId, &str, Role, u32, bool) {
    (member.id, &member.name, member.role, member.version, member.revoked)
}

#[test]
fn the_last_word_of_a_member_counts_and_no_earlier_one() {
    let (authority, edge) = (key(1), key(3));
    let mut roster = Roster::found(&authority);
    roster.admit(&authority, &member(&edge, Role::Edge)).unwrap();
    let said = [7001, 7002].map(|port| roster.moves(&edge, ([10, 0, 0, 1], port).into()).unwrap());
    assert_eq!(roster.member(edge.id()).unwrap().address, said[1].address);
    let replayed = roster.merge_address(said[0].clone());
    assert!(matches!(replayed, Err(TrustError::MovedOn { offered: 1, held: 2, .. })));
    assert_eq!(roster.merge_address(said[1].clone()).unwrap(), Change::Unchanged);
    // Not even who is admitted anew comes back by that to where it was.
    roster.admit(&authority, &member(&edge, Role::Edge)).unwrap();
    assert_eq!(roster.member(edge.id()).unwrap().address, said[1].address);
    let last = moved(3, 7003, u64::MAX);
    assert_eq!(roster.merge_address(last).unwrap(), Change::Updated);
    let refused = roster.moves(&edge, ([10, 0, 0, 1], 7004).into());
    assert!(matches!(refused, Err(TrustError::NoMoreVersions { .. })));
}

#[test]
fn only_a_member_says_where_it_is() {
    let (authority, edge, new, other) = (key(1), key(3), key(5), key(9));
    let mut roster = Roster::found(&authority);
    roster.admit(&authority, &member(&edge, Role::Edge)).unwrap();
    assert!(matches!(roster.merge_address(moved(4, 1, 1)), Err(TrustError::NoMember { .. })));
    let good = moved(3, 1, 1);
    let elsewhere = SignedAddress::sign(&edge, good.address, 1, other.id());
    type Forgery = fn(&mut SignedAddress);
    let changes: [Forgery; 4] =
        [|it| it.signature[0] ^= 1, |it| it.version += 1, |it| it.address.set_port(2), |it| it.id = key(1).id()];
    let forged = changes.map(|change| {
        let mut forged = good.clone();
        change(&mut forged);
        forged
    });
    for (at, forged) in forged.into_iter().chain([elsewhere]).enumerate() {
        assert!(matches!(roster.merge_address(forged), Err(TrustError::Forged { .. })), "forgery {at}");
    }
    roster.merge_address(good).unwrap();
    roster.merge_rotation(Rotation::sign(&edge, &new, false, authority.id())).unwrap();
    let admitted = member(&edge, Role::Edge).address;
    assert_eq!(roster.member(new.id()).unwrap().address, admitted, "a key that follows says for itself where it is");
    roster.merge_address(moved(5, 2, 1)).unwrap();
    assert_eq!(roster.member(new.id()).unwrap().address.port(), 2);
    roster.revoke(&authority, new.id()).unwrap();
    assert!(matches!(roster.merge_address(moved(5, 3, 2)), Err(TrustError::Revoked { .. })));
    assert_eq!(roster.addresses().map(|said| said.id).collect::<Vec<_>>(), [edge.id()], "a revoked key says nothing");
}

#[test]
fn a_retired_key_says_nothing_any_more() {
    let (authority, edge, new) = (key(1), key(3), key(5));
    let mut roster = Roster::found(&authority);
    roster.admit(&authority, &member(&edge, Role::Edge)).unwrap();
    roster.merge_address(moved(3, 1, 1)).unwrap();
    roster.merge_rotation(Rotation::sign(&edge, &new, false, authority.id())).unwrap();
    roster.merge_address(moved(3, 2, 2)).unwrap();
    roster.merge_address(moved(5, 3, 1)).unwrap();
    roster.merge_rotation(Rotation::sign(&edge, &new, true, authority.id())).unwrap();
    for version in [2, 3] {
        let before = roster.clone();
        assert!(matches!(roster.merge_address(moved(3, 2, version)), Err(TrustError::Retired { .. })));
        assert_eq!(roster, before);
    }
    assert_eq!(roster.addresses().map(|said| said.id).collect::<Vec<_>>(), [new.id()]);
    assert_eq!(roster.member(new.id()).unwrap().address.port(), 3);
}

proptest! {
    #[test]
    fn whatever_is_said_of_addresses_only_these_change_and_to_the_last_that_was_said(
        sayings in proptest::collection::vec(saying(), 1..20),
        addresses in proptest::collection::vec((1u8..=8, 1u16..5, 1u64..5), 1..20),
    ) {
        let before = offered(&sayings);
        let mut after = before.clone();
        for (of, port, version) in &addresses {
            let _ = after.merge_address(moved(*of, *port, *version));
        }
        let standings = |roster: &Roster| roster.members().map(|it| format!("{:?}", standing(it))).collect::<Vec<_>>();
        prop_assert_eq!(standings(&before), standings(&after));
        prop_assert!(before.records().eq(after.records()) && before.rotations().eq(after.rotations()));
        for of in 1..=8u8 {
            let id = key(of).id();
            prop_assert_eq!(before.is_revoked(id), after.is_revoked(id));
            prop_assert_eq!(before.role_of(id), after.role_of(id));
            let said = addresses.iter().filter(|(by, ..)| *by == of).map(|(_, port, version)| moved(of, *port, *version));
            let known = before.addresses().filter(|said| said.id == id).cloned();
            let last = said.chain(known).max_by_key(SignedAddress::rank);
            let (now, then) = (after.member(id).map(|it| it.address), before.member(id).map(|it| it.address));
            prop_assert_eq!(now, then.map(|then| last.map_or(then, |last| last.address)), "key {}", of);
        }
    }
}
