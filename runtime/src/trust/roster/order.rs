//! Whatever is said of members, and in whatever order it comes, all who hear it agree.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::tests::{key, member};
use super::*;

/// Something that one of the keys 1 to 8 says; key 1 is the authority. Much of it is not theirs to say.
#[derive(Debug, Clone)]
pub(super) enum Saying {
    Member { by: u8, of: u8, role: Role, version: u32, revoked: bool },
    Rotation { old: u8, new: u8, retires: bool },
    Address { of: u8, port: u16, version: u64 },
}

impl Saying {
    fn offer(&self, roster: &mut Roster) -> Result<Change, TrustError> {
        match *self {
            Self::Member { by, of, role, version, revoked } => {
                let member = Member { version, revoked, ..member(&key(of), role) };
                roster.merge(SignedMember::sign(member, key(1).id(), &key(by)))
            }
            Self::Rotation { old, new, retires } => {
                roster.merge_rotation(Rotation::sign(&key(old), &key(new), retires, key(1).id()))
            }
            Self::Address { of, port, version } => roster.merge_address(moved(of, port, version)),
        }
    }
}

/// Where a key says that it is.
pub(super) fn moved(of: u8, port: u16, version: u64) -> SignedAddress {
    SignedAddress::sign(&key(of), ([10, 0, 0, 1], port).into(), version, key(1).id())
}

pub(super) fn saying() -> impl Strategy<Value = Saying> {
    let by = prop_oneof![Just(1u8), 1u8..=6];
    let role = (0usize..4).prop_map(|role| Role::ALL[role]);
    let member = (by, 1u8..=6, role, 1u32..4, proptest::bool::weighted(0.25));
    let member = member.prop_map(|(by, of, role, version, revoked)| Saying::Member { by, of, role, version, revoked });
    let rotation = (1u8..=8, 1u8..=8, any::<bool>());
    let rotation = rotation.prop_map(|(old, new, retires)| Saying::Rotation { old, new, retires });
    let address = (1u8..=8, 1u16..3, 1u64..4).prop_map(|(of, port, version)| Saying::Address { of, port, version });
    prop_oneof![3 => member, 1 => rotation, 1 => address]
}

/// The roster of a node that is offered all of this, in this order, until nothing changes.
pub(super) fn offered(sayings: &[Saying]) -> Roster {
    let mut roster = Roster::join(key(1).id());
    for _ in 0..20 {
        let before = roster.clone();
        for saying in sayings {
            let _ = saying.offer(&mut roster);
        }
        if roster == before {
            return roster;
        }
    }
    panic!("it never settles");
}

proptest! {
    #[test]
    fn the_order_does_not_matter(
        (sayings, shuffled) in proptest::collection::vec(saying(), 1..20)
            .prop_flat_map(|sayings| (Just(sayings.clone()), Just(sayings).prop_shuffle()))
    ) {
        let roster = offered(&sayings);
        prop_assert!(roster == offered(&shuffled));

        let mut at_once = Roster::join(key(1).id());
        let (records, rotations) = (roster.records().cloned().collect(), roster.rotations().cloned().collect());
        at_once.merge_all(records, rotations, roster.addresses().cloned().collect());
        prop_assert!(roster == at_once, "what is kept is not all that it takes");
    }
}

/// A key that is an authority in the end has admitted one that becomes an authority before it: in between that does not count.
#[test]
fn what_does_not_count_for_a_while_is_not_lost() {
    let operator = Saying::Member { by: 1, of: 3, role: Role::Operator, version: 1, revoked: false };
    let device = Saying::Member { by: 3, of: 4, role: Role::Device, version: 2, revoked: false };
    let rotations = [(1, 8, true), (8, 4, false), (4, 2, false), (2, 3, true)];
    let rotations = rotations.map(|(old, new, retires)| Saying::Rotation { old, new, retires });
    let roster = offered(&[&[operator, device], &rotations[..]].concat());
    let mut at_once = Roster::join(key(1).id());
    let (records, rotations) = (roster.records().cloned().collect(), roster.rotations().cloned().collect());
    assert!(matches!(at_once.merge_all(records, rotations, Vec::new()), (true, None)));
    assert!(roster == at_once && roster.records().count() == 2);
}
