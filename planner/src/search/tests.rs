//! The search against all placements, one by one, at costs that are told anew.

use proptest::prelude::*;

use super::*;
use crate::sample::{CODECS, any_additive_goal, any_chain, any_graph, any_topology, roomy};
use crate::{Bytes, Coding, Goal, OpClass, TensorId};

/// Costs of one placement by the formulas of the crate's front page: every way that a request can end is followed by
/// itself.
struct Naive<'a> {
    graph: &'a Graph,
    topology: &'a Topology,
    objective: &'a Objective,
    path: &'a [usize],
    places: &'a [usize],
    exits: &'a [usize],
}

/// A payload with its share of headers: 64 bytes for each 1,416.
fn framed(payload: Bytes) -> f64 {
    (payload.0 as f64 * 1480.0 / 1416.0).ceil()
}

/// A way that a request can end: its probability, and the layer after which it does.
struct Course {
    probability: f64,
    last: usize,
    output: Option<TensorId>,
}

impl Naive<'_> {
    fn writer(&self, tensor: TensorId) -> Option<usize> {
        self.graph.layers.iter().position(|layer| layer.writes.contains(&tensor))
    }

    /// Layers that anything but an unused exit needs.
    fn alive(&self) -> Vec<bool> {
        let end = self.graph.layers.len();
        let unused = |output: &TensorId| {
            let of = self.graph.exits.iter().position(|exit| exit.output == *output);
            of.is_some_and(|exit| !self.exits.contains(&exit))
        };
        // Repeated until nothing changes: a layer is dead when it leads to an unused exit and to nothing else that counts.
        let mut alive = vec![true; end];
        loop {
            let read = |tensor: &TensorId| (0..end).any(|at| alive[at] && self.graph.layers[at].reads.contains(tensor));
            let read_by_dead =
                |tensor: &TensorId| (0..end).any(|at| !alive[at] && self.graph.layers[at].reads.contains(tensor));
            let wanted = |tensor: &TensorId| read(tensor) || (self.graph.outputs.contains(tensor) && !unused(tensor));
            let dead = (0..end).find(|at| {
                let writes = &self.graph.layers[*at].writes;
                alive[*at]
                    && writes.iter().any(|tensor| unused(tensor) || read_by_dead(tensor))
                    && !writes.iter().any(wanted)
            });
            match dead {
                Some(at) => alive[at] = false,
                None => return alive,
            }
        }
    }

    fn courses(&self) -> Vec<Course> {
        let mut deciders: Vec<(usize, f64, TensorId)> = self
            .exits
            .iter()
            .filter_map(|exit| {
                let exit = &self.graph.exits[*exit];
                Some((self.writer(exit.output)?, exit.probability, exit.output))
            })
            .collect();
        deciders.sort_by_key(|(at, _, output)| (*at, *output));
        let (mut left, mut courses) = (1.0, Vec::new());
        for (at, probability, output) in deciders {
            courses.push(Course { probability: left * probability, last: at, output: Some(output) });
            left *= 1.0 - probability;
        }
        courses.push(Course { probability: left, last: usize::MAX, output: None });
        courses
    }

    /// Nothing when the placement cannot be.
    fn cost(&self) -> Option<f64> {
        let alive = self.alive();
        let last_used = (0..self.places.len()).filter(|at| alive[*at]).map(|at| self.places[at]).max().unwrap_or(0);
        let answer = self.path.iter().position(|tier| *tier == self.objective.answer_at)?;
        let top = last_used.max(answer);
        let mut total = 0.0;
        for (at, layer) in self.graph.layers.iter().enumerate().filter(|(at, _)| alive[*at]) {
            let tier = &self.topology.tiers[self.path[self.places[at]]];
            let nanos = layer.reference.as_nanos() as f64 * tier.slowdown.of(layer.class);
            let share: f64 =
                self.courses().iter().filter(|course| at <= course.last).map(|course| course.probability).sum();
            total += self.busy(self.places[at], nanos) * share;
            let pinned = match layer.pin {
                crate::Pin::Anywhere => false,
                crate::Pin::Stays => self.places[at] > 0,
                crate::Pin::NeedsGpu => !tier.gpu,
            };
            let flows_down = layer
                .reads
                .iter()
                .any(|tensor| self.writer(*tensor).is_some_and(|writer| self.places[writer] > self.places[at]));
            if pinned || flows_down {
                return None;
            }
        }
        for link in 0..top {
            total += self.link(link, answer, &alive)?;
        }
        // A tier without layers passes on everything as it comes, or decodes everything and encodes it again.
        let idle = |place: &usize| !(0..self.places.len()).any(|at| alive[at] && self.places[at] == *place);
        let idle: Vec<usize> = (1..top).filter(idle).collect();
        let coded = (0..1_usize << idle.len()).filter_map(|bits| {
            let passes =
                |place: usize| idle.iter().position(|other| *other == place).is_some_and(|at| bits >> at & 1 == 1);
            self.coded(top, passes, &alive)
        });
        Some(total + coded.min_by(f64::total_cmp)?)
    }

    /// All tensors, each coded where it leaves a tier that does not pass on, and decoded at the next such tier.
    fn coded(&self, top: usize, passes: impl Fn(usize) -> bool, alive: &[bool]) -> Option<f64> {
        let (mut from, mut total) = (0, 0.0);
        for to in (1..=top).filter(|place| !passes(*place)) {
            for tensor in 0..self.graph.tensors.len() {
                total += self.tensor(tensor, from, to, alive)?;
            }
            from = to;
        }
        Some(total)
    }

    fn busy(&self, place: usize, nanos: f64) -> f64 {
        let (tier, goal) = (&self.topology.tiers[self.path[place]], self.objective.goal);
        nanos * (goal.latency + goal.energy * tier.watts + goal.price * tier.price_hour / 3600.0)
    }

    /// Bytes on one direction between two places, with their share of headers.
    fn on_link(&self, from: usize, to: usize, bytes: f64) -> Option<f64> {
        let (way, goal) = (self.topology.direction(self.path[from], self.path[to])?, self.objective.goal);
        let nanos = bytes * 8e9 / way.bandwidth.0 as f64;
        Some(
            nanos * goal.latency + bytes * (goal.bytes + goal.energy * way.nanojoules_byte + goal.price * way.price_gb),
        )
    }

    fn runs_above(&self, course: &Course, link: usize, alive: &[bool]) -> bool {
        (0..self.places.len()).any(|at| alive[at] && at <= course.last && self.places[at] > link)
    }

    /// Messages and answers over one link.
    fn link(&self, link: usize, answer: usize, alive: &[bool]) -> Option<f64> {
        let mut total = 0.0;
        for course in self.courses() {
            let used = link < answer || self.runs_above(&course, link, alive);
            let mut ways = vec![(link, link + 1, link < answer)];
            if link >= answer {
                ways.push((link + 1, link, true));
            }
            for (from, to, carries) in ways.into_iter().filter(|_| used) {
                let delay = self.topology.direction(self.path[from], self.path[to])?.delay.as_nanos() as f64;
                let mut cost = self.objective.goal.latency * delay + self.on_link(from, to, 192.0)?;
                for output in
                    (0..self.graph.tensors.len()).filter(|output| carries && self.graph.outputs.contains(output))
                {
                    let Some(writer) = self.writer(output) else { continue };
                    let exit = self.graph.exits.iter().any(|exit| exit.output == output);
                    let there = if link < answer { self.places[writer] <= link } else { self.places[writer] > link };
                    let sent =
                        if exit { course.output == Some(output) } else { alive[writer] && writer <= course.last };
                    if there && sent {
                        cost += self.on_link(from, to, framed(self.graph.tensors[output].spec.bytes()))?;
                    }
                }
                total += cost * course.probability;
            }
        }
        Some(total)
    }

    /// A tensor from one tier with layers to the next, in the cheapest codec.
    fn tensor(&self, tensor: TensorId, from: usize, to: usize, alive: &[bool]) -> Option<f64> {
        let writer = self.writer(tensor);
        let below = writer.is_none_or(|writer| self.places[writer] <= from);
        let reads = |at: usize| alive[at] && self.graph.layers[at].reads.contains(&tensor);
        let above = (0..self.places.len()).any(|at| reads(at) && self.places[at] >= to);
        if !below || !above {
            return Some(0.0);
        }
        if self.objective.inputs_stay && writer.is_none() {
            return None;
        }
        let share: f64 = self
            .courses()
            .iter()
            .filter(|course| {
                let read = (0..self.places.len()).any(|at| reads(at) && at <= course.last && self.places[at] >= to);
                // While an exit above decides, what lies ready has come along.
                let waits =
                    self.exits.iter().filter_map(|exit| self.writer(self.graph.exits[*exit].output)).any(|decider| {
                        let ready = writer.is_none_or(|writer| writer <= decider);
                        let later = (0..self.places.len()).any(|at| reads(at) && at > decider);
                        ready && later && decider <= course.last && self.places[decider] >= to
                    });
                read || waits
            })
            .map(|course| course.probability)
            .sum();
        let offers =
            self.graph.tensors[tensor].codings.iter().filter(|coding| self.objective.codecs.contains(&coding.codec));
        let cost = |coding: &Coding| {
            let code = |place: usize, time: std::time::Duration| {
                let tier = &self.topology.tiers[self.path[place]];
                self.busy(place, time.as_nanos() as f64 * tier.slowdown.of(OpClass::MemoryBound))
            };
            let wire = (from..to).map(|link| self.on_link(link, link + 1, framed(coding.bytes)));
            Some((code(from, coding.encode) + code(to, coding.decode) + wire.sum::<Option<f64>>()?) * share)
        };
        offers.filter_map(cost).min_by(f64::total_cmp)
    }
}

