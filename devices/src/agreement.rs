//! Inputs for comparing backends, and how far what they make of them is apart. The tests and the bench share it.

use thalweg_planner::{DType, Tensor, TensorSpec};

/// Values between -1 and 1 that differ from place to place; of integers 0 and 1.
pub(crate) fn noise(spec: &TensorSpec) -> Tensor {
    let len = spec.len();
    let data = match spec.dtype {
        DType::F32 => (0..len).flat_map(|at| (((at * 7919 + 13) % 1000) as f32 / 500.0 - 1.0).to_le_bytes()).collect(),
        DType::I64 => (0..len).flat_map(|at| ((at % 2) as i64).to_le_bytes()).collect(),
        _ => vec![0; spec.bytes().0 as usize],
    };
    Tensor::new(spec.clone(), data).expect("as long as its spec says")
}

/// The largest difference, of the largest value that is expected; of a hundredth, where all probabilities are near zero.
pub(crate) fn difference(made: &[Tensor], expected: &[Tensor]) -> f32 {
    difference_beside(1e-2, made, expected)
}

/// The same beside the largest value that is expected, or beside `scale` where that is larger.
pub(crate) fn difference_beside(scale: f32, made: &[Tensor], expected: &[Tensor]) -> f32 {
    assert_eq!(made.len(), expected.len());
    let each = made.iter().zip(expected).map(|(made, expected)| match (made.to_f32(), expected.to_f32()) {
        (Some(made), Some(expected)) => {
            let most = expected.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
            let off = made.iter().zip(&expected).map(|(a, b)| if a == b { 0.0 } else { (a - b).abs() });
            off.map(|off| if off.is_nan() { f32::INFINITY } else { off }).fold(0.0, f32::max) / most.max(scale)
        }
        _ if made == expected => 0.0,
        _ => f32::INFINITY,
    });
    each.fold(0.0, f32::max)
}
