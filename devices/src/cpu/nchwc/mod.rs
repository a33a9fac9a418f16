//! Tensors with channels in blocks (NCHWc): `[.., blocks of channels, planes.., BLOCK]`, in which the channels of a block lie
//! together, and kernels over them.
//!
//! A vector holds channels then, so planes may be as small, and windows as far apart, as they like: nothing is gathered. Operators
//! are put between a [`Pack`] and an [`Unpack`], of which those that meet fall out ([`settle`]).

mod chain;
mod convolution;
mod depthwise;
mod pool;
mod read;
mod reorder;
mod rows;
mod settle;
mod tile;
mod upsample;
mod winograd;

use tract_onnx::tract_hir::internal::*;

pub(super) use chain::Chain;
pub(super) use convolution::Blocked;
pub(super) use depthwise::Depthwise;
pub(super) use pool::Pool;
pub(super) use reorder::{Pack, Unpack};
pub(super) use rows::Rows;
#[cfg(test)]
pub(super) use settle::IS_OVER_BLOCKS;
pub(super) use settle::{Channels, fused, is_worth, is_worth_rows, settled};
pub(super) use upsample::Upsample;

/// Channels of a block: those of the longest vector, and of a cache line.
pub(super) const BLOCK: usize = 16;

/// The shape of a tensor whose channels lie along an axis, with these in blocks.
fn packed(shape: &[usize], axis: usize) -> TVec<usize> {
    let mut packed: TVec<usize> = shape.into();
    packed[axis] = packed[axis].div_ceil(BLOCK);
    packed.push(BLOCK);
    packed
}
