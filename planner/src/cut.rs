//! Finds the least cost of a linear goal along one path: a minimum cut.
//!
//! For n tiers a layer i has n − 1 nodes; node l is on the sink's side exactly when the layer runs above link l. Arcs
//! that no cut pays for keep this in order: a layer above link l + 1 is above link l, and what reads a tensor is above
//! a link if what writes it is. The rest are costs (Ishikawa, IEEE TPAMI 25(10), 2003, for several tiers; Hu et al.,
//! INFOCOM 2019, for neural networks):
//!
//! - running on tier t instead of t − 1: an arc between the node of link t − 1 and a terminal;
//! - a tensor over link l, once however many layers read it: an arc from its writer's node to a node of its own, which
//!   is above the link as soon as one of its readers is;
//! - a message over link l: an arc from the source to a node that is above the link as soon as any layer is.
//!
//! Where exits are in use, a cost depends on the share of the requests that cause it: on the largest share among the
//! layers above the link. The node then stands once for each such share, with what it adds to the next smaller one.

use crate::flow::{Network, UNBOUNDED};
use crate::path::Path;
use crate::reach::Reach;
use crate::tariff::Tariff;
use crate::times::Times;
use crate::{Graph, Pin, Placement, PlanError, TensorId, Topology};

/// A placement along a path, and how each tensor crosses each of the path's ways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Labels {
    /// For each layer, its place among the path's tiers.
    pub(crate) places: Vec<usize>,
    /// For each way, then for each tensor that crosses it in ascending order: its place among the tensor's offers.
    pub(crate) offers: Vec<Vec<usize>>,
}

impl Labels {
    /// Layers at these places, each tensor that crosses in the codec that is cheapest by the tariff.
    pub(crate) fn coded(
        scene: Scene<'_>,
        path: &Path,
        tariff: &Tariff,
        places: Vec<usize>,
        codecs: &[String],
    ) -> Result<Self, PlanError> {
        let offers = offers(scene, path, tariff, &places);
        let offers = offers.ok_or_else(|| PlanError::NoCodec { codecs: codecs.to_vec() })?;
        Ok(Self { places, offers })
    }

    /// The same for everybody: with the tiers in between, and with names of codecs.
    pub(crate) fn placement(&self, scene: Scene<'_>, path: &Path) -> Placement {
        let mut codecs = Vec::new();
        for way in 0..path.ways() {
            let crossing = scene.reach.crossing(|layer| self.places[layer] <= way);
            let name = |(tensor, offer): (TensorId, &usize)| {
                let coding = scene.times.offers[tensor][*offer].coding;
                scene.graph.tensors[tensor].codings[coding].codec.clone()
            };
            let names: Vec<String> = crossing.zip(&self.offers[way]).map(name).collect();
            codecs.extend(path.up(way).iter().map(|_| names.clone()));
        }
        let places = self.places.iter().map(|place| path.places[*place]).collect();
        Placement { path: path.walk.clone(), places, codecs, exits: scene.reach.exits.clone() }
    }
}

/// What a cut needs to know beside path and tariff.
#[derive(Clone, Copy)]
pub(crate) struct Scene<'a> {
    pub(crate) graph: &'a Graph,
    pub(crate) topology: &'a Topology,
    pub(crate) reach: &'a Reach,
    pub(crate) times: &'a Times,
}

/// The best placement for a tariff and its cost in units; none when pins or missing codecs leave none.
pub(crate) fn cut(scene: Scene<'_>, path: &Path, tariff: &Tariff, network: &mut Network) -> Option<(Labels, u64)> {
    let mut build = Build { scene, path, tariff, network, base: 0, links: path.ways(), possible: true };
    let layers = scene.graph.layers.len();
    build.network.reset(layers * build.links);
    for layer in 0..layers {
        build.layer(layer);
    }
    for tensor in 0..scene.graph.tensors.len() {
        build.tensor(tensor);
    }
    build.messages();
    let (base, possible) = (build.base, build.possible);
    let cost = network.min_cut();
    if cost >= UNBOUNDED || !possible {
        return None;
    }
    let place =
        |layer: usize| (0..path.ways()).filter(|link| !network.on_source_side(layer * path.ways() + link)).count();
    let places: Vec<usize> = (0..layers).map(place).collect();
    let offers = offers(scene, path, tariff, &places)?;
    let cost = u64::try_from(base + i128::from(cost)).unwrap_or(u64::MAX);
    Some((Labels { places, offers }, cost))
}

/// The cheapest offer of each tensor that crosses.
fn offers(scene: Scene<'_>, path: &Path, tariff: &Tariff, places: &[usize]) -> Option<Vec<Vec<usize>>> {
    let mut offers = vec![Vec::new(); path.ways()];
    for tensor in 0..scene.graph.tensors.len() {
        let from = scene.reach.writer[tensor].map_or(0, |writer| places[writer]);
        let to = scene.reach.readers[tensor].iter().map(|reader| places[*reader]).max().unwrap_or(from);
        for (way, offers) in offers.iter_mut().enumerate().take(to).skip(from) {
            offers.push(tariff.cheapest(scene.times, path, way, tensor)?.0);
        }
    }
    Some(offers)
}

