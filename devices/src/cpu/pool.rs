//! Pooling of f32: the largest element that a window sees, or the sum of all, of many windows at a time.
//!
//! Some rows at a time are copied between elements that change nothing, as a window's [`Padded`] has it: then what all windows
//! see at one place lies in a row, and rows are folded in the order of places, as tract folds each window.

use std::sync::Arc;

use pulp::{Arch, Simd, WithSimd};
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::tract_core::ops::cnn::PaddingSpec;

use super::convolution::{filled, floats, room, with_scratch};
use super::operator::operator;
use super::pieces;
use super::steps::{load, store};
use super::window::{Padded, Window, keep};

/// Elements that are copied at a time, about: with what is made of them they stay in the nearest cache.
const COPIED_MAX: usize = 1 << 12;

/// Pooling over planes.
///
/// Its input: planes `[.., height, width]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Pool {
    pub(super) window: Window,
    pub(super) shape: TVec<usize>,
    pub(super) fold: Fold,
}

/// What becomes of the elements of a window.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Fold {
    /// The first of the largest, at least the smallest finite number. What is no number is passed over.
    Max,
    /// Their sum, by a number for each window, as windows lie in [`Padded`].
    Sum(Arc<Tensor>),
}

/// How many elements of its window a sum is divided by.
#[derive(Debug, Clone, Copy)]
pub(super) enum Counted<'a> {
    None,
    /// Those of the image.
    Image,
    /// Those of the padding too, though of none that only rounding up has added.
    Padded(&'a PaddingSpec),
}

operator!(Pool, "Pool", |op| op.shape);

impl Pool {
    /// With the instructions of `arch`.
    pub(super) fn run_on(&self, arch: Arch, inputs: &[TValue]) -> TractResult<TVec<TValue>> {
        let [image] = inputs else { bail!("pooling takes one tensor") };
        let (image, [plane_in, plane]) = (floats(image)?, self.window.planes());
        let len: usize = self.shape.iter().product();
        if image.len() * plane != len * plane_in {
            bail!("pooling of another tensor than it was made for");
        }
        let scale = match &self.fold {
            Fold::Max => &[][..],
            Fold::Sum(scale) => floats(scale)?,
        };
        let count = pieces::count(len * self.window.places());
        filled(&self.shape, |output| {
            pieces::each(pieces::planes(output, plane, count, 1), |(first, output)| {
                let image = &image[first * plane_in..];
                with_scratch(|scratch| arch.dispatch(Run { op: self, image, scale, output, scratch }));
            });
        })
    }
}

impl Fold {
    /// The sum, or the mean of as many elements as are counted.
    pub(super) fn sum(window: &Window, counted: Counted) -> Self {
        let seen = |axis: usize, place: usize| {
            let beyond = match counted {
                Counted::None => return 1,
                Counted::Image => window.before[axis] + window.input[axis],
                Counted::Padded(PaddingSpec::ExplicitOnnxPool(before, after, true)) => {
                    let at = (axis + before.len()).checked_sub(2);
                    let [before, after] = [before, after].map(|all| at.map_or(0, |at| all[at]));
                    before + window.input[axis] + after
                }
                Counted::Padded(_) => usize::MAX,
            };
            let first = if matches!(counted, Counted::Image) { window.before[axis] } else { 0 };
            let begins = place * window.strides[axis];
            let taps = (0..window.kernel[axis]).map(|tap| begins + tap * window.dilations[axis]);
            taps.filter(|at| (first..beyond).contains(at)).count()
        };
        let (pitch, rows) = (window.padded().pitch, window.output[0]);
        let across: Vec<usize> = (0..pitch).map(|x| seen(1, x)).collect();
        let of_row = |y: usize| {
            let down = seen(0, y);
            across.iter().map(move |across| ((down * across) as f32).recip())
        };
        Self::Sum(Arc::new(tensor1(&(0..rows).flat_map(of_row).collect::<Vec<f32>>())))
    }

    /// What changes no element that it is folded with.
    pub(super) fn start(&self) -> f32 {
        match self {
            Self::Max => f32::MIN,
            Self::Sum(_) => -0.0,
        }
    }
}

/// One run.
struct Run<'a> {
    op: &'a Pool,
    image: &'a [f32],
    /// By which sums are multiplied.
    scale: &'a [f32],
    output: &'a mut [f32],
    scratch: &'a mut Vec<f32>,
}

