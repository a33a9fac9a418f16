//! Ways through the topology: which tiers compute, in which order, and over which tiers that only pass on.

use crate::memory::usable;
use crate::{Bytes, Graph, Objective, Pin, PlanError, Tier, Topology};

/// Tiers with layers along a path at most; those that only pass on are not counted.
const TIERS_MAX: usize = 8;
/// Paths that are searched at most. A minimum cut takes from a few microseconds to milliseconds each.
const PATHS_MAX: usize = 20_000;

/// A walk through the topology from where the input is, with the tiers that may compute and those that only pass on
/// bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path {
    /// All tiers in order.
    pub(crate) walk: Vec<usize>,
    /// Positions in `walk` of the tiers that may compute, in ascending order; the first and the last one are among
    /// them.
    pub(crate) places: Vec<usize>,
    /// For each tier of `walk` but the first, the link of the topology that leads up to it.
    up: Vec<usize>,
    /// The same links' opposites.
    down: Vec<usize>,
    /// Position in `walk` of the tier where the answer is wanted: links below it carry answers up.
    pub(crate) answer: usize,
}

impl Path {
    /// The path of one tier, where the answer is wanted too until a tier that comes later is that.
    pub(crate) fn at(tier: usize) -> Self {
        Self { walk: vec![tier], places: vec![0], up: Vec::new(), down: Vec::new(), answer: 0 }
    }

    /// The path along `walk` with these positions of tiers that may compute, the first and the last one among them.
    /// None where neighbours have no links in both directions, or the answer is wanted at none of its tiers.
    pub(crate) fn along(topology: &Topology, walk: &[usize], places: Vec<usize>, answer_at: usize) -> Option<Self> {
        let up = walk.windows(2).map(|pair| topology.link(pair[0], pair[1])).collect::<Option<_>>()?;
        let down = walk.windows(2).map(|pair| topology.link(pair[1], pair[0])).collect::<Option<_>>()?;
        let answer = walk.iter().position(|tier| *tier == answer_at)?;
        Some(Self { walk: walk.to_vec(), places, up, down, answer })
    }

    /// Another tier that may compute, and the way there.
    pub(crate) fn push(&mut self, tier: usize, way: &Way) {
        self.walk.extend(&way.over);
        self.places.push(self.walk.len());
        self.walk.push(tier);
        self.up.extend(&way.up);
        self.down.extend(&way.down);
    }

    /// Ways between tiers that may compute.
    pub(crate) fn ways(&self) -> usize {
        self.places.len() - 1
    }

    /// The tier at a place.
    pub(crate) fn tier(&self, place: usize) -> usize {
        self.walk[self.places[place]]
    }

    /// The tiers that may compute.
    pub(crate) fn tiers(&self) -> impl Iterator<Item = usize> {
        self.places.iter().map(|place| self.walk[*place])
    }

    /// The links of a way, upwards.
    pub(crate) fn up(&self, way: usize) -> &[usize] {
        &self.up[self.places[way]..self.places[way + 1]]
    }

    /// The links of a way that a request passes whatever runs above it, and those that it passes when something does.
    pub(crate) fn up_always(&self, way: usize) -> (&[usize], &[usize]) {
        self.up(way).split_at(self.answer.clamp(self.places[way], self.places[way + 1]) - self.places[way])
    }

    /// The links of a way that bring back answers.
    pub(crate) fn down(&self, way: usize) -> &[usize] {
        &self.down[self.answer.clamp(self.places[way], self.places[way + 1])..self.places[way + 1]]
    }

    /// The links that an output takes from where it is made to where it is wanted.
    pub(crate) fn home(&self, place: usize) -> &[usize] {
        let made = self.places[place];
        if made < self.answer { &self.up[made..self.answer] } else { &self.down[self.answer..made] }
    }

    /// All links, up and down.
    pub(crate) fn links(&self) -> impl Iterator<Item = usize> {
        self.up.iter().chain(&self.down).copied()
    }

    fn first(&self, places: usize, answer: usize) -> Self {
        let links = self.places[places - 1];
        Self {
            walk: self.walk[..=links].to_vec(),
            places: self.places[..places].to_vec(),
            up: self.up[..links].to_vec(),
            down: self.down[..links].to_vec(),
            answer,
        }
    }

    /// All tiers in order, with whether each may compute.
    fn key(&self) -> Vec<(usize, bool)> {
        self.walk.iter().enumerate().map(|(at, tier)| (*tier, self.places.binary_search(&at).is_ok())).collect()
    }
}

