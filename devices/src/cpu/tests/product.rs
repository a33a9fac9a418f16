//! The product of matrices, where windows are taken in another way than most.

use pulp::Arch;
use tract_onnx::tract_hir::internal::{IntoArcTensor as _, IntoTValue as _, TValue, Tensor};

use super::instructions::instructions;
use super::{Convolution, Kind, Product, Step, Window, floats, numbers};

/// By weights of `channels`, of planes of so many windows that see one element each, from the images and with the sums that are
/// given.
fn made(arch: Arch, channels: [usize; 2], windows: usize, [image, added]: [Vec<f32>; 2]) -> Vec<f32> {
    let ([inputs, outputs], row) = (channels, [1, windows]);
    let (one, none) = ([1, 1], [0, 0]);
    let window = Window { input: row, output: row, kernel: one, strides: one, dilations: one, before: none };
    let bias = Step::By(Kind::Add, numbers(1, &[outputs]).into_arc_tensor());
    let shape = [1, outputs, 1, windows].into_iter().collect();
    let of = Convolution { window, groups: 1, channels, shape, steps: vec![bias, Step::With(Kind::Add)] };
    let product = Product::new(of, &numbers(2, &[outputs, inputs])).expect("its weights");
    let tensor = |rows: usize, data: &[f32]| -> TValue {
        Tensor::from_shape(&[1, rows, 1, windows], data).expect("as many as the shape has").into_tvalue()
    };
    let made = product.run_on(arch, &[tensor(inputs, &image), tensor(outputs, &added)]).expect("a run");
    floats(&made[0]).expect("floats").to_vec()
}

/// The first ones of each row.
fn cut(rows: &[f32], [from, to]: [usize; 2]) -> Vec<f32> {
    rows.chunks_exact(from).flat_map(|row| &row[..to]).copied().collect()
}

#[test]
fn windows_make_the_same_bits_alone_in_a_vector_and_where_they_lie() {
    for channels in [[3, 47], [40, 100], [300, 47], [300, 211]] {
        for windows in [17, 25, 49, 95, 97, 111, 113, 127, 129, 143, 145] {
            let more = windows + 1;
            let [image, added] = [channels[0], channels[1]].map(|rows| {
                let all = numbers(rows, &[rows, more]);
                floats(&all).expect("floats").to_vec()
            });
            let narrow = [&image, &added].map(|rows| cut(rows, [more, windows]));
            for arch in instructions() {
                let all = made(arch, channels, more, [image.clone(), added.clone()]);
                let some = made(arch, channels, windows, narrow.clone());
                assert!(cut(&all, [more, windows]) == some, "{windows} windows, {channels:?}, {arch:?}");
            }
        }
    }
}

/// AVX-512 gathers several blocks before it multiplies, AVX2 one.
#[test]
fn blocks_that_are_gathered_together_make_the_bits_of_one_at_a_time() {
    for (channels, windows) in [([300, 211], 300), ([130, 100], 1100), ([20, 60], 1100), ([300, 47], 300)] {
        let [image, added] = channels.map(|rows| {
            let all = numbers(rows, &[rows, windows]);
            floats(&all).expect("floats").to_vec()
        });
        let with_multiply_add = instructions().into_iter().filter(|arch| !matches!(arch, Arch::Scalar));
        let all: Vec<_> =
            with_multiply_add.map(|arch| made(arch, channels, windows, [image.clone(), added.clone()])).collect();
        assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "{windows} windows, {channels:?}");
    }
}
