//! Finds the best placements along one path among those that cut the layers' order where few tensors cross, whatever is
//! limited.
//!
//! A state is "this tier has just got the tensors of this cut". What is left to do from there depends on how it came about
//! only through what has been used so far, so of all ways to get there those are kept that no other one betters in
//! everything that counts: the goal, each limited measure, and for the slowest stage what this tier has spent on decoding
//! (labels of multi-criteria shortest paths: Martins, European Journal of Operational Research 16(2), 1984).
//!
//! With n layers, s cuts, k tiers and w labels a state it takes time in the order of k·n·s·w, and w² to compare.

use crate::cut::{Labels, Scene};
use crate::graph::Lifetime;
use crate::memory::{Appetite, usable};
use crate::path::Path;
use crate::tariff::Tariff;
use crate::{Goal, Graph, Limits, Measure, Objective, Pin, TensorId};

/// Labels of one state at most. Beyond that every other one is dropped, and only the bound tells what that costs.
const LABELS_MAX: usize = 2_000;

/// What a label counts: the goal without its interval, then each measure, the loss, and what this tier has decoded for.
const COUNTS: usize = 8;
/// Places of the counts that are no measure; a measure stands at its own index plus one.
const COST: usize = 0;
const LOSS: usize = 6;
const PENDING: usize = 7;
const INTERVAL: usize = 1 + Measure::Interval as usize;

type Counts = [f64; COUNTS];

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
        let misses = Counted::all(limits).filter_map(|(count, limit)| {
            let over = self.counts[count] - limit;
            (over > 0.0).then(|| over / limit.max(1.0))
        });
        misses.sum()
    }
}

/// What is limited, and where a label counts it.
struct Counted;

impl Counted {
    fn all(limits: &Limits) -> impl Iterator<Item = (usize, f64)> {
        let measures = Measure::ALL.into_iter().filter_map(|measure| Some((1 + measure as usize, limits.of(measure)?)));
        measures.chain(limits.loss.map(|loss| (LOSS, loss.0 as f64)))
    }
}

/// A way to get to a state.
#[derive(Debug, Clone, Copy)]
struct Label {
    counts: Counts,
    /// The step that led here, as an index in [`Search::steps`].
    step: usize,
}

/// A crossing that a label has made, and the one before.
#[derive(Debug, Clone, Copy)]
struct Step {
    before: usize,
    at: usize,
    /// Index in [`Search::combinations`].
    combination: usize,
}

const START: usize = usize::MAX;

/// One way to code all tensors of a crossing.
#[derive(Debug, Clone)]
struct Combination {
    offers: Vec<usize>,
    counts: Counts,
    encode: f64,
    /// Nanoseconds that each link of the way is busy.
    busy: Vec<f64>,
}

/// A place where the order can be cut.
struct Stop {
    at: usize,
    live: Vec<TensorId>,
}

/// The placements along `path` that nothing betters in goal, limited measures and, where `beside` is given, in that.
pub(crate) fn search(scene: Scene<'_>, path: &Path, objective: &Objective, beside: Option<Measure>) -> Vec<Found> {
    let mut active = [false; COUNTS];
    active[COST] = true;
    Counted::all(&objective.limits).for_each(|(count, _)| active[count] = true);
    if let Some(measure) = beside {
        active[1 + measure as usize] = true;
    }
    active[INTERVAL] |= objective.goal.interval > 0.0;
    active[PENDING] = active[INTERVAL];
    let single = |measure| Tariff::of(&Goal::least(measure), scene.topology);
    let mut tariffs = vec![(COST, Tariff::of(&objective.goal, scene.topology))];
    let additive = [Measure::Latency, Measure::Energy, Measure::Bytes, Measure::Price];
    let counted = additive.into_iter().filter(|measure| active[1 + *measure as usize]);
    tariffs.extend(counted.map(|measure| (1 + measure as usize, single(measure))));
    let pruned = pruned(scene);
    let search = Search {
        scene,
        path,
        active,
        tariffs,
        stops: stops(scene, objective.live_max),
        steps: Vec::new(),
        combinations: Vec::new(),
        appetite: Appetite::of(&pruned),
    };
    search.run()
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
        // The device begins here, but nothing can leave.
        let live = (0..lifetimes.len()).filter(|tensor| lifetimes[*tensor].crosses(0)).collect();
        stops.insert(0, Stop { at: 0, live });
    }
    stops
}