/// From one tier that may compute to the next.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Way {
    /// Tiers in between, which pass on bytes as they come.
    pub(crate) over: Vec<usize>,
    /// Links of the topology, upwards.
    up: Vec<usize>,
    /// The same links' opposites, in the same order.
    down: Vec<usize>,
}

/// All paths from the input that could hold the best plan; what uses only the first tiers of a path is part of it.
///
/// A tier above the answer is no last one where nothing about it is better than the tier before, and that is not below
/// the answer: whatever it would run, that tier runs as fast, and saves a crossing. That does not hold when several
/// requests are in the pipeline or memory is short.
pub(crate) fn paths(graph: &Graph, topology: &Topology, objective: &Objective) -> Result<Vec<Path>, PlanError> {
    let all: Vec<usize> = (0..graph.layers.len()).collect();
    let pipelined = objective.goal.interval > 0.0 || objective.limits.interval.is_some();
    let mut walk = Walk {
        topology,
        hops: opposites(topology),
        answer_at: objective.answer_at,
        needs: if pipelined { Bytes(u64::MAX) } else { graph.memory_of(&all, &graph.inputs, &graph.outputs) },
        gpu: graph.layers.iter().any(|layer| layer.pin == Pin::NeedsGpu),
        found: Vec::new(),
    };
    walk.extend(&Path::at(objective.input_at))?;
    if walk.found.is_empty() {
        let name = |tier: usize| topology.tiers[tier].name.clone();
        return Err(PlanError::Unreachable { from: name(objective.input_at), to: name(objective.answer_at) });
    }
    let mut keyed: Vec<_> = walk.found.into_iter().map(|path| (path.key(), path)).collect();
    keyed.sort_by(|one, other| one.0.cmp(&other.0));
    // A beginning of a path stands before it.
    let covered: Vec<bool> = keyed.windows(2).map(|pair| pair[1].0.starts_with(&pair[0].0)).chain([false]).collect();
    Ok(keyed.into_iter().zip(covered).filter(|(_, covered)| !covered).map(|((_, path), _)| path).collect())
}

/// The ways from one tier to another that are not worse than others, the one with the fewest tiers in between first.
pub(crate) fn ways(topology: &Topology, from: usize, to: usize) -> Vec<Way> {
    let walk = Walk {
        topology,
        hops: opposites(topology),
        answer_at: to,
        needs: Bytes(u64::MAX),
        gpu: false,
        found: Vec::new(),
    };
    let mut ways: Vec<Way> =
        walk.next(&Path::at(from)).into_iter().filter(|(tier, _)| *tier == to).map(|(_, way)| way).collect();
    ways.sort_by_key(|way| way.over.len());
    ways
}

/// For each tier, those that it has links with in both directions: the tier, the link up, the link down.
fn opposites(topology: &Topology) -> Vec<Vec<(usize, usize, usize)>> {
    let mut hops = vec![Vec::new(); topology.tiers.len()];
    for (up, link) in topology.links.iter().enumerate() {
        let back = topology.link(link.to, link.from);
        if let Some(down) = back {
            hops[link.from].push((link.to, up, down));
        }
    }
    hops
}

struct Walk<'a> {
    topology: &'a Topology,
    hops: Vec<Vec<(usize, usize, usize)>>,
    answer_at: usize,
    /// What a tier must hold to run everything.
    needs: Bytes,
    gpu: bool,
    found: Vec<Path>,
}

