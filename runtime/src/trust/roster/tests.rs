//! Tries to become a member, or to stay one, without the authority's will.
#![allow(clippy::unwrap_used)]

use std::fs;

use super::*;

/// The key number `seed`: the same in each run.
pub(super) fn key(seed: u8) -> Identity {
    // PrivateKeyInfo of RFC 8410, section 7, as it stands before the 32 bytes of the key.
    let head = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
    Identity::from_pkcs8(&[head.as_slice(), &[seed; 32]].concat()).unwrap()
}

pub(super) fn member(identity: &Identity, role: Role) -> Member {
    let address = "[fe80::1%2]:4433".parse().unwrap();
    Member { id: identity.id(), name: "hall".into(), role, address, version: 0, revoked: false }
}

/// A cluster of an authority with an operator, who has admitted an edge; and a stranger.
struct Cluster {
    authority: Identity,
    operator: Identity,
    edge: Identity,
    stranger: Identity,
    roster: Roster,
}

impl Cluster {
    fn new() -> Self {
        let [authority, operator, edge, stranger] = [1, 2, 3, 4].map(key);
        let mut roster = Roster::found(&authority);
        roster.admit(&authority, &member(&operator, Role::Operator)).unwrap();
        roster.admit(&operator, &member(&edge, Role::Edge)).unwrap();
        Self { authority, operator, edge, stranger, roster }
    }

    fn signed(&self, by: &Identity, member: &Member, version: u32) -> SignedMember {
        SignedMember::sign(Member { version, ..member.clone() }, self.authority.id(), by)
    }

    /// What the roster says to a record, which is not to be taken in: then it stays as it is.
    fn refuses(&mut self, record: SignedMember) -> TrustError {
        let before = self.roster.clone();
        let error = self.roster.merge(record).unwrap_err();
        assert_eq!(self.roster, before);
        error
    }
}

#[test]
fn members_are_whom_the_authority_and_its_operators_admit() {
    let Cluster { authority, operator, edge, stranger, mut roster } = Cluster::new();
    let role = |roster: &Roster, of: &Identity| roster.role_of(of.id());
    assert_eq!(role(&roster, &authority), Some(Role::Operator));
    assert_eq!(role(&roster, &operator), Some(Role::Operator));
    assert_eq!(role(&roster, &edge), Some(Role::Edge));
    assert_eq!(role(&roster, &stranger), None);
    let moved = Member { address: "10.0.0.7:1".parse().unwrap(), ..member(&edge, Role::Edge) };
    let record = roster.admit(&authority, &moved).unwrap();
    assert_eq!((record.member.version, roster.member(edge.id()).unwrap().address), (2, moved.address));
    assert_eq!(roster.merge(record).unwrap(), Change::Unchanged, "it is known already");
    assert_eq!(roster.members().count(), 2);
}

#[test]
fn a_stranger_is_not_believed() {
    let mut cluster = Cluster::new();
    let record = cluster.signed(&cluster.stranger, &member(&cluster.stranger, Role::Device), 1);
    assert!(matches!(cluster.refuses(record), TrustError::NoOperator { by } if by == cluster.stranger.id()));
    let record = cluster.signed(&cluster.edge, &member(&cluster.stranger, Role::Device), 1);
    assert!(matches!(cluster.refuses(record), TrustError::NoOperator { .. }));
    let error = cluster.roster.admit(&cluster.edge, &member(&cluster.stranger, Role::Device)).unwrap_err();
    assert!(matches!(error, TrustError::NoOperator { .. }));
    let error = cluster.roster.revoke(&cluster.edge, cluster.operator.id()).unwrap_err();
    assert!(matches!(error, TrustError::NoOperator { .. }));
    let error = cluster.roster.revoke(&cluster.authority, cluster.stranger.id()).unwrap_err();
    assert!(matches!(error, TrustError::NoMember { .. }));
}

