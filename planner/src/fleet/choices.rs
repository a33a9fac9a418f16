//! What a source can choose from: plans for each few tiers that it can reach, at several prices of what is shared.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Choice, Use};
use crate::tariff::Tariff;
use crate::{Goal, Graph, Link, Measure, Objective, Plan, PlanError, Planner, Topology, check};

/// Tiers that one plan uses at most: the device, an edge, a cloud.
const TIERS_MAX: usize = 3;

/// Prices that are tried where none are known: what waiting adds at loads of 0, 29, 70 and 90 %.
const PRICES: [f64; 4] = [0.0, 1.0, 10.0, 99.0];

/// Which tiers and links of a topology are which of a fleet's servers. What is none, or past the end, the source has
/// for itself: its device, for one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shared {
    /// For each tier, its server.
    pub tiers: Vec<Option<usize>>,
    /// For each link, its server.
    pub links: Vec<Option<usize>>,
}

/// Plans from which a source may choose: for each walk of at most three tiers through the topology, those of least
/// latency when a second of a shared server's time costs so many seconds more. None is in all respects worse than
/// another.
///
/// Where no prices are known, a few are tried for everything that is shared, for each shared tier, and for the links by
/// themselves. A placing tells better ones: [`Placing::prices`](super::Placing::prices). Add to the kind's choices what
/// is best at these, and place again: two such rounds save 2.6 % of the latency of the fleet in `benches/fleet.rs`.
///
/// The objective's goal is taken to be latency; its limits hold for a request that does not wait. That tiers' memory
/// holds the parts of several kinds at once is not checked.
///
/// Fails when the arguments make no sense or no plan is possible, as [`plan`](crate::plan()) does.
pub fn choices(
    graph: &Graph,
    topology: &Topology,
    objective: &Objective,
    shared: &Shared,
    prices: Option<&[f64]>,
) -> Result<Vec<Choice>, PlanError> {
    check::arguments(graph, topology, objective)?;
    let mut found: Vec<(Taken, Plan)> = Vec::new();
    let mut why = None;
    for tiers in walks(topology, objective) {
        match plans(graph, &Part::new(topology, objective, tiers), shared, prices) {
            Ok(plans) => found.extend(plans.into_iter().map(|plan| (Taken::of(topology, &plan), plan))),
            Err(error) => why = Some(error),
        }
    }
    if let (true, Some(why)) = (found.is_empty(), why) {
        return Err(why);
    }
    let worse = |at: usize| {
        let mut others = found.iter().enumerate().filter(|(other, _)| *other != at);
        let taken = &found[at].0;
        others.any(|(other, (better, _))| better.serves(taken) && (other < at || !taken.serves(better)))
    };
    let best: Vec<bool> = (0..found.len()).map(|at| !worse(at)).collect();
    let kept = found.into_iter().zip(best).filter(|(_, best)| *best);
    Ok(kept.map(|((taken, plan), _)| taken.choice(plan, shared)).collect())
}

/// The sets of tiers of all walks of at most [`TIERS_MAX`] tiers that pass where the answer is wanted, less those that
/// are part of another. A set with its walks in all orders is planned at once.
fn walks(topology: &Topology, objective: &Objective) -> Vec<Vec<usize>> {
    let both =
        |from: usize, to: usize| topology.direction(from, to).is_some() && topology.direction(to, from).is_some();
    let mut sets = BTreeSet::new();
    let mut walks = vec![vec![objective.input_at]];
    while let Some(walk) = walks.pop() {
        let last = walk[walk.len() - 1];
        if walk.len() < TIERS_MAX {
            let next = (0..topology.tiers.len()).filter(|tier| !walk.contains(tier) && both(last, *tier));
            walks.extend(next.map(|tier| [&walk[..], &[tier]].concat()));
        }
        let set: BTreeSet<usize> = walk.into_iter().collect();
        if set.contains(&objective.answer_at) {
            sets.insert(set);
        }
    }
    let covered = |set: &BTreeSet<usize>| sets.iter().any(|other| other != set && other.is_superset(set));
    sets.iter().filter(|set| !covered(set)).map(|set| set.iter().copied().collect()).collect()
}

/// A few tiers of a topology, and the links between them.
struct Part {
    tiers: Vec<usize>,
    links: Vec<usize>,
    topology: Topology,
    objective: Objective,
}

