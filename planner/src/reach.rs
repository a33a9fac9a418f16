//! Which layers run for which share of the requests, and who reads what: the graph as some exits leave it.

use crate::{Graph, Loss, TensorId};

/// A graph with some of its exits in use.
#[derive(Debug, Clone)]
pub(crate) struct Reach {
    /// The exits in use.
    pub(crate) exits: Vec<usize>,
    /// By layer: the share of the requests that run it. Zero for what only exits that are not in use need.
    pub(crate) runs: Vec<f64>,
    /// By tensor: the share of the requests whose answer has it. Zero for what is no output that a layer makes.
    pub(crate) answers: Vec<f64>,
    /// By tensor: the layer that writes it, none for inputs.
    pub(crate) writer: Vec<Option<usize>>,
    /// By tensor: the layers that run and read it, in ascending order.
    pub(crate) readers: Vec<Vec<usize>>,
    /// A layer that decides an exit in use, and a tensor that lies ready then and is read later: while the exit decides
    /// on a tier, the tensor is there too.
    pub(crate) waits: Vec<(usize, TensorId)>,
    /// Accuracy that the exits in use lose.
    pub(crate) loss: Loss,
}

impl Reach {
    /// The graph has been checked.
    pub(crate) fn new(graph: &Graph, exits: &[usize]) -> Self {
        let layers = graph.layers.len();
        let mut writer = vec![None; graph.tensors.len()];
        for (at, layer) in graph.layers.iter().enumerate() {
            layer.writes.iter().for_each(|tensor| writer[*tensor] = Some(at));
        }
        let mut reach = Self {
            exits: exits.to_vec(),
            runs: needed(graph, exits),
            answers: vec![0.0; graph.tensors.len()],
            readers: vec![Vec::new(); graph.tensors.len()],
            waits: Vec::new(),
            loss: exits.iter().map(|exit| graph.exits[*exit].loss).sum(),
            writer,
        };
        for at in (0..layers).filter(|at| reach.runs[*at] > 0.0) {
            for tensor in &graph.layers[at].reads {
                if reach.readers[*tensor].last() != Some(&at) {
                    reach.readers[*tensor].push(at);
                }
            }
        }
        reach.gate(graph);
        reach
    }

    /// The share of the requests that get past the exits in use, layer by layer and answer by answer.
    fn gate(&mut self, graph: &Graph) {
        let deciders: Vec<(usize, f64)> = self
            .exits
            .iter()
            .filter_map(|exit| {
                let exit = &graph.exits[*exit];
                Some((self.writer[exit.output]?, exit.probability))
            })
            .collect();
        for (at, runs) in self.runs.iter_mut().enumerate() {
            let passed = deciders.iter().filter(|(decider, _)| *decider < at);
            *runs *= passed.map(|(_, probability)| 1.0 - probability).product::<f64>();
        }
        let own = |output: &TensorId| graph.exits.iter().position(|exit| exit.output == *output);
        for output in &graph.outputs {
            if let Some(writer) = self.writer[*output] {
                let leaves = match own(output) {
                    Some(exit) if self.exits.contains(&exit) => graph.exits[exit].probability,
                    Some(_) => 0.0,
                    None => 1.0,
                };
                self.answers[*output] = self.runs[writer] * leaves;
            }
        }
        for (decider, _) in deciders {
            let ready = |tensor: &TensorId| {
                let written = self.writer[*tensor].is_none_or(|writer| writer <= decider);
                written && self.readers[*tensor].last().is_some_and(|last| *last > decider)
            };
            self.waits.extend((0..graph.tensors.len()).filter(ready).map(|tensor| (decider, tensor)));
        }
    }

    /// The tensors that cross from the layers `below` to the others, in ascending order. Inputs are below all of them.
    pub(crate) fn crossing(&self, below: impl Fn(usize) -> bool) -> impl Iterator<Item = TensorId> {
        (0..self.writer.len()).filter(move |tensor| {
            self.writer[*tensor].is_none_or(&below) && self.readers[*tensor].iter().any(|reader| !below(*reader))
        })
    }

