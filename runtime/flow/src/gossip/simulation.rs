//! Clusters on virtual time, by seed: messages take time and get lost, links are cut, nodes die and come back.
//!
//! A failing run names its seed.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use super::tests::{IDLE, TICK, key, node, sign, verify};
use super::*;
use crate::{Call, Frame, GossipFrame, PREFIX_BYTES, decode, encode};

/// Longest time that a message takes.
const DELAY_MAX: Duration = Duration::from_millis(40);

/// Time in which a fault is noticed, and in which service is as before when it is over.
const BOUND: Duration = IDLE.saturating_mul(2);

/// Clusters of each test.
const SEEDS: u64 = 40;

enum Happens {
    Tick {
        node: u8,
        life: u64,
    },
    /// A frame for one life of a node: connections do not survive a restart.
    Arrival {
        from: u8,
        to: u8,
        life: u64,
        bytes: Vec<u8>,
    },
}

struct Node {
    life: u64,
    /// None while it is dead.
    gossip: Option<Gossip>,
}

struct Cluster {
    now: Duration,
    random: Random,
    names: Vec<u8>,
    nodes: BTreeMap<u8, Node>,
    agenda: BTreeMap<(Duration, u64), Happens>,
    planned: u64,
    /// Directed links that carry nothing.
    cut: BTreeSet<(u8, u8)>,
    /// Of a thousand messages so many get lost.
    loss: usize,
}

impl Cluster {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let names: Vec<u8> = (1..=3 + random.below(22) as u8).collect();
        let (now, nodes, agenda, planned) = (Duration::ZERO, BTreeMap::new(), BTreeMap::new(), 0);
        let mut cluster = Self { now, random, names, nodes, agenda, planned, cut: BTreeSet::new(), loss: 0 };
        for name in cluster.names.clone() {
            cluster.nodes.insert(name, Node { life: 0, gossip: None });
            cluster.start(name, 1);
        }
        cluster
    }

    /// Some node, by chance.
    fn any(&mut self) -> u8 {
        self.names[self.random.below(self.names.len())]
    }

    fn plan(&mut self, after: Duration, happens: Happens) {
        self.planned += 1;
        self.agenda.insert((self.now + after, self.planned), happens);
    }

    fn start(&mut self, name: u8, incarnation: u64) {
        let mut gossip = node(name, incarnation, &self.names);
        gossip.set_own(vec![name, self.random.next() as u8]).unwrap();
        let node = self.nodes.get_mut(&name).unwrap();
        node.life += 1;
        node.gossip = Some(gossip);
        let life = node.life;
        let after = TICK.mul_f64(self.random.below(1000) as f64 / 1000.0);
        self.plan(after, Happens::Tick { node: name, life });
    }

    fn kill(&mut self, name: u8) {
        self.nodes.get_mut(&name).unwrap().gossip = None;
    }

    fn gossip(&self, name: u8) -> Option<&Gossip> {
        self.nodes[&name].gossip.as_ref()
    }

    fn alive(&self) -> Vec<u8> {
        self.names.iter().copied().filter(|name| self.gossip(*name).is_some()).collect()
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(next) = self.agenda.first_entry().filter(|next| next.key().0 <= end) {
            let ((now, _), happens) = next.remove_entry();
            self.now = now;
            match happens {
                Happens::Tick { node, life } => self.tick(node, life),
                Happens::Arrival { from, to, life, bytes } => self.arrive(from, to, life, &bytes),
            }
        }
        self.now = end;
    }

    fn tick(&mut self, name: u8, life: u64) {
        let (now, seed) = (self.now, self.random.next());
        let node = self.nodes.get_mut(&name).unwrap();
        let Some(gossip) = node.gossip.as_mut().filter(|_| node.life == life) else { return };
        let tick = gossip.tick(now, seed, |bytes| sign(&key(name), bytes));
        for to in tick.ask {
            self.send(name, to[0], &GossipFrame::Ask(tick.digest.clone()));
        }
        self.plan(TICK, Happens::Tick { node: name, life });
    }

    fn send(&mut self, from: u8, to: u8, frame: &GossipFrame) {
        let mut bytes = Vec::new();
        encode(&Frame::Call(Call::Gossip(frame.clone())), &mut bytes).unwrap();
        if !self.cut.contains(&(from, to)) && self.random.below(1000) >= self.loss {
            let life = self.nodes[&to].life;
            let after = DELAY_MAX.mul_f64(self.random.below(1000) as f64 / 1000.0);
            self.plan(after, Happens::Arrival { from, to, life, bytes });
        }
    }

    fn arrive(&mut self, from: u8, to: u8, life: u64, bytes: &[u8]) {
        let now = self.now;
        let node = self.nodes.get_mut(&to).unwrap();
        let Some(gossip) = node.gossip.as_mut().filter(|_| node.life == life) else { return };
        let Ok(Frame::Call(Call::Gossip(frame))) = decode(&bytes[PREFIX_BYTES..]) else { panic!("no gossip frame") };
        let (digest, states) = match frame {
            GossipFrame::Ask(digest) => {
                let tell = GossipFrame::Tell(gossip.digest_like(&digest), gossip.delta(&digest));
                return self.send(to, from, &tell);
            }
            GossipFrame::Tell(digest, states) => (Some(digest), states),
            GossipFrame::Rest(states) => (None, states),
        };
        assert_eq!(gossip.merge(states, now, verify).refused, 0);
        gossip.answered(&key(from), now);
        if let Some(digest) = digest {
            let rest = GossipFrame::Rest(gossip.delta(&digest));
            self.send(to, from, &rest);
        }
    }

    fn health(&self, from: u8, of: u8) -> Health {
        self.gossip(from).unwrap().health(&key(of), self.now).unwrap()
    }

    /// Each live node sees these live ones, and no others, and knows what they say now.
    fn check_agreement(&self, seed: u64) {
        for from in self.alive() {
            for of in self.names.iter().copied().filter(|of| *of != from) {
                let seen = self.health(from, of);
                let Some(there) = self.gossip(of) else {
                    assert_eq!(seen, Health::Down, "seed {seed}: {from} sees a ghost of {of}");
                    continue;
                };
                assert_eq!(seen, Health::Alive, "seed {seed}: {from} sees {of}");
                let (incarnation, body) = self.gossip(from).unwrap().body(&key(of)).unwrap();
                let known = (incarnation, &body.bytes);
                assert_eq!(known, (there.incarnation(), &there.body), "seed {seed}: what {from} knows of {of}");
            }
        }
    }
}

