//! Costs a placement that is given: for baselines, for manual override, and to write out what a search has found.

use std::time::Duration;

use crate::cost::{self, EMPTY_MESSAGE};
use crate::cut::Scene;
use crate::memory::{demand, usable};
use crate::reach::Reach;
use crate::{
    Bandwidth, Bytes, Crossing, Direction, Energy, Graph, Hop, Plan, PlanError, Price, Sent, Shortage, TensorId,
    Topology, Totals, check,
};

/// Where each layer runs and how each tensor crosses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Placement {
    /// Tiers along the path, from where the input is. Neighbours have a link in both directions.
    pub path: Vec<usize>,
    /// For each layer, its place in `path`. Data flows up only.
    pub places: Vec<usize>,
    /// For each link of the path, how its tensors are coded, by ascending id of the tensors that cross.
    /// What is given for links past the last tier in use is passed over.
    pub codecs: Vec<Vec<String>>,
    /// Exits in use, as indices of [`Graph::exits`].
    pub exits: Vec<usize>,
}

impl Placement {
    /// The layers in their order, cut before each of `cuts` along `path`; every tensor crosses in its link's codec.
    ///
    /// Fails as [`evaluate()`] does where cuts and codecs do not fit the path or the graph.
    pub fn in_order(graph: &Graph, path: &[usize], cuts: &[usize], codecs: &[String]) -> Result<Self, PlanError> {
        let (links, layers) = (path.len().saturating_sub(1), graph.layers.len());
        if cuts.len() != codecs.len() || cuts.len() > links {
            return Err(PlanError::WrongCount { cuts: cuts.len(), codecs: codecs.len(), links });
        }
        if let Some(cut) = cuts.iter().find(|cut| **cut > layers) {
            return Err(PlanError::CutOutOfRange { cut: *cut, layers });
        }
        if let Some(pair) = cuts.windows(2).find(|pair| pair[0] > pair[1]) {
            return Err(PlanError::CutsDecrease { before: pair[0], cut: pair[1] });
        }
        let place = |layer| cuts.iter().take_while(|cut| **cut <= layer).count();
        let reach = Reach::new(graph, &[]);
        let crossing = |cut: usize| reach.crossing(move |layer| layer < cut).count();
        let codecs = cuts.iter().zip(codecs).map(|(cut, codec)| vec![codec.clone(); crossing(*cut)]);
        Ok(Self {
            path: path.to_vec(),
            places: (0..layers).map(place).collect(),
            codecs: codecs.collect(),
            exits: Vec::new(),
        })
    }
}

/// The plan with this placement, and what it costs. Its gap to the best plan is not known.
///
/// Hops past the last one that runs layers are left out, unless the answer is wanted at or above them.
///
/// Fails when graph or topology make no sense, the path has no such links, a layer reads what is made above it or runs
/// where it may not, a tensor does not offer its codec, or a part does not fit into its tier's memory.
pub fn evaluate(
    graph: &Graph,
    topology: &Topology,
    placement: &Placement,
    answer_at: usize,
) -> Result<Plan, PlanError> {
    check::topology(topology)?;
    check::graph(graph)?;
    check::placement(graph, topology, placement, answer_at)?;
    let reach = Reach::new(graph, &placement.exits);
    let sum = Sum::new(graph, topology, &reach, placement, answer_at);
    let plan = sum.plan()?;
    match short(graph, topology, &plan) {
        Some(shortage) => Err(PlanError::DoesNotFit(shortage)),
        None => Ok(plan),
    }
}

/// The plan of a placement that a search has made. It may not fit into memory.
pub(crate) fn sum(scene: Scene<'_>, placement: &Placement, answer_at: usize) -> Plan {
    let sum = Sum::new(scene.graph, scene.topology, scene.reach, placement, answer_at);
    // Searches only choose from what is offered.
    sum.plan().unwrap_or_default()
}

/// The first hop that does not fit into its tier.
pub(crate) fn short(graph: &Graph, topology: &Topology, plan: &Plan) -> Option<Shortage> {
    plan.hops.iter().enumerate().find_map(|(place, hop)| {
        let tier = &topology.tiers[hop.tier];
        let needs = graph.memory_of_hop(plan, place);
        (needs > usable(tier)).then(|| demand(graph, tier, &hop.layers, needs))
    })
}

/// Stands in for a link that a checked placement cannot lack.
const NOWHERE: Direction = Direction::new(Bandwidth(0), Duration::ZERO);

/// A placement that has been checked, and what its sums need.
struct Sum<'a> {
    graph: &'a Graph,
    topology: &'a Topology,
    placement: &'a Placement,
    reach: &'a Reach,
    answer_place: usize,
}

