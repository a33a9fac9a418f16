//! A model cut at one place: what crosses there, and what its upper part makes of it.

use thalweg_devices::{Model, Stage};
use thalweg_planner::{DType, Graph, Separator, Tensor, TensorSpec};

use crate::{Failure, both_cores};

/// Smaller tensors, such as masks, do not count where bits an element are told; their bytes do.
const ELEMENTS_MIN: usize = 2048;

/// A model in two parts; the lower one is missing where the cut is before the first layer.
pub(crate) struct Cut {
    /// The layer before the cut.
    pub(crate) after: String,
    pub(crate) separator: Separator,
    /// What crosses.
    pub(crate) specs: Vec<TensorSpec>,
    /// Which share of the multiply-adds comes before it.
    pub(crate) before: f64,
    head: Option<Stage>,
    tail: Stage,
}

impl Cut {
    /// The cut before the first layer: what crosses is the input.
    pub(crate) fn at_input(model: &Model) -> Result<Self, Failure> {
        let specs = model.inputs().iter().map(|port| port.spec.clone()).collect();
        let separator = Separator { at: 0, live: Vec::new() };
        Ok(Self { after: "the input".to_owned(), separator, specs, before: 0.0, head: None, tail: model.whole()? })
    }

    /// The cut behind the layer of this name, where no output of the model is made before it.
    pub(crate) fn after(model: &Model, graph: &Graph, layer: &str) -> Result<Self, Failure> {
        let named = graph.layers.iter().position(|known| known.name == layer);
        let at = named.ok_or_else(|| format!("the model has no layer {layer}: --cuts lists where it can be cut"))? + 1;
        let live = graph.live(at);
        if graph.outputs_of(0..at).iter().any(|output| graph.outputs.contains(output)) {
            return Err(format!("an output is made before {layer}: cut before it").into());
        }
        let layers: Vec<usize> = (0..graph.layers.len()).collect();
        let (below, above) = layers.split_at(at);
        let all = graph.macs(layers.iter().copied()).0.max(1);
        Ok(Self {
            after: layer.to_owned(),
            specs: live.iter().map(|tensor| graph.tensors[*tensor].spec.clone()).collect(),
            before: graph.macs(below.iter().copied()).0 as f64 / all as f64,
            head: Some(model.partition(below, &graph.inputs, &live)?.prepare()?),
            tail: model.partition(above, &live, &graph.outputs)?.prepare()?,
            separator: Separator { at, live },
        })
    }

    /// The layer and the shapes.
    pub(crate) fn title(&self) -> String {
        let shapes: Vec<String> = self.specs.iter().map(TensorSpec::to_string).collect();
        format!("after {}: {}", self.after, shapes.join(" and "))
    }

    /// How many elements of floats cross, in tensors of at least [`ELEMENTS_MIN`].
    pub(crate) fn elements(&self) -> usize {
        let counts = |spec: &&TensorSpec| spec.dtype == DType::F32 && spec.len() >= ELEMENTS_MIN;
        self.specs.iter().filter(counts).map(TensorSpec::len).sum()
    }

    /// What crosses for each of these inputs.
    pub(crate) fn live(&self, inputs: &[Vec<Tensor>]) -> Result<Vec<Vec<Tensor>>, Failure> {
        both_cores(inputs, |_, input| match &self.head {
            Some(head) => Ok(head.run(input)?),
            None => Ok(input.clone()),
        })
    }

    /// The model's outputs.
    pub(crate) fn finish(&self, live: &[Tensor]) -> Result<Vec<Tensor>, Failure> {
        Ok(self.tail.run(live)?)
    }
}

/// Where a model can be cut with at most so many tensors crossing, a line each.
pub(crate) fn list(model: &Model, graph: &Graph, live_max: usize) -> Vec<String> {
    let all = graph.macs(0..graph.layers.len()).0.max(1);
    let line = |place: &Separator| {
        let layer = &graph.layers[place.at.checked_sub(1)?];
        let specs: Option<Vec<String>> = place.live.iter().map(|id| Some(model.spec(*id)?.to_string())).collect();
        let share = 100 * graph.macs(0..place.at).0 / all;
        Some(format!("{} {} ({}), {share} %: {}", place.at, layer.name, layer.op, specs?.join(" ")))
    };
    graph.separators(live_max).iter().filter_map(line).collect()
}
