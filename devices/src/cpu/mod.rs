//! Runs a part on this machine's CPU: on one thread, or on those of [`crate::Cores`].

mod chain;
mod constants;
mod convolution;
mod direct;
mod function;
mod nchwc;
mod operator;
mod pieces;
mod pool;
mod blocks;
mod product;
mod rewrite;
mod steps;
mod times;
mod weights;
mod window;
mod winograd;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use thalweg_planner::Tensor;
use tract_onnx::tract_hir::internal::TypedModel;
use tract_onnx::tract_hir::tract_core::prelude::{IntoRunnable as _, TractResult, TypedSimplePlan};

use crate::cut::Border;
use crate::error::StageError;
use crate::guard::guard;
use crate::reason::reason;
use crate::tensor;

pub use times::OperatorTime;

/// Bytes of a node's weights where it is ready to run, of so many in the graph: of most
/// processors fewer, since not all have all kernels. What fills up blocks of channels is not counted.
pub(crate) fn ready_bytes(graph: &TypedModel, node: usize, bytes: u64) -> u64 {
    match guard(|| rewrite::convolution(graph, node)) {
        Ok(Ok(Some((of, _)))) if rewrite::is_worth_a_product(&of) && winograd::is_worth(&of) => {
            bytes * winograd::TILE as u64 / of.window.places() as u64
        }
        _ => bytes,
    }
}

/// A part that is optimised for this machine's CPU.
#[derive(Debug, Clone)]
pub(crate) struct Cpu(Arc<TypedSimplePlan>);

impl Cpu {
    /// Optimises the graph of the part `name`. Tens of milliseconds for a small network.
    pub(crate) fn prepare(name: &str, graph: TypedModel) -> Result<Self, StageError> {
        Self::of(name, graph, |graph| constants::once(graph).and_then(|()| rewrite::kernels(graph)))
    }

    /// The same without kernels of our own: what these are tested and measured against.
    pub(crate) fn plain(name: &str, graph: TypedModel) -> Result<Self, StageError> {
        Self::of(name, graph, |_| Ok(()))
    }

    fn of(
        name: &str,
        mut graph: TypedModel,
        rewrite: impl FnOnce(&mut TypedModel) -> TractResult<()>,
    ) -> Result<Self, StageError> {
        let failed = |cause: String| StageError::Prepare { part: name.to_owned(), cause };
        let plan = guard(move || -> TractResult<_> {
            rewrite(&mut graph)?;
            graph.optimize()?;
            graph.into_runnable()
        });
        Ok(Self(plan.map_err(failed)?.map_err(|cause| failed(reason(&cause)))?))
    }

    /// Runs the part on tensors that fit what it `takes`. Never panics.
    pub(crate) fn run(&self, name: &str, takes: &[Border], inputs: &[Tensor]) -> Result<Vec<Tensor>, StageError> {
        let failed = |cause: String| StageError::Run { part: name.to_owned(), cause };
        let typed = || inputs.iter().zip(takes.iter().map(|border| border.datum));
        let made = guard(|| -> TractResult<Vec<Tensor>> {
            let values = self.0.run(tensor::all_to_engine(typed())?)?;
            values.iter().map(|value| tensor::from_engine(value)).collect()
        });
        made.map_err(failed)?.map_err(|cause| failed(reason(&cause)))
    }
}