struct Build<'a, 'n> {
    scene: Scene<'a>,
    path: &'a Path,
    tariff: &'a Tariff,
    network: &'n mut Network,
    links: usize,
    /// What every placement costs.
    base: i128,
    /// Whether all layers may run where there is but one place: then there are no nodes that could say it.
    possible: bool,
}

impl Build<'_, '_> {
    fn node(&self, layer: usize, link: usize) -> usize {
        layer * self.links + link
    }

    /// Compute, answers and pins of one layer.
    fn layer(&mut self, layer: usize) {
        let Scene { graph, reach, .. } = self.scene;
        (1..self.links).for_each(|link| {
            let (low, high) = (self.node(layer, link - 1), self.node(layer, link));
            self.network.arc(low, high, UNBOUNDED, 0);
        });
        if reach.runs[layer] == 0.0 {
            self.forbid(layer, |place| place > 0);
            return;
        }
        let outputs: Vec<TensorId> =
            graph.layers[layer].writes.iter().copied().filter(|tensor| reach.answers[*tensor] > 0.0).collect();
        let mut before = self.at(layer, 0, &outputs);
        self.base += i128::from(before);
        for place in 1..=self.links {
            let here = self.at(layer, place, &outputs);
            let node = self.node(layer, place - 1);
            if here >= before {
                self.network.source_arc(node, here - before);
            } else {
                self.network.sink_arc(node, before - here);
                self.base -= i128::from(before - here);
            }
            before = here;
        }
        let (path, topology) = (self.path, self.scene.topology);
        match graph.layers[layer].pin {
            Pin::Anywhere => {}
            Pin::Stays => self.forbid(layer, |place| place > 0),
            Pin::NeedsGpu => self.forbid(layer, |place| !topology.tiers[path.tier(place)].gpu),
        }
    }

    /// What a layer costs at a place: its time, its weights, and the way of the outputs that it makes.
    fn at(&self, layer: usize, place: usize, outputs: &[TensorId]) -> u64 {
        let Scene { graph, reach, times, .. } = self.scene;
        let tier = self.path.tier(place);
        let nanos = (times.compute[tier][layer] as f64 * reach.runs[layer]).round();
        let weights = graph.layers[layer].weights.0 as f64 * self.tariff.tier_weight[tier];
        let send =
            |output: &TensorId| self.tariff.answer(times, self.path.home(place), *output) * reach.answers[*output];
        let answers: f64 = outputs.iter().map(send).sum();
        self.tariff.units(nanos * self.tariff.tier_nano[tier] + weights + answers).min(UNBOUNDED)
    }

    /// Keeps a layer from places.
    fn forbid(&mut self, layer: usize, forbidden: impl Fn(usize) -> bool) {
        for place in (0..=self.links).filter(|place| forbidden(*place)) {
            match place {
                0 if self.links == 0 => self.possible = false,
                0 => self.network.sink_arc(self.node(layer, 0), UNBOUNDED),
                last if last == self.links => self.network.source_arc(self.node(layer, last - 1), UNBOUNDED),
                _ => self.network.arc(self.node(layer, place), self.node(layer, place - 1), UNBOUNDED, 0),
            }
        }
    }

    /// A tensor on each link, and the order of those who write and read it.
    fn tensor(&mut self, tensor: TensorId) {
        let Scene { reach, .. } = self.scene;
        let readers = &reach.readers[tensor];
        if readers.is_empty() {
            return;
        }
        let waits: Vec<usize> =
            reach.waits.iter().filter(|(_, ready)| *ready == tensor).map(|(decider, _)| *decider).collect();
        for link in 0..self.links {
            let writer = reach.writer[tensor].map(|writer| self.node(writer, link));
            let cost = self.tariff.cheapest(self.scene.times, self.path, link, tensor).map(|(_, cost)| cost);
            for (reader, decider) in
                readers.iter().flat_map(|reader| waits.iter().map(move |decider| (reader, decider)))
            {
                if reader > decider {
                    self.network.arc(self.node(*reader, link), self.node(*decider, link), UNBOUNDED, 0);
                }
            }
            if let ([reader], []) = (&readers[..], &waits[..]) {
                let paid = self.paid(cost, reach.runs[*reader]);
                let reader = self.node(*reader, link);
                match writer {
                    Some(writer) => self.network.arc(writer, reader, paid, UNBOUNDED),
                    None => self.network.source_arc(reader, paid),
                }
                continue;
            }
            if let Some(writer) = writer {
                readers.iter().for_each(|reader| self.network.arc(self.node(*reader, link), writer, UNBOUNDED, 0));
            }
            let all: Vec<usize> = readers.iter().chain(&waits).copied().collect();
            self.any_above(link, writer, &all, cost);
        }
    }

    /// What a cost is in units at a share of the requests; unbounded where there is none.
    fn paid(&self, cost: Option<f64>, share: f64) -> u64 {
        cost.map_or(UNBOUNDED, |cost| self.tariff.units(cost * share).min(UNBOUNDED))
    }

