//! The matrix product that all transforms are made of: the same bits on every machine.
//!
//! Each element of the result is a sum in the order of the inner axis, with every product and every sum rounded by
//! itself (IEEE 754, no fused multiply-add). Wider vector registers compute more elements at once, never in another
//! order, so which of them a machine has does not show.

use std::array;

use pulp::Arch;

/// Rows and columns of the result that are computed together: as many sums as the registers of AVX2 hold.
const ROWS: usize = 4;
const COLUMNS: usize = 16;

/// `out = left · right`, where `left` is rows x `inner`, `right` is `inner` x `columns`, all row-major.
///
/// Computes as many rows as `out` has.
pub(crate) fn product(left: &[f32], right: &[f32], inner: usize, columns: usize, out: &mut [f32]) {
    if columns == 0 || inner == 0 {
        out.fill(0.0);
        return;
    }
    Arch::new().dispatch(
        #[inline(always)]
        || {
            let bands = out.chunks_mut(ROWS * columns).zip(left.chunks(ROWS * inner));
            for (out, left) in bands {
                if out.len() == ROWS * columns {
                    band::<ROWS>(left, right, inner, columns, out);
                } else {
                    for (out, left) in out.chunks_exact_mut(columns).zip(left.chunks_exact(inner)) {
                        band::<1>(left, right, inner, columns, out);
                    }
                }
            }
        },
    );
}

/// `N` rows of the result.
#[inline(always)]
fn band<const N: usize>(left: &[f32], right: &[f32], inner: usize, columns: usize, out: &mut [f32]) {
    let left: [&[f32]; N] = array::from_fn(|row| &left[row * inner..][..inner]);
    let whole = columns / COLUMNS * COLUMNS;
    for at in (0..whole).step_by(COLUMNS) {
        tile::<N, COLUMNS>(left, right, columns, at, out);
    }
    let eights = whole + (columns - whole) / 8 * 8;
    for at in (whole..eights).step_by(8) {
        tile::<N, 8>(left, right, columns, at, out);
    }
    for at in eights..columns {
        tile::<N, 1>(left, right, columns, at, out);
    }
}

/// `N` rows and `M` columns of the result, from column `at` on.
#[inline(always)]
fn tile<const N: usize, const M: usize>(left: [&[f32]; N], right: &[f32], columns: usize, at: usize, out: &mut [f32]) {
    let mut sums = [[0.0_f32; M]; N];
    for (step, right) in right.chunks_exact(columns).enumerate() {
        let Some(right) = right[at..].first_chunk::<M>() else { return };
        for (sums, left) in sums.iter_mut().zip(left) {
            let factor = left[step];
            for (sum, right) in sums.iter_mut().zip(right) {
                *sum += factor * right;
            }
        }
    }
    for (row, sums) in sums.iter().enumerate() {
        out[row * columns + at..][..M].copy_from_slice(sums);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_sums_in_order_whatever_their_shape() {
        for (rows, inner, columns) in [(1, 1, 1), (4, 3, 16), (5, 7, 27), (9, 14, 40), (3, 80, 83), (2, 5, 8)] {
            let value = |at: usize| ((at * 2_654_435_761 % 1000) as f32 - 500.0) / 37.0;
            let left: Vec<f32> = (0..rows * inner).map(value).collect();
            let right: Vec<f32> = (0..inner * columns).map(|at| value(at + 7)).collect();
            let mut out = vec![f32::NAN; rows * columns];
            product(&left, &right, inner, columns, &mut out);
            for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
                let terms = (0..inner).map(|step| left[row * inner + step] * right[step * columns + column]);
                assert_eq!(out[row * columns + column].to_bits(), terms.fold(0.0, |sum, term| sum + term).to_bits());
            }
        }
    }
}
