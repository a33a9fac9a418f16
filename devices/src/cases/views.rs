//! Chains of nodes that only say where elements lie, with element-wise ones between them.

use proptest::prelude::*;
use tract_onnx::tract_hir::internal::{OutletId, TDim, ToDim, tvec};
use tract_onnx::tract_hir::tract_core::ops::array::{MultiBroadcastTo, Pad, PadMode, Slice, TypedConcat};
use tract_onnx::tract_hir::tract_core::ops::change_axes::AxisOp;
use tract_onnx::tract_hir::tract_core::ops::downsample::Downsample;
use tract_onnx::tract_hir::tract_core::ops::math;
use tract_onnx::tract_hir::tract_core::ops::nn::NearestUpsample;
use tract_onnx::tract_hir::tract_core::prelude::Tensor as EngineTensor;

use super::Graph;

/// What is done, and numbers that say how.
pub(crate) type Node = (usize, usize, usize);

pub(crate) fn dims(shape: &[usize]) -> tract_onnx::tract_hir::tract_core::prelude::TVec<TDim> {
    shape.iter().map(ToDim::to_dim).collect()
}

fn add_node(graph: &mut Graph, value: OutletId, (op, a, b): Node) -> OutletId {
    let shape = graph.shape(value);
    let (rank, axis) = (shape.len(), a % shape.len());
    let size = shape[axis];
    match op {
        0 => graph.add(AxisOp::Move(axis, b % rank), &[value]),
        1 if rank < 5 => graph.add(AxisOp::Add(b % (rank + 1)), &[value]),
        2 if size == 1 && rank > 1 => graph.add(AxisOp::Rm(axis), &[value]),
        3 => {
            let start = b % size;
            graph.add(Slice::new(axis, start, start + 1 + a % (size - start)), &[value])
        }
        4 => {
            let step = 2 + b % 3;
            graph.add(Downsample::new(axis, step as isize, b % size.min(step)), &[value])
        }
        5 if shape.iter().product::<usize>() < 2000 => {
            let scales = (0..rank).map(|other| if other == axis { 1 + b % 3 } else { 1 + usize::from(a % 4 == 0) });
            graph.add(NearestUpsample { scales: scales.collect() }, &[value])
        }
        6 => {
            // One axis becomes two, or two become one.
            let factor = [2, 3, 5, 7].into_iter().find(|factor| size.is_multiple_of(*factor));
            match factor {
                Some(factor) if rank < 5 => {
                    let to = tvec![(size / factor).to_dim(), factor.to_dim()];
                    graph.add(AxisOp::Reshape(axis, tvec![size.to_dim()], to), &[value])
                }
                _ if axis + 1 < rank => {
                    let to = tvec![(size * shape[axis + 1]).to_dim()];
                    graph.add(AxisOp::Reshape(axis, dims(&shape[axis..axis + 2]), to), &[value])
                }
                _ => graph.add(math::neg(), &[value]),
            }
        }
        7 => {
            let all = shape.iter().product::<usize>().to_dim();
            graph.add(AxisOp::Reshape(0, dims(&shape), tvec![all]), &[value])
        }
        8 => {
            let pads = (0..rank).map(|other| if other == axis { (b % 3, a % 3) } else { (0, b % 2) }).collect();
            let number = EngineTensor::from((b % 4) as f32 - 1.0).into();
            graph.add(Pad { pads, mode: PadMode::Constant(number) }, &[value])
        }
        9 if shape.iter().product::<usize>() < 2000 => {
            let repeated: Vec<usize> = shape.iter().map(|size| if *size == 1 { 1 + b % 4 } else { *size }).collect();
            graph.add(MultiBroadcastTo::new(dims(&repeated).into()), &[value])
        }
        10 => graph.add(math::tanh(), &[value]),
        11 if shape.iter().product::<usize>() < 2000 => {
            let mut more = shape.clone();
            more[axis] = 1 + b % 3;
            let constant = graph.weights(&more);
            let bent = graph.add(math::sin(), &[value]);
            let parts = [value, constant, bent, value];
            let from = b % 2;
            graph.add(TypedConcat::new(axis), &parts[from..])
        }
        _ => graph.add(math::abs(), &[value]),
    }
}

pub(crate) fn nodes() -> impl Strategy<Value = Vec<Node>> {
    proptest::collection::vec((0_usize..13, 0_usize..60, 0_usize..60), 1..8)
}

pub(crate) fn chain(shape: &[usize], nodes: &[Node], given: &[usize]) -> (Graph, Vec<OutletId>) {
    let mut graph = Graph::default();
    let mut values = vec![graph.input(shape)];
    // The engine cannot bring a step over a repeated axis before what repeats it.
    let repeats = nodes.iter().any(|node| node.0 == 9);
    for node in nodes.iter().filter(|node| !(repeats && node.0 == 4)) {
        let last = *values.last().expect("some");
        values.push(add_node(&mut graph, last, *node));
    }
    let mut outputs = vec![*values.last().expect("some")];
    for value in given {
        let outlet = values[value % values.len()];
        if !outputs.contains(&outlet) {
            outputs.push(outlet);
        }
    }
    (graph, outputs)
}
