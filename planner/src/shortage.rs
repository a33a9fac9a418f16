//! Says why no plan fits: which part is too large for which tier.

use crate::memory::Appetite;
use crate::{Graph, Objective, PlanError, Shortage, Topology};

/// The reason, for a search that found nothing. `cuts` are the places where tensors can leave a tier, in ascending order.
pub(crate) fn explain(graph: &Graph, topology: &Topology, objective: &Objective, cuts: &[usize]) -> PlanError {
    let appetite = Appetite::of(graph);
    let whole = || appetite.demand(graph, &topology.tiers[0], 0..graph.layers.len());
    if topology.tiers.len() == 1 {
        return PlanError::NoTierFits(whole());
    }
    if cuts.is_empty() {
        return PlanError::NoCut { shortage: whole(), live_max: objective.live_max, codecs: objective.codecs.clone() };
    }
    match indivisible(graph, topology, &appetite, cuts) {
        Some(shortage) => PlanError::NoTierFits(shortage),
        None => PlanError::TiersTooSmall(remainder(graph, topology, &appetite, cuts)),
    }
}

/// The first part between neighbouring cuts that not even the largest tier can hold.
fn indivisible(graph: &Graph, topology: &Topology, appetite: &Appetite, cuts: &[usize]) -> Option<Shortage> {
    let largest = topology.tiers.iter().max_by_key(|tier| tier.memory)?;
    let starts = [0].into_iter().chain(cuts.iter().copied());
    let ends = cuts.iter().copied().chain([graph.layers.len()]);
    starts.zip(ends).find_map(|(start, end)| appetite.shortage(graph, largest, start..end))
}

/// What the last tier still lacks when each tier before it takes as many layers as fit. Nothing can do better than that:
/// a part that starts later needs no more memory.
fn remainder(graph: &Graph, topology: &Topology, appetite: &Appetite, cuts: &[usize]) -> Shortage {
    let end = graph.layers.len();
    let mut start = 0;
    for tier in &topology.tiers[..topology.tiers.len() - 1] {
        let ends = cuts.iter().copied().filter(|cut| *cut >= start);
        let fits = |cut: &usize| appetite.shortage(graph, tier, start..*cut).is_none();
        match ends.take_while(fits).last() {
            Some(furthest) => start = furthest,
            // Only on the device, when its input cannot be sent on as it is.
            None => return appetite.demand(graph, tier, start..cuts[0]),
        }
    }
    appetite.demand(graph, &topology.tiers[topology.tiers.len() - 1], start..end)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use crate::sample::{network, path};
    use crate::{Bytes, Graph, Objective, Topology, plan};

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
        topology.tiers.truncate(2);
        topology.links.truncate(1);
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
    fn says_that_nothing_can_be_cut() {
        check(
            &network(),
            &path(),
            &["pca/1", "int8"],
            expect![[r#"
            layers `conv` to `fc` need 5.71 MB for weights and activations, but `device` has 1.67 MB after 20 % headroom, and the model cannot be cut: nowhere do at most 8 tensors cross that all offer one of the codecs pca/1, int8
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