impl<'a> Sum<'a> {
    fn new(
        graph: &'a Graph,
        topology: &'a Topology,
        reach: &'a Reach,
        placement: &'a Placement,
        answer_at: usize,
    ) -> Self {
        let answer_place = placement.path.iter().position(|tier| *tier == answer_at).unwrap_or(0);
        Self { graph, topology, placement, reach, answer_place }
    }

    fn plan(&self) -> Result<Plan, PlanError> {
        let runs = |layer: &usize| self.reach.runs[*layer] > 0.0;
        let used = (0..self.graph.layers.len()).filter(runs).map(|layer| self.placement.places[layer]).max();
        let last = used.unwrap_or(0).max(self.answer_place);
        let crossings: Vec<Crossing> = (0..last).map(|link| self.crossing(link)).collect::<Result<_, _>>()?;
        let hops: Vec<Hop> = (0..=last).map(|place| self.hop(place)).collect();
        let exits = self.placement.exits.clone();
        let mut plan = Plan { hops, crossings, exits, ..Plan::default() };
        for place in (1..last).filter(|place| plan.passes_on(*place)).collect::<Vec<_>>() {
            (plan.crossings[place - 1].decode, plan.crossings[place].encode) = (Duration::ZERO, Duration::ZERO);
        }
        plan.totals = self.totals(&plan);
        plan.latency = plan.totals.latency;
        Ok(plan)
    }

    fn place(&self, layer: usize) -> usize {
        self.placement.places[layer]
    }

    /// The tensors that cross a link of the path, in ascending order.
    fn crosses(&self, link: usize) -> Vec<TensorId> {
        self.reach.crossing(|layer| self.place(layer) <= link).collect()
    }

    fn hop(&self, place: usize) -> Hop {
        let mine = |layer: &usize| self.place(*layer) == place && self.reach.runs[*layer] > 0.0;
        let layers: Vec<usize> = (0..self.graph.layers.len()).filter(mine).collect();
        let takes = if place == 0 { self.graph.inputs.clone() } else { self.crosses(place - 1) };
        let index = self.placement.path[place];
        let tier = &self.topology.tiers[index];
        let compute =
            |layer: &usize| cost::share(cost::compute(&self.graph.layers[*layer], tier), self.reach.runs[*layer]);
        let mut answers = self.graph.outputs_of(layers.iter().copied());
        answers.retain(|output| self.reach.answers[*output] > 0.0);
        Hop {
            tier: index,
            answers,
            weights: self.graph.weights(layers.iter().copied()),
            compute: cost::sum(layers.iter().map(compute)),
            takes,
            layers,
        }
    }

    fn way(&self, from: usize, to: usize) -> &Direction {
        let (from, to) = (self.placement.path[from], self.placement.path[to]);
        // Checked: neighbours on the path have links in both directions.
        self.topology.direction(from, to).unwrap_or(&NOWHERE)
    }

    /// What crosses a link of the path, as if both its ends had layers.
    fn crossing(&self, link: usize) -> Result<Crossing, PlanError> {
        let tiers = [link, link + 1].map(|place| &self.topology.tiers[self.placement.path[place]]);
        let tensors = self.crosses(link);
        let codecs = self.placement.codecs.get(link).map_or(&[][..], Vec::as_slice);
        if codecs.len() != tensors.len() {
            return Err(PlanError::CodecCount {
                sender: tiers[0].name.clone(),
                receiver: tiers[1].name.clone(),
                tensors: tensors.len(),
                codecs: codecs.len(),
            });
        }
        let up = self.way(link, link + 1);
        let mut crossing = Crossing { wire: self.message(link, up), ..Crossing::default() };
        for (tensor, codec) in tensors.into_iter().zip(codecs) {
            let coding = cost::offer(self.graph, tensor, codec).ok_or_else(|| PlanError::CodecNotOffered {
                tensor: self.graph.tensors[tensor].name.clone(),
                sender: tiers[0].name.clone(),
                receiver: tiers[1].name.clone(),
                codec: codec.clone(),
                offers: self.graph.tensors[tensor].codings.iter().map(|coding| coding.codec.clone()).collect(),
            })?;
            let share = self.reach.sent_for(tensor, |layer| self.place(layer) > link);
            let add = |sum: &mut Duration, time| *sum = sum.saturating_add(cost::share(time, share));
            add(&mut crossing.encode, cost::coding(tiers[0], coding.encode));
            add(&mut crossing.wire, cost::carry(up, coding.bytes));
            add(&mut crossing.decode, cost::coding(tiers[1], coding.decode));
            crossing.sends.push(Sent { tensor, codec: codec.clone(), bytes: coding.bytes });
        }
        let outputs = |above: bool| {
            let there = move |layer: usize| (self.place(layer) > link) == above;
            self.outputs(there)
        };
        let delay = |way: &Direction| cost::share(way.delay, self.used(link));
        if link < self.answer_place {
            crossing.forward_bytes = outputs(false).map(|(bytes, _)| bytes).sum();
            let forward = outputs(false).map(|(bytes, share)| cost::share(cost::carry(up, bytes), share));
            crossing.wire = cost::sum(forward.chain([crossing.wire]));
        } else {
            let down = self.way(link + 1, link);
            crossing.answer_bytes = outputs(true).map(|(bytes, _)| bytes).sum();
            let back = outputs(true).map(|(bytes, share)| cost::share(cost::carry(down, bytes), share));
            crossing.answer = cost::sum(back.chain([self.message(link, down)]));
            crossing.answer_busy = crossing.answer.saturating_sub(delay(down));
        }
        crossing.busy = crossing.wire.saturating_sub(delay(up));
        Ok(crossing)
    }

