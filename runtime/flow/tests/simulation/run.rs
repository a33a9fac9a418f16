//! One run: virtual time, the world's truth, and what happens to it. Nodes are in `node.rs`, the source in `source.rs`.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use thalweg_flow::{Estimates, Event, Installed, Request, RetryBudget, Switch};

use crate::check::{Checks, RECOVERS};
use crate::deployment::{PAIRS, Prepared, believed, topology};
use crate::fault::{FAULTS_END, Fault, Kind};
use crate::pipe::{Message, Pipe};
use crate::source::Ask;

/// A pair of tiers that has not heard of each other for so long hangs up.
const IDLE: Duration = Duration::from_millis(600);
/// How often estimates and connections are looked at.
const TICK: Duration = Duration::from_millis(50);

/// All that can happen.
#[derive(Debug, Clone)]
pub(crate) enum What {
    Arrive,
    Wake(u64),
    Tick,
    Probe,
    Faults,
    Sent { link: (usize, usize), generation: u64 },
    Delivered { to: usize, message: Message },
    Computed { tier: usize, generation: u64 },
    Hop { about: u64, hop: usize, event: Event<'static> },
    Redeploy,
    Install { tier: usize, epoch: u32 },
    Retire { tier: usize, epoch: u32 },
    Forget(u64),
}

/// When something happens; of what happens at the same time, what was known first.
struct Due {
    order: Reverse<(Duration, u64)>,
    what: What,
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order.cmp(&other.order)
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for Due {}

/// One way of a request, on all its hops.
#[derive(Debug)]
pub(crate) struct Try {
    pub(crate) request: u64,
    pub(crate) way: usize,
    pub(crate) plan: usize,
    pub(crate) epoch: u32,
    /// When the source made the request.
    pub(crate) made: Duration,
    pub(crate) deadline: Duration,
    /// Those that a hop has accepted and that are not over.
    pub(crate) hops: Vec<Option<Request>>,
    pub(crate) dropped: bool,
    /// When it began; none when it has come back to the source.
    pub(crate) under_way: Option<Duration>,
}

/// A tier, as it is.
#[derive(Debug, Default)]
pub(crate) struct Node {
    pub(crate) installed: Installed<usize>,
    pub(crate) waiting: VecDeque<(u64, usize)>,
    pub(crate) computing: Option<(u64, usize, Duration)>,
    pub(crate) generation: u64,
    pub(crate) slow: f64,
    pub(crate) stopped: bool,
    pub(crate) dead: bool,
    /// What has come while it was stopped.
    pub(crate) inbox: Vec<What>,
}

/// Whether two tiers are connected.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Connection {
    silent_since: Option<Duration>,
    heard_since: Option<Duration>,
    pub(crate) lost: bool,
}

pub(crate) struct Run<'a> {
    pub(crate) prepared: &'a [Prepared],
    pub(crate) now: Duration,
    queue: BinaryHeap<Due>,
    pub(crate) number: u64,
    pub(crate) random: Pcg64,
    truth: Estimates,
    pub(crate) faults: Vec<Fault>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) pipes: BTreeMap<(usize, usize), Pipe>,
    pub(crate) connections: BTreeMap<(usize, usize), Connection>,
    pub(crate) tries: BTreeMap<u64, Try>,
    // The source.
    pub(crate) asks: BTreeMap<u64, Ask>,
    pub(crate) estimates: Estimates,
    pub(crate) switch: Switch,
    pub(crate) budget: RetryBudget,
    pub(crate) epoch: u32,
    pub(crate) checks: Checks,
}

/// When a run ends.
pub(crate) fn end() -> Duration {
    FAULTS_END + RECOVERS + Duration::from_secs(2)
}