#[test]
fn a_forged_record_is_not_believed() {
    let mut cluster = Cluster::new();
    let record = cluster.signed(&cluster.operator, &member(&cluster.stranger, Role::Device), 1);
    type Forgery = fn(&mut SignedMember);
    let changes: [Forgery; 8] = [
        |it| it.member.id = key(9).id(),
        |it| it.member.name.push('s'),
        |it| it.member.role = Role::Cloud,
        |it| it.member.address.set_port(1),
        |it| it.member.address = "[fe80::1%3]:4433".parse().unwrap(),
        |it| it.member.version = 7,
        |it| it.member.revoked = true,
        |it| it.signature[63] ^= 1,
    ];
    for (at, change) in changes.into_iter().enumerate() {
        let mut forged = record.clone();
        change(&mut forged);
        assert!(matches!(cluster.refuses(forged), TrustError::Forged { .. }), "change {at}");
    }
    let others = SignedMember { by: cluster.authority.id(), ..record.clone() };
    assert!(matches!(cluster.refuses(others), TrustError::Forged { .. }));
    assert_eq!(cluster.roster.merge(record).unwrap(), Change::Added);
}

#[test]
fn another_cluster_does_not_count() {
    let mut cluster = Cluster::new();
    let other = key(8);
    let record = SignedMember::sign(member(&cluster.stranger, Role::Device), other.id(), &cluster.operator);
    assert!(matches!(cluster.refuses(record), TrustError::Forged { .. }), "the operator works in both");
    let record = SignedMember::sign(member(&cluster.stranger, Role::Device), other.id(), &other);
    assert!(matches!(cluster.refuses(record), TrustError::NoOperator { .. }));
    let mut joined = Roster::join(other.id());
    let (changed, refused) = joined.merge_all(cluster.roster.records().cloned().collect(), vec![], vec![]);
    assert!(!changed && matches!(refused, Some(TrustError::NoOperator { .. })));
}

#[test]
fn only_the_authority_says_who_is_an_operator() {
    let mut cluster = Cluster::new();
    let made = cluster.signed(&cluster.operator, &member(&cluster.stranger, Role::Operator), 1);
    assert!(matches!(cluster.refuses(made), TrustError::OnlyTheAuthority { .. }));
    let second = key(5);
    cluster.roster.admit(&cluster.authority, &member(&second, Role::Operator)).unwrap();
    for id in [second.id(), cluster.operator.id()] {
        let error = cluster.roster.revoke(&cluster.operator, id).unwrap_err();
        assert!(matches!(error, TrustError::OnlyTheAuthority { .. }));
    }
    let demoted = cluster.signed(&cluster.operator, &member(&second, Role::Device), 9);
    assert!(matches!(cluster.refuses(demoted), TrustError::OnlyTheAuthority { .. }));
    let authority = Member { revoked: true, ..member(&cluster.authority, Role::Operator) };
    for by in [&cluster.operator, &cluster.authority] {
        let revoked = SignedMember::sign(authority.clone(), cluster.authority.id(), by);
        assert!(matches!(cluster.roster.merge(revoked), Err(TrustError::OnlyTheAuthority { .. })));
    }
    let error = cluster.roster.admit(&cluster.authority, &member(&second, Role::Device)).unwrap_err();
    assert!(matches!(error, TrustError::OtherRole { .. }));
    for role in Role::ALL {
        assert_eq!(cluster.roster.may_admit(cluster.operator.id(), role).is_ok(), role != Role::Operator);
        assert!(cluster.roster.may_admit(cluster.authority.id(), role).is_ok());
        assert!(cluster.roster.may_admit(cluster.edge.id(), role).is_err());
    }
}

#[test]
fn of_two_versions_the_higher_counts() {
    let mut cluster = Cluster::new();
    let renamed = |name: &str| Member { name: name.into(), ..member(&cluster.edge, Role::Edge) };
    let [seventh, sixth] =
        [("seventh", 7), ("sixth", 6)].map(|(name, at)| cluster.signed(&cluster.operator, &renamed(name), at));
    let last = cluster.signed(&cluster.authority, &renamed("last"), u32::MAX);
    assert_eq!(cluster.roster.merge(seventh).unwrap(), Change::Updated);
    assert!(matches!(cluster.refuses(sixth), TrustError::Outdated { offered: 6, held: 7, .. }));
    assert_eq!(cluster.roster.member(cluster.edge.id()).unwrap().name, "seventh");
    assert_eq!(cluster.roster.merge(last).unwrap(), Change::Updated);
    let error = cluster.roster.admit(&cluster.authority, &member(&cluster.edge, Role::Edge)).unwrap_err();
    assert!(matches!(error, TrustError::NoMoreVersions { .. }));
}

