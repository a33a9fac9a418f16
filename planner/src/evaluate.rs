//! Costs a placement that is given: for baselines, for manual override, and to write out what the search has found.

use std::ops::Range;
use std::time::Duration;

use crate::cost::{self, Coded};
use crate::memory::Appetite;
use crate::{Crossing, Graph, Hop, Plan, PlanError, Topology, check};

/// The plan with these cuts, and what it costs.
///
/// `cuts[t]` is how many layers run on tiers `0..=t`, and `codecs[t]` is how tensors cross `links[t]`. There may be fewer
/// of them than links: layers past the last cut run on the tier after it. Tiers past the last one with layers are left
/// out of the plan, and what was given for links to them is passed over; so no cuts at all mean everything on the device.
/// Any cut is taken, separator or not.
///
/// Fails when graph or topology make no sense, cuts are out of order, a live tensor does not offer its crossing's codec,
/// a tier that passes on bytes gets one codec and sends another, or a part does not fit into its tier's memory.
pub fn evaluate(graph: &Graph, topology: &Topology, cuts: &[usize], codecs: &[String]) -> Result<Plan, PlanError> {
    check::topology(topology)?;
    check::graph(graph)?;
    let links = topology.links.len();
    if cuts.len() != codecs.len() || cuts.len() > links {
        return Err(PlanError::WrongCount { cuts: cuts.len(), codecs: codecs.len(), links });
    }
    check_order(cuts, graph.layers.len())?;
    let ends_at = cuts.iter().position(|cut| *cut == graph.layers.len()).unwrap_or(cuts.len());
    let (cuts, codecs) = (&cuts[..ends_at], &codecs[..ends_at]);

    let hops = hops(graph, topology, cuts)?;
    let crossings =
        codecs.iter().enumerate().map(|(link, codec)| crossing(graph, topology, link, &hops[link + 1], codec));
    let mut crossings: Vec<_> = crossings.collect::<Result<_, _>>()?;
    pass_on(topology, &hops, &mut crossings)?;
    let times =
        crossings.iter().flat_map(|crossing| [crossing.encode, crossing.wire, crossing.decode, crossing.answer]);
    let latency = cost::sum(hops.iter().map(|hop| hop.compute).chain(times));
    Ok(Plan { hops, crossings, latency })
}

fn check_order(cuts: &[usize], layers: usize) -> Result<(), PlanError> {
    if let Some(cut) = cuts.iter().find(|cut| **cut > layers) {
        return Err(PlanError::CutOutOfRange { cut: *cut, layers });
    }
    match cuts.windows(2).find(|pair| pair[0] > pair[1]) {
        Some(pair) => Err(PlanError::CutsDecrease { before: pair[0], cut: pair[1] }),
        None => Ok(()),
    }
}

/// One hop a part, each checked against its tier's memory.
fn hops(graph: &Graph, topology: &Topology, cuts: &[usize]) -> Result<Vec<Hop>, PlanError> {
    let appetite = Appetite::of(graph);
    let starts = [0].into_iter().chain(cuts.iter().copied());
    let ends = cuts.iter().copied().chain([graph.layers.len()]);
    let hop = |(tier, layers): (usize, Range<usize>)| {
        if let Some(shortage) = appetite.shortage(graph, &topology.tiers[tier], layers.clone()) {
            return Err(PlanError::DoesNotFit(shortage));
        }
        Ok(Hop {
            tier,
            takes: if tier == 0 { graph.inputs.clone() } else { graph.live(layers.start) },
            answers: graph.outputs_of(layers.clone()),
            weights: graph.weights(layers.clone()),
            compute: cost::sum(cost::compute(&graph.layers[layers.clone()], &topology.tiers[tier])),
            layers,
        })
    };
    starts.zip(ends).map(|(start, end)| start..end).enumerate().map(hop).collect()
}

/// What crosses `links[link]`, as if both its ends had layers.
fn crossing(graph: &Graph, topology: &Topology, link: usize, target: &Hop, codec: &str) -> Result<Crossing, PlanError> {
    let (ends, way) = (&topology.tiers[link..link + 2], &topology.links[link]);
    let tensors = graph.live(target.layers.start);
    let coded = Coded::of(graph, &tensors, codec).map_err(|tensor| PlanError::CodecNotOffered {
        tensor: graph.tensors[tensor].name.clone(),
        sender: ends[0].name.clone(),
        receiver: ends[1].name.clone(),
        codec: codec.to_owned(),
        offers: graph.tensors[tensor].codings.iter().map(|coding| coding.codec.clone()).collect(),
    })?;
    let answer_bytes = cost::answers(graph)[target.layers.start];
    Ok(Crossing {
        tensors,
        codec: codec.to_owned(),
        bytes: coded.bytes,
        encode: coded.encode(&ends[0]),
        wire: cost::message(&way.up, coded.bytes),
        decode: coded.decode(&ends[1]),
        answer_bytes,
        answer: cost::message(&way.down, answer_bytes),
    })
}