/// All simple paths from the input over pairs with links both ways.
fn walks(topology: &Topology, objective: &Objective) -> Vec<Vec<usize>> {
    let mut all = vec![vec![objective.input_at]];
    let mut next = 0;
    while next < all.len() {
        let walk = all[next].clone();
        for tier in 0..topology.tiers.len() {
            let last = walk[walk.len() - 1];
            let linked = topology.direction(last, tier).is_some() && topology.direction(tier, last).is_some();
            if linked && !walk.contains(&tier) {
                all.push([&walk[..], &[tier]].concat());
            }
        }
        next += 1;
    }
    all
}

/// All ways to give each layer a place in which data flows up.
fn all_places(graph: &Graph, places: usize) -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new()];
    for layer in &graph.layers {
        let mut longer = Vec::new();
        for before in &all {
            let made = |tensor: &TensorId| graph.layers.iter().position(|other| other.writes.contains(tensor));
            let first = layer.reads.iter().filter_map(|tensor| before.get(made(tensor)?).copied()).max().unwrap_or(0);
            longer.extend((first..places).map(|place: usize| [&before[..], &[place]].concat()));
        }
        all = longer;
    }
    all
}

fn exit_sets(graph: &Graph) -> Vec<Vec<usize>> {
    (0..1_usize << graph.exits.len())
        .map(|bits| (0..graph.exits.len()).filter(|exit| bits >> exit & 1 == 1).collect())
        .collect()
}

