//! Refuses graphs, topologies, objectives and placements that make no sense, so that searches and sums need not.

use crate::reach::Reach;
use crate::{Graph, Measure, Objective, Pin, Placement, PlanError, TensorId, Topology};

/// Every subset of the exits is tried.
const EXITS_MAX: usize = 6;

/// Links join two tiers, each pair once a direction, and carry something; speeds, powers and prices are numbers.
pub(crate) fn topology(topology: &Topology) -> Result<(), PlanError> {
    if topology.tiers.is_empty() {
        return Err(PlanError::EmptyTopology);
    }
    for tier in &topology.tiers {
        let slowdown = &tier.slowdown;
        let factors = [
            slowdown.convolution,
            slowdown.depthwise,
            slowdown.matrix_product,
            slowdown.memory_bound,
            tier.watts,
            tier.price_hour,
        ];
        for factor in factors {
            not_negative(factor, || format!("a speed, power or price of `{}`", tier.name))?;
        }
    }
    for (at, link) in topology.links.iter().enumerate() {
        known_tier(topology, link.from, || "a link".to_owned())?;
        known_tier(topology, link.to, || "a link".to_owned())?;
        let (sender, receiver) = (topology.tiers[link.from].name.clone(), topology.tiers[link.to].name.clone());
        let again = topology.links[..at].iter().any(|other| (other.from, other.to) == (link.from, link.to));
        if again || link.from == link.to {
            return Err(PlanError::LinkTwice { sender, receiver });
        }
        if link.direction.bandwidth.0 == 0 {
            return Err(PlanError::NoBandwidth { sender, receiver });
        }
        for factor in [link.direction.nanojoules_byte, link.direction.price_gb] {
            not_negative(factor, || format!("an energy or price of the link from `{sender}` to `{receiver}`"))?;
        }
    }
    Ok(())
}

/// Weights are numbers, one of them above zero, and input and answer are at tiers that exist.
pub(crate) fn objective(topology: &Topology, objective: &Objective) -> Result<(), PlanError> {
    known_tier(topology, objective.input_at, || "the objective's input".to_owned())?;
    known_tier(topology, objective.answer_at, || "the objective's answer".to_owned())?;
    let weights = Measure::ALL.map(|measure| objective.goal.weight(measure));
    for weight in weights {
        not_negative(weight, || "a weight of the goal".to_owned())?;
    }
    number(weights.iter().sum(), "above zero", |sum| sum > 0.0, || "the sum of the goal's weights".to_owned())
}

fn known_tier(topology: &Topology, tier: usize, place: impl Fn() -> String) -> Result<(), PlanError> {
    let tiers = topology.tiers.len();
    if tier < tiers { Ok(()) } else { Err(PlanError::NoSuchTier { place: place(), tier, tiers }) }
}

fn not_negative(value: f64, place: impl Fn() -> String) -> Result<(), PlanError> {
    number(value, "0 or above", |value| value >= 0.0, place)
}

fn number(
    value: f64,
    range: &'static str,
    fits: impl Fn(f64) -> bool,
    place: impl Fn() -> String,
) -> Result<(), PlanError> {
    let good = value.is_finite() && fits(value);
    if good { Ok(()) } else { Err(PlanError::NotANumber { place: place(), value: value.to_string(), range }) }
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
    if let Some(output) = graph.outputs.iter().find(|output| !exists[**output]) {
        return Err(PlanError::OutputNeverMade { tensor: name(*output) });
    }
    exits(graph)
}