#[test]
fn a_revoked_key_never_comes_back() {
    let mut cluster = Cluster::new();
    let record = cluster.roster.revoke(&cluster.operator, cluster.edge.id()).unwrap();
    assert!(record.member.revoked && cluster.roster.is_revoked(cluster.edge.id()));
    assert_eq!(cluster.roster.role_of(cluster.edge.id()), None);
    for by in [cluster.operator.clone(), cluster.authority.clone()] {
        let again = cluster.signed(&by, &member(&cluster.edge, Role::Edge), 9);
        assert!(matches!(cluster.refuses(again), TrustError::Revoked { .. }));
        let error = cluster.roster.admit(&by, &member(&cluster.edge, Role::Edge)).unwrap_err();
        assert!(matches!(error, TrustError::Revoked { .. }));
    }
    // Not even when the operator is revoked who did it.
    cluster.roster.revoke(&cluster.authority, cluster.operator.id()).unwrap();
    assert!(cluster.roster.is_revoked(cluster.edge.id()));
}

#[test]
fn a_revoked_operator_takes_along_whom_it_admitted() {
    let mut cluster = Cluster::new();
    let (operator, edge) = (cluster.operator.id(), cluster.edge.id());
    cluster.roster.revoke(&cluster.authority, operator).unwrap();
    assert_eq!((cluster.roster.role_of(operator), cluster.roster.role_of(edge)), (None, None));
    let backdated = cluster.signed(&cluster.operator, &member(&cluster.stranger, Role::Device), 1);
    assert!(matches!(cluster.refuses(backdated), TrustError::Revoked { id } if id == operator));
    let again = cluster.roster.admit(&cluster.authority, &member(&cluster.operator, Role::Operator));
    assert!(matches!(again, Err(TrustError::Revoked { .. })));
    cluster.roster.admit(&cluster.authority, &member(&cluster.edge, Role::Edge)).unwrap();
    assert_eq!(cluster.roster.role_of(edge), Some(Role::Edge), "its own key was never revoked");
}

#[test]
fn names_are_short_and_printable() {
    let mut cluster = Cluster::new();
    let long = "n".repeat(65);
    for name in ["", " ", "a\nb", "\u{1b}[31m", "\u{202e}egde", "a\u{200b}", &long] {
        let named = Member { name: name.to_owned(), ..member(&cluster.stranger, Role::Device) };
        let error = cluster.roster.admit(&cluster.authority, &named).unwrap_err();
        assert!(matches!(error, TrustError::NotAName { .. }), "{name:?}");
    }
    let named = Member { name: "ä".repeat(32), ..member(&cluster.stranger, Role::Device) };
    cluster.roster.admit(&cluster.authority, &named).unwrap();
}

#[test]
fn no_signer_fills_the_roster() {
    let mut cluster = Cluster::new();
    let id = |at: usize| {
        let mut key = [7; 32];
        key[..8].copy_from_slice(&(at as u64).to_le_bytes());
        NodeId::from(key)
    };
    let named = |at| Member { id: id(at), ..member(&cluster.edge, Role::Device) };
    let records: Vec<_> = (1..MEMBERS_MAX).map(|at| cluster.signed(&cluster.operator, &named(at), 1)).collect();
    let one_more = cluster.signed(&cluster.operator, &named(MEMBERS_MAX), 1);
    let by_authority = cluster.signed(&cluster.authority, &named(MEMBERS_MAX), 1);
    assert!(matches!(cluster.roster.merge_all(records, vec![], vec![]), (true, None)));
    assert!(matches!(cluster.refuses(one_more), TrustError::TooManyMembers { by } if by == cluster.operator.id()));
    assert_eq!(cluster.roster.merge(by_authority).unwrap(), Change::Added);
    cluster.roster.revoke(&cluster.operator, id(1)).unwrap();
}

