//! What is no number, and zeros with their signs, at the bounds that each kernel has, with each set of instructions.

use pulp::Arch;
use thalweg_planner::Tensor;
use tract_onnx::prelude::{IntoTValue as _, TValue, tensor1};
use tract_onnx::tract_hir::internal::{IntoArcTensor as _, IntoTensor as _};
use tract_onnx::tract_hir::tract_core::ops::math;

use super::instructions::instructions;
use super::{BinOp, Chain, Direct, Graph, Kind, Lies, Product, Step, numbers, square};
use crate::cpu::winograd;

/// Channels, and rows and columns of their planes: enough for tract to bound with vectors.
const CHANNELS: usize = 48;
const SIDE: usize = 9;
const SHAPE: [usize; 4] = [1, CHANNELS, SIDE, SIDE];

/// What bounds, and each number that is taken apart from others.
const BOUNDS: [f32; 6] = [0.0, -0.0, 0.5, -0.5, f32::INFINITY, f32::NEG_INFINITY];
const ODD: [f32; 8] = [0.0, -0.0, f32::NAN, 0.5, -0.5, f32::INFINITY, f32::NEG_INFINITY, -2.0];

/// A kernel that does these steps at last, on these instructions.
type Run = fn(Arch, Vec<Step>) -> TValue;

/// Zeros in some places, numbers and no numbers in others.
fn image() -> TValue {
    let odd = |at: usize| if at.is_multiple_of(37) { ODD[at / 37 % ODD.len()] } else { 0.0 };
    tensor1(&(0..SHAPE.iter().product()).map(odd).collect::<Vec<f32>>())
        .into_shape(&SHAPE)
        .expect("planes")
        .into_tvalue()
}

fn direct(arch: Arch, steps: Vec<Step>) -> TValue {
    let weights = numbers(1, &[CHANNELS, 1, 3, 3]).into_tvalue();
    let inputs = [image(), weights, tensor1(&[0_f32]).into_tvalue()];
    Direct(square(SIDE, 3, [CHANNELS; 2], steps)).run_on(arch, &inputs).expect("a run").remove(0)
}

fn product(arch: Arch, steps: Vec<Step>) -> TValue {
    let of = square(SIDE, 1, [CHANNELS, 1], steps);
    assert!(!winograd::is_worth(&of));
    let product = Product::new(of, &numbers(1, &[CHANNELS, CHANNELS, 1, 1])).expect("its weights");
    product.run_on(arch, &[image()]).expect("a run").remove(0)
}

fn tiles(arch: Arch, steps: Vec<Step>) -> TValue {
    let of = square(SIDE, 3, [CHANNELS, 1], steps);
    assert!(winograd::is_worth(&of));
    let product = Product::new(of, &numbers(1, &[CHANNELS, CHANNELS, 3, 3])).expect("its weights");
    product.run_on(arch, &[image()]).expect("a run").remove(0)
}

fn chain(arch: Arch, steps: Vec<Step>) -> TValue {
    let chain = Chain::new(steps, &SHAPE, Some(1));
    chain.run_on(arch, &[image()]).expect("a run").remove(0)
}

/// What tract makes of a bound alone.
fn apart(image: &TValue, op: BinOp, bound: f32) -> Vec<u32> {
    let mut graph = Graph::default();
    let (image_at, by) = (graph.operand(&SHAPE, Lies::Whole), tensor1(&[bound]).into_shape(&[1; 4]).expect("one"));
    let by = graph.constant(by);
    let made = graph.add(op(), &[image_at, by]);
    let image = Tensor::from_f32(SHAPE, &floats(image)).expect("a tensor");
    let made = graph.part(&[made]).prepare_plain().expect("tract").run(&[image]).expect("a run").remove(0);
    bits(&made.to_f32().expect("floats"))
}

fn floats(tensor: &TValue) -> Vec<f32> {
    super::floats(tensor).expect("floats").to_vec()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn each_kernel_bounds_as_tract_does_apart() {
    let by = |kind, value: f32| Step::By(kind, tensor1(&[value]).into_tensor().into_arc_tensor());
    let kernels: [(&str, Run); 4] = [("direct", direct), ("product", product), ("tiles", tiles), ("chain", chain)];
    // Of Arm's processors all have NEON, so that none is without.
    let none = cfg!(target_arch = "aarch64");
    for arch in instructions().into_iter().filter(|arch| !(none && matches!(arch, Arch::Scalar))) {
        for (name, run) in kernels {
            // Sums are zero with a minus only after this.
            let turned = by(Kind::Mul, -1.0);
            let before = run(arch, vec![turned.clone()]);
            assert!(floats(&before).iter().any(|value| value.is_nan()), "{name}");
            for (kind, op) in [(Kind::Max, math::max as BinOp), (Kind::Min, math::min)] {
                for bound in BOUNDS {
                    let made = bits(&floats(&run(arch, vec![turned.clone(), by(kind, bound)])));
                    assert!(made == apart(&before, op, bound), "{name}, {arch:?}, {kind:?} {bound:?}");
                }
            }
        }
    }
}
