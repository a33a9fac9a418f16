//! Finds the best placements along one path among those that cut the layers' order where few tensors cross, whatever is
//! limited.
//!
//! A state is "this tier has just got the tensors of this cut". What is left to do from there depends on how it came
//! about only through what has been used so far, so of all ways to get there those are kept that no other one betters
//! in everything that counts: the goal, each limited measure, and for the slowest stage what this tier has spent on
//! decoding (labels of multi-criteria shortest paths: Martins, European Journal of Operational Research 16(2), 1984).
//!
//! With n layers, s cuts, k tiers and w labels a state it takes time in the order of k·(n + s·w²), and k·n·m to see
//! what fits where m layers fit into a tier that cannot hold all.

mod crossing;
mod label;
mod running;

use std::rc::Rc;

use self::label::{COST, COUNTS, Counts, INTERVAL, LOSS, Label, PENDING, Rule, limited};
use self::running::Running;
use crate::cut::{Labels, Scene};
use crate::graph::Lifetime;
use crate::memory::{Appetite, usable};
use crate::path::Path;
use crate::tariff::Tariff;
use crate::{Goal, Graph, Limits, Measure, Objective, Pin, TensorId};

/// A placement with what it uses.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) labels: Labels,
    counts: Counts,
}

impl Found {
    /// Everything that the goal asks for.
    pub(crate) fn cost(&self, goal: &Goal) -> f64 {
        self.counts[COST] + goal.interval * self.counts[INTERVAL]
    }

    /// By how much limits are missed, as a sum of shares of them.
    pub(crate) fn miss(&self, limits: &Limits) -> f64 {
        let misses = limited(limits).filter_map(|(count, limit)| {
            let over = self.counts[count] - limit;
            (over > 0.0).then(|| over / limit.max(1.0))
        });
        misses.sum()
    }
}

/// A crossing that a label has made, and the one before.
#[derive(Debug)]
struct Step {
    before: usize,
    at: usize,
    /// By tensor that crosses: its place among the tensor's offers.
    offers: Rc<[usize]>,
}

const START: usize = usize::MAX;

/// A place where the order can be cut.
struct Stop {
    at: usize,
    live: Vec<TensorId>,
}

/// The placements along `path` that nothing betters in goal, limited measures and, where `beside` is given, in that.
pub(crate) fn search(scene: Scene<'_>, path: &Path, objective: &Objective, beside: Option<Measure>) -> Vec<Found> {
    let stops = stops(scene, objective.live_max);
    let rule = Rule::new(&objective.limits, beside, objective.goal.interval > 0.0, stops.len());
    let single = |measure| Tariff::of(&Goal::least(measure), scene.topology);
    let mut tariffs = vec![(COST, Tariff::of(&objective.goal, scene.topology))];
    let additive = [Measure::Latency, Measure::Energy, Measure::Bytes, Measure::Price];
    let counted = additive.into_iter().filter(|measure| rule.is_active(1 + *measure as usize));
    tariffs.extend(counted.map(|measure| (1 + measure as usize, single(measure))));
    let pruned = pruned(scene);
    let search = Search {
        scene,
        path,
        rule,
        tariffs,
        stops,
        live_max: objective.live_max,
        runs_from: runs_from(scene),
        answers: (0..scene.graph.tensors.len()).filter(|tensor| scene.reach.answers[*tensor] > 0.0).collect(),
        steps: Vec::new(),
        appetite: Appetite::of(&pruned),
    };
    search.run()
}

fn runs_from(scene: Scene<'_>) -> Vec<f64> {
    let mut runs = [&scene.reach.runs[..], &[0.0]].concat();
    for at in (1..runs.len()).rev() {
        runs[at - 1] = runs[at - 1].max(runs[at]);
    }
    runs
}

/// The graph without what does not run, in the same numbering.
fn pruned(scene: Scene<'_>) -> Graph {
    let mut graph = scene.graph.clone();
    for (layer, runs) in graph.layers.iter_mut().zip(&scene.reach.runs) {
        if *runs == 0.0 {
            layer.reads.clear();
            layer.writes.clear();
            layer.weights.0 = 0;
        }
    }
    graph
}

fn stops(scene: Scene<'_>, live_max: usize) -> Vec<Stop> {
    let reach = scene.reach;
    let lifetime = |tensor: TensorId| Lifetime {
        from: reach.writer[tensor].map_or(0, |writer| writer + 1),
        last_read: reach.readers[tensor].last().copied(),
    };
    let lifetimes: Vec<Lifetime> = (0..scene.graph.tensors.len()).map(lifetime).collect();
    let mut stops: Vec<Stop> = crate::graph::separators(&lifetimes, scene.graph.layers.len(), live_max)
        .into_iter()
        .map(|separator| Stop { at: separator.at, live: separator.live })
        .collect();
    if stops.first().is_none_or(|first| first.at != 0) {
        // The device begins here, but nothing can leave: `Search::cross` sees that too many are alive.
        let live = (0..lifetimes.len()).filter(|tensor| lifetimes[*tensor].crosses(0)).collect();
        stops.insert(0, Stop { at: 0, live });
    }
    stops
}