impl WithSimd for Run<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { op: Pool { window, fold, .. }, image, scale, output, scratch } = self;
        let ([plane_in, plane], [_, width], [height, columns]) = (window.planes(), window.input, window.output);
        let at_once = rows_at_once(window);
        let mut last: Option<Rows> = None;
        for (image, output) in image.chunks_exact(plane_in).zip(output.chunks_exact_mut(plane)) {
            for y in (0..height).step_by(at_once) {
                let (window, seen) = window.of_rows(y..height.min(y + at_once));
                let same = last.take().filter(|last| last.window == window);
                let rows = same.unwrap_or_else(|| Rows::new::<S>(window, fold, scratch));
                let scale = scale.get(y * rows.padded.pitch..).unwrap_or_default();
                rows.fill(
                    simd,
                    (&image[seen.start * width..seen.end * width], scale),
                    scratch,
                    &mut output[y * columns..],
                );
                last = Some(rows);
            }
        }
    }
}

/// Rows of the output whose windows see about [`COPIED_MAX`] elements.
fn rows_at_once(window: &Window) -> usize {
    let each = window.padded().pitch * window.strides[0] * window.strides[1];
    (COPIED_MAX / each).saturating_sub(window.reach(0)).max(1)
}

/// Some rows of windows, and the room for what they see. All of one window follow each other in the same room.
struct Rows<'a> {
    window: Window,
    padded: Padded,
    padded_len: usize,
    windows: usize,
    fold: &'a Fold,
}

impl<'a> Rows<'a> {
    #[inline(always)]
    fn new<S: Simd>(window: Window, fold: &'a Fold, scratch: &mut Vec<f32>) -> Self {
        let padded = window.padded();
        let windows = window.output[0] * padded.pitch + S::F32_LANES;
        let padded_len = window.padded_len(&padded, windows);
        room(scratch, padded_len + windows)[..padded_len].fill(fold.start());
        Self { window, padded, padded_len, windows, fold }
    }

    /// From the rows of the image that are seen, to those of the output.
    #[inline(always)]
    fn fill<S: Simd>(&self, simd: S, (image, scale): (&[f32], &[f32]), scratch: &mut Vec<f32>, output: &mut [f32]) {
        let (from, made) = room(scratch, self.padded_len + self.windows).split_at_mut(self.padded_len);
        self.window.pad(&self.padded, image, from);
        let [rows, columns] = self.window.output;
        let len = (rows * self.padded.pitch).next_multiple_of(S::F32_LANES);
        let mut at = 0;
        while at < len {
            let vectors = ((len - at) / S::F32_LANES).min(8);
            let (scale, into) = (scale.get(at..).unwrap_or_default(), &mut made[at..]);
            match vectors {
                8.. => self.tile::<S, 8>(simd, &from[at..], scale, into),
                4.. => self.tile::<S, 4>(simd, &from[at..], scale, into),
                2.. => self.tile::<S, 2>(simd, &from[at..], scale, into),
                _ => self.tile::<S, 1>(simd, &from[at..], scale, into),
            }
            at += (1 << vectors.ilog2()) * S::F32_LANES;
        }
        keep::<S>((&made[..rows * self.padded.pitch], self.padded.pitch), (output, columns));
    }

    /// So many vectors of windows.
    #[inline(always)]
    fn tile<S: Simd, const N: usize>(&self, simd: S, from: &[f32], scale: &[f32], into: &mut [f32]) {
        let made = match self.fold {
            Fold::Max => {
                self.folded(simd, from, |most, one| simd.select_f32s(simd.less_than_f32s(most, one), one, most))
            }
            Fold::Sum(_) => {
                let mut sums: [S::f32s; N] = self.folded(simd, from, |sum, one| simd.add_f32s(sum, one));
                let scale: [S::f32s; N] = load(simd, scale);
                sums.iter_mut().zip(scale).for_each(|(sum, scale)| *sum = simd.mul_f32s(*sum, scale));
                sums
            }
        };
        store(simd, &mut into[..N * S::F32_LANES], &made);
    }

    /// What windows see, place by place.
    #[inline(always)]
    fn folded<S: Simd, const N: usize>(
        &self,
        simd: S,
        from: &[f32],
        fold: impl Fn(S::f32s, S::f32s) -> S::f32s,
    ) -> [S::f32s; N] {
        let mut made = [simd.splat_f32s(self.fold.start()); N];
        for tap in &self.padded.taps {
            let (seen, _) = S::as_simd_f32s(&from[*tap..tap + N * S::F32_LANES]);
            made.iter_mut().zip(seen).for_each(|(made, seen)| *made = fold(*made, *seen));
        }
        made
    }
}
