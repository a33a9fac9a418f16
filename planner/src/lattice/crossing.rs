//! From one tier to the next: how the tensors of a stop are coded, and what that costs.

use std::rc::Rc;

use super::label::{COUNTS, Counts, Gathered, INTERVAL, LOSS, Label, PENDING, compare, thin};
use super::{Search, Step, Stop};
use crate::TensorId;
use crate::cut::Scene;

/// Ways to code the tensors of a crossing that are tried at most. Of more, every n-th is, in the order of their cost.
const COMBINATIONS_MAX: usize = 200;

/// One way to code all tensors of a crossing.
#[derive(Debug, Clone)]
pub(super) struct Combination {
    offers: Vec<usize>,
    counts: Counts,
    encode: f64,
    /// Nanoseconds that each link of the way is busy.
    busy: Vec<f64>,
}

impl Search<'_> {
    /// The labels with which the next tier gets this stop's tensors; none where too many tensors would cross.
    pub(super) fn cross(&mut self, place: usize, stop: usize, labels: &[Label<usize>]) -> Vec<Label<usize>> {
        let end = self.stops.len() - 1;
        let Stop { at, live } = &self.stops[stop];
        let done = stop == end && self.path.places[place] >= self.path.answer;
        if labels.is_empty() || live.len() > self.live_max || done {
            return Vec::new();
        }
        let (at, combinations) = (*at, self.combine(place, stop));
        let mut crossed = Gathered::new(self.rule);
        for label in labels {
            for (index, combination) in combinations.iter().enumerate() {
                let mut counts = label.counts;
                counts.iter_mut().zip(&combination.counts).for_each(|(sum, count)| *sum += count);
                let stage = label.counts[PENDING] + combination.encode;
                let busy = combination.busy.iter().copied().fold(stage, f64::max);
                counts[INTERVAL] = label.counts[INTERVAL].max(busy);
                counts[PENDING] = combination.counts[PENDING];
                self.rule.forget(&mut counts);
                crossed.push(Label { counts, step: (label.step, index) });
            }
        }
        let offers: Vec<Rc<[usize]>> = combinations.into_iter().map(|made| Rc::from(made.offers)).collect();
        let mut step = |Label { counts, step: (before, index) }| {
            self.steps.push(Step { before, at, offers: Rc::clone(&offers[index]) });
            Label { counts, step: self.steps.len() - 1 }
        };
        crossed.undominated().into_iter().map(&mut step).collect()
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
        let Scene { reach, times, .. } = self.scene;
        let (at, up, down) = (self.stops[stop].at, self.path.up(place), self.path.down(place));
        let (always, sometimes) = self.path.up_always(place);
        let used = self.runs_from[at];
        let mut counts = [0.0; COUNTS];
        for (count, tariff) in &self.tariffs {
            let message = |links| tariff.messages(times, links);
            counts[*count] += message(always) + (message(sometimes) + message(down)) * used;
        }
        let share = |at: usize| if at < always.len() { 1.0 } else { used };
        let message = |(at, link): (usize, &usize)| times.message[*link][1] as f64 * share(at);
        let mut busy: Vec<f64> = up.iter().chain(down).enumerate().map(message).collect();
        for output in self.answers.iter().copied() {
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
        let pipelined = self.rule.is_active(INTERVAL);
        let betters = |one: &Combination, other: &Combination| {
            let stage = !pipelined
                || (one.encode <= other.encode && one.busy.iter().zip(&other.busy).all(|(one, other)| one <= other));
            stage && self.rule.no_worse(&one.counts, &other.counts)
        };
        let mut best: Vec<Combination> = Vec::new();
        for combination in combinations {
            if !best.iter().any(|kept| betters(kept, &combination)) {
                best.retain(|kept| !betters(&combination, kept));
                best.push(combination);
            }
        }
        if best.len() > COMBINATIONS_MAX {
            best.sort_by(|one, other| compare(&one.counts, &other.counts));
            thin(&mut best, COMBINATIONS_MAX);
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use crate::cut::Scene;
    use crate::lattice::search;
    use crate::path::Path;
    use crate::reach::Reach;
    use crate::sample::{network, path, roomy};
    use crate::times::Times;
    use crate::{Graph, Objective};

    /// Where the first layer runs in what is found along the first two tiers of [`path`].
    fn first_places(graph: &Graph, live_max: usize) -> Vec<usize> {
        // A fast edge: from the latency alone all would leave.
        let mut topology = roomy(path());
        topology.tiers[1].slowdown = topology.tiers[2].slowdown;
        topology.tiers[0].slowdown.convolution = 1e6;
        let objective = Objective { live_max, ..Objective::default() };
        let (reach, times) = (Reach::new(graph, &[]), Times::new(graph, &topology, &objective));
        let scene = Scene { graph, topology: &topology, reach: &reach, times: &times };
        let way = Path::along(&topology, &[0, 1], vec![0, 1], 0).expect("links both ways");
        search(scene, &way, &objective, None).iter().map(|found| found.labels.places[0]).collect()
    }

    #[test]
    fn more_inputs_than_may_cross_stay_where_they_are() {
        let mut graph = network();
        graph.tensors.push(graph.tensors[0].clone());
        graph.inputs.push(4);
        graph.layers[0].reads.push(4);
        assert_eq!(first_places(&graph, 2), [1]);
        assert_eq!(first_places(&graph, 1), [0]);
    }
}
