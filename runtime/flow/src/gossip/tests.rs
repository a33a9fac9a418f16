//! Tries to make a node believe what another one never said, or hold more than it may.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::{Call, FRAME_BYTES_MAX, Frame, GossipFrame, PREFIX_BYTES, decode, encode};

pub(super) const IDLE: Duration = Duration::from_secs(2);
pub(super) const TICK: Duration = Duration::from_millis(250);

pub(super) fn key(name: u8) -> NodeKey {
    [name; 32]
}

/// A checksum over key and bytes: who does not know the rule cannot sign, which is all that is asked of it here.
pub(super) fn sign(id: &NodeKey, bytes: &[u8]) -> [u8; 64] {
    let mut sum = [0u8; 64];
    let mut state = 0xcbf2_9ce4_8422_2325_u64;
    for (at, byte) in id.iter().chain(bytes).enumerate() {
        state = (state ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        sum[at % 64] ^= (state >> 32) as u8;
    }
    sum
}

pub(super) fn verify(id: &NodeKey, bytes: &[u8], signature: &[u8; 64]) -> bool {
    sign(id, bytes) == *signature
}

pub(super) fn node(name: u8, incarnation: u64, all: &[u8]) -> Gossip {
    let mut gossip = Gossip::new(key(name), incarnation, Pace::within_twice(IDLE));
    let members: BTreeSet<_> = all.iter().map(|name| key(*name)).collect();
    gossip.set_members(&members, &members);
    gossip
}

fn ticked(gossip: &mut Gossip, now: Duration) -> Tick {
    let id = gossip.id;
    gossip.tick(now, now.as_millis() as u64, |bytes| sign(&id, bytes))
}

/// One whole exchange, as a runtime does it.
fn exchange(asker: &mut Gossip, asked: &mut Gossip, now: Duration) -> [Merged; 2] {
    let digest = asker.digest();
    let (theirs, states) = (asked.digest_like(&digest), asked.delta(&digest));
    let first = asker.merge(states, now, verify);
    asker.answered(&asked.id, now);
    let second = asked.merge(asker.delta(&theirs), now, verify);
    asked.answered(&asker.id, now);
    [first, second]
}

#[test]
fn two_nodes_tell_each_other_once() {
    let [mut one, mut two] = [1, 2].map(|name| node(name, 1, &[1, 2]));
    one.set_own(b"one".to_vec()).unwrap();
    two.set_own(b"two".to_vec()).unwrap();
    ticked(&mut one, TICK);
    ticked(&mut two, TICK);
    let [first, second] = exchange(&mut one, &mut two, TICK);
    assert_eq!((first.bodies, second.bodies), (vec![key(2)], vec![key(1)]));
    assert_eq!(one.body(&key(2)).unwrap().1.bytes, b"two");
    assert_eq!(two.body(&key(1)).unwrap().1.bytes, b"one");
    assert_eq!(one.health(&key(2), TICK), Some(Health::Alive));
    assert!(one.delta(&two.digest()).is_empty() && two.delta(&one.digest()).is_empty());
    ticked(&mut two, TICK * 2);
    let told = two.delta(&one.digest());
    assert!(matches!(&told[..], [state] if state.body.is_none()), "what did not change is not told again");
}

#[test]
fn news_comes_over_others_and_one_old_state_is_none() {
    let [mut one, mut two, mut three] = [1, 2, 3].map(|name| node(name, 1, &[1, 2, 3]));
    for (at, health) in [(1, Health::Suspect), (2, Health::Alive)] {
        ticked(&mut one, TICK * at);
        exchange(&mut one, &mut two, TICK * at);
        exchange(&mut two, &mut three, TICK * at);
        assert_eq!(three.health(&key(1), TICK * at), Some(health));
    }
    let pace = Pace::within_twice(IDLE);
    for (after, health) in [(pace.suspect_after, Health::Suspect), (pace.down_after, Health::Down)] {
        let before = TICK * 2 + after - Duration::from_nanos(1);
        assert!(three.health(&key(1), before) < Some(health));
        assert_eq!(three.health(&key(1), TICK * 2 + after), Some(health));
    }
}

#[test]
fn a_node_that_does_not_answer_is_down_even_if_others_hear_of_it() {
    let [mut one, mut two, mut three] = [1, 2, 3].map(|name| node(name, 1, &[1, 2, 3]));
    for at in 1..=9 {
        let now = TICK * at;
        assert!(ticked(&mut one, now).ask.contains(&key(3)), "what owes an answer is asked again");
        ticked(&mut three, now);
        exchange(&mut two, &mut three, now);
        exchange(&mut one, &mut two, now);
        let down = now - TICK >= IDLE;
        let health = if down {
            Health::Down
        } else if at == 1 {
            Health::Suspect
        } else {
            Health::Alive
        };
        assert_eq!(one.health(&key(3), now), Some(health), "tick {at}");
    }
    exchange(&mut three, &mut one, TICK * 9);
    assert_eq!(one.health(&key(3), TICK * 9), Some(Health::Alive));
}

#[test]
fn what_a_node_owes_from_before_it_was_gone_is_forgotten_when_there_is_news_of_it() {
    let [mut one, mut two] = [1, 2].map(|name| node(name, 1, &[1, 2]));
    ticked(&mut two, TICK);
    one.merge(vec![two.own.clone().unwrap()], TICK, verify);
    (1..=20).for_each(|at| drop(ticked(&mut one, TICK * at)));
    assert_eq!(one.health(&key(2), TICK * 20), Some(Health::Down));
    ticked(&mut two, TICK * 20);
    one.merge(vec![two.own.clone().unwrap()], TICK * 20, verify);
    assert_eq!(one.health(&key(2), TICK * 20), Some(Health::Alive));
}

#[test]
fn two_lives_of_one_incarnation_are_told_apart() {
    for (former, latter) in [(3, 5), (5, 3)] {
        let [mut one, mut two] = [1, 2].map(|name| node(name, 1, &[1, 2]));
        two.set_own(b"former".to_vec()).unwrap();
        two.tick(TICK, former << 40, |bytes| sign(&key(2), bytes));
        exchange(&mut one, &mut two, TICK);
        two = node(2, 1, &[1, 2]);
        two.set_own(b"latter".to_vec()).unwrap();
        for at in 2..4 {
            two.tick(TICK * at, latter << 40, |bytes| sign(&key(2), bytes));
            exchange(&mut two, &mut one, TICK * at);
        }
        assert_eq!(one.body(&key(2)).unwrap().1.bytes, b"latter", "{former}, then {latter}");
    }
}

#[test]
fn what_a_node_did_not_sign_is_refused() {
    let [mut one, mut two, mut three] = [1, 2, 3].map(|name| node(name, 1, &[1, 2, 3]));
    two.set_own(b"two".to_vec()).unwrap();
    ticked(&mut two, TICK);
    let good = two.delta(&one.digest()).remove(0);
    type Change = fn(&mut NodeState);
    let changes: [Change; 8] = [
        |it| it.id = key(3),
        |it| it.incarnation += 1,
        |it| it.version += 1,
        |it| it.signature[0] ^= 1,
        |it| it.body.as_mut().unwrap().version += 1,
        |it| it.body.as_mut().unwrap().bytes.push(0),
        |it| it.body.as_mut().unwrap().signature[0] ^= 1,
        |it| it.body.as_mut().unwrap().signature = it.signature,
    ];
    for (at, change) in changes.into_iter().enumerate() {
        let mut forged = good.clone();
        change(&mut forged);
        let merged = one.merge(vec![forged], TICK, verify);
        assert_eq!(merged, Merged { refused: 1, ..Merged::default() }, "change {at}");
        assert_eq!(one.digest(), node(1, 1, &[1, 2, 3]).digest(), "change {at}");
    }
    assert_eq!(one.merge(vec![good], TICK, verify).bodies, [key(2)]);

    let mut outside = node(4, 1, &[1]);
    ticked(&mut outside, TICK);
    let strange = outside.own.clone().unwrap();
    assert_eq!(three.merge(vec![strange], TICK, verify).refused, 1);
    assert_eq!(three.health(&key(4), TICK), None);
}

#[test]
fn a_body_is_bounded_where_it_is_made_and_where_it_comes() {
    let [mut one, mut two] = [1, 2].map(|name| node(name, 1, &[1, 2]));
    assert_eq!(one.set_own(vec![0; BODY_BYTES_MAX + 1]), Err(BodyTooLong { bytes: BODY_BYTES_MAX + 1 }));
    two.body = vec![0; BODY_BYTES_MAX + 1];
    ticked(&mut two, TICK);
    assert_eq!(one.merge(vec![two.own.clone().unwrap()], TICK, verify).refused, 1);
    two.set_own(vec![0; BODY_BYTES_MAX]).unwrap();
    ticked(&mut two, TICK);
    assert_eq!(one.merge(vec![two.own.clone().unwrap()], TICK, verify).bodies, [key(2)]);
}

#[test]
fn a_restart_replaces_all_of_the_former_life() {
    let [mut one, mut two] = [1, 2].map(|name| node(name, 1, &[1, 2]));
    two.set_own(b"former".to_vec()).unwrap();
    (1..9).for_each(|at| drop(ticked(&mut two, TICK * at)));
    exchange(&mut one, &mut two, TICK * 9);
    let former = two.own.clone().unwrap();
    two = node(2, 2, &[1, 2]);
    ticked(&mut two, TICK * 10);
    let sign_of_life = NodeState { body: None, ..two.own.clone().unwrap() };
    one.merge(vec![sign_of_life], TICK * 10, verify);
    assert_eq!(one.body(&key(2)), None, "what it said in its former life");
    exchange(&mut one, &mut two, TICK * 10);
    let (incarnation, body) = one.body(&key(2)).unwrap();
    assert_eq!((incarnation, body.bytes.as_slice()), (2, &[][..]));
    let merged = one.merge(vec![former], TICK * 11, verify);
    assert_eq!((merged, one.body(&key(2)).unwrap().0), (Merged::default(), 2));
}

#[test]
fn a_node_gets_above_a_former_life_that_it_has_forgotten() {
    for (forgotten, ticks) in [(7, 3), (7, 20), (1, 3)] {
        let [mut one, mut two] = [(1, 1), (2, 7)].map(|(name, incarnation)| node(name, incarnation, &[1, 2]));
        for at in 1..=9 {
            two.set_own(vec![at]).unwrap();
            ticked(&mut two, TICK * u32::from(at));
        }
        exchange(&mut one, &mut two, TICK * 9);
        two = node(2, forgotten, &[1, 2]);
        two.set_own(b"now".to_vec()).unwrap();
        (0..ticks).for_each(|_| drop(ticked(&mut two, TICK * 10)));
        let [merged, _] = exchange(&mut two, &mut one, TICK * 10);
        assert_eq!((merged.incarnation, two.incarnation()), (Some(8), 8));
        ticked(&mut two, TICK * 11);
        exchange(&mut two, &mut one, TICK * 11);
        let (incarnation, body) = one.body(&key(2)).unwrap();
        assert_eq!((incarnation, body.bytes.as_slice()), (8, &b"now"[..]));
    }
    let mut one = node(1, 1, &[1]);
    let mut forged = NodeState { id: key(1), incarnation: 9, version: 1, signature: [0; 64], body: None };
    assert_eq!(one.merge(vec![forged.clone()], TICK, verify).refused, 1);
    forged.incarnation = u64::MAX;
    forged.signature = sign(&key(1), &forged.signed_bytes());
    assert_eq!((one.merge(vec![forged], TICK, verify).refused, one.incarnation()), (1, 1));
}

#[test]
fn who_is_no_member_any_more_is_forgotten() {
    let [mut one, mut two] = [1, 2].map(|name| node(name, 1, &[1, 2]));
    ticked(&mut two, TICK);
    exchange(&mut one, &mut two, TICK);
    one.set_members(&BTreeSet::from([key(1)]), &BTreeSet::from([key(2)]));
    assert_eq!((one.peers(TICK).count(), one.digest().0.len()), (0, 1));
    assert!(ticked(&mut one, TICK).ask.is_empty());
}

#[test]
fn everything_gets_through_in_frames_and_no_one_is_left_unasked() {
    let members: BTreeSet<NodeKey> =
        (0..1000u32).map(|at| [at.to_le_bytes(), [9; 4]].concat().repeat(4).try_into().unwrap()).collect();
    let mut full = Gossip::new(key(1), 1, Pace::within_twice(IDLE));
    let mut empty = Gossip::new(key(2), 1, Pace::within_twice(IDLE));
    full.set_members(&members, &members);
    empty.set_members(&members, &members);
    for id in &members {
        let mut node = Gossip::new(*id, u64::MAX - 1, Pace::within_twice(IDLE));
        node.version = u64::MAX - 9;
        node.set_own(vec![7; 500]).unwrap();
        ticked(&mut node, TICK);
        full.merge(node.own.into_iter().collect(), TICK, verify);
    }
    let mut asked = BTreeSet::new();
    for rounds in 1.. {
        assert!(rounds < 100, "after {rounds} exchanges something is missing");
        full.version += 1;
        asked.extend(ticked(&mut empty, TICK * rounds).ask);
        let digest = empty.digest();
        let frame = Frame::Call(Call::Gossip(GossipFrame::Tell(full.digest_like(&digest), full.delta(&digest))));
        let mut bytes = Vec::new();
        encode(&frame, &mut bytes).unwrap();
        assert_eq!(decode(&bytes[PREFIX_BYTES..]).unwrap(), frame);
        assert!(bytes.len() < FRAME_BYTES_MAX);
        let Frame::Call(Call::Gossip(GossipFrame::Tell(_, states))) = frame else { unreachable!() };
        assert_eq!(empty.merge(states, TICK * rounds, verify).refused, 0);
        if members.iter().all(|id| empty.body(id).is_some()) {
            break;
        }
    }
    assert!(asked.len() > 100);
}