#[test]
fn a_key_hands_over_and_retires() {
    let mut cluster = Cluster::new();
    let new = key(5);
    let rotation = |retires| Rotation::sign(&cluster.edge, &new, retires, cluster.authority.id());
    let [both, only_new] = [false, true].map(rotation);
    let roles = |roster: &Roster| [&cluster.edge, &new].map(|identity| roster.role_of(identity.id()));
    assert_eq!(cluster.roster.merge_rotation(both.clone()).unwrap(), Change::Updated);
    assert_eq!(roles(&cluster.roster), [Some(Role::Edge); 2]);
    assert_eq!(cluster.roster.merge_rotation(only_new.clone()).unwrap(), Change::Removed);
    assert_eq!(roles(&cluster.roster), [None, Some(Role::Edge)]);
    assert_eq!(cluster.roster.member(new.id()).unwrap().name, "hall");
    assert_eq!(cluster.roster.merge_rotation(both).unwrap(), Change::Unchanged, "what was retired stays so");
    assert_eq!(roles(&cluster.roster), [None, Some(Role::Edge)]);
    cluster.roster.revoke(&cluster.operator, new.id()).unwrap();
    assert_eq!(roles(&cluster.roster), [None, None]);
}

#[test]
fn a_key_hands_over_only_if_it_may_and_both_agree() {
    let mut cluster = Cluster::new();
    let (authority, new, third) = (cluster.authority.id(), key(5), key(6));
    let good = Rotation::sign(&cluster.edge, &new, false, authority);
    type Forgery = fn(&mut Rotation);
    let changes: [Forgery; 5] = [
        |it| it.signature_by_old[0] ^= 1,
        |it| it.signature_by_new[0] ^= 1,
        |it| it.retires = true,
        |it| it.new = key(6).id(),
        |it| mem::swap(&mut it.signature_by_old, &mut it.signature_by_new),
    ];
    for (at, change) in changes.into_iter().enumerate() {
        let mut forged = good.clone();
        change(&mut forged);
        assert!(matches!(cluster.roster.merge_rotation(forged), Err(TrustError::Forged { .. })), "change {at}");
    }
    let elsewhere = Rotation::sign(&cluster.edge, &new, false, third.id());
    assert!(matches!(cluster.roster.merge_rotation(elsewhere), Err(TrustError::Forged { .. })));
    let strange = Rotation::sign(&cluster.stranger, &new, false, authority);
    assert!(matches!(cluster.roster.merge_rotation(strange), Err(TrustError::NoMember { .. })));
    let same = Rotation::sign(&cluster.edge, &cluster.edge, true, authority);
    assert!(matches!(cluster.roster.merge_rotation(same), Err(TrustError::RotatedToItself { .. })));

    let mut rivals = [&new, &third].map(|key| Rotation::sign(&cluster.edge, key, false, authority));
    rivals.sort_by_key(|rotation| rotation.new);
    let [first, second] = rivals;
    cluster.roster.merge_rotation(first.clone()).unwrap();
    let refused = cluster.roster.merge_rotation(second);
    assert!(matches!(refused, Err(TrustError::RotatedOtherwise { new, .. }) if new == first.new));
    cluster.roster.revoke(&cluster.operator, cluster.edge.id()).unwrap();
    assert_eq!(cluster.roster.role_of(first.new), None, "whoever has a revoked key keeps nothing by it");
    assert!(matches!(cluster.roster.merge_rotation(first), Err(TrustError::Revoked { .. })));
}