impl Part {
    fn new(whole: &Topology, objective: &Objective, tiers: Vec<usize>) -> Self {
        let inside = |tier: usize| tiers.iter().position(|inside| *inside == tier);
        let mut part =
            Topology { tiers: tiers.iter().map(|tier| whole.tiers[*tier].clone()).collect(), links: Vec::new() };
        let mut links = Vec::new();
        for (at, link) in whole.links.iter().enumerate() {
            if let (Some(from), Some(to)) = (inside(link.from), inside(link.to)) {
                part.links.push(Link { from, to, ..*link });
                links.push(at);
            }
        }
        let mut objective = Objective {
            goal: Goal::least(Measure::Latency),
            input_at: inside(objective.input_at).unwrap_or(0),
            answer_at: inside(objective.answer_at).unwrap_or(0),
            ..objective.clone()
        };
        // So long an interval limits nothing, but keeps paths that would pay only when a tier is shared.
        objective.limits.interval.get_or_insert(Duration::MAX);
        Self { tiers, links, topology: part, objective }
    }

    /// The tariff at prices of the servers.
    fn tariff(&self, shared: &Shared, price: impl Fn(usize) -> f64) -> Tariff {
        let mut tariff = Tariff::of(&self.objective.goal, &self.topology);
        for (nano, tier) in tariff.tier_nano.iter_mut().zip(&self.tiers) {
            *nano += server(&shared.tiers, *tier).map_or(0.0, &price);
        }
        for (nano, link) in tariff.link_nano.iter_mut().zip(&self.links) {
            *nano += server(&shared.links, *link).map_or(0.0, &price);
        }
        tariff
    }

    /// Tariffs for the prices that are tried where none are known.
    fn tariffs(&self, shared: &Shared) -> Vec<Tariff> {
        let tiers: BTreeSet<usize> = self.tiers.iter().filter_map(|tier| server(&shared.tiers, *tier)).collect();
        let mut tariffs = vec![self.tariff(shared, |_| 0.0)];
        for price in &PRICES[1..] {
            tariffs.push(self.tariff(shared, |_| *price));
            tariffs.push(self.tariff(shared, |server| if tiers.contains(&server) { 0.0 } else { *price }));
            let one = tiers.iter().map(|tier| self.tariff(shared, |server| if server == *tier { *price } else { 0.0 }));
            tariffs.extend(one);
        }
        tariffs
    }
}

/// The server that a tier or a link is.
fn server(of: &[Option<usize>], at: usize) -> Option<usize> {
    of.get(at).copied().flatten()
}

/// The best plans within a part of the topology, in the numbering of the whole one.
fn plans(graph: &Graph, part: &Part, shared: &Shared, prices: Option<&[f64]>) -> Result<Vec<Plan>, PlanError> {
    let mut planner = Planner::new(graph, part.topology.clone(), &part.objective)?;
    let tariffs = match prices {
        Some(prices) => {
            let price = |server: usize| prices.get(server).filter(|price| price.is_finite() && **price > 0.0).copied();
            vec![part.tariff(shared, |server| price(server).unwrap_or(0.0))]
        }
        None => part.tariffs(shared),
    };
    let mut plans: Vec<Plan> = tariffs.iter().flat_map(|tariff| planner.cheapest(tariff)).collect();
    if plans.is_empty() {
        plans.push(planner.plan()?);
    }
    for hop in plans.iter_mut().flat_map(|plan| &mut plan.hops) {
        hop.tier = part.tiers[hop.tier];
    }
    Ok(plans)
}

/// What one request takes of everything.
struct Taken {
    time: Duration,
    tiers: Vec<Duration>,
    links: Vec<Duration>,
}

impl Taken {
    fn of(topology: &Topology, plan: &Plan) -> Self {
        let [tiers, links] = plan.stages(topology);
        Self { time: plan.latency, tiers, links }
    }

    /// Whether this takes nowhere more.
    fn serves(&self, other: &Self) -> bool {
        let no_more =
            |mine: &[Duration], theirs: &[Duration]| mine.iter().zip(theirs).all(|(mine, theirs)| mine <= theirs);
        self.time <= other.time && no_more(&self.tiers, &other.tiers) && no_more(&self.links, &other.links)
    }

    fn choice(&self, plan: Plan, shared: &Shared) -> Choice {
        let mut choice = Choice { time: self.time, plan, ..Choice::default() };
        for (busy, servers) in [(&self.tiers, &shared.tiers), (&self.links, &shared.links)] {
            for (at, busy) in busy.iter().enumerate().filter(|(_, busy)| !busy.is_zero()) {
                match server(servers, at) {
                    Some(server) => choice.uses.push(Use { server, busy: *busy }),
                    None => choice.own.push(*busy),
                }
            }
        }
        choice
    }
}
