//! How long each operator of a part takes.

use std::time::{Duration, Instant};

use thalweg_planner::Tensor;
use tract_onnx::tract_hir::internal::{Cost, TypedNode};
use tract_onnx::tract_hir::tract_core::plan::eval;
use tract_onnx::tract_hir::tract_core::prelude::TractResult;

use super::Cpu;
use crate::cut::Border;
use crate::error::StageError;
use crate::guard::guard;
use crate::reason::reason;
use crate::tensor;

/// What one operator of a part took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorTime {
    /// Its name in the graph as it runs.
    pub node: String,
    /// What it is there.
    pub op: String,
    /// The shortest of its runs.
    pub time: Duration,
    /// Multiply-adds, as far as it tells.
    pub macs: u64,
    /// Bytes of what it reads, weights among it, and makes: each once.
    pub bytes: u64,
}

impl Cpu {
    /// So many runs, in the order of the operators.
    pub(crate) fn times(
        &self,
        name: &str,
        (takes, inputs): (&[Border], &[Tensor]),
        runs: usize,
    ) -> Result<Vec<OperatorTime>, StageError> {
        let failed = |cause: String| StageError::Run { part: name.to_owned(), cause };
        let timed = guard(|| -> TractResult<Vec<OperatorTime>> {
            let model = self.0.model();
            let mut least = vec![Duration::MAX; model.nodes.len()];
            for _ in 0..runs {
                let typed = inputs.iter().zip(takes.iter().map(|border| border.datum));
                let mut state = self.0.spawn()?;
                state.run_plan_with_eval(tensor::all_to_engine(typed)?, |ctx, op_state, node, inputs| {
                    let started = Instant::now();
                    let made = eval(ctx, op_state, node, inputs);
                    least[node.id] = least[node.id].min(started.elapsed());
                    made
                })?;
            }
            let ran = model.nodes.iter().filter(|node| least[node.id] < Duration::MAX);
            let told = |node: &TypedNode| -> TractResult<OperatorTime> {
                let reads = model.node_input_facts(node.id)?;
                let (mut macs, mut bytes) = (0, 0);
                for (cost, count) in node.op.cost(&reads)? {
                    let count = count.to_i64().map_or(0, i64::unsigned_abs);
                    match cost {
                        Cost::FMA(_) => macs += count,
                        Cost::Params(datum) => bytes += count * datum.size_of() as u64,
                        _ => {}
                    }
                }
                let facts = reads.into_iter().chain(node.outputs.iter().map(|output| &output.fact));
                bytes += facts.filter_map(|fact| fact.mem_size().to_i64().ok()).map(i64::unsigned_abs).sum::<u64>();
                let (name, op) = (node.name.clone(), node.op.name().into_owned());
                Ok(OperatorTime { node: name, op, time: least[node.id], macs, bytes })
            };
            ran.map(told).collect()
        });
        timed.map_err(failed)?.map_err(|cause| failed(reason(&cause)))
    }
}