    /// A cost that is due when any of these layers is above a link and `below`, if there is one, is not.
    fn any_above(&mut self, link: usize, below: Option<usize>, layers: &[usize], cost: Option<f64>) {
        let runs = &self.scene.reach.runs;
        let mut shares: Vec<f64> = layers.iter().map(|layer| runs[*layer]).collect();
        shares.sort_by(f64::total_cmp);
        shares.dedup();
        let mut less = 0;
        for share in shares {
            let paid = self.paid(cost, share);
            let any = self.network.node();
            match below {
                Some(below) => self.network.arc(below, any, paid - less, 0),
                None => self.network.source_arc(any, paid - less),
            }
            for layer in layers.iter().filter(|layer| runs[**layer] >= share) {
                self.network.arc(any, self.node(*layer, link), UNBOUNDED, 0);
            }
            if paid == UNBOUNDED {
                break;
            }
            less = paid;
        }
    }

    /// What each link costs as soon as it is used.
    fn messages(&mut self) {
        let Scene { graph, reach, times, .. } = self.scene;
        let last: Vec<usize> = (0..graph.layers.len())
            .filter(|layer| {
                let followed = |tensor: &TensorId| {
                    reach.readers[*tensor].iter().any(|reader| reach.runs[*reader] == reach.runs[*layer])
                };
                reach.runs[*layer] > 0.0 && !graph.layers[*layer].writes.iter().any(followed)
            })
            .collect();
        for way in 0..self.path.ways() {
            let (always, used) = self.path.up_always(way);
            self.base += i128::from(self.tariff.units(self.tariff.messages(times, always)));
            let used = self.tariff.messages(times, used) + self.tariff.messages(times, self.path.down(way));
            if used > 0.0 {
                self.any_above(way, None, &last, Some(used));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{network, path, roomy};
    use crate::{Goal, Measure, Objective};

    /// The places of the layers in the best placement for latency, and its cost in nanoseconds.
    fn best(graph: &Graph, topology: &Topology) -> Option<(Vec<usize>, u64)> {
        let objective = Objective::default();
        let (reach, times) = (Reach::new(graph, &[]), Times::new(graph, topology, &objective));
        let scene = Scene { graph, topology, reach: &reach, times: &times };
        let mut way = Path::at(0);
        crate::path::ways(topology, 0, 1).iter().for_each(|over| way.push(1, over));
        let tariff = Tariff::of(&Goal::least(Measure::Latency), topology);
        let (labels, cost) = cut(scene, &way, &tariff, &mut Network::default())?;
        Some((labels.places, cost / 1024))
    }

    /// Two inputs: `left` computes long on a small one, `right` little on a large one, and `join` reads both.
    fn two_inputs() -> Graph {
        let mut graph = network();
        graph.tensors = [3, 0, 2, 1, 3].map(|tensor| network().tensors[tensor].clone()).to_vec();
        graph.tensors[3] = graph.tensors[2].clone();
        for (layer, (reads, write)) in graph.layers.iter_mut().zip([(vec![0], 2), (vec![1], 3), (vec![2, 3], 4)]) {
            (layer.reads, layer.writes) = (reads, vec![write]);
        }
        graph.layers[0].reference = std::time::Duration::from_millis(20);
        (graph.inputs, graph.outputs) = (vec![0, 1], vec![4]);
        graph
    }

    #[test]
    fn the_best_cut_need_not_follow_the_order_of_the_layers() {
        let (places, cost) = best(&two_inputs(), &roomy(path())).expect("a placement");
        assert_eq!(places, [1, 0, 1]);
        // `left` and `join` at 2, `pool` at 8; 4,000 bytes, and 2,560 in f16 with 900 us of coding or 5,120 without;
        // the link's 2 ms and 192 bytes both ways, and 4,000 bytes back.
        let wire = (4_181 + 2_676 + 192 + 192 + 4_181) * 400;
        assert_eq!(cost, 40_000_000 + 8_000_000 + 8_000_000 + wire + 900_000 + 4_000_000);
    }

    #[test]
    fn a_pinned_layer_stays_and_takes_with_it_what_it_reads() {
        let mut graph = two_inputs();
        graph.layers[2].pin = Pin::Stays;
        assert_eq!(best(&graph, &roomy(path())).map(|(places, _)| places), Some(vec![0, 0, 0]));
        graph.layers[0].pin = Pin::NeedsGpu;
        assert_eq!(best(&graph, &roomy(path())), None, "no tier has a GPU");
    }

    #[test]
    fn a_tensor_with_two_readers_above_crosses_once() {
        let mut graph = two_inputs();
        let (_, once) = best(&graph, &roomy(path())).expect("a placement");
        graph.layers[0].reads = vec![0, 0];
        graph.layers[2].reads = vec![0, 2, 3, 3];
        assert_eq!(best(&graph, &roomy(path())).map(|(_, cost)| cost), Some(once));
    }
}
