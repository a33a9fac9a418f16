//! Tensors without elements: they are left to the CPU, in words.

use tract_onnx::tract_hir::internal::OutletId;
use tract_onnx::tract_hir::tract_core::ops::array::{Slice, TypedConcat};
use tract_onnx::tract_hir::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_hir::tract_core::ops::math;
use tract_onnx::tract_hir::tract_core::prelude::Datum as _;

use super::Graph;

type Make = fn(&mut Graph) -> Vec<OutletId>;

fn cases() -> Vec<(&'static str, Make)> {
    vec![
        ("an input", |graph| {
            let (empty, full) = (graph.input(&[0, 3]), graph.input(&[2, 3]));
            vec![graph.add(math::sin(), &[empty]), graph.add(math::sin(), &[full])]
        }),
        ("a slice", |graph| {
            let value = graph.input(&[4, 3]);
            let value = graph.add(math::sin(), &[value]);
            let none = graph.add(Slice::new(0, 2, 2), &[value]);
            vec![graph.add(math::cos(), &[none]), graph.add(math::cos(), &[value])]
        }),
        ("an empty constant that is joined", |graph| {
            let (value, none) = (graph.input(&[4, 3]), graph.weights(&[0, 3]));
            let value = graph.add(math::sin(), &[value]);
            vec![graph.add(TypedConcat::new(0), &[value, none])]
        }),
        ("an empty value that is joined", |graph| {
            let (value, none) = (graph.input(&[4, 3]), graph.input(&[0, 3]));
            let value = graph.add(math::sin(), &[value]);
            let made = graph.add(TypedConcat::new(0), &[none, value]);
            vec![graph.add(math::sin(), &[made])]
        }),
        ("a sum over nothing", |graph| {
            let (left, right) = (graph.input(&[4, 0]), graph.weights(&[0, 3]));
            let op = EinSum::new("mk,kn->mn".parse().expect("axes"), f32::datum_type());
            let made = graph.add(op, &[left, right]);
            vec![graph.add(math::cos(), &[made])]
        }),
    ]
}

#[test]
fn tensors_without_elements_are_left_to_the_cpu() {
    for (name, make) in cases() {
        let mut graph = Graph::default();
        let outputs = make(&mut graph);
        let left = graph.agrees_or_says_why(&outputs);
        let clear = |why: &str| why.contains("empty") || why.contains("not on the device");
        assert!(left.iter().all(|(_, _, why)| clear(why)), "{name}: {left:?}");
    }
}