impl<'a> Run<'a> {
    /// A run of this seed; the faults may draw from it.
    pub(crate) fn new(prepared: &'a [Prepared], seed: u64, faults: impl Fn(&mut Pcg64) -> Vec<Fault>) -> Self {
        let mut random = Pcg64::seed_from_u64(seed);
        let kbit = [(); 3].map(|()| [100_000, 20_000, 5_000, 1_000][random.random_range(0..4)]);
        let delay = [(); 3].map(|()| [1, 5, 20, 50][random.random_range(0..4)]);
        let truth = topology(kbit, delay);
        let faults = faults(&mut random);
        let estimates = Estimates::new(&believed());
        let alternatives = prepared.iter().map(|prepared| prepared.alternative.clone()).collect();
        let switch = Switch::new(alternatives, &estimates, Duration::ZERO);
        let pipe = |link: &thalweg_planner::Link| {
            let direction = &link.direction;
            ((link.from, link.to), Pipe::new(direction.bandwidth.0 as f64, direction.delay))
        };
        let mut run = Self {
            prepared,
            now: Duration::ZERO,
            queue: BinaryHeap::new(),
            number: 0,
            pipes: truth.links.iter().map(pipe).collect(),
            truth: Estimates::new(&truth),
            nodes: (0..3).map(|_| Node { slow: 1.0, ..Node::default() }).collect(),
            connections: PAIRS.into_iter().map(|pair| (pair, Connection::default())).collect(),
            tries: BTreeMap::new(),
            asks: BTreeMap::new(),
            budget: RetryBudget::new(Duration::ZERO),
            epoch: 0,
            checks: Checks::default(),
            estimates,
            switch,
            random,
            faults,
        };
        run.checks.switched.push(Duration::ZERO);
        (0..3).for_each(|tier| run.install(tier, 0));
        run.at(Duration::ZERO, What::Tick);
        run.at(Duration::from_millis(1), What::Probe);
        run.at(Duration::from_millis(2), What::Arrive);
        for fault in run.faults.clone() {
            run.at(fault.begin, What::Faults);
            run.at(fault.end, What::Faults);
        }
        for _ in 0..3 {
            let at = Duration::from_millis(run.random.random_range(1000..22_000));
            run.at(at, What::Redeploy);
        }
        run
    }

    pub(crate) fn at(&mut self, when: Duration, what: What) {
        self.number += 1;
        self.queue.push(Due { order: Reverse((when, self.number)), what });
    }

    pub(crate) fn run(mut self) -> Self {
        while let Some(Due { order: Reverse((when, _)), what }) = self.queue.pop() {
            if when > end() {
                break;
            }
            self.now = when;
            self.happens(what);
        }
        self.checks.finish(self.now);
        // Two outliers in a row may turn it away for a moment at any time, but not for two seconds.
        if self.checks.best < RECOVERS {
            let explained = self.switch.explain(&self.estimates, self.now);
            self.checks.broken.push(format!("the best alternative does not serve: {explained:?}"));
        }
        self
    }

    fn happens(&mut self, what: What) {
        match what {
            What::Arrive => self.arrives(),
            What::Wake(request) => self.wakes(request),
            What::Tick => self.tick(),
            What::Probe => self.probe(),
            What::Faults => self.apply_faults(),
            What::Sent { link, generation } => self.sent(link, generation),
            What::Redeploy => self.redeploy(),
            What::Forget(about) => self.forget(about),
            What::Delivered { to, .. } => self.give_tier(to, what),
            What::Computed { tier, .. } | What::Install { tier, .. } | What::Retire { tier, .. } => {
                self.give_tier(tier, what);
            }
            What::Hop { about, hop, .. } => {
                if let Some(attempt) = self.tries.get(&about) {
                    let tier = self.prepared[attempt.plan].tier(hop);
                    self.give_tier(tier, what);
                }
            }
        }
    }

    /// Whether a fault of this kind is active.
    fn active(&self) -> impl Iterator<Item = Kind> {
        let now = self.now;
        self.faults.iter().filter(move |fault| fault.begin <= now && now < fault.end).map(|fault| fault.kind)
    }

    /// Requests a second.
    pub(crate) fn load(&self) -> u64 {
        if self.active().any(|kind| matches!(kind, Kind::Load)) { 40 } else { 4 }
    }

    /// Whether the device has had trouble of its own within the last seconds.
    pub(crate) fn device_is_troubled(&self) -> bool {
        let recent = self.faults.iter().filter(|fault| {
            fault.begin <= self.now + Duration::from_secs(2) && self.now < fault.end + Duration::from_secs(5)
        });
        recent.map(|fault| fault.kind).any(|kind| matches!(kind, Kind::Load | Kind::Slow(0)))
    }