/// A tier above the device that has no layers neither decodes nor encodes.
fn pass_on(topology: &Topology, hops: &[Hop], crossings: &mut [Crossing]) -> Result<(), PlanError> {
    for (hop, around) in hops.iter().skip(1).zip(1..crossings.len()).filter(|(hop, _)| hop.layers.is_empty()) {
        let [gets, sends] = &mut crossings[around - 1..=around] else { continue };
        if gets.codec != sends.codec {
            return Err(PlanError::CodecChanges {
                tier: topology.tiers[hop.tier].name.clone(),
                gets: gets.codec.clone(),
                sends: sends.codec.clone(),
            });
        }
        (gets.decode, sends.encode) = (Duration::ZERO, Duration::ZERO);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;
    use crate::sample::{CODECS, any_graph, any_topology, network, path};
    use crate::{Bytes, Coding, Direction};

    /// Nanoseconds by the formulas of the crate's front page, told anew: follow one request from tier to tier and back.
    /// Nothing when the placement is not possible.
    fn naive(graph: &Graph, topology: &Topology, cuts: &[usize], codecs: &[String]) -> Option<f64> {
        let end = graph.layers.len();
        let wire = |way: &Direction, bytes: u64| {
            let datagrams = (bytes + 128).div_ceil(1416);
            way.delay.as_nanos() as f64 + (bytes + 128 + 64 * datagrams) as f64 * 8e9 / way.bandwidth.0 as f64
        };
        let total = |at: usize, codec: &str, cost: fn(&Coding) -> f64| -> Option<f64> {
            let offer = |id: usize| graph.tensors[id].codings.iter().find(|coding| coding.codec == codec).map(cost);
            graph.live(at).into_iter().map(offer).sum()
        };
        let (mut nanos, mut at, mut packed) = (0.0, 0, None);
        for (index, tier) in topology.tiers.iter().enumerate() {
            let until = *cuts.get(index).unwrap_or(&end);
            let memory_bound = tier.slowdown.memory_bound;
            if until > at {
                if let Some(codec) = packed.take() {
                    nanos += memory_bound * total(at, codec, |coding| coding.decode.as_nanos() as f64)?;
                }
                if graph.memory(at..until).0 * 6 > tier.memory.0 * 5 {
                    return None;
                }
            }
            for layer in &graph.layers[at..until] {
                nanos += layer.reference.as_nanos() as f64 * tier.slowdown.of(layer.class);
            }
            at = until;
            if at == end {
                return Some(nanos);
            }
            let codec = &codecs[index];
            match packed {
                Some(packed) if packed != codec => return None,
                Some(_) => {}
                None => nanos += memory_bound * total(at, codec, |coding| coding.encode.as_nanos() as f64)?,
            }
            packed = Some(codec);
            nanos += wire(&topology.links[index].up, total(at, codec, |coding| coding.bytes.0 as f64)? as u64);
            let mut back: Vec<_> = graph.layers[at..].iter().flat_map(|layer| layer.writes.clone()).collect();
            back.retain(|tensor| graph.outputs.contains(tensor));
            nanos += wire(&topology.links[index].down, back.iter().map(|id| graph.tensors[*id].spec.bytes().0).sum());
        }
        None
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1500))]

        #[test]
        fn latency_is_the_sum_along_the_way(
            graph in any_graph(), topology in any_topology(),
            places in prop::collection::vec(any::<Index>(), 3), codecs in prop::collection::vec(0_usize..CODECS.len(), 3),
            same_codec in any::<bool>(),
        ) {
            let links = topology.links.len();
            let mut cuts: Vec<_> = places[..links].iter().map(|place| place.index(graph.layers.len() + 1)).collect();
            cuts.sort_unstable();
            let codec = |link: usize| CODECS[codecs[if same_codec { 0 } else { link }]].to_owned();
            let codecs: Vec<_> = (0..links).map(codec).collect();
            match (evaluate(&graph, &topology, &cuts, &codecs), naive(&graph, &topology, &cuts, &codecs)) {
                (Ok(plan), Some(nanos)) => {
                    prop_assert!((plan.latency.as_nanos() as f64 - nanos).abs() < 30.0, "{plan:?} took {nanos} ns");
                    prop_assert_eq!(plan.hops.len(), plan.crossings.len() + 1);
                }
                (Err(_), None) => {}
                (got, wanted) => prop_assert!(false, "{got:?}, not {wanted:?}"),
            }
        }
    }

    #[test]
    fn a_tier_without_layers_neither_decodes_nor_encodes() {
        let (graph, topology) = (network(), path());
        let jpeg = ["jpeg/90", "jpeg/90"].map(str::to_owned);
        let plan = evaluate(&graph, &topology, &[0, 0], &jpeg).expect("a plan");
        let coding: Vec<_> =
            plan.crossings.iter().map(|crossing| (!crossing.encode.is_zero(), !crossing.decode.is_zero())).collect();
        assert_eq!(coding, [(true, false), (false, true)]);
        assert!(plan.hops[1].layers.is_empty() && plan.hops[1].takes == [0]);
    }

    #[test]
    fn tiers_past_the_last_layer_are_not_in_the_plan() {
        let (graph, mut topology) = (network(), path());
        topology.tiers[0].memory = Bytes(1 << 30);
        let no_codec = ["nothing", "at all"].map(str::to_owned);
        let plan = evaluate(&graph, &topology, &[3, 3], &no_codec).expect("a plan");
        assert_eq!((plan.hops.len(), plan.hops[0].layers.clone(), plan.latency), (1, 0..3, Duration::from_millis(56)));
        assert_eq!(evaluate(&graph, &topology, &[], &[]), Ok(plan));
    }
}
