//! Refuses graphs and topologies that make no sense, so that the search and the sums need not.

use crate::{Graph, PlanError, TensorId, Topology};

/// The topology is a path with a link between neighbours that carries something in both directions.
pub(crate) fn topology(topology: &Topology) -> Result<(), PlanError> {
    let (tiers, links) = (topology.tiers.len(), topology.links.len());
    if tiers == 0 {
        return Err(PlanError::EmptyTopology);
    }
    if links + 1 != tiers {
        return Err(PlanError::LinkCount { tiers, links });
    }
    for (link, ends) in topology.links.iter().zip(topology.tiers.windows(2)) {
        let error = |sender: usize, receiver: usize| PlanError::NoBandwidth {
            sender: ends[sender].name.clone(),
            receiver: ends[receiver].name.clone(),
        };
        if link.up.bandwidth.0 == 0 {
            return Err(error(0, 1));
        }
        if link.down.bandwidth.0 == 0 {
            return Err(error(1, 0));
        }
    }
    Ok(())
}

/// Each tensor has one source, and each layer reads what exists by then.
pub(crate) fn graph(graph: &Graph) -> Result<(), PlanError> {
    let name = |tensor: TensorId| graph.tensors[tensor].name.clone();
    let known = |tensors: &[TensorId], place: &dyn Fn() -> String| match tensors
        .iter()
        .find(|id| **id >= graph.tensors.len())
    {
        Some(id) => Err(PlanError::NoSuchTensor { place: place(), tensor: *id, tensors: graph.tensors.len() }),
        None => Ok(()),
    };
    known(&graph.inputs, &|| "the list of inputs".to_owned())?;
    known(&graph.outputs, &|| "the list of outputs".to_owned())?;
    let mut exists = vec![false; graph.tensors.len()];
    graph.inputs.iter().for_each(|input| exists[*input] = true);
    for layer in &graph.layers {
        let place = || format!("layer `{}`", layer.name);
        known(&layer.reads, &place)?;
        known(&layer.writes, &place)?;
        if let Some(tensor) = layer.reads.iter().find(|tensor| !exists[**tensor]) {
            return Err(PlanError::ReadBeforeWritten { layer: layer.name.clone(), tensor: name(*tensor) });
        }
        for tensor in &layer.writes {
            if std::mem::replace(&mut exists[*tensor], true) {
                return Err(PlanError::WrittenTwice { layer: layer.name.clone(), tensor: name(*tensor) });
            }
        }
    }
    match graph.outputs.iter().find(|output| !exists[**output]) {
        Some(output) => Err(PlanError::OutputNeverMade { tensor: name(*output) }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use crate::sample::{network, path};
    use crate::{Bandwidth, Graph, Topology, baselines, evaluate};

    /// The message that a changed network and topology get, with these cuts.
    fn check(change: impl Fn(&mut Graph, &mut Topology), placement: &[(usize, &str)], expect: Expect) {
        let (mut graph, mut topology) = (network(), path());
        change(&mut graph, &mut topology);
        let (cuts, codecs): (Vec<_>, Vec<_>) = placement.iter().map(|(cut, codec)| (*cut, (*codec).to_owned())).unzip();
        let error = evaluate(&graph, &topology, &cuts, &codecs).expect_err("this was made to fail");
        expect.assert_eq(&error.to_string());
        let refused = baselines(&graph, &topology).into_iter().all(|baseline| baseline.plan.as_ref() == Err(&error));
        assert!(refused || !placement.is_empty(), "a baseline took what {error} refuses");
    }

    #[test]
    fn refuses_topologies_that_are_no_path() {
        check(
            |_, topology| topology.tiers.clear(),
            &[],
            expect!["the topology has no tier: add at least the one that has the input"],
        );
        check(
            |_, topology| topology.links.truncate(1),
            &[],
            expect!["3 tiers along a path take 2 links, but there are 1"],
        );
        check(
            |_, topology| topology.links[1].up.bandwidth = Bandwidth(0),
            &[],
            expect!["the link from `edge` to `cloud` has no bandwidth: give it more than 0 bit/s"],
        );
        check(
            |_, topology| topology.links[1].down.bandwidth = Bandwidth(0),
            &[],
            expect!["the link from `cloud` to `edge` has no bandwidth: give it more than 0 bit/s"],
        );
    }

    #[test]
    fn refuses_graphs_that_cannot_run() {
        check(
            |graph, _| graph.layers[1].reads.push(9),
            &[],
            expect!["layer `pool` names tensor 9, but the graph has only 4 tensors"],
        );
        check(
            |graph, _| graph.outputs.push(4),
            &[],
            expect!["the list of outputs names tensor 4, but the graph has only 4 tensors"],
        );
        check(
            |graph, _| graph.layers.swap(0, 1),
            &[],
            expect!["layer `pool` reads `features`, which is no input and which no layer before it writes"],
        );
        check(
            |graph, _| graph.layers[2].writes.push(1),
            &[],
            expect!["layer `fc` writes `features`, which is an input or was written by a layer before it"],
        );
        check(
            |graph, _| graph.layers[2].writes.clear(),
            &[],
            expect!["output `logits` is no input and no layer writes it"],
        );
    }

    #[test]
    fn refuses_placements_that_cannot_be() {
        let as_it_is = |_: &mut Graph, _: &mut Topology| {};
        check(
            as_it_is,
            &[(1, "f32"), (1, "f32"), (1, "f32")],
            expect!["3 cuts and 3 codecs were given: give as many codecs as cuts, and at most 2 of each, one a link"],
        );
        check(
            as_it_is,
            &[(2, "f32"), (1, "f32")],
            expect!["cut 1 is below the cut 2 before it: cuts must not decrease"],
        );
        check(as_it_is, &[(4, "f32")], expect!["there is no cut 4: the model has 3 layers, so cuts go from 0 to 3"]);
        check(
            as_it_is,
            &[(1, "int8")],
            expect!["`features` crosses from `device` to `edge` but does not offer the codec int8: it offers f32, f16"],
        );
        check(
            |graph, _| graph.tensors[1].codings.clear(),
            &[(1, "int8")],
            expect!["`features` crosses from `device` to `edge` but does not offer the codec int8: it offers (none)"],
        );
        check(
            as_it_is,
            &[(1, "f32"), (1, "f16")],
            expect![
                "`edge` has no layers and passes on what it gets, so it cannot get f32 and send f16: use one codec"
            ],
        );
        check(
            as_it_is,
            &[(3, "f32")],
            expect![
                "layers `conv` to `fc` need 5.71 MB for weights and activations, but `device` has 1.67 MB after 20 % headroom"
            ],
        );
    }
}
