//! The file of a weight tensor, as NNEF has it: a header of 128 bytes and the elements, little-endian, row-major
//! (The Khronos NNEF Working Group, "Neural Network Exchange Format", version 1.0.5, section 5.2).

use tract_nnef::tensors::{read_tensor, write_tensor};
use tract_onnx::tract_hir::internal::DatumType;
use tract_onnx::tract_hir::tract_core::internal::{Tensor, bail};
use tract_onnx::tract_hir::tract_core::prelude::TractResult;

const HEADER: usize = 128;
/// Where the header says how many bytes follow, how many axes there are, how long they are, and how wide an element is.
const LENGTH_AT: usize = 4;
const RANK_AT: usize = 8;
const SIZES_AT: usize = 12;
const BITS_AT: usize = 44;
const KIND_AT: usize = 48;
const RANK_MAX: usize = 8;
/// The kind of element that is a boolean.
const BOOLEAN: u16 = 5;

/// The bytes of a tensor's file.
pub(super) fn write(tensor: &Tensor) -> TractResult<Vec<u8>> {
    let datum = tensor.datum_type();
    let elements = tensor.len().saturating_mul(datum.size_of());
    // Strings, blobs and packed formats have no plain elements, and the header counts with 32 bits.
    if !datum.is_copy() || datum == DatumType::TDim || !tensor.is_plain_ram() || u32::try_from(elements).is_err() {
        bail!("a constant of {elements} bytes of {datum:?} has no written form");
    }
    let mut bytes = Vec::with_capacity(HEADER + elements);
    write_tensor(&mut bytes, tensor)?;
    Ok(bytes)
}

/// The tensor of such a file. The engine takes its header on trust, so that is checked here.
pub(super) fn read(bytes: &[u8]) -> TractResult<Tensor> {
    let Some((header, elements)) = bytes.split_at_checked(HEADER) else {
        bail!("it has {} bytes, less than the header of a tensor", bytes.len());
    };
    let number = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]) as usize;
    let (rank, bits) = (number(RANK_AT), number(BITS_AT));
    if rank > RANK_MAX || !matches!(bits, 8 | 16 | 32 | 64) {
        bail!("it has {rank} axes and elements of {bits} bits");
    }
    let count = (0..rank).try_fold(1_usize, |count, axis| count.checked_mul(number(SIZES_AT + 4 * axis)));
    let wanted = count.and_then(|count| count.checked_mul(bits / 8));
    if wanted != Some(elements.len()) || number(LENGTH_AT) != elements.len() {
        bail!("its shape asks for other than the {} bytes that follow", elements.len());
    }
    let boolean = u16::from_le_bytes([header[KIND_AT], header[KIND_AT + 1]]) == BOOLEAN;
    // To the engine they are Rust's, of which only 0 and 1 exist.
    if boolean && (bits != 8 || elements.iter().any(|byte| *byte > 1)) {
        bail!("a boolean is neither 0 nor 1");
    }
    read_tensor(bytes)
}

#[cfg(test)]
mod tests {
    use tract_onnx::tract_hir::tract_core::internal::{tensor0, tensor2};

    use super::*;

    #[test]
    fn a_tensor_survives() {
        for tensor in [tensor2(&[[1.5_f32, -0.0], [f32::NAN, f32::INFINITY]]), tensor0(-7_i64), tensor0(true)] {
            let read = read(&write(&tensor).expect("written")).expect("read");
            assert_eq!(read.shape(), tensor.shape());
            assert_eq!(read.datum_type(), tensor.datum_type());
            assert_eq!(write(&read).expect("written"), write(&tensor).expect("written"));
        }
    }

    #[test]
    fn no_header_is_taken_on_trust() {
        let good = write(&tensor2(&[[1.0_f32, 2.0], [3.0, 4.0]])).expect("written");
        assert!(read(&good[..100]).is_err() && read(&good[..good.len() - 1]).is_err());
        for (at, value) in [(LENGTH_AT, 12), (RANK_AT, 9), (SIZES_AT, 200), (SIZES_AT + 3, 255), (BITS_AT, 1)] {
            let mut bad = good.clone();
            bad[at] = value;
            assert!(read(&bad).is_err(), "byte {at} says {value}");
        }
        let mut truth = write(&tensor0(true)).expect("written");
        *truth.last_mut().expect("an element") = 2;
        assert_eq!(read(&truth).expect_err("2 is no boolean").to_string(), "a boolean is neither 0 nor 1");
    }
}
