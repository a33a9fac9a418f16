//! What people would do without a planner, and what published planners would do: each is shown beside a plan.

use std::time::Duration;

use crate::cost;
use crate::cut::{Scene, cut};
use crate::flow::Network;
use crate::path::{Path, Way, ways};
use crate::reach::Reach;
use crate::tariff::Tariff;
use crate::times::Times;
use crate::{Bytes, Goal, Graph, Measure, Objective, Placement, Plan, PlanError, Topology, UNCODED, check, evaluate};

/// A placement to hold a plan against.
#[derive(Debug, Clone, PartialEq)]
pub struct Baseline {
    /// As users read it: `all on device`, `all on cloud, JPEG input`, `Neurosurgeon`, `DADS`.
    pub name: String,
    /// Whether the whole model runs in one place.
    pub single_place: bool,
    /// What it costs, or why it cannot be.
    pub plan: Result<Plan, PlanError>,
}

/// The whole model on each tier that can be reached: where the input is without sending anything, elsewhere with the
/// input uncoded, and as JPEG and WebP where all inputs offer that at a level that keeps to the objective's loss of
/// accuracy. Then two published planners, between the input's tier and the one that is fastest for the whole model.
///
/// They keep to the same memory and costs as a plan, but not to other limits, nor to its codecs.
pub fn baselines(graph: &Graph, topology: &Topology, objective: &Objective) -> Vec<Baseline> {
    let here = objective.input_at;
    if let Err(error) = check::arguments(graph, topology, objective) {
        return vec![Baseline { name: "all on the first tier".to_owned(), single_place: true, plan: Err(error) }];
    }
    let bench = Bench { graph, topology, objective };
    let mut baselines = vec![bench.whole(here, None)];
    for tier in (0..topology.tiers.len()).filter(|tier| *tier != here) {
        if ways(topology, here, tier).is_empty() {
            continue;
        }
        baselines.push(bench.whole(tier, Some((UNCODED.to_owned(), "raw"))));
        for (start, name) in [("jpeg/", "JPEG"), ("webp/", "WebP")] {
            baselines.extend(bench.level(start).map(|codec| bench.whole(tier, Some((codec, name)))));
        }
    }
    let compute =
        |tier: &usize| graph.layers.iter().map(|layer| cost::compute(layer, &topology.tiers[*tier])).sum::<Duration>();
    let others = (0..topology.tiers.len()).filter(|tier| *tier != here && !ways(topology, here, *tier).is_empty());
    if let Some(server) = others.min_by_key(compute) {
        baselines.push(Baseline {
            name: "Neurosurgeon".to_owned(),
            single_place: false,
            plan: bench.neurosurgeon(server),
        });
        baselines.push(Baseline { name: "DADS".to_owned(), single_place: false, plan: bench.dads(server) });
    }
    baselines
}

struct Bench<'a> {
    graph: &'a Graph,
    topology: &'a Topology,
    objective: &'a Objective,
}

