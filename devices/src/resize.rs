//! By how much a node resizes each axis, whichever backend does it.

use std::sync::Arc;

use tract_onnx::tract_hir::internal::{OutletId, Tensor, TypedNode};
use tract_onnx::tract_hir::tract_core::ops::nn::resize::Resize;

/// Of each axis, as they are given; else as sizes are to each other. Fails where what is given is no `constant`.
pub(crate) fn scales(
    node: &TypedNode,
    op: &Resize,
    constant: impl Fn(OutletId) -> Option<Arc<Tensor>>,
    [from, to]: [&[usize]; 2],
) -> Result<Vec<f32>, String> {
    if let Some(outlet) = op.optional_scales_input.and_then(|slot| node.inputs.get(slot)) {
        let scales = constant(*outlet).ok_or("its scales are not known before it runs")?;
        if scales.len() == from.len() {
            let scales = scales.cast_to::<f32>().map_err(|cause| cause.to_string())?;
            return Ok(scales.view().as_slice::<f32>().map_err(|cause| cause.to_string())?.to_vec());
        }
    }
    Ok(from.iter().zip(to).map(|(from, to)| *to as f32 / *from as f32).collect())
}
