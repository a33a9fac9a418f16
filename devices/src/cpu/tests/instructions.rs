//! Each set of instructions that this machine has.

use pulp::Arch;
use tract_onnx::prelude::IntoTValue as _;
use tract_onnx::tract_hir::internal::{Approximation, IntoArcTensor as _, IntoTensor as _};

use super::{Convolution, Direct, Kind, Product, Step, Window, numbers};

/// All of them, the best one first, and none at last.
pub(super) fn instructions() -> Vec<Arch> {
    #[cfg(target_arch = "x86_64")]
    let older = pulp::x86::V3::try_new().map(Arch::V3);
    #[cfg(not(target_arch = "x86_64"))]
    let older = None;
    [Arch::new()].into_iter().chain(older).chain([Arch::Scalar]).collect()
}

#[test]
fn every_instruction_set_makes_the_same() {
    for (kernel, stride, dilation, before) in [(3, 1, 1, 1), (5, 2, 1, 2), (3, 3, 2, 0), (1, 2, 1, 0)] {
        for size in [1_usize, 7, 8, 9, 31, 64] {
            let Some(room) = (size + 2 * before).checked_sub((kernel - 1) * dilation + 1) else { continue };
            let output = room / stride + 1;
            for (groups, channels) in [(5, [1, 1]), (1, [3, 6]), (2, [9, 5]), (1, [48, 33])] {
                let pair = |value| [value, value];
                let window = Window {
                    input: pair(size),
                    output: pair(output),
                    kernel: pair(kernel),
                    strides: pair(stride),
                    dilations: pair(dilation),
                    before: pair(before),
                };
                let [inputs, outputs] = channels.map(|channels| channels * groups);
                let shape = vec![1, outputs, output, output];
                let shapes = [
                    vec![1, inputs, size, size],
                    vec![outputs, channels[0], kernel, kernel],
                    vec![outputs],
                    shape.clone(),
                ];
                let [image, weights, bias, added] = [1, 2, 3, 4].map(|at| numbers(at, &shapes[at - 1]).into_tvalue());
                let add = Step::By(Kind::Add, bias.clone().into_tensor().into_arc_tensor());
                let of = |steps| Convolution {
                    window: window.clone(),
                    groups,
                    channels,
                    shape: shape.clone().into(),
                    steps,
                };
                let product = Product::new(of(vec![add, Step::With(Kind::Add)]), &weights).expect("its weights");
                let direct = (Direct(of(vec![])), [image.clone(), weights, bias]);
                let made = |arch: Arch| {
                    [direct.0.run_on(arch, &direct.1), product.run_on(arch, &[image.clone(), added.clone()])]
                        .map(|made| made.expect("a run"))
                };
                let best = made(Arch::new());
                for arch in instructions() {
                    for (one, other) in best.iter().zip(made(arch)) {
                        // Without any a product and a sum are rounded one after the other.
                        let accuracy = if matches!(arch, Arch::Scalar) {
                            Approximation::Approximate
                        } else {
                            Approximation::Exact
                        };
                        one[0].close_enough(&other[0], accuracy).expect("the same");
                    }
                }
            }
        }
    }
}
