//! What a convolution computes, whichever kernel does it.

use std::cell::Cell;

use tract_onnx::tract_hir::internal::*;

use super::steps::Step;
use super::window::Window;

/// A convolution of f32 over planes.
///
/// Inputs: planes `[.., channels, height, width]`, what its kernel takes beside them, and what is added, if a step adds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Convolution {
    pub(super) window: Window,
    pub(super) groups: usize,
    /// Input and output channels of a group.
    pub(super) channels: [usize; 2],
    pub(super) shape: TVec<usize>,
    /// What is done to its sums.
    pub(super) steps: Vec<Step>,
}

impl Convolution {
    /// Elements that the windows of an output channel see, each with a weight.
    pub(super) fn places(&self) -> usize {
        self.channels[0] * self.window.places()
    }

    /// Whether it was made for planes of so many elements, and for what is added.
    pub(super) fn check(&self, planes: usize, added: Option<&[f32]>) -> TractResult<()> {
        let ([plane_in, plane_out], [inputs, outputs]) = (self.window.planes(), self.channels);
        let (images, len) = (planes / (inputs * plane_in), self.shape.iter().product::<usize>());
        let whole = planes == images * inputs * plane_in && len == images * outputs * plane_out;
        if !whole || added.is_some_and(|added| added.len() != len) {
            bail!("a convolution of other tensors than it was made for");
        }
        Ok(())
    }

    /// Multiply-adds.
    pub(super) fn macs(&self) -> usize {
        self.shape.iter().product::<usize>() * self.places()
    }

    pub(super) fn cost(&self) -> TVec<(Cost, TDim)> {
        tvec!((Cost::FMA(f32::datum_type()), self.macs().into()))
    }

    /// The same with weights that the kernel holds.
    pub(super) fn cost_with(&self, weights: &Tensor) -> TVec<(Cost, TDim)> {
        self.cost().into_iter().chain([(Cost::Params(f32::datum_type()), weights.len().into())]).collect()
    }
}

pub(super) fn floats(tensor: &Tensor) -> TractResult<&[f32]> {
    let Some(view) = tensor.as_plain_ram() else { bail!("a tensor of {:?} has no plain storage", tensor.datum_type()) };
    view.as_slice::<f32>()
}

/// A tensor that `fill` writes all of.
pub(super) fn filled(shape: &[usize], fill: impl FnOnce(&mut [f32])) -> TractResult<TVec<TValue>> {
    #[expect(unsafe_code, reason = "every element is written before anybody reads it")]
    let mut made = unsafe { Tensor::uninitialized::<f32>(shape)? };
    let Some(mut view) = made.as_plain_ram_mut() else { bail!("no plain storage") };
    fill(view.as_slice_mut::<f32>()?);
    Ok(tvec!(made.into_tvalue()))
}

/// Bytes of a cache line.
pub(super) const ALIGNED: usize = 64;

thread_local! {
    /// What was allocated for one run serves the next one on the same thread.
    static SCRATCH: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// With the memory of this thread, of which [`room`] is had.
pub(super) fn with_scratch<T>(work: impl FnOnce(&mut Vec<f32>) -> T) -> T {
    let mut scratch = SCRATCH.take();
    let made = work(&mut scratch);
    SCRATCH.set(scratch);
    made
}

/// Room for so many elements of work, with whatever was left there. It begins at a cache line, if it can.
pub(super) fn room(scratch: &mut Vec<f32>, len: usize) -> &mut [f32] {
    let more = ALIGNED / size_of::<f32>();
    scratch.resize(scratch.len().max(len + more), 0.0);
    // What can't be aligned is only slower.
    let begins = scratch.as_ptr().align_offset(ALIGNED).min(more);
    &mut scratch[begins..begins + len]
}