#[test]
fn keys_do_not_follow_each_other_for_ever() {
    let mut cluster = Cluster::new();
    let authority = cluster.authority.id();
    let keys: Vec<_> = [3].into_iter().chain(20..).take(ROTATIONS_IN_A_ROW_MAX + 2).map(key).collect();
    let rotations: Vec<_> = keys.windows(2).map(|keys| Rotation::sign(&keys[0], &keys[1], true, authority)).collect();
    let (last, fit) = rotations.split_last().unwrap();
    assert!(matches!(cluster.roster.merge_all(vec![], fit.iter().rev().cloned().collect(), vec![]), (true, None)));
    assert_eq!(cluster.roster.members().filter(|member| member.role == Role::Edge).count(), 1);
    assert!(matches!(cluster.roster.merge_rotation(last.clone()), Err(TrustError::TooManyRotations { .. })));
    let newest = member(&keys[ROTATIONS_IN_A_ROW_MAX], Role::Edge);
    cluster.roster.admit(&cluster.operator, &newest).unwrap();
    cluster.roster.merge_rotation(last.clone()).unwrap();
    assert_eq!(cluster.roster.role_of(last.new), Some(Role::Edge));
}

#[test]
fn the_authority_and_operators_change_their_keys() {
    let mut cluster = Cluster::new();
    let (authority, [new, other]) = (cluster.authority.id(), [5, 6].map(key));
    cluster.roster.merge_rotation(Rotation::sign(&cluster.authority, &new, true, authority)).unwrap();
    assert_eq!((cluster.roster.role_of(authority), cluster.roster.role_of(new.id())), (None, Some(Role::Operator)));
    assert_eq!(cluster.roster.role_of(cluster.edge.id()), Some(Role::Edge), "what the old key has signed counts");
    cluster.roster.merge_rotation(Rotation::sign(&cluster.operator, &other, true, authority)).unwrap();
    assert_eq!(cluster.roster.role_of(other.id()), Some(Role::Operator));
    let device = member(&cluster.stranger, Role::Device);
    assert!(matches!(cluster.roster.admit(&other, &device), Err(TrustError::NoOperator { .. })));
    cluster.roster.admit(&new, &member(&other, Role::Operator)).unwrap();
    cluster.roster.admit(&other, &device).unwrap();
    assert_eq!(cluster.roster.role_of(cluster.stranger.id()), Some(Role::Device));
}

#[test]
fn a_roster_is_kept_and_checked_when_it_is_read() {
    let mut cluster = Cluster::new();
    cluster.roster.merge_rotation(Rotation::sign(&cluster.edge, &key(5), true, cluster.authority.id())).unwrap();
    cluster.roster.admit(&cluster.operator, &member(&cluster.stranger, Role::Device)).unwrap();
    cluster.roster.revoke(&cluster.operator, cluster.stranger.id()).unwrap();
    cluster.roster.moves(&key(5), "10.0.0.9:7".parse().unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("roster.json");
    assert_eq!(Roster::load(&file).unwrap(), None);
    cluster.roster.save(&file).unwrap();
    cluster.roster.save(&file).unwrap();
    assert_eq!(Roster::load(&file).unwrap(), Some(cluster.roster.clone()));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);

    let text = fs::read_to_string(&file).unwrap();
    let authority = cluster.authority.id().to_string();
    let damages = [
        text[..text.len() - 9].to_owned(),
        text.replacen("hall", "wall", 1),
        text.replacen("\"edge\"", "\"cloud\"", 1),
        text.replacen("\"signature\": \"", "\"signature\": \"00", 1),
        text.replacen("\"version\": 1", "\"version\": -1", 1),
        text.replacen("\"retires\": true", "\"retires\": false", 1),
        text.replacen("\"role\"", "\"rule\"", 1),
        text.replacen("10.0.0.9:7", "10.0.0.8:7", 1),
        text.replacen(&authority, &key(9).id().to_string(), 1),
        String::new(),
    ];
    for (at, damaged) in damages.iter().enumerate() {
        assert_ne!(*damaged, text, "damage {at}");
        fs::write(&file, damaged).unwrap();
        assert!(matches!(Roster::load(&file), Err(TrustError::Damaged { .. })), "damage {at}");
    }
    let gone = folder.path().join("gone/roster.json");
    assert!(matches!(cluster.roster.save(&gone), Err(TrustError::Unwritable { .. })));
    assert!(matches!(Roster::load(folder.path()), Err(TrustError::Unreadable { .. })));
}