impl Bench<'_> {
    /// The whole model on one tier, over the fastest way there.
    fn whole(&self, tier: usize, input: Option<(String, &str)>) -> Baseline {
        let name = &self.topology.tiers[tier].name;
        let input_name = input.as_ref().map_or(String::new(), |(_, input)| format!(", {input} input"));
        let codec = input.map_or(UNCODED.to_owned(), |(codec, _)| codec);
        let plan = self.cut_at(tier, 0, &codec);
        Baseline { name: format!("all on {name}{input_name}"), single_place: true, plan }
    }

    /// The layers before `cut` where the input is, the others on a tier, over the fastest way there.
    fn cut_at(&self, tier: usize, cut: usize, codec: &str) -> Result<Plan, PlanError> {
        let here = self.objective.input_at;
        let mut best: Result<Plan, PlanError> = Err(PlanError::Unreachable {
            from: self.topology.tiers[here].name.clone(),
            to: self.topology.tiers[tier].name.clone(),
        });
        let paths = if tier == here { vec![vec![here]] } else { self.walks(tier) };
        for path in paths {
            let links = path.len() - 1;
            let placement = Placement::in_order(self.graph, &path, &vec![cut; links], &vec![codec.to_owned(); links])?;
            let plan = evaluate(self.graph, self.topology, &placement, self.answer(&path));
            let faster = match (&plan, &best) {
                (Ok(plan), Ok(best)) => plan.latency < best.latency,
                (_, Err(_)) => true,
                (Err(_), Ok(_)) => false,
            };
            if faster {
                best = plan;
            }
        }
        best
    }

    fn walks(&self, tier: usize) -> Vec<Vec<usize>> {
        let here = self.objective.input_at;
        let walk = |way: Way| [vec![here], way.over, vec![tier]].concat();
        ways(self.topology, here, tier).into_iter().map(walk).collect()
    }

    /// Where the answer is wanted, if a path leads there; else where the input is.
    fn answer(&self, path: &[usize]) -> usize {
        if path.contains(&self.objective.answer_at) { self.objective.answer_at } else { path[0] }
    }

    /// The level of a picture codec that all live inputs offer: of those that keep to the loss, the one of fewest
    /// bytes.
    fn level(&self, start: &str) -> Option<String> {
        let inputs: Vec<_> = self.graph.live(0).into_iter().map(|input| &self.graph.tensors[input].codings).collect();
        let allowed = self.objective.limits.loss;
        let offered = |codec: &str| {
            inputs.iter().all(|codings| {
                codings.iter().any(|coding| coding.codec == codec && allowed.is_none_or(|loss| coding.loss <= loss))
            })
        };
        let levels = inputs.first()?.iter().filter(|coding| coding.codec.starts_with(start) && offered(&coding.codec));
        levels.min_by_key(|coding| coding.bytes).map(|coding| coding.codec.clone())
    }

    /// Kang et al., Neurosurgeon, ASPLOS 2017, algorithm 1: of all places in the chain of layers, the one with the
    /// least sum of compute below, uncoded bytes over the bandwidth, and compute above. It knows neither round trips
    /// nor codecs.
    fn neurosurgeon(&self, server: usize) -> Result<Plan, PlanError> {
        let (device, far) = (&self.topology.tiers[self.objective.input_at], &self.topology.tiers[server]);
        let nanos = |tier| -> Vec<u128> {
            self.graph.layers.iter().map(|layer| cost::compute(layer, tier).as_nanos()).collect()
        };
        let (here, there) = (nanos(device), nanos(far));
        let way = self.walks(server).into_iter().next().unwrap_or_default();
        let bandwidths = way.windows(2).filter_map(|ends| Some(self.topology.direction(ends[0], ends[1])?.bandwidth));
        let bandwidths: Vec<_> = bandwidths.collect();
        let layers = self.graph.layers.len();
        let predicted = |at: usize, bytes: Bytes| {
            let wire: u128 = bandwidths.iter().map(|bandwidth| bandwidth.time_for(bytes).as_nanos()).sum();
            here[..at].iter().sum::<u128>() + wire + there[at..].iter().sum::<u128>()
        };
        let chain = self.graph.separators(1).into_iter();
        let places = chain.map(|place| {
            let bytes = place.live.iter().map(|tensor| self.graph.tensors[*tensor].spec.bytes()).sum();
            (if place.at == layers { here.iter().sum() } else { predicted(place.at, bytes) }, place.at)
        });
        match places.min().map_or(layers, |(_, at)| at) {
            all if all == layers => self.cut_at(self.objective.input_at, 0, UNCODED),
            at => self.cut_at(server, at, UNCODED),
        }
    }

    /// Hu et al., DADS, INFOCOM 2019, light load: a minimum cut of the graph in two, with compute on both sides and
    /// each crossing tensor's uncoded bytes over the bandwidth. It knows neither round trips, nor codecs, nor the way
    /// back.
    fn dads(&self, server: usize) -> Result<Plan, PlanError> {
        let objective = Objective {
            goal: Goal::least(Measure::Latency),
            codecs: vec![UNCODED.to_owned()],
            inputs_stay: false,
            ..self.objective.clone()
        };
        let mut times = Times::new(self.graph, self.topology, &objective);
        times.message.fill([0; 2]);
        times.answer.iter_mut().for_each(|answer| answer.fill(0));
        let reach = Reach::new(self.graph, &[]);
        let scene = Scene { graph: self.graph, topology: self.topology, reach: &reach, times: &times };
        let here = self.objective.input_at;
        let Some(way) = ways(self.topology, here, server).into_iter().next() else {
            return self.cut_at(server, 0, UNCODED);
        };
        let mut path = Path::at(here);
        path.push(server, &way);
        let tariff = Tariff::of(&objective.goal, self.topology).fitted(self.graph, &times);
        match cut(scene, &path, &tariff, &mut Network::default()) {
            Some((labels, _)) => {
                let placement = labels.placement(scene, &path);
                evaluate(self.graph, self.topology, &placement, self.answer(&placement.path))
            }
            None => self.cut_at(here, 0, UNCODED),
        }
    }
}

#[cfg(test)]
mod tests;
