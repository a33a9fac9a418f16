//! A model in two parts, and the proof that the two equal the whole.

use thalweg_planner::{Graph, Separator, Tensor, TensorId};

use crate::error::StageError;
use crate::model::Model;
use crate::stage::Stage;

/// The part below a cut and the part above it, ready to run.
#[derive(Debug)]
pub struct Split {
    separator: Separator,
    head: Stage,
    tail: Stage,
    /// For each output of the model: whether the head makes it, and where it stands among what that part gives.
    outputs: Vec<(bool, usize)>,
}

impl Split {
    /// Cuts `model`, whose description is `graph`, at `separator`.
    pub fn new(model: &Model, graph: &Graph, separator: Separator) -> Result<Self, StageError> {
        let (head_layers, tail_layers): (Vec<_>, Vec<_>) = (0..graph.layers.len()).partition(|at| *at < separator.at);
        let below = graph.outputs_of(0..separator.at);
        let made_below = |tensor: &TensorId| below.contains(tensor) || graph.inputs.contains(tensor);
        let (head_outputs, tail_outputs): (Vec<_>, Vec<_>) =
            graph.outputs.iter().partition(|tensor| made_below(tensor));
        let head_gives: Vec<TensorId> = separator.live.iter().chain(head_outputs).copied().collect();
        let tail_gives: Vec<TensorId> = tail_outputs.into_iter().copied().collect();
        let place = |tensor: &TensorId| {
            let at = |gives: &[TensorId]| gives.iter().position(|given| given == tensor).unwrap_or_default();
            if made_below(tensor) { (true, at(&head_gives)) } else { (false, at(&tail_gives)) }
        };
        Ok(Self {
            outputs: graph.outputs.iter().map(place).collect(),
            head: model.partition(&head_layers, &graph.inputs, &head_gives)?.prepare()?,
            tail: model.partition(&tail_layers, &separator.live, &tail_gives)?.prepare()?,
            separator,
        })
    }

    /// Runs both parts; `carry` stands for the link and gets every live tensor with its place among them.
    ///
    /// The outputs stand in the order of the model's.
    pub fn run<E: From<StageError>>(
        &self,
        inputs: &[Tensor],
        mut carry: impl FnMut(usize, Tensor) -> Result<Tensor, E>,
    ) -> Result<Vec<Tensor>, E> {
        let below = self.below(inputs)?;
        let live = below.live.iter().cloned().enumerate();
        let carried = live.map(|(place, tensor)| carry(place, tensor)).collect::<Result<Vec<_>, E>>()?;
        Ok(self.above(&below, &carried)?)
    }

    /// Runs the part below the cut.
    pub fn below(&self, inputs: &[Tensor]) -> Result<Below, StageError> {
        let mut live = self.head.run(inputs)?;
        let answers = live.split_off(self.separator.live.len());
        Ok(Below { live, answers })
    }

    /// Runs the part above the cut on `carried`, which stand for the live tensors of `below`: the model's outputs, in
    /// its order.
    pub fn above(&self, below: &Below, carried: &[Tensor]) -> Result<Vec<Tensor>, StageError> {
        let rest = self.tail.run(carried)?;
        let made = |at: usize| match below.live.get(at) {
            Some(tensor) => tensor.clone(),
            None => below.answers[at - below.live.len()].clone(),
        };
        Ok(self.outputs.iter().map(|(head, at)| if *head { made(*at) } else { rest[*at].clone() }).collect())
    }
}

/// What the part below a cut makes of an input.
#[derive(Debug, Clone, PartialEq)]
pub struct Below {
    /// What crosses, in the order of [`Separator::live`].
    pub live: Vec<Tensor>,
    /// Outputs of the model that do not cross.
    answers: Vec<Tensor>,
}

/// What cutting at one place showed.
#[derive(Debug, Clone, PartialEq)]
pub struct CutCheck {
    /// Where the cut is.
    pub separator: Separator,
    /// Whether every bit of every output is the same.
    pub exact: bool,
    /// The largest difference between an f32 element and the whole's; 0 when exact.
    pub difference_max: f32,
}

/// The places where a model can be cut: few live tensors, all of which can travel, and layers on both sides.
pub fn cuts(model: &Model, graph: &Graph, live_max: usize) -> Vec<Separator> {
    let travels = |separator: &Separator| separator.live.iter().all(|tensor| model.spec(*tensor).is_some());
    let inside = |separator: &Separator| separator.at > 0 && separator.at < graph.layers.len();
    let separators = graph.separators(live_max).into_iter();
    separators.filter(|separator| inside(separator) && travels(separator)).collect()
}

/// Runs head and tail of one cut on `inputs` and compares with `whole`, the outputs of the uncut model.
pub fn check_cut(
    model: &Model,
    graph: &Graph,
    separator: Separator,
    inputs: &[Tensor],
    whole: &[Tensor],
) -> Result<CutCheck, StageError> {
    let outputs = Split::new(model, graph, separator.clone())?.run(inputs, |_, tensor| Ok::<_, StageError>(tensor))?;
    let difference_max = outputs.iter().zip(whole).map(|(split, whole)| difference(split, whole)).fold(0.0, f32::max);
    Ok(CutCheck { separator, exact: outputs == whole, difference_max })
}

/// The largest difference of two f32 tensors; infinite when they cannot be compared, 0 when they are the same.
fn difference(one: &Tensor, other: &Tensor) -> f32 {
    if one == other {
        return 0.0;
    }
    match (one.to_f32(), other.to_f32()) {
        (Some(one), Some(other)) if one.len() == other.len() => one
            .iter()
            .zip(&other)
            .filter(|(a, b)| a.to_bits() != b.to_bits())
            .map(|(a, b)| if a.is_nan() || b.is_nan() { f32::INFINITY } else { (a - b).abs() })
            .fold(0.0, f32::max),
        _ => f32::INFINITY,
    }
}