impl Walk<'_> {
    /// Finds all paths that begin with this one and cannot be made longer.
    fn extend(&mut self, path: &Path) -> Result<(), PlanError> {
        let next = if path.places.len() < TIERS_MAX { self.next(path) } else { Vec::new() };
        for (tier, way) in &next {
            let mut longer = path.clone();
            longer.push(*tier, way);
            self.extend(&longer)?;
        }
        let answer = path.walk.iter().position(|tier| *tier == self.answer_at);
        let Some(answer) = answer.filter(|_| next.is_empty()) else { return Ok(()) };
        let tier = |place: usize| &self.topology.tiers[path.tier(place)];
        let above = (1..path.places.len()).rev().filter(|place| path.places[*place] > answer);
        // Where the tier before is below the answer, its outputs would have to go up.
        let needed = above
            .into_iter()
            .find(|place| path.places[place - 1] < answer || self.has_more(tier(place - 1), tier(*place)));
        // Where the answer is wanted at a tier that passes on, nothing but a tier above is a reason for this path.
        let Some(last) = needed.or(path.places.binary_search(&answer).ok()) else { return Ok(()) };
        if self.found.len() == PATHS_MAX {
            let from = self.topology.tiers[path.walk[0]].name.clone();
            return Err(PlanError::TooManyPaths { from, max: PATHS_MAX });
        }
        self.found.push(path.first(last + 1, answer));
        Ok(())
    }

    /// The tiers that can come next, with the ways there that are not worse than others.
    fn next(&self, path: &Path) -> Vec<(usize, Way)> {
        let last = path.tier(path.ways());
        let mut taken = vec![false; self.topology.tiers.len()];
        path.walk.iter().for_each(|tier| taken[*tier] = true);
        let ways = self.reach(last, &taken);
        let dominated = |(at, (tier, way)): &(usize, &(usize, Way))| {
            let others = ways.iter().enumerate().filter(|(other, (to, _))| other != at && to == tier);
            let mut better = others.filter(|(_, (_, other))| self.serves(other, way));
            // Of two that are alike the first one stays.
            better.any(|(earlier, (_, other))| earlier < *at || !self.serves(way, other))
        };
        ways.iter().enumerate().filter(|way| !dominated(way)).map(|(_, way)| way.clone()).collect()
    }

    /// The ways from a tier past others that are not taken, those with fewer tiers in between first. A way that is
    /// worse than one before it is not followed: whatever comes after it, the other one serves there too.
    fn reach(&self, from: usize, taken: &[bool]) -> Vec<(usize, Way)> {
        let mut found: Vec<(usize, Way)> = Vec::new();
        let (mut tier, mut way, mut next) = (from, Way::default(), 0);
        loop {
            if tier != from {
                way.over.push(tier);
            }
            let free = |to: &usize| !taken[*to] && !way.over.contains(to);
            for (to, up, down) in self.hops[tier].iter().filter(|(to, ..)| way.over.len() < TIERS_MAX && free(to)) {
                let mut longer = way.clone();
                longer.up.push(*up);
                longer.down.push(*down);
                let served = found.iter().any(|(end, other)| end == to && self.serves(other, &longer));
                if !served && found.len() <= PATHS_MAX {
                    found.push((*to, longer));
                }
            }
            let Some((end, followed)) = found.get(next) else { return found };
            (tier, way, next) = (*end, followed.clone(), next + 1);
        }
    }

    /// Whether a tier has anything that the one before it lacks.
    fn has_more(&self, here: &Tier, there: &Tier) -> bool {
        let (mine, theirs) = (&here.slowdown, &there.slowdown);
        theirs.convolution < mine.convolution
            || theirs.depthwise < mine.depthwise
            || theirs.matrix_product < mine.matrix_product
            || theirs.memory_bound < mine.memory_bound
            || there.watts < here.watts
            || there.price_hour < here.price_hour
            || (self.gpu && there.gpu && !here.gpu)
            || self.needs > usable(here)
    }

    /// Whether one way is nowhere worse than another and passes no tier that the other does not. One that passes the
    /// tier where the answer is wanted brings answers there sooner than it brings tensors to its end: nothing else
    /// serves.
    fn serves(&self, one: &Way, other: &Way) -> bool {
        if other.over.contains(&self.answer_at) {
            return false;
        }
        let sum = |way: &Way| {
            let mut sum = [0.0; 8];
            for (at, link) in way.up.iter().chain(&way.down).enumerate() {
                let link = &self.topology.links[*link].direction;
                let back = usize::from(at >= way.up.len());
                sum[back] += 1.0 / link.bandwidth.0 as f64;
                sum[2 + back] += link.delay.as_nanos() as f64;
                sum[4 + back] += link.nanojoules_byte;
                sum[6 + back] += link.price_gb;
            }
            sum
        };
        let (mine, theirs) = (sum(one), sum(other));
        let passes = one.over.iter().all(|tier| other.over.contains(tier));
        let slowest =
            |way: &Way| way.up.iter().chain(&way.down).map(|link| self.topology.links[*link].direction.bandwidth).min();
        passes && slowest(one) >= slowest(other) && mine.iter().zip(&theirs).all(|(mine, theirs)| mine <= theirs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{network, path};
    use crate::{Bandwidth, Direction, Link};

    /// Walks, with tiers that only pass on in brackets.
    fn found(topology: &Topology, input_at: usize, answer_at: usize) -> Vec<String> {
        let objective = Objective { input_at, answer_at, ..Objective::default() };
        let print = |path: Path| {
            let tier = |(tier, computes): (usize, bool)| if computes { tier.to_string() } else { format!("({tier})") };
            path.key().into_iter().map(tier).collect::<Vec<_>>().join(" ")
        };
        paths(&network(), topology, &objective).expect("paths").into_iter().map(print).collect()
    }

    /// Tiers of the sample path, with these links in both directions: their ends, and what they carry in Mbit/s.
    fn linked(tiers: &[usize], ends: &[(usize, usize, u64)]) -> Topology {
        let direction = |mbit: u64| Direction { bandwidth: Bandwidth(mbit * 1_000_000), ..path().links[0].direction };
        let both = |(from, to, mbit): &(usize, usize, u64)| {
            [(*from, *to), (*to, *from)].map(|(from, to)| Link { from, to, direction: direction(*mbit) })
        };
        Topology {
            tiers: tiers.iter().map(|tier| path().tiers[*tier].clone()).collect(),
            links: ends.iter().flat_map(both).collect(),
        }
    }

    #[test]
    fn tiers_in_between_compute_or_pass_on() {
        assert_eq!(found(&path(), 0, 0), ["0 (1) 2", "0 1 2"]);
    }

    #[test]
    fn a_tier_may_only_pass_on_answers_to_where_they_are_wanted() {
        let chain = linked(&[0, 1, 2], &[(0, 1, 10), (1, 2, 10)]);
        assert_eq!(found(&chain, 0, 2), ["0 (1) 2", "0 1 2"]);
        // The answer is wanted on a tier that need not run layers.
        assert_eq!(found(&chain, 0, 1), ["0 (1) 2", "0 1 2"]);
    }

    #[test]
    fn a_tier_that_is_no_faster_is_no_end_unless_it_is_nearer_to_where_the_answer_is_wanted() {
        let slower_last = linked(&[2, 2, 1], &[(0, 1, 10), (1, 2, 10)]);
        assert_eq!(found(&slower_last, 0, 0), ["0"]);
        assert_eq!(found(&slower_last, 0, 1), ["0 (1) 2", "0 1"]);
    }

    #[test]
    fn a_way_around_that_is_nowhere_better_is_left_out() {
        let triangle = |around| linked(&[0, 0, 2], &[(0, 2, 10), (0, 1, around), (1, 2, around)]);
        let over = |topology: &Topology| ways(topology, 0, 2).into_iter().map(|way| way.over).collect::<Vec<_>>();
        assert_eq!(over(&triangle(10)), [Vec::<usize>::new()]);
        assert_eq!(over(&triangle(100)), [vec![], vec![1]]);
        // Unless the answer is wanted on it.
        assert!(found(&triangle(10), 0, 1).contains(&"0 (1) 2".to_owned()));
    }

    #[test]
    fn a_link_without_its_opposite_leads_nowhere() {
        let mut one_way = path();
        one_way.links.truncate(3);
        assert_eq!(found(&one_way, 0, 0), ["0 1"]);
        let objective = Objective { answer_at: 2, ..Objective::default() };
        let error = paths(&network(), &one_way, &objective).expect_err("cannot be reached");
        assert_eq!(
            error.to_string(),
            "no path leads from `device` to `cloud` and back: links in both directions are needed"
        );
    }

    #[test]
    fn refuses_topologies_with_too_many_paths() {
        let all: Vec<(usize, usize, u64)> = (0..10).flat_map(|to| (0..to).map(move |from| (from, to, 10))).collect();
        let mesh = linked(&[0, 1, 2, 1, 2, 1, 2, 1, 2, 2], &all);
        let error = paths(&network(), &mesh, &Objective::default()).expect_err("a mesh of ten");
        assert_eq!(error, PlanError::TooManyPaths { from: "device".to_owned(), max: PATHS_MAX });
    }

    #[test]
    fn an_output_goes_up_or_down_to_where_it_is_wanted() {
        let mut chain = Path::at(0);
        ways(&path(), 0, 2).iter().for_each(|way| chain.push(2, way));
        chain.answer = 1;
        // Links 0 and 2 lead up, 1 and 3 down.
        assert_eq!((chain.home(0), chain.home(1)), (&[0][..], &[3][..]));
        assert_eq!((chain.up(0), chain.up_always(0), chain.down(0)), (&[0, 2][..], (&[0][..], &[2][..]), &[3][..]));
    }
}