    fn apply_faults(&mut self) {
        let active: Vec<Kind> = self.active().collect();
        let now = self.now;
        let mut changed = Vec::new();
        for ((from, to), pipe) in &mut self.pipes {
            let pair = PAIRS.iter().position(|(one, other)| [(*one, *other), (*other, *one)].contains(&(*from, *to)));
            let (mut share, mut loss) = (1.0, 0.0_f64);
            for kind in &active {
                match kind {
                    Kind::Rate(at, times) if Some(*at) == pair => share *= times,
                    Kind::Loss(at, lost) if Some(*at) == pair => loss = loss.max(*lost),
                    Kind::Cut(one, other) if (one, other) == (from, to) => share = 0.0,
                    _ => {}
                }
            }
            // No link is slower than 20 kbit/s, unless it is cut.
            let rate = if share == 0.0 { 0.0 } else { (pipe.nominal * share).max(20_000.0) * (1.0 - loss) };
            pipe.loss = loss;
            if rate != pipe.rate {
                pipe.set(rate, now);
                changed.push((*from, *to));
            }
        }
        changed.into_iter().for_each(|link| self.await_sent(link));
        for tier in 0..3 {
            let is = |wanted: fn(&Kind) -> Option<usize>| active.iter().any(|kind| wanted(kind) == Some(tier));
            let slow = is(|kind| if let Kind::Slow(tier) = kind { Some(*tier) } else { None });
            self.nodes[tier].slow = if slow { 10.0 } else { 1.0 };
            let dead = is(|kind| if let Kind::Kill(tier) = kind { Some(*tier) } else { None });
            let stopped = is(|kind| if let Kind::Stop(tier) = kind { Some(*tier) } else { None });
            self.set_alive(tier, dead, stopped);
        }
    }

    pub(crate) fn reachable(&self, (one, other): (usize, usize)) -> bool {
        let carries = [(one, other), (other, one)].iter().all(|link| self.pipes[link].rate > 0.0);
        carries && [one, other].iter().all(|tier| !self.nodes[*tier].dead && !self.nodes[*tier].stopped)
    }

    fn tick(&mut self) {
        self.at(self.now + TICK, What::Tick);
        for pair in PAIRS {
            let (reachable, now) = (self.reachable(pair), self.now);
            let comes_back = self.pipes[&pair].delay * 2 + TICK;
            let Some(connection) = self.connections.get_mut(&pair) else { continue };
            if reachable {
                connection.silent_since = None;
                let since = *connection.heard_since.get_or_insert(now);
                if connection.lost && now - since >= comes_back {
                    connection.lost = false;
                    self.hears_of(pair, true);
                }
            } else {
                connection.heard_since = None;
                let since = *connection.silent_since.get_or_insert(now);
                if !connection.lost && now - since >= IDLE {
                    connection.lost = true;
                    self.hangs_up(pair);
                    self.hears_of(pair, false);
                }
            }
        }
        for (at, estimate) in &mut self.estimates.links {
            let pipe = &self.pipes[at];
            match pipe.head() {
                Some(head) => estimate.under_way(head.payload, pipe.begun),
                None => estimate.nothing_under_way(),
            }
        }
        self.decides();
        if self.now > FAULTS_END {
            self.check_best();
        }
        let waiting: Vec<usize> = self.pipes.values().map(Pipe::waiting).collect();
        waiting.into_iter().for_each(|count| self.checks.messages_wait(count, self.now));
        self.checks.waits("tries are remembered", self.tries.len(), 300, self.now);
    }

    /// Latencies by the true rates and speeds of the alternative that serves and of the best one.
    fn served_and_best(&self) -> [Duration; 2] {
        let predict = |at: usize| self.truth.predict(&self.prepared[at].alternative, self.now);
        let deployed = self.deployed(self.epoch);
        let serving = self.switch.serving();
        let served = deployed.iter().find(|at| Some(self.prepared[**at].alternative.plan) == serving);
        let best = deployed.iter().map(|at| predict(*at)).min().unwrap_or_default();
        [served.map_or(Duration::MAX, |at| predict(*at)), best]
    }

    /// Noted is when the best alternative last served and last did not.
    fn check_best(&mut self) {
        let [served, best] = self.served_and_best();
        let since = self.now.saturating_sub(FAULTS_END);
        // What is predicted better by less than the share and the minimum stays, and estimates are this uncertain.
        if served <= best.mul_f64(1.35) + Duration::from_millis(5) {
            self.checks.best = since;
        } else if since <= RECOVERS {
            self.checks.recovery = since;
        }
    }
}
