//! Every tile of the product of matrices with every kind of operands, in one part and in several.

use std::collections::{BTreeMap, BTreeSet};

use tract_onnx::tract_hir::internal::{OutletId, tvec};
use tract_onnx::tract_hir::tract_core::ops::cnn::{Conv, Deconv, KernelFormat, PaddingSpec, PoolSpec};
use tract_onnx::tract_hir::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_hir::tract_core::ops::math;
use tract_onnx::tract_hir::tract_core::ops::nn::DataFormat;
use tract_onnx::tract_hir::tract_core::prelude::Datum as _;

use super::super::super::lower::{Bounds, lower};
use super::super::super::matrix::{Left, Right, TILES};
use super::{GPU, Graph};
use crate::Precision;

/// Rows, columns and steps: none fills a tile, but where a kind asks for multiples of four.
const SIZES: [(usize, usize, usize); 12] = [
    (13, 1021, 37),
    (254, 251, 37),
    (13, 62, 37),
    (30, 29, 37),
    (61, 30, 37),
    (62, 61, 37),
    (125, 61, 37),
    (126, 125, 37),
    (13, 62, 530),
    (30, 29, 530),
    (62, 61, 1070),
    (125, 123, 1070),
];

/// A product of this kind.
fn product(graph: &mut Graph, left: Left, right: Right, (m, n, k): (usize, usize, usize)) -> OutletId {
    if matches!(right, Right::Image | Right::Spread) {
        return image(graph, right == Right::Spread, (m, n, k));
    }
    let k = if left == Left::Rows { k.next_multiple_of(4) } else { k };
    let n = if right == Right::Wide { n.next_multiple_of(4) } else { n };
    let (left, of_left) = match left {
        Left::Packed => (graph.weights(&[m, k]), "mk"),
        Left::Rows => (graph.input(&[m, k]), "mk"),
        Left::Strided => (graph.input(&[k, m]), "km"),
    };
    let right = graph.input(&[k, n]);
    let op = EinSum::new(format!("{of_left},kn->mn").parse().expect("axes"), f32::datum_type());
    graph.add(op, &[left, right])
}

/// A convolution of about these sizes, or a transposed one.
fn image(graph: &mut Graph, spread: bool, (outputs, n, k): (usize, usize, usize)) -> OutletId {
    let (inputs, columns) = (k.div_ceil(9), 7);
    let image = graph.input(&[1, inputs, if spread { n / 14 + 1 } else { n / 6 }, columns]);
    let (kernel, bias) = (graph.weights(&[outputs, inputs, 3, 3]), graph.weights(&[outputs]));
    let pool_spec = PoolSpec {
        data_format: DataFormat::NCHW,
        kernel_shape: tvec![3, 3],
        padding: PaddingSpec::Explicit(tvec![1, 0], tvec![0, 1]),
        dilations: None,
        strides: Some(tvec![if spread { 2 } else { 1 }, 1]),
        input_channels: inputs,
        output_channels: outputs,
    };
    let kernel_fmt = KernelFormat::OIHW;
    if spread {
        graph.add(Deconv::new(pool_spec, kernel_fmt, tvec![1, 0], 1), &[image, kernel, bias])
    } else {
        graph.add(Conv { pool_spec, kernel_fmt, group: 1, q_params: None }, &[image, kernel, bias])
    }
}

fn kinds() -> Vec<(Left, Right)> {
    let lefts = [Left::Packed, Left::Rows, Left::Strided];
    let products = lefts.into_iter().flat_map(|left| [(left, Right::Strided), (left, Right::Wide)]);
    products.chain([(Left::Packed, Right::Image), (Left::Packed, Right::Spread)]).collect()
}

/// Devices on which one tile or another is the best.
fn devices(bounds: Bounds) -> Vec<Bounds> {
    let processors = [1, 2, 4, 16, 128];
    let memory = [(64, 11 << 10), (128, 13 << 10), (256, 48 << 10)];
    let all = processors.into_iter().flat_map(|processors| memory.map(|memory| (processors, memory)));
    all.map(|(processors, (threads, shared))| Bounds { processors, threads, shared, ..bounds }).collect()
}

fn graph_of((left, right): (Left, Right), sizes: (usize, usize, usize)) -> (Graph, OutletId) {
    let mut graph = Graph::default();
    let made = product(&mut graph, left, right, sizes);
    let made = graph.add(math::tanh(), &[made]);
    (graph, made)
}

/// The tile of a kernel, and whether its sums are in several parts.
fn tile_of(sizes: &str) -> Option<(String, bool)> {
    let (tile, parts) = sizes.split_once(" in ")?.1.split_once(" and ")?;
    Some((tile.to_owned(), !parts.starts_with("1 ")))
}

#[test]
fn every_tile_agrees_with_every_kind_of_operands() {
    let Some(gpu) = GPU.as_ref() else { return };
    let bounds = Bounds::of(gpu);
    let mut found = BTreeMap::new();
    for (kind, sizes) in kinds().into_iter().flat_map(|kind| SIZES.map(|sizes| (kind, sizes))) {
        let (graph, made) = graph_of(kind, sizes);
        let part = graph.part(&[made]);
        for device in devices(bounds) {
            let program = lower(&part.graph, device).expect("a program").program;
            let (tile, several) = program.calls.iter().find_map(|call| tile_of(&call.sizes)).expect("a product");
            assert!(
                program.calls[0].sizes.ends_with(&format!("{:?} {:?}", kind.0, kind.1)),
                "{}",
                program.calls[0].sizes
            );
            found.entry((several, tile, format!("{kind:?}"))).or_insert((kind, sizes, device));
        }
    }
    let wanted: BTreeSet<(String, String)> = TILES
        .iter()
        .flat_map(|tile| kinds().into_iter().map(|kind| (format!("{}x{}", tile.bm, tile.bn), format!("{kind:?}"))))
        .collect();
    let mut of_parts = BTreeSet::new();
    for ((several, tile, name), (kind, sizes, device)) in &found {
        // Each tile and each kind once in parts.
        let is_new = *several && (of_parts.insert(tile.clone()) | of_parts.insert(name.clone()));
        if !several || is_new {
            let (graph, made) = graph_of(*kind, *sizes);
            graph.agrees_within(&[made], *device);
        }
        if !several && kind.0 == Left::Packed {
            let (graph, made) = graph_of(*kind, *sizes);
            graph.agrees_within(&[made], Bounds { precision: Precision::F16, ..*device });
        }
    }
    let reached: BTreeSet<(String, String)> =
        found.into_keys().filter(|(several, _, _)| !several).map(|(_, tile, name)| (tile, name)).collect();
    let missing: Vec<_> = wanted.difference(&reached).collect();
    assert!(missing.is_empty(), "never chosen: {missing:?}");
    let never = |name: &&String| !of_parts.contains(*name);
    let in_one: Vec<_> = wanted.iter().flat_map(|(tile, kind)| [tile, kind]).filter(never).collect();
    assert!(in_one.is_empty(), "never in parts: {in_one:?}");
}