    /// Sizes of the outputs that layers `there` make, each with the share of the requests that get it.
    fn outputs(&self, there: impl Fn(usize) -> bool) -> impl Iterator<Item = (Bytes, f64)> {
        let tensors = (0..self.graph.tensors.len()).filter(|tensor| self.reach.answers[*tensor] > 0.0);
        let made = tensors.filter(move |tensor| self.reach.writer[*tensor].is_some_and(&there));
        made.map(|tensor| (self.graph.tensors[tensor].spec.bytes(), self.reach.answers[tensor]))
    }

    /// The share of the requests that use a link.
    fn used(&self, link: usize) -> f64 {
        if link < self.answer_place {
            return 1.0;
        }
        let above = (0..self.graph.layers.len()).filter(|layer| self.place(*layer) > link);
        above.map(|layer| self.reach.runs[layer]).fold(0.0, f64::max)
    }

    fn message(&self, link: usize, way: &Direction) -> Duration {
        cost::share(way.delay.saturating_add(cost::empty_message(way)), self.used(link))
    }

    fn totals(&self, plan: &Plan) -> Totals {
        let ways = plan.crossings.iter();
        let times = ways.clone().flat_map(|way| [way.encode, way.wire, way.decode, way.answer]);
        let latency = cost::sum(plan.hops.iter().map(|hop| hop.compute).chain(times));
        let stages = plan.busy().chain(ways.flat_map(|way| [way.busy, way.answer_busy]));
        let interval = stages.max().unwrap_or_default();
        let (mut nanojoules, mut bytes, mut price, mut loss) = (0.0, 0.0, 0.0, self.reach.loss);
        for (hop, busy) in plan.hops.iter().zip(plan.busy()) {
            let tier = &self.topology.tiers[hop.tier];
            nanojoules += busy.as_nanos() as f64 * tier.watts;
            price += busy.as_nanos() as f64 * tier.price_ns();
        }
        for (link, crossing) in plan.crossings.iter().enumerate() {
            let back = (link >= self.answer_place).then(|| self.way(link + 1, link));
            for (way, up) in [(self.way(link, link + 1), true)].into_iter().chain(back.map(|way| (way, false))) {
                let on_link = self.on_link(link, crossing, up);
                nanojoules += on_link * way.nanojoules_byte;
                price += on_link * way.price_gb;
                bytes += on_link;
            }
            let losses = crossing.sends.iter().filter(|_| !plan.passes_on(link));
            let losses = losses.filter_map(|sent| Some(cost::offer(self.graph, sent.tensor, &sent.codec)?.loss));
            loss = losses.chain([loss]).sum();
        }
        let [energy, bytes, price] = [nanojoules, bytes, price].map(|sum| sum.round() as u64);
        Totals { latency, interval, energy: Energy(energy), bytes: Bytes(bytes), price: Price(price), loss }
    }

    /// Mean bytes of a request on one direction of a link, with headers.
    fn on_link(&self, link: usize, crossing: &Crossing, up: bool) -> f64 {
        let wire = |bytes: Bytes, share: f64| cost::on_the_wire(bytes).0 as f64 * share;
        let above = |layer: usize| self.place(layer) > link;
        let tensors = crossing.sends.iter().filter(|_| up);
        let tensors: f64 = tensors.map(|sent| wire(sent.bytes, self.reach.sent_for(sent.tensor, above))).sum();
        let sends_outputs = !up || link < self.answer_place;
        let outputs = self.outputs(|layer| above(layer) != up).filter(|_| sends_outputs);
        EMPTY_MESSAGE.0 as f64 * self.used(link)
            + tensors
            + outputs.map(|(bytes, share)| wire(bytes, share)).sum::<f64>()
    }
}

#[cfg(test)]
mod tests;
