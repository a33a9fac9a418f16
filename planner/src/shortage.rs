//! Says why no plan fits: which part is too large for which tier, or which layer may run nowhere.

use std::ops::Range;

use crate::memory::{Appetite, demand, usable};
use crate::path::{Path, paths};
use crate::reach::Reach;
use crate::{Bytes, Graph, Objective, Pin, PlanError, Shortage, Tier, Topology};

/// The reason, for a search that found nothing and proved that nothing costs less than `bound`.
///
/// That no cut of the layers' order fits is no proof that nothing does, so it is only said where it is one.
pub(crate) fn explain(graph: &Graph, topology: &Topology, objective: &Objective, bound: f64) -> PlanError {
    let paths = match paths(graph, topology, objective) {
        Ok(paths) => paths,
        Err(error) => return error,
    };
    let reached: Vec<&Tier> = paths.iter().flat_map(Path::tiers).map(|tier| &topology.tiers[tier]).collect();
    let needs_gpu =
        running(graph).into_iter().map(|layer| &graph.layers[layer]).find(|layer| layer.pin == Pin::NeedsGpu);
    if let Some(layer) = needs_gpu.filter(|_| reached.iter().all(|tier| !tier.gpu)) {
        return PlanError::Pinned { layer: layer.name.clone() };
    }
    let one_tier = paths.iter().all(|path| path.ways() == 0);
    if let Some(layer) = too_large(graph, &reached).filter(|_| !one_tier) {
        return PlanError::NoTierFits(layer);
    }
    let reason = in_order(graph, topology, objective, &paths, &reached);
    if bound.is_infinite() || one_tier || in_a_row(graph) || too_heavy(graph, topology, &paths) {
        return reason;
    }
    PlanError::NoneFound { live_max: objective.live_max, reason: reason.to_string() }
}

/// Layers that run whatever the exits in use are.
fn running(graph: &Graph) -> Vec<usize> {
    let reach = Reach::new(graph, &[]);
    (0..graph.layers.len()).filter(|layer| reach.runs[*layer] > 0.0).collect()
}

/// A layer that no tier can hold even with nothing but what it reads and writes itself.
fn too_large(graph: &Graph, reached: &[&Tier]) -> Option<Shortage> {
    let largest = reached.iter().max_by_key(|tier| tier.memory)?;
    let alone = |layer: usize| {
        let needs = graph.memory_of(&[layer], &graph.layers[layer].reads, &[]);
        demand(graph, largest, &[layer], needs)
    };
    running(graph).into_iter().map(alone).find(|layer| layer.needs > layer.has)
}

/// Whether the weights are more than all tiers of each path can hold.
fn too_heavy(graph: &Graph, topology: &Topology, paths: &[Path]) -> bool {
    let weights = graph.weights(running(graph));
    let room = |path: &Path| path.tiers().map(|tier| usable(&topology.tiers[tier])).sum::<Bytes>();
    paths.iter().all(|path| weights > room(path))
}

/// Whether each layer reads what the one before it writes: then all placements cut their order.
fn in_a_row(graph: &Graph) -> bool {
    let mut pairs = graph.layers.windows(2);
    graph.exits.is_empty() && pairs.all(|pair| pair[1].reads.iter().any(|tensor| pair[0].writes.contains(tensor)))
}

/// The reason why no cut of the layers' order fits.
fn in_order(graph: &Graph, topology: &Topology, objective: &Objective, paths: &[Path], reached: &[&Tier]) -> PlanError {
    let appetite = Appetite::of(graph);
    let layers = graph.layers.len();
    let part = Parts { graph, appetite: &appetite };
    let whole = || part.demand(&topology.tiers[objective.input_at], 0..layers);
    if paths.iter().all(|path| path.ways() == 0) {
        return PlanError::NoTierFits(whole());
    }
    let can_leave = |tensor: &usize| {
        let offers = &graph.tensors[*tensor].codings;
        objective.allows(graph, *tensor) && offers.iter().any(|coding| objective.codecs.contains(&coding.codec))
    };
    let separators = graph.separators(objective.live_max).into_iter();
    let cuts = separators.filter(|cut| cut.at < layers && cut.live.iter().all(can_leave));
    let cuts: Vec<usize> = cuts.map(|cut| cut.at).collect();
    if cuts.is_empty() {
        return PlanError::NoCut { shortage: whole(), live_max: objective.live_max, codecs: objective.codecs.clone() };
    }
    if let Some(shortage) = part.indivisible(reached, &cuts) {
        return PlanError::NoTierFits(shortage);
    }
    let rests = paths.iter().map(|path| part.remainder(topology, path, &cuts));
    match rests.min_by_key(|rest| rest.needs.0.saturating_sub(rest.has.0)) {
        Some(rest) if rest.needs > rest.has => PlanError::TiersTooSmall(rest),
        _ => {
            let pinned = graph.layers.iter().find(|layer| layer.pin != Pin::Anywhere);
            PlanError::Pinned { layer: pinned.map_or_else(String::new, |layer| layer.name.clone()) }
        }
    }
}

