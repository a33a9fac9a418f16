//! A plan that somebody else has decided on, by naming where the model is cut.

use crate::cut::{Labels, Scene};
use crate::path::Path;
use crate::reach::Reach;
use crate::tariff::Tariff;
use crate::times::Times;
use crate::{Graph, Objective, Plan, PlanError, Topology, check, evaluate};

/// The plan along `path` with one cut for each link, each given by names of layers or tensors.
///
/// What a name stands for, and everything that it needs, runs below the cut: a layer with the layers before it, a
/// tensor with those that make it. All others run above. An empty cut leaves nothing below it but what the cuts before
/// it do. Each tensor crosses in the codec that is best for the objective's goal.
///
/// Fails as [`evaluate()`] does, and when a name is unknown, there is not one cut for each link, or a tensor that crosses
/// has none of the objective's codecs.
pub fn manual(
    graph: &Graph,
    topology: &Topology,
    objective: &Objective,
    path: &[usize],
    cuts: &[Vec<String>],
) -> Result<Plan, PlanError> {
    check::arguments(graph, topology, objective)?;
    check::start(topology, objective, path)?;
    let links = path.len().saturating_sub(1);
    if cuts.len() != links {
        return Err(PlanError::WrongCount { cuts: cuts.len(), codecs: cuts.len(), links });
    }
    let mut places = vec![links; graph.layers.len()];
    for (place, cut) in cuts.iter().enumerate().rev() {
        for layer in needed(graph, cut)? {
            places[layer] = place;
        }
    }
    let reach = Reach::new(graph, &[]);
    for (place, runs) in places.iter_mut().zip(&reach.runs) {
        *place = if *runs > 0.0 { *place } else { 0 };
    }
    let times = Times::new(graph, topology, objective);
    let scene = Scene { graph, topology, reach: &reach, times: &times };
    let positions = (0..path.len()).collect();
    let Some(path) = Path::along(topology, path, positions, objective.answer_at) else {
        // It says which part of the path cannot be walked.
        let placement = crate::Placement { path: path.to_vec(), places, ..crate::Placement::default() };
        return evaluate(graph, topology, &placement, objective.answer_at);
    };
    let tariff = Tariff::of(&objective.goal, topology);
    let placement = Labels::coded(scene, &path, &tariff, places, &objective.codecs)?.placement(scene, &path);
    evaluate(graph, topology, &placement, objective.answer_at)
}

/// The layers that names stand for, and all that these need.
fn needed(graph: &Graph, names: &[String]) -> Result<Vec<usize>, PlanError> {
    let mut wanted = vec![false; graph.layers.len()];
    let mut tensors = vec![false; graph.tensors.len()];
    for name in names {
        let layer = graph.layers.iter().position(|layer| layer.name == *name);
        let tensor = graph.tensors.iter().position(|tensor| tensor.name == *name);
        match (layer, tensor) {
            (Some(layer), _) => wanted[layer] = true,
            (None, Some(tensor)) => tensors[tensor] = true,
            (None, None) => return Err(PlanError::NoSuchName { name: name.clone() }),
        }
    }
    for (at, layer) in graph.layers.iter().enumerate().rev() {
        wanted[at] |= layer.writes.iter().any(|tensor| tensors[*tensor]);
        if wanted[at] {
            layer.reads.iter().for_each(|tensor| tensors[*tensor] = true);
        }
    }
    Ok((0..graph.layers.len()).filter(|layer| wanted[*layer]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan;
    use crate::sample::{network, path};

    fn named(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_cut_is_named_by_a_layer_or_by_what_crosses() {
        let (graph, topology, objective) = (network(), path(), Objective::default());
        let by_tensor = manual(&graph, &topology, &objective, &[0, 2], &[named(&["features"])]);
        assert!(by_tensor.is_err(), "device and cloud have no link");
        let by_tensor =
            manual(&graph, &topology, &objective, &[0, 1, 2], &[named(&["features"]), named(&[])]).expect("valid");
        let by_layer =
            manual(&graph, &topology, &objective, &[0, 1, 2], &[named(&["conv"]), named(&[])]).expect("valid");
        assert_eq!(by_tensor, by_layer);
        assert_eq!(by_tensor.hops[0].layers, [0]);
        let best = plan(&graph, &topology, &objective).expect("there is a plan");
        assert!(best.latency <= by_tensor.latency);
    }

    #[test]
    fn a_cut_that_cannot_be_is_refused() {
        let (graph, topology, objective) = (network(), path(), Objective::default());
        let refused = |path: &[usize], cuts: &[Vec<String>]| {
            manual(&graph, &topology, &objective, path, cuts).expect_err("made to fail").to_string()
        };
        let message = refused(&[0, 1], &[named(&["convv"])]);
        assert!(message.contains("no layer and no tensor of the model is called `convv`"), "{message}");
        assert!(refused(&[0, 1], &[]).contains("0 cuts"), "{}", refused(&[0, 1], &[]));
        assert!(refused(&[0, 9], &[named(&[])]).contains("names tier 9"));
    }
}
