//! Resizing in all modes, there and back, of any axes.

use proptest::prelude::*;
use proptest::sample::select;
use tract_onnx::prelude::{IntoTensor as _, tract_ndarray::arr1};
use tract_onnx::tract_hir::internal::OutletId;
use tract_onnx::tract_hir::tract_core::ops::nn::resize::{CoordTransformer, Interpolator, Nearest, Resize};

use super::{Graph, Lies};

pub(crate) fn resize() -> impl Strategy<Value = Resize> {
    let transforms = [
        CoordTransformer::HalfPixel,
        CoordTransformer::AlignCorners,
        CoordTransformer::Asymmetric,
        CoordTransformer::PytorchHalfPixel,
        CoordTransformer::HalfPixelSymmetric,
        CoordTransformer::TfHalfPixelForNn,
    ];
    let modes = [Interpolator::Linear, Interpolator::Nearest, Interpolator::Cubic];
    let modes = (select(transforms.to_vec()), select(modes.to_vec()), any::<bool>());
    modes.prop_map(|(coord_transformer, interpolator, floor)| Resize {
        coord_transformer,
        interpolator,
        nearest: if floor { Nearest::Floor } else { Nearest::RoundPreferCeil },
        optional_scales_input: None,
        optional_sizes_input: None,
    })
}

/// An image of another size. Some axes stay as they are.
pub(crate) fn to_sizes(op: Resize, from: &[usize], to: &[usize], lies: Lies) -> (Graph, OutletId) {
    let mut graph = Graph::default();
    let image = graph.operand(from, lies);
    let to = from.iter().zip(to).map(|(from, to)| if to % 3 == 0 { *from } else { *to.min(&(2 * from + 1)) });
    let sizes: Vec<i64> = to.map(|size| size as i64).collect();
    let sizes = graph.constant(arr1(&sizes).into_tensor());
    let made = graph.add(Resize { optional_sizes_input: Some(1), ..op }, &[image, sizes]);
    (graph, made)
}

/// An image at another scale.
pub(crate) fn to_scales(op: Resize, from: &[usize], scales: &[f32], lies: Lies) -> (Graph, OutletId) {
    let mut graph = Graph::default();
    let image = graph.operand(from, lies);
    let scales = graph.constant(arr1(&scales[..from.len()]).into_tensor());
    let made = graph.add(Resize { optional_scales_input: Some(1), ..op }, &[image, scales]);
    (graph, made)
}
