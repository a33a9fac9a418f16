//! Elements before they are planes: bools as bits, and others as the differences between neighbours.

use thalweg_planner::TensorSpec;

/// How many elements in a row are neighbours: the innermost axis that has more than one, or 1.
pub(crate) fn row_of(spec: &TensorSpec) -> usize {
    spec.shape.iter().rev().copied().find(|size| *size > 1).unwrap_or(1)
}

/// Eight bools a byte, the first in the lowest bit. The bits behind the last one are 0.
pub(crate) fn packed(bools: &[u8]) -> Vec<u8> {
    let byte = |bools: &[u8]| bools.iter().rev().fold(0, |byte, bool| byte << 1 | bool);
    bools.chunks(8).map(byte).collect()
}

/// `bools` with the bits of `bytes`, each a byte that is 0 or 1.
pub(crate) fn unpacked(bytes: &[u8], mut bools: Vec<u8>) -> Vec<u8> {
    for (bools, byte) in bools.chunks_mut(8).zip(bytes) {
        for (at, bool) in bools.iter_mut().enumerate() {
            *bool = byte >> at & 1;
        }
    }
    bools
}

/// Each element less the one before it, modulo its range; the first of a row as it is.
pub(crate) fn differences<const SIZE: usize>(elements: &[[u8; SIZE]], row: usize) -> Vec<[u8; SIZE]> {
    let mut differences = Vec::with_capacity(elements.len());
    for row in elements.chunks(row) {
        let mut before = 0;
        for element in row {
            let number = number(element);
            differences.push(bytes(number.wrapping_sub(before)));
            before = number;
        }
    }
    differences
}

/// The inverse of [`differences()`].
pub(crate) fn add_up<const SIZE: usize>(elements: &mut [[u8; SIZE]], row: usize) {
    for row in elements.chunks_mut(row) {
        let mut sum: u64 = 0;
        for element in row {
            sum = sum.wrapping_add(number(element));
            *element = bytes(sum);
        }
    }
}

fn number<const SIZE: usize>(element: &[u8; SIZE]) -> u64 {
    let mut wide = [0; 8];
    wide[..SIZE].copy_from_slice(element);
    u64::from_le_bytes(wide)
}

/// The lowest bytes of a number: it is counted modulo the range of the element.
fn bytes<const SIZE: usize>(number: u64) -> [u8; SIZE] {
    let mut element = [0; SIZE];
    element.copy_from_slice(&number.to_le_bytes()[..SIZE]);
    element
}

#[cfg(test)]
mod tests {
    use thalweg_planner::DType;

    use super::*;

    #[test]
    fn rows_are_along_the_innermost_axis_that_is_one() {
        let cases: [(&[usize], usize); 6] =
            [(&[], 1), (&[7], 7), (&[1, 1], 1), (&[2, 3], 3), (&[5, 4, 1, 1], 4), (&[9, 1], 9)];
        for (shape, row) in cases {
            assert_eq!(row_of(&TensorSpec::new(DType::I64, shape)), row, "{shape:?}");
        }
    }

    #[test]
    fn bools_become_bits_and_back() {
        let bools = [1, 0, 0, 0, 0, 0, 0, 1, 0, 1];
        assert_eq!(packed(&bools), [0b1000_0001, 0b10]);
        // What is behind the last bit does not matter.
        assert_eq!(unpacked(&[0b1000_0001, 0b1111_1110], vec![0; 10]), bools);
    }

    #[test]
    fn differences_begin_anew_in_each_row_and_wrap() {
        let elements = [250_u8, 4, 4, 1, 0, 255].map(|byte| [byte]);
        let changes = differences(&elements, 3);
        assert_eq!(changes.concat(), [250, 10, 0, 1, 255, 255]);
        let words = [i32::MAX, i32::MIN, -1].map(i32::to_le_bytes);
        let mut changes = differences(&words, 3);
        assert_eq!(changes[1], 1_i32.to_le_bytes());
        add_up(&mut changes, 3);
        assert_eq!(changes, words);
    }
}