/// Exits end with outputs that layers write, with a probability.
fn exits(graph: &Graph) -> Result<(), PlanError> {
    if graph.exits.len() > EXITS_MAX {
        return Err(PlanError::TooManyExits { exits: graph.exits.len(), max: EXITS_MAX });
    }
    let mut deciders = Vec::new();
    for (at, exit) in graph.exits.iter().enumerate() {
        let decider = graph.layers.iter().position(|layer| layer.writes.contains(&exit.output));
        let Some(decider) = decider.filter(|_| graph.outputs.contains(&exit.output)) else {
            let tensor = graph.tensors.get(exit.output).map_or_else(String::new, |tensor| tensor.name.clone());
            return Err(PlanError::NoExit { exit: at, tensor });
        };
        if deciders.contains(&decider) {
            return Err(PlanError::ExitTwice { layer: graph.layers[decider].name.clone() });
        }
        deciders.push(decider);
        number(
            exit.probability,
            "0 to less than 1",
            |value| (0.0..1.0).contains(&value),
            || format!("the probability of exit {at}"),
        )?;
    }
    Ok(())
}

/// Topology, graph and objective make sense, by themselves and together.
pub(crate) fn arguments(graph: &Graph, topology: &Topology, objective: &Objective) -> Result<(), PlanError> {
    self::topology(topology)?;
    self::graph(graph)?;
    self::objective(topology, objective)
}

/// The path begins where the input is.
pub(crate) fn start(topology: &Topology, objective: &Objective, path: &[usize]) -> Result<(), PlanError> {
    let Some(start) = path.first().filter(|start| **start != objective.input_at) else { return Ok(()) };
    known_tier(topology, *start, || "the path".to_owned())?;
    let name = |tier: usize| topology.tiers[tier].name.clone();
    Err(PlanError::WrongStart { start: name(*start), input_at: name(objective.input_at) })
}

/// The path can be walked, each layer has a place on it where it may run, and data flows up only.
pub(crate) fn placement(
    graph: &Graph,
    topology: &Topology,
    placement: &Placement,
    answer_at: usize,
) -> Result<(), PlanError> {
    let Placement { path, places, exits, .. } = placement;
    for tier in path.iter().chain([&answer_at]) {
        known_tier(topology, *tier, || "the placement".to_owned())?;
    }
    let name = |tier: usize| topology.tiers[tier].name.clone();
    let twice = path.iter().enumerate().any(|(at, tier)| path[..at].contains(tier));
    if path.is_empty() || twice {
        return Err(PlanError::NoPath { tiers: path.len() });
    }
    for pair in path.windows(2) {
        if topology.direction(pair[0], pair[1]).is_none() || topology.direction(pair[1], pair[0]).is_none() {
            return Err(PlanError::NoWay { from: name(pair[0]), to: name(pair[1]) });
        }
    }
    if !path.contains(&answer_at) {
        return Err(PlanError::Unreachable { from: name(path[0]), to: name(answer_at) });
    }
    if places.len() != graph.layers.len() || places.iter().any(|place| *place >= path.len()) {
        let (places, layers, tiers) = (places.len(), graph.layers.len(), path.len());
        return Err(PlanError::PlaceCount { places, layers, tiers });
    }
    for (at, exit) in exits.iter().enumerate() {
        if *exit >= graph.exits.len() || exits[..at].contains(exit) {
            return Err(PlanError::NoSuchExit { exit: *exit, exits: graph.exits.len() });
        }
    }
    flows_up(graph, topology, placement)
}

