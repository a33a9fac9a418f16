//! Two parts, one after the other, as one: on a GPU what passes between them stays there.

use std::collections::HashMap;

use tract_onnx::tract_hir::internal::{OutletId, TypedModel};
use tract_onnx::tract_hir::tract_core::internal::bail;
use tract_onnx::tract_hir::tract_core::ops::source::TypedSource;
use tract_onnx::tract_hir::tract_core::prelude::TractResult;

use crate::backend::zeros;
use crate::cut::{Partition, copy_node};
use crate::gpu::Gpu;
use crate::guard::guard;
use crate::stage::{Compiled, Seam, Stage};

/// Both parts where a GPU computes them, as [`Stage::then`] says. What cannot be joined stays two parts, which run as well; why is
/// told for those who look.
pub(crate) fn on_one_gpu(first: &Stage, next: &Stage, seam: &Seam) -> Option<Stage> {
    let ((first, stage), (second, _)) = (first.on_gpu()?, next.on_gpu()?);
    let joined = first.then(second, seam).and_then(|part| compiled(part, stage.gpu()));
    joined
        .inspect_err(|cause| tracing::debug!(first = first.name, next = second.name, %cause, "they stay two parts"))
        .ok()
}

/// The part on the GPU, after its first runs there and on the CPU, which takes over where the device is lost.
fn compiled(part: Partition, gpu: &Gpu) -> Result<Stage, String> {
    let inputs = zeros(&part).map_err(|cause| cause.to_string())?;
    // Where nodes are equal, and some of them outputs, tract may run one that it has taken out.
    part.clone().prepare().and_then(|cpu| cpu.run(&inputs)).map_err(|cause| cause.to_string())?;
    let compiled = Compiled::Gpu(part.clone().prepare_on(gpu).map_err(|cause| cause.to_string())?);
    let timed = compiled.time(&inputs)?;
    Ok(part.with(compiled, timed))
}

impl Partition {
    /// As [`Stage::then`]; says why where they do not fit.
    pub(crate) fn then(&self, next: &Self, seam: &Seam) -> Result<Self, String> {
        let graph = guard(|| joined(&self.graph, &next.graph, seam))?.map_err(|cause| format!("{cause:#}"))?;
        let elsewhere = next.takes.iter().zip(&seam.takes).filter(|(_, made)| made.is_none());
        let takes = self.takes.iter().chain(elsewhere.map(|(border, _)| border)).cloned().collect();
        let kept = seam.keeps.iter().map(|place| &self.gives[*place]);
        let gives = kept.chain(&next.gives).cloned().collect();
        Ok(Self { name: format!("{} and {}", self.name, next.name), graph, takes, gives })
    }
}

fn joined(first: &TypedModel, next: &TypedModel, seam: &Seam) -> TractResult<TypedModel> {
    let mut graph = first.clone();
    let made = |place: usize| match first.outputs.get(place) {
        Some(outlet) => Ok(*outlet),
        None => bail!("the first part gives {} tensors, and {place} is asked for", first.outputs.len()),
    };
    if seam.takes.len() != next.inputs.len() {
        bail!("the next part takes {} tensors, and the seam has {}", next.inputs.len(), seam.takes.len());
    }
    let mut placed: HashMap<OutletId, OutletId> = HashMap::new();
    for (source, from) in next.inputs.iter().zip(&seam.takes) {
        let wanted = next.outlet_fact(*source)?.without_value();
        let outlet = match from {
            Some(place) => {
                let given = first.outlet_fact(made(*place)?)?;
                if (given.datum_type, &given.shape) != (wanted.datum_type, &wanted.shape) {
                    bail!("{given:?} is handed over for {wanted:?}");
                }
                made(*place)?
            }
            None => {
                let name = graph.unique_name(&next.node(source.node).name).into_owned();
                let fact = [wanted.clone()].into_iter().collect();
                let node = graph.add_node(name, TypedSource::new(wanted), fact)?;
                graph.inputs.push(node.into());
                node.into()
            }
        };
        placed.insert(*source, outlet);
    }
    for node in next.eval_order()? {
        if !next.inputs.contains(&node.into()) {
            let name = graph.unique_name(&next.node(node).name).into_owned();
            copy_node(next, &mut graph, &mut placed, (node, name))?;
        }
    }
    let kept = seam.keeps.iter().map(|place| made(*place)).collect::<TractResult<Vec<_>>>()?;
    let given = next.outputs.iter().map(|outlet| placed[outlet]);
    let outputs: Vec<OutletId> = kept.into_iter().chain(given).collect();
    graph.select_output_outlets(&outputs)?;
    Ok(graph)
}