struct Parts<'a> {
    graph: &'a Graph,
    appetite: &'a Appetite,
}

impl Parts<'_> {
    fn demand(&self, tier: &Tier, layers: Range<usize>) -> Shortage {
        demand(self.graph, tier, &layers.clone().collect::<Vec<_>>(), self.appetite.part(layers))
    }

    /// The first part between neighbouring cuts that not even the largest tier can hold.
    fn indivisible(&self, reached: &[&Tier], cuts: &[usize]) -> Option<Shortage> {
        let largest = reached.iter().max_by_key(|tier| tier.memory)?;
        let starts = [0].into_iter().chain(cuts.iter().copied());
        let ends = cuts.iter().copied().chain([self.graph.layers.len()]);
        starts.zip(ends).map(|(start, end)| self.demand(largest, start..end)).find(|part| part.needs > part.has)
    }

    /// What the last tier still lacks when each tier before it takes as many layers as fit. Nothing can do better than
    /// that: a part that starts later needs no more memory.
    fn remainder(&self, topology: &Topology, path: &Path, cuts: &[usize]) -> Shortage {
        let end = self.graph.layers.len();
        let mut start = 0;
        let tier = |place: usize| &topology.tiers[path.tier(place)];
        for tier in (0..path.ways()).map(tier) {
            let ends = cuts.iter().copied().filter(|cut| *cut >= start);
            let fits = |cut: &usize| self.appetite.part(start..*cut) <= usable(tier);
            match ends.take_while(fits).last() {
                Some(furthest) => start = furthest,
                // Only where the input is, when it cannot be sent on as it is.
                None => return self.demand(tier, start..cuts[0]),
            }
        }
        self.demand(tier(path.ways()), start..end)
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use crate::sample::{network, path};
    use crate::{Bytes, Exit, Graph, Loss, Objective, Pin, Topology, plan};

    fn check(graph: &Graph, topology: &Topology, codecs: &[&str], expect: Expect) {
        let codecs = codecs.iter().map(|codec| (*codec).to_owned()).collect();
        let error = plan(graph, topology, &Objective { codecs, ..Objective::default() }).expect_err("nothing fits");
        expect.assert_eq(&format!("{error}\n"));
    }

    #[test]
    fn says_which_part_fits_nowhere() {
        let mut topology = path();
        topology.tiers.iter_mut().for_each(|tier| tier.memory = tier.memory.min(Bytes(4_000_000)));
        check(
            &network(),
            &topology,
            &["f32"],
            expect![[r#"
            the model fits on no tier: layers `fc` to `fc` need 5.01 MB for weights and activations, but `cloud` has 3.33 MB after 20 % headroom, and no tier has more
        "#]],
        );
    }

    #[test]
    fn says_what_is_left_over() {
        let mut graph = network();
        graph.layers[1].weights = Bytes(5_000_000);
        let mut topology = path();
        let topology_of_two = Topology { tiers: topology.tiers[..2].to_vec(), links: topology.links[..2].to_vec() };
        topology = topology_of_two;
        topology.tiers[1].memory = Bytes(7_000_000);
        check(
            &graph,
            &topology,
            &["f32"],
            expect![[r#"
            the tiers are too small together: when each takes as many layers as fit, layers `pool` to `fc` need 10.1 MB for weights and activations, but `edge` has 5.83 MB after 20 % headroom
        "#]],
        );
    }

    #[test]
    fn blames_no_pin_of_a_layer_that_only_an_exit_out_of_use_needs() {
        let mut graph = network();
        // `pool` decides an exit and no more, and no tier here has the GPU that it needs.
        graph.outputs.push(2);
        graph.exits.push(Exit { output: 2, probability: 0.5, loss: Loss(0) });
        graph.layers[2].reads = vec![1];
        graph.layers[1].pin = Pin::NeedsGpu;
        let mut topology = path();
        topology.tiers.iter_mut().for_each(|tier| (tier.gpu, tier.memory) = (false, Bytes(4_000_000)));
        check(
            &graph,
            &topology,
            &["f32"],
            expect![[r#"
            the model fits on no tier: layers `fc` to `fc` need 5.10 MB for weights and activations, but `cloud` has 3.33 MB after 20 % headroom, and no tier has more
        "#]],
        );
    }

    #[test]
    fn says_that_nothing_can_be_cut() {
        check(
            &network(),
            &path(),
            &["pca/1", "int8"],
            expect![[r#"
                layers `conv` to `fc` need 5.71 MB for weights and activations, but `device` has 1.67 MB after 20 % headroom, and the model cannot be cut: nowhere in the order of its layers do at most 8 tensors cross, each of which offers one of the codecs pca/1, int8
            "#]],
        );
        let mut topology = path();
        topology.tiers.truncate(1);
        topology.links.clear();
        check(
            &network(),
            &topology,
            &["f32"],
            expect![[r#"
            the model fits on no tier: layers `conv` to `fc` need 5.71 MB for weights and activations, but `device` has 1.67 MB after 20 % headroom, and no tier has more
        "#]],
        );
    }
}