/// An exit holds back what lies behind it in the order: that runs where the exit decides, or further on.
fn exits_first(graph: &Graph, places: &[usize], exits: &[usize]) -> bool {
    let naive = |tensor: TensorId| graph.layers.iter().position(|layer| layer.writes.contains(&tensor));
    exits.iter().all(|exit| {
        let Some(decider) = naive(graph.exits[*exit].output) else { return false };
        (0..graph.tensors.len()).all(|tensor| {
            let ready = naive(tensor).is_none_or(|writer| writer <= decider);
            let late = (decider + 1..places.len()).filter(|at| graph.layers[*at].reads.contains(&tensor));
            !ready || late.into_iter().all(|at| places[at] >= places[decider])
        })
    })
}

/// The least cost of all placements.
fn least(graph: &Graph, topology: &Topology, objective: &Objective) -> Option<f64> {
    let mut least: Option<f64> = None;
    for path in walks(topology, objective) {
        for places in all_places(graph, path.len()) {
            for exits in exit_sets(graph) {
                if !exits_first(graph, &places, &exits) {
                    continue;
                }
                let naive = Naive { graph, topology, objective, path: &path, places: &places, exits: &exits };
                if let Some(cost) = naive.cost() {
                    least = Some(least.map_or(cost, |least| least.min(cost)));
                }
            }
        }
    }
    least
}

fn any_objective() -> impl Strategy<Value = Objective> {
    let codecs = prop::sample::subsequence(CODECS.to_vec(), 1..=3).prop_shuffle();
    (codecs, any::<bool>(), any_additive_goal()).prop_map(|(codecs, inputs_stay, goal)| Objective {
        goal,
        codecs: codecs.into_iter().map(str::to_owned).collect(),
        inputs_stay,
        ..Objective::default()
    })
}

/// Rounding of some tens of items to whole units.
fn close(one: f64, other: f64, goal: &Goal) -> bool {
    let unit = Measure::ALL.into_iter().map(|measure| goal.weight(measure)).fold(0.0, f64::max);
    (one - other).abs() <= 300.0 * unit + one.abs() * 1e-9
}

fn check_optimal(graph: &Graph, topology: &Topology, objective: &Objective) -> Result<(), TestCaseError> {
    let found = plan(graph, topology, objective);
    match (least(graph, topology, objective), found) {
        (Some(least), Ok(plan)) => {
            let cost = objective.goal.cost(&plan.totals);
            prop_assert!(close(cost, least, &objective.goal), "{cost} where {least} is possible: {plan:#?}");
            prop_assert_eq!(plan.gap, Some(0.0));
        }
        (None, Err(_)) => {}
        (least, found) => prop_assert!(false, "{found:?}, not {least:?}"),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn along_a_chain_the_plan_is_the_best_of_all(
        graph in any_graph(), topology in any_chain(1..4), objective in any_objective(),
    ) {
        check_optimal(&graph, &roomy(topology), &objective)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn in_a_directed_topology_the_plan_is_the_best_of_all(
        graph in any_graph(), topology in any_topology(), objective in any_objective(),
        ends in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
    ) {
        prop_assume!(graph.layers.len() < 7);
        let topology = roomy(topology);
        let (input_at, answer_at) = (ends.0.index(topology.tiers.len()), ends.1.index(topology.tiers.len()));
        check_optimal(&graph, &topology, &Objective { input_at, answer_at, ..objective })?;
    }
}