struct Search<'a> {
    scene: Scene<'a>,
    path: &'a Path,
    active: [bool; COUNTS],
    /// What counts additively, and at which prices.
    tariffs: Vec<(usize, Tariff)>,
    /// From the first end of the model to the second.
    stops: Vec<Stop>,
    steps: Vec<Step>,
    combinations: Vec<Combination>,
    appetite: Appetite,
}

impl Search<'_> {
    fn run(mut self) -> Vec<Found> {
        let end = self.stops.len() - 1;
        let mut loss = [0.0; COUNTS];
        loss[LOSS] = self.scene.reach.loss.0 as f64;
        let mut arrived: Vec<Vec<Label>> = vec![Vec::new(); self.stops.len()];
        arrived[0].push(Label { counts: loss, step: START });
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
        let finished = self.undominated(finished);
        finished.into_iter().map(|label| Found { labels: self.labels(&label), counts: label.counts }).collect()
    }

    /// For each stop, the labels of a tier that has run everything up to there.
    fn leaving(&self, place: usize, arrived: &[Vec<Label>]) -> Vec<Vec<Label>> {
        let mut leaving: Vec<Vec<Label>> = vec![Vec::new(); self.stops.len()];
        let room = usable(&self.scene.topology.tiers[self.path.tier(place)]);
        for (start, labels) in arrived.iter().enumerate().filter(|(_, labels)| !labels.is_empty()) {
            // Without layers a tier decodes and encodes again; that it only passes on is another path.
            leaving[start].extend(labels);
            let mut need = self.appetite.need(self.stops[start].at);
            let (mut counts, mut stop) = ([0.0; COUNTS], start + 1);
            for layer in self.stops[start].at..self.scene.graph.layers.len() {
                need.grow();
                if need.bytes() > room || !self.may_run(layer, place) {
                    break;
                }
                self.add_layer(&mut counts, layer, place);
                if self.stops.get(stop).is_some_and(|next| next.at == layer + 1) {
                    leaving[stop].extend(labels.iter().map(|label| self.ran(label, &counts)));
                    stop += 1;
                }
            }
        }
        leaving.into_iter().map(|labels| self.undominated(labels)).collect()
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

    fn ran(&self, label: &Label, ran: &Counts) -> Label {
        let mut counts = label.counts;
        counts.iter_mut().zip(ran).for_each(|(sum, count)| *sum += count);
        counts[INTERVAL] = label.counts[INTERVAL].max(counts[PENDING]);
        self.forget(&mut counts);
        Label { counts, step: label.step }
    }

    /// What does not count is zero, so that it does not keep two labels apart.
    fn forget(&self, counts: &mut Counts) {
        counts.iter_mut().zip(&self.active).filter(|(_, active)| !**active).for_each(|(count, _)| *count = 0.0);
    }

    /// The labels with which the next tier gets this stop's tensors.
    fn cross(&mut self, place: usize, stop: usize, labels: &[Label]) -> Vec<Label> {
        let end = self.stops.len() - 1;
        if labels.is_empty() || (stop == end && self.path.places[place] >= self.path.answer) {
            return Vec::new();
        }
        let combinations = self.combine(place, stop);
        let first = self.combinations.len();
        self.combinations.extend(combinations);
        let mut crossed = Vec::new();
        for label in labels {
            for index in first..self.combinations.len() {
                let combination = &self.combinations[index];
                let mut counts = label.counts;
                counts.iter_mut().zip(&combination.counts).for_each(|(sum, count)| *sum += count);
                let stage = label.counts[PENDING] + combination.encode;
                let busy = combination.busy.iter().copied().fold(stage, f64::max);
                counts[INTERVAL] = label.counts[INTERVAL].max(busy);
                counts[PENDING] = combination.counts[PENDING];
                self.forget(&mut counts);
                self.steps.push(Step { before: label.step, at: self.stops[stop].at, combination: index });
                crossed.push(Label { counts, step: self.steps.len() - 1 });
            }
        }
        self.undominated(crossed)
    }

    /// The ways to code a stop's tensors from this place to the next that nothing betters, with messages and answers.
    fn combine(&self, place: usize, stop: usize) -> Vec<Combination> {
        let mut combinations = vec![self.without_tensors(place, stop)];
        let at = self.stops[stop].at;
        for tensor in &self.stops[stop].live {
            let share = self.scene.reach.sent_for(*tensor, |layer| layer >= at);
            let offers = &self.scene.times.offers[*tensor];
            let mut longer = Vec::with_capacity(combinations.len() * offers.len());
            for combination in &combinations {
                longer.extend((0..offers.len()).map(|offer| self.with(combination, place, *tensor, offer, share)));
            }
            combinations = self.best_of(longer);
        }
        combinations
    }

    fn without_tensors(&self, place: usize, stop: usize) -> Combination {
        let Scene { reach, times, graph, .. } = self.scene;
        let (at, up, down) = (self.stops[stop].at, self.path.up(place), self.path.down(place));
        let (always, sometimes) = self.path.up_always(place);
        let used = reach.runs[at..].iter().copied().fold(0.0, f64::max);
        let mut counts = [0.0; COUNTS];
        for (count, tariff) in &self.tariffs {
            let message = |links| tariff.messages(times, links);
            counts[*count] += message(always) + (message(sometimes) + message(down)) * used;
        }
        let share = |at: usize| if at < always.len() { 1.0 } else { used };
        let message = |(at, link): (usize, &usize)| times.message[*link][1] as f64 * share(at);
        let mut busy: Vec<f64> = up.iter().chain(down).enumerate().map(message).collect();
        let made = |tensor: &TensorId| reach.answers[*tensor] > 0.0;
        for output in (0..graph.tensors.len()).filter(made) {
            let above = reach.writer[output].is_some_and(|writer| writer >= at);
            let (links, first) = if above { (down, up.len()) } else { (always, 0) };
            for (count, tariff) in &self.tariffs {
                counts[*count] += tariff.answer(times, links, output) * reach.answers[output];
            }
            for (busy, link) in busy[first..].iter_mut().zip(links) {
                *busy += times.answer[output][*link] as f64 * reach.answers[output];
            }
        }
        Combination { offers: Vec::new(), counts, encode: 0.0, busy }
    }

    fn with(&self, before: &Combination, place: usize, tensor: TensorId, offer: usize, share: f64) -> Combination {
        let mut combination = before.clone();
        let cost = &self.scene.times.offers[tensor][offer];
        for (count, tariff) in &self.tariffs {
            combination.counts[*count] += tariff.send(self.path, place, cost) * share;
        }
        combination.counts[LOSS] += cost.loss as f64;
        combination.counts[PENDING] += cost.code[self.path.tier(place + 1)][1] as f64 * share;
        combination.encode += cost.code[self.path.tier(place)][0] as f64 * share;
        for (busy, link) in combination.busy.iter_mut().zip(self.path.up(place)) {
            *busy += cost.carry[*link] as f64 * share;
        }
        combination.offers.push(offer);
        combination
    }

    fn best_of(&self, combinations: Vec<Combination>) -> Vec<Combination> {
        let pipelined = self.active[INTERVAL];
        let betters = |one: &Combination, other: &Combination| {
            let stage = !pipelined
                || (one.encode <= other.encode && one.busy.iter().zip(&other.busy).all(|(one, other)| one <= other));
            stage && self.no_worse(&one.counts, &other.counts)
        };
        let mut best: Vec<Combination> = Vec::new();
        for combination in combinations {
            if !best.iter().any(|kept| betters(kept, &combination)) {
                best.retain(|kept| !betters(&combination, kept));
                best.push(combination);
            }
        }
        best
    }

    fn no_worse(&self, one: &Counts, other: &Counts) -> bool {
        (0..COUNTS).all(|count| !self.active[count] || one[count] <= other[count])
    }

    /// The labels that no other one betters. Of equal ones the first stays.
    fn undominated(&self, mut labels: Vec<Label>) -> Vec<Label> {
        labels.sort_by(|one, other| {
            let orders = one.counts.iter().zip(&other.counts).map(|(one, other)| one.total_cmp(other));
            orders.into_iter().find(|order| order.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
        });
        let mut best: Vec<Label> = Vec::new();
        for label in labels {
            if !best.iter().any(|kept| self.no_worse(&kept.counts, &label.counts)) {
                best.push(label);
            }
        }
        if best.len() > LABELS_MAX {
            let mut keep = false;
            best.retain(|_| {
                keep = !keep;
                keep
            });
        }
        best
    }

    /// What a finished label has decided.
    fn labels(&self, label: &Label) -> Labels {
        let mut crossings = Vec::new();
        let mut step = label.step;
        while let Some(crossing) = self.steps.get(step) {
            crossings.push((crossing.at, self.combinations[crossing.combination].offers.clone()));
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