struct Search<'a> {
    scene: Scene<'a>,
    path: &'a Path,
    rule: Rule,
    /// What counts additively, and at which prices.
    tariffs: Vec<(usize, Tariff)>,
    /// From the first end of the model to the second.
    stops: Vec<Stop>,
    /// What has more tensors alive cannot be crossed.
    live_max: usize,
    /// By layer, and then for the end: the largest share of the requests that run it or a later one.
    runs_from: Vec<f64>,
    /// Outputs that some requests get.
    answers: Vec<TensorId>,
    steps: Vec<Step>,
    appetite: Appetite,
}

impl Search<'_> {
    fn run(mut self) -> Vec<Found> {
        let end = self.stops.len() - 1;
        let mut counts = [0.0; COUNTS];
        counts[LOSS] = self.scene.reach.loss.0 as f64;
        self.rule.forget(&mut counts);
        let mut arrived: Vec<Vec<Label<usize>>> = vec![Vec::new(); self.stops.len()];
        arrived[0].push(Label { counts, step: START });
        let mut finished = Vec::new();
        for place in 0..self.path.places.len() {
            let mut leaving = self.leaving(place, &arrived);
            if self.path.places[place] >= self.path.answer {
                finished.append(&mut leaving[end]);
            }
            if place == self.path.ways() {
                break;
            }
            arrived = (0..self.stops.len()).map(|stop| self.cross(place, stop, &leaving[stop])).collect();
        }
        let finished = self.rule.undominated(finished);
        finished.into_iter().map(|label| Found { labels: self.labels(&label), counts: label.counts }).collect()
    }

    /// For each stop, the labels of a tier that has run everything up to there.
    fn leaving(&self, place: usize, arrived: &[Vec<Label<usize>>]) -> Vec<Vec<Label<usize>>> {
        let mut leaving = Vec::with_capacity(self.stops.len());
        let mut running = Running::new(self.rule);
        let (mut layer, mut until) = (0, 0);
        for (stop, labels) in self.stops.iter().zip(arrived) {
            for layer in layer..stop.at {
                if !self.may_run(layer, place) {
                    running.leave();
                }
                self.add_layer(&mut running.spent, layer, place);
            }
            layer = stop.at;
            running.leave_before(stop.at);
            if !labels.is_empty() {
                until = self.until(stop.at, place, until);
                // Without layers a tier decodes and encodes again; that it only passes on is another path.
                running.arrive(labels, until);
            }
            leaving.push(running.undominated());
        }
        leaving
    }

    /// The end of the longest part from here that fits into a place's memory; that from an earlier stop ended at
    /// `least`.
    fn until(&self, start: usize, place: usize, least: usize) -> usize {
        let layers = self.scene.graph.layers.len();
        if least == layers {
            return layers;
        }
        let room = usable(&self.scene.topology.tiers[self.path.tier(place)]);
        let mut need = self.appetite.need(start);
        let fits = |_: &usize| {
            need.grow();
            need.bytes() <= room
        };
        start + (start..layers).take_while(fits).count()
    }

    fn may_run(&self, layer: usize, place: usize) -> bool {
        match self.scene.graph.layers[layer].pin {
            _ if self.scene.reach.runs[layer] == 0.0 => true,
            Pin::Anywhere => true,
            Pin::Stays => place == 0,
            Pin::NeedsGpu => self.scene.topology.tiers[self.path.tier(place)].gpu,
        }
    }

    /// Time stands at [`PENDING`] too: it is part of this tier's stage.
    fn add_layer(&self, counts: &mut Counts, layer: usize, place: usize) {
        let tier = self.path.tier(place);
        let nanos = (self.scene.times.compute[tier][layer] as f64 * self.scene.reach.runs[layer]).round();
        for (count, tariff) in &self.tariffs {
            counts[*count] += nanos * tariff.tier_nano[tier];
        }
        counts[PENDING] += nanos;
    }

    /// What a finished label has decided.
    fn labels(&self, label: &Label<usize>) -> Labels {
        let mut crossings = Vec::new();
        let mut step = label.step;
        while let Some(crossing) = self.steps.get(step) {
            crossings.push((crossing.at, crossing.offers.to_vec()));
            step = crossing.before;
        }
        crossings.reverse();
        let place = |layer: usize| crossings.iter().take_while(|(at, _)| *at <= layer).count();
        let places = (0..self.scene.graph.layers.len()).map(place).collect();
        let mut offers: Vec<Vec<usize>> = crossings.into_iter().map(|(_, offers)| offers).collect();
        offers.resize(self.path.ways(), Vec::new());
        Labels { places, offers }
    }
}