    /// The largest share of the requests that read a tensor on a link's far side: what it is sent for.
    pub(crate) fn sent_for(&self, tensor: TensorId, above: impl Fn(usize) -> bool) -> f64 {
        let readers = self.readers[tensor].iter().copied();
        let waiting = self.waits.iter().filter(|(_, ready)| *ready == tensor).map(|(decider, _)| *decider);
        readers.chain(waiting).filter(|layer| above(*layer)).map(|layer| self.runs[layer]).fold(0.0, f64::max)
    }
}

/// 1 for layers that run at all: all but those that nothing but exits out of use need.
fn needed(graph: &Graph, exits: &[usize]) -> Vec<f64> {
    let unused: Vec<TensorId> =
        graph.exits.iter().enumerate().filter(|(at, _)| !exits.contains(at)).map(|(_, exit)| exit.output).collect();
    let mut runs = vec![1.0; graph.layers.len()];
    if unused.is_empty() {
        return runs;
    }
    // From the last layer to the first: a layer on the way to an unused exit runs when something else needs it too.
    let mut wanted = vec![0_usize; graph.tensors.len()];
    let mut leads_to_exit = vec![false; graph.tensors.len()];
    unused.iter().for_each(|output| leads_to_exit[*output] = true);
    for output in graph.outputs.iter().filter(|output| !unused.contains(output)) {
        wanted[*output] += 1;
    }
    for at in (0..graph.layers.len()).rev() {
        let layer = &graph.layers[at];
        let dead = layer.writes.iter().any(|tensor| leads_to_exit[*tensor])
            && layer.writes.iter().all(|tensor| wanted[*tensor] == 0);
        for tensor in &layer.reads {
            if dead { leads_to_exit[*tensor] = true } else { wanted[*tensor] += 1 }
        }
        if dead {
            runs[at] = 0.0;
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::network;
    use crate::{Exit, Graph};

    /// The sample network with an exit after `pool`, that three of four requests take.
    fn early() -> Graph {
        let mut graph = network();
        graph.outputs.push(2);
        graph.exits.push(Exit { output: 2, probability: 0.75, loss: Loss(40) });
        graph
    }

    #[test]
    fn an_exit_in_use_lets_its_share_go_no_further() {
        let reach = Reach::new(&early(), &[0]);
        assert_eq!(reach.runs, [1.0, 1.0, 0.25]);
        assert_eq!(reach.answers, [0.0, 0.0, 0.75, 0.25]);
        assert_eq!((reach.loss, reach.waits), (Loss(40), vec![(1, 2)]));
    }

    #[test]
    fn an_exit_out_of_use_answers_nothing_and_costs_nothing() {
        let reach = Reach::new(&early(), &[]);
        assert_eq!((&reach.runs[..], &reach.answers[..]), (&[1.0, 1.0, 1.0][..], &[0.0, 0.0, 0.0, 1.0][..]));
        assert_eq!((reach.loss, reach.waits), (Loss(0), Vec::new()));
    }

    #[test]
    fn layers_that_only_an_exit_out_of_use_needs_do_not_run() {
        let mut graph = early();
        // `pool` decides only; `fc` reads what `conv` writes.
        graph.layers[2].reads = vec![1];
        let reach = Reach::new(&graph, &[]);
        assert_eq!(reach.runs, [1.0, 0.0, 1.0]);
        assert_eq!(reach.readers[1], [2]);
        let used = Reach::new(&graph, &[0]);
        assert_eq!((used.runs, used.readers[1].clone()), (vec![1.0, 1.0, 0.25], vec![1, 2]));
    }

    #[test]
    fn a_tensor_is_sent_for_the_most_frequent_of_those_above() {
        let mut graph = early();
        graph.layers[2].reads = vec![1, 2];
        let reach = Reach::new(&graph, &[0]);
        assert_eq!([0, 2, 3].map(|from| reach.sent_for(1, |layer| layer >= from)), [1.0, 0.25, 0.0]);
        // It lies ready while `pool` decides above.
        assert_eq!(reach.waits, [(1, 1), (1, 2)]);
    }
}