#[test]
fn without_faults_nobody_is_ever_called_down() {
    for seed in 0..SEEDS {
        let mut cluster = Cluster::new(seed);
        cluster.run(BOUND);
        for _ in 0..100 {
            cluster.run(TICK / 3);
            cluster.check_agreement(seed);
        }
    }
}

#[test]
fn the_dead_are_called_down_by_all_within_the_bound() {
    for seed in 0..SEEDS {
        let mut cluster = Cluster::new(seed);
        cluster.run(BOUND);
        for _ in 0..=cluster.random.below(cluster.names.len()) {
            let name = cluster.any();
            cluster.kill(name);
        }
        cluster.run(BOUND);
        cluster.check_agreement(seed);
    }
}

/// Of whom a node never asks it knows by news alone.
#[test]
fn the_dead_are_called_down_also_where_all_talk_to_one_only() {
    for seed in 0..SEEDS {
        let mut cluster = Cluster::new(seed);
        let members: BTreeSet<_> = cluster.names.iter().map(|name| key(*name)).collect();
        for (name, node) in &mut cluster.nodes {
            let talks_to = if *name == 1 { BTreeSet::new() } else { BTreeSet::from([key(1)]) };
            node.gossip.iter_mut().for_each(|gossip| gossip.set_members(&members, &talks_to));
        }
        cluster.run(BOUND);
        cluster.check_agreement(seed);
        for name in cluster.names.clone().into_iter().skip(2 + cluster.random.below(2)) {
            cluster.kill(name);
        }
        cluster.run(BOUND);
        cluster.check_agreement(seed);
    }
}

#[test]
fn after_restarts_and_losses_all_agree_and_there_are_no_ghosts() {
    for seed in 0..SEEDS {
        let mut cluster = Cluster::new(seed);
        let mut incarnations: BTreeMap<u8, u64> = cluster.names.iter().map(|name| (*name, 1)).collect();
        for _ in 0..30 {
            cluster.loss = cluster.random.below(500);
            let time = TICK * cluster.random.below(12) as u32;
            cluster.run(time);
            let name = cluster.any();
            match cluster.random.below(4) {
                0 => cluster.kill(name),
                // A quick restart, sometimes of a node that has lost its count.
                lost => {
                    let reached = cluster.gossip(name).map_or(0, Gossip::incarnation).max(incarnations[&name]);
                    let next = if lost == 1 { 1 } else { reached + 1 };
                    incarnations.insert(name, next.max(reached));
                    cluster.start(name, next);
                }
            }
            if cluster.random.below(2) == 0 {
                let (name, body) = (cluster.any(), cluster.random.next().to_le_bytes().to_vec());
                let node = cluster.nodes.get_mut(&name).unwrap();
                node.gossip.iter_mut().for_each(|gossip| gossip.set_own(body.clone()).unwrap());
            }
        }
        cluster.loss = 0;
        cluster.run(BOUND);
        cluster.check_agreement(seed);
    }
}

#[test]
fn both_ends_of_a_link_that_carries_one_way_call_each_other_down_and_nobody_else_does() {
    for seed in 0..SEEDS {
        let mut cluster = Cluster::new(seed);
        cluster.run(BOUND);
        let (one, two) = (cluster.names[0], *cluster.names.last().unwrap());
        cluster.cut.insert((one, two));
        cluster.run(BOUND);
        for _ in 0..20 {
            cluster.run(TICK);
            for from in cluster.names.clone() {
                for of in cluster.names.iter().copied().filter(|of| *of != from) {
                    let ends = [from, of] == [one, two] || [of, from] == [one, two];
                    let expected = if ends { Health::Down } else { Health::Alive };
                    assert_eq!(cluster.health(from, of), expected, "seed {seed}: {from} sees {of}");
                }
            }
        }
        cluster.cut.clear();
        cluster.run(BOUND);
        cluster.check_agreement(seed);
    }
}

#[test]
fn halves_call_each_other_down_and_find_each_other_again() {
    for seed in 0..SEEDS {
        let mut cluster = Cluster::new(seed);
        cluster.run(BOUND);
        let half = cluster.names.len() as u8 / 2;
        let side = |name: u8| name <= half;
        let one_way = cluster.random.below(2) == 0;
        let pairs = cluster.names.iter().flat_map(|from| cluster.names.iter().map(move |to| (*from, *to)));
        let cut = pairs.filter(|(from, to)| side(*from) && !side(*to) || !one_way && side(*to) && !side(*from));
        cluster.cut = cut.collect();
        let time = BOUND + TICK * cluster.random.below(40) as u32;
        cluster.run(time);
        for from in cluster.names.clone() {
            for of in cluster.names.iter().copied().filter(|of| *of != from) {
                let expected = if side(from) == side(of) { Health::Alive } else { Health::Down };
                assert_eq!(cluster.health(from, of), expected, "seed {seed}: {from} sees {of}");
            }
        }
        cluster.cut.clear();
        cluster.run(BOUND);
        cluster.check_agreement(seed);
    }
}