fn flows_up(graph: &Graph, topology: &Topology, placement: &Placement) -> Result<(), PlanError> {
    let reach = Reach::new(graph, &placement.exits);
    let mut made_at = vec![0; graph.tensors.len()];
    let running = graph.layers.iter().zip(&placement.places).zip(&reach.runs).filter(|(_, runs)| **runs > 0.0);
    for ((layer, place), _) in running {
        let tier = &topology.tiers[placement.path[*place]];
        if let Some(tensor) = layer.reads.iter().find(|tensor| made_at[**tensor] > *place) {
            let tensor = graph.tensors[*tensor].name.clone();
            return Err(PlanError::FlowsDown { layer: layer.name.clone(), tier: tier.name.clone(), tensor });
        }
        let reason = match layer.pin {
            Pin::Stays if *place > 0 => "it has to stay where the input is",
            Pin::NeedsGpu if !tier.gpu => "it needs a GPU",
            _ => {
                layer.writes.iter().for_each(|tensor| made_at[*tensor] = *place);
                continue;
            }
        };
        return Err(PlanError::MayNotRun { layer: layer.name.clone(), tier: tier.name.clone(), reason });
    }
    // An exit decides before what it holds back runs.
    for (decider, tensor) in &reach.waits {
        let late = reach.readers[*tensor].iter().filter(|reader| *reader > decider);
        if let Some(reader) = late.copied().find(|reader| placement.places[*reader] < placement.places[*decider]) {
            let tier = topology.tiers[placement.path[placement.places[reader]]].name.clone();
            let tensor = graph.layers[*decider].writes.first().map(|tensor| graph.tensors[*tensor].name.clone());
            let layer = graph.layers[reader].name.clone();
            return Err(PlanError::FlowsDown { layer, tier, tensor: tensor.unwrap_or_default() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use crate::sample::{network, path};
    use crate::{Bandwidth, Exit, Graph, Loss, Objective, Pin, Placement, Topology, baselines, evaluate, plan};

    /// The message that a changed network and topology get, with the layers cut in their order.
    fn check(change: impl Fn(&mut Graph, &mut Topology), cuts: &[(usize, &str)], expect: Expect) {
        let (mut graph, mut topology) = (network(), path());
        change(&mut graph, &mut topology);
        let (cuts, codecs): (Vec<_>, Vec<_>) = cuts.iter().map(|(cut, codec)| (*cut, (*codec).to_owned())).unzip();
        let placement = Placement::in_order(&graph, &[0, 1, 2], &cuts, &codecs);
        let error =
            placement.and_then(|placement| evaluate(&graph, &topology, &placement, 0)).expect_err("made to fail");
        expect.assert_eq(&error.to_string());
    }

    /// The message that the planner has for a changed network and topology, and all baselines too.
    fn check_all(change: impl Fn(&mut Graph, &mut Topology), expect: Expect) {
        let (mut graph, mut topology) = (network(), path());
        change(&mut graph, &mut topology);
        let error = plan(&graph, &topology, &Objective::default()).expect_err("made to fail");
        expect.assert_eq(&error.to_string());
        for baseline in baselines(&graph, &topology, &Objective::default()) {
            assert_eq!(baseline.plan.as_ref(), Err(&error), "{}", baseline.name);
        }
    }

    #[test]
    fn refuses_topologies_that_make_no_sense() {
        check_all(
            |_, topology| topology.tiers.clear(),
            expect!["the topology has no tier: add at least the one that has the input"],
        );
        check_all(|_, topology| topology.links[1].to = 7, expect!["a link names tier 7, but the topology has only 3"]);
        check_all(
            |_, topology| topology.links[1].from = 0,
            expect!["there is more than one link from `device` to `device`, or the two are the same tier: keep one"],
        );
        check_all(
            |_, topology| topology.links[2].direction.bandwidth = Bandwidth(0),
            expect!["the link from `edge` to `cloud` has no bandwidth: give it more than 0 bit/s"],
        );
        check_all(
            |_, topology| topology.tiers[1].watts = f64::NAN,
            expect!["a speed, power or price of `edge` is NaN: write a finite number, 0 or above"],
        );
        check_all(
            |_, topology| topology.links[3].direction.price_gb = -1.0,
            expect!["an energy or price of the link from `cloud` to `edge` is -1: write a finite number, 0 or above"],
        );
    }

    #[test]
    fn refuses_graphs_that_cannot_run() {
        check_all(
            |graph, _| graph.layers[1].reads.push(9),
            expect!["layer `pool` names tensor 9, but the graph has only 4 tensors"],
        );
        check_all(
            |graph, _| graph.outputs.push(4),
            expect!["the list of outputs names tensor 4, but the graph has only 4 tensors"],
        );
        check_all(
            |graph, _| graph.layers.swap(0, 1),
            expect!["layer `pool` reads `features`, which is no input and which no layer before it writes"],
        );
        check_all(
            |graph, _| graph.layers[2].writes.push(1),
            expect!["layer `fc` writes `features`, which is an input or was written by a layer before it"],
        );
        check_all(
            |graph, _| graph.layers[2].writes.clear(),
            expect!["output `logits` is no input and no layer writes it"],
        );
        let exit = |output, probability| Exit { output, probability, loss: Loss(0) };
        check_all(
            |graph, _| graph.exits.push(exit(1, 0.5)),
            expect!["exit 0 ends with `features`, which has to be an output of the graph that a layer writes"],
        );
        check_all(
            |graph, _| graph.exits.extend([exit(3, 0.5), exit(3, 0.25)]),
            expect!["layer `fc` decides two exits: give each a layer of its own"],
        );
        check_all(
            |graph, _| graph.exits.push(exit(3, 1.5)),
            expect!["the probability of exit 0 is 1.5: write a finite number, 0 to less than 1"],
        );
    }

    #[test]
    fn refuses_objectives_that_ask_for_nothing() {
        let mut objective = Objective::default();
        objective.goal.latency = 0.0;
        let refused =
            |objective: &Objective| plan(&network(), &path(), objective).expect_err("made to fail").to_string();
        expect!["the sum of the goal's weights is 0: write a finite number, above zero"]
            .assert_eq(&refused(&objective));
        objective.goal.bytes = f64::INFINITY;
        expect!["a weight of the goal is inf: write a finite number, 0 or above"].assert_eq(&refused(&objective));
        objective.answer_at = 3;
        expect!["the objective's answer names tier 3, but the topology has only 3"].assert_eq(&refused(&objective));
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
            &[(3, "f32")],
            expect![
                "layers `conv` to `fc` need 5.71 MB for weights and activations, but `device` has 1.67 MB after 20 % headroom"
            ],
        );
        check(
            |graph, _| graph.layers[1].pin = Pin::Stays,
            &[(1, "f32")],
            expect!["`pool` may not run on `edge`: it has to stay where the input is"],
        );
        check(
            |graph, _| graph.layers[2].pin = Pin::NeedsGpu,
            &[(1, "f32")],
            expect!["`fc` may not run on `edge`: it needs a GPU"],
        );
        check(
            |_, topology| topology.links.truncate(3),
            &[(1, "f32")],
            expect!["the path goes from `edge` to `cloud`, but there are no links in both directions between them"],
        );
    }

    #[test]
    fn refuses_paths_and_places_that_cannot_be() {
        let refused =
            |placement: Placement| evaluate(&network(), &path(), &placement, 0).expect_err("made to fail").to_string();
        let places = vec![0, 1, 0];
        let codecs = vec![vec!["f32".to_owned()]];
        let placement = Placement { path: vec![0, 1], places, codecs, exits: Vec::new() };
        expect!["`fc` runs on `device`, but reads `pooled`, which is made above it"]
            .assert_eq(&refused(placement.clone()));
        expect!["the placement has places for 2 layers, but the graph has 3, and its path has 2 tiers"]
            .assert_eq(&refused(Placement { places: vec![0, 0], ..placement.clone() }));
        expect!["a path has a tier and passes none twice: this one has 3 and does not"]
            .assert_eq(&refused(Placement { path: vec![0, 1, 0], ..placement.clone() }));
        expect!["no path leads from `edge` to `device` and back: links in both directions are needed"]
            .assert_eq(&refused(Placement { path: vec![1, 2], ..placement.clone() }));
        expect!["1 tensors cross from `device` to `edge`, but 0 codecs were given: give one for each"]
            .assert_eq(&refused(Placement { places: vec![0, 1, 1], codecs: Vec::new(), ..placement }));
    }
}
