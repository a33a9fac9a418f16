//! Convolution of f32 as a product of matrices: of all weights, and of what each window sees.
//!
//! ```text
//!                  windows                      PLACES by some of them at a time are gathered from
//!            ┌──────┬───────────┐               the image to blocks in the second cache (`blocks.rs`),
//!     places │ block│           │               and stay there for all output channels; ROWS of
//!            ├──────┘           │               these by some vectors of windows are summed up
//!            └──────────────────┘               in registers
//!   ┌──────┐ ┌──────┬───────────┐
//!   │weight│ │ sums │           │ output channels
//!   └──────┘ └──────┴───────────┘
//! ```
//! The second matrix is never there as a whole: a product of packed matrices has it written and read once more, which takes
//! nine times the memory of the image where windows are three by three. The scheme is that of Goto and van de Geijn,
//! "Anatomy of high-performance matrix multiplication" (2008), with gathering in the place of packing.
//! [`super::winograd`] does some with fewer multiplications.

use std::ops::Range;
use std::sync::Arc;

use pulp::{Arch, Simd, WithSimd};
use tract_onnx::tract_hir::internal::*;

use super::blocks::{self, Blocks, WINDOWS};
use super::convolution::{Convolution, filled, floats, room, with_scratch};
use super::operator::operator;
use super::pieces::{self, Region};
use super::steps::{Ready, Step, done, load, of_channel, store};
use super::weights::kept;
use super::winograd::{self, Winograd};

/// Output channels that are summed up in registers at a time.
pub(super) const ROWS: usize = 6;
/// Rows of a block: with so many sums are seldom put aside, and it is in the second cache still.
pub(super) const PLACES: usize = 256;
/// Rows with which a block is in the first cache, beside what it is multiplied by.
const NEAR_MAX: usize = 48;
/// Panels of weights, each of ROWS output channels, that are multiplied with some windows one after the other.
pub(super) const PANELS: usize = 16;
/// A row has room for some more, which for themselves would cost as much as many.
pub(super) const ROOM: usize = WINDOWS + LANES_MAX;
/// Panels up to which the block of windows that see one element each is not copied: it would be read so few times.
pub(super) const FEW: usize = 8;
/// Panels that are multiplied with one window at a time: so many hide the latency of a multiply-add.
const MANY: usize = 8;
/// Floats of the longest vector.
pub(super) const LANES_MAX: usize = 16;
/// Rows of zeros after all weights: so much a vector reaches beyond a row.
const AFTER: usize = LANES_MAX.div_ceil(ROWS) - 1;

/// How many vectors of so many windows are summed up in registers next, so that all are taken in few and equal steps.
///
/// Two at most, which with two that are read and one weight are fifteen of the sixteen registers that AVX2 has; and four, which are
/// twenty-nine of the thirty-two that AVX-512 and NEON have.
#[inline(always)]
pub(super) const fn vectors<S: Simd>(windows: usize) -> usize {
    let (all, most) = (windows.div_ceil(S::F32_LANES), if S::REGISTER_COUNT >= 32 { 4 } else { 2 });
    all.div_ceil(all.div_ceil(most))
}

/// A convolution by constant weights.
///
/// Its inputs are those of [`Convolution`], and nothing beside.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Product {
    pub(super) of: Convolution,
    /// Of each group `[blocks of output channels, places, ROWS]`, with zeros where there is no channel, and AFTER all; and of
    /// each element of a tile, with nothing after, where [`winograd::is_worth`].
    weights: Arc<Tensor>,
}

operator!(Product, "Product", |op| op.of.shape, op.of.cost_with(&op.weights));

impl Product {
    /// By weights `[output channels, channels of a group, window]`.
    pub(super) fn new(of: Convolution, weights: &Tensor) -> TractResult<Self> {
        let (places, outputs) = (of.places(), of.channels[1]);
        let weights = floats(weights)?;
        if weights.len() != of.groups * outputs * places {
            bail!("a convolution by other weights than it was made for");
        }
        let groups = weights.chunks_exact(outputs * places);
        let packed: Vec<[f32; ROWS]> = if winograd::is_worth(&of) {
            groups.flat_map(|group| panels(&winograd::weights(group), of.channels)).collect()
        } else {
            groups.flat_map(|group| panels(group, [places, outputs])).chain([[0.0; ROWS]; AFTER]).collect()
        };
        Ok(Self { of, weights: kept(packed.as_flattened())? })
    }

    /// With the instructions of `arch`.
    pub(super) fn run_on(&self, arch: Arch, inputs: &[TValue]) -> TractResult<TVec<TValue>> {
        let [image, rest @ ..] = inputs else { bail!("a convolution of nothing") };
        let added = rest.first().map(|added| floats(added)).transpose()?;
        let (op, image, weights) = (&self.of, floats(image)?, floats(&self.weights)?);
        op.check(image.len(), added)?;
        let (weights, steps) = (weights.as_chunks().0, &Step::ready(&op.steps, added.as_slice())?);
        let is_winograd = winograd::is_worth(op);
        let len = if is_winograd { winograd::room_len(op) } else { blocks::room_len(op) };
        let ([_, plane], [_, outputs]) = (op.window.planes(), op.channels);
        // Winograd's transforms are of all channels.
        let [channels, columns] = if is_winograd { [outputs, winograd::step(op)] } else { [ROWS, WINDOWS] };
        let count = pieces::count(op.macs());
        filled(&op.shape, |output| {
            let regions = Region::whole(output, plane, outputs).split(count, channels, columns);
            pieces::each(regions, |output| {
                with_scratch(|scratch| {
                    let run = Run { op, image, weights, steps, output, block: room(scratch, len) };
                    if is_winograd { arch.dispatch(Winograd(run)) } else { arch.dispatch(run) }
                });
            });
        })
    }
}

/// Matrices `[rows, columns]` as `[blocks of rows, columns, ROWS]`, with zeros where there is no row.
fn panels(matrices: &[f32], [columns, rows]: [usize; 2]) -> Vec<[f32; ROWS]> {
    let blocks = matrices.chunks_exact(rows * columns).flat_map(|matrix| matrix.chunks(ROWS * columns));
    let panel = |block: &[f32]| {
        let mut packed = vec![[0.0; ROWS]; columns];
        for (row, weights) in block.chunks_exact(columns).enumerate() {
            packed.iter_mut().zip(weights).for_each(|(packed, weight)| packed[row] = *weight);
        }
        packed
    };
    blocks.flat_map(panel).collect()
}

/// One run.
pub(super) struct Run<'a> {
    pub(super) op: &'a Convolution,
    pub(super) image: &'a [f32],
    pub(super) weights: &'a [[f32; ROWS]],
    pub(super) steps: &'a [Ready<'a>],
    pub(super) output: Region<'a>,
    /// Room for work.
    pub(super) block: &'a mut [f32],
}

impl WithSimd for Run<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { op, image, weights, steps, mut output, block } = self;
        let ([plane_in, plane], [inputs, _], places) = (op.window.planes(), op.channels, op.places());
        let channels = output.channels().start / ROWS..output.channels().end.div_ceil(ROWS);
        let in_place = op.window.sees_one_each() && channels.len() <= FEW;
        let in_place = in_place && output.columns().len().is_multiple_of(S::F32_LANES);
        let blocks = Blocks::new::<S>(op, output.columns());
        for (number, image) in image.chunks_exact(inputs * plane_in).enumerate() {
            let panels = (weights.len() - AFTER) / op.groups;
            let weights = &weights[number % op.groups * panels..];
            for group in blocks.groups() {
                // One block at a time is read again and again, several are written in long rows.
                let by = if group.len() == 1 { PANELS } else { 1 };
                for first in (0..places).step_by(PLACES) {
                    let some = first..places.min(first + PLACES);
                    let last = if some.end == places { steps } else { &[] };
                    if !in_place {
                        blocks.gather(op, image, &some, &group, block);
                    }
                    for panel in channels.clone().step_by(by) {
                        let panels = panel..channels.end.min(panel + by);
                        for at in group.clone() {
                            let rows = &block[(at - group.start) * some.len() * ROOM..][..some.len() * ROOM];
                            let windows = blocks.windows(at);
                            let (rows, pitch, first_of_row) = match in_place {
                                true => (&image[first * plane_in..], plane_in, windows.start),
                                false => (rows, ROOM, 0),
                            };
                            let block = Block { rows, pitch, first: first_of_row };
                            let sums = Sums { op, number, block, windows, plane, before: first > 0, last };
                            sums.multiply(simd, panels.clone(), some.clone(), weights, &mut output);
                        }
                    }
                }
            }
        }
    }
}

/// Some windows of one group of one image, at some of their places.
struct Sums<'a> {
    op: &'a Convolution,
    /// Of the group, of all images.
    number: usize,
    block: Block<'a>,
    windows: Range<usize>,
    /// Windows in all.
    plane: usize,
    /// Whether there are sums of other places.
    before: bool,
    /// What is done to the sums of all places, when these are the last.
    last: &'a [Ready<'a>],
}

impl Sums<'_> {
    /// For the output channels of some panels.
    #[inline(always)]
    fn multiply<S: Simd>(
        &self,
        simd: S,
        panels: Range<usize>,
        places: Range<usize>,
        weights: &[[f32; ROWS]],
        output: &mut Region,
    ) {
        let (len, all) = (self.windows.len(), self.op.places());
        let weights_of = |panel: usize| &weights[panel * all + places.start..];
        // A last window that is alone in its vector is taken with vectors of output channels, if these are many.
        let is_alone = len % S::F32_LANES == 1 && S::F32_LANES >= ROWS;
        let many = if is_alone { panels.len() / MANY * MANY } else { 0 };
        let without_last = panels.start..panels.start + many;
        for panel in without_last.clone().step_by(MANY) {
            self.lone_window(simd, (panel, len - 1), weights_of, output);
        }
        let mut first = 0;
        while first < len {
            // What is read again and again stays in the first cache: the whole block, or else some columns of it.
            let rest = len - first;
            let columns = if places.len() <= NEAR_MAX { rest } else { vectors::<S>(rest) * S::F32_LANES };
            for panel in panels.clone() {
                let end = (len - usize::from(without_last.contains(&panel))).min(first + columns);
                let weights = &weights_of(panel)[..places.len()];
                let mut at = first;
                while at < end {
                    let vectors = vectors::<S>(end - at);
                    match vectors {
                        4.. => self.tile::<S, 4>(simd, (panel * ROWS, at), weights, output),
                        3 => self.tile::<S, 3>(simd, (panel * ROWS, at), weights, output),
                        2 => self.tile::<S, 2>(simd, (panel * ROWS, at), weights, output),
                        _ => self.tile::<S, 1>(simd, (panel * ROWS, at), weights, output),
                    }
                    at += vectors * S::F32_LANES;
                }
            }
            first += columns;
        }
    }

    /// For one window and MANY panels from `first` on. Sums are those of a tile, bit for bit.
    #[inline(always)]
    fn lone_window<'w, S: Simd>(
        &self,
        simd: S,
        (first, at): (usize, usize),
        weights: impl Fn(usize) -> &'w [[f32; ROWS]],
        output: &mut Region,
    ) {
        let block: &[[f32; ROOM]] = self.block.rows.as_chunks().0;
        let mut panels: [&[f32]; MANY] = [&[]; MANY];
        for (panel, weights_of) in (first..).zip(&mut panels) {
            *weights_of = &weights(panel).as_flattened()[..block.len().saturating_sub(1) * ROWS + S::F32_LANES];
        }
        let columns = self.windows.start + at..self.windows.start + at + 1;
        let channels = first * ROWS..self.op.channels[1].min((first + MANY) * ROWS);
        let mut kept = [[0.0; LANES_MAX]; MANY];
        for (row, channel) in channels.clone().enumerate().filter(|_| self.before) {
            kept[row / ROWS][row % ROWS] = output.row(self.number, channel, columns.clone())[0];
        }
        let mut sums = [simd.splat_f32s(0.0); MANY];
        for (sum, kept) in sums.iter_mut().zip(&kept) {
            *sum = S::as_simd_f32s(kept).0[0];
        }
        for (place, row) in block.iter().enumerate() {
            let window = simd.splat_f32s(row[at]);
            for (sum, weights) in sums.iter_mut().zip(&panels) {
                let weights = S::as_simd_f32s(&weights[place * ROWS..][..S::F32_LANES]).0[0];
                *sum = simd.mul_add_e_f32s(weights, window, *sum);
            }
        }
        for (sum, kept) in sums.iter().zip(&mut kept) {
            S::as_mut_simd_f32s(kept).0[0] = *sum;
        }
        for (row, channel) in channels.clone().enumerate() {
            output.row(self.number, channel, columns.clone())[0] = kept[row / ROWS][row % ROWS];
        }
        let summed = Sums { before: true, windows: self.windows.clone(), ..*self };
        for channel in channels.step_by(ROWS).filter(|_| !self.last.is_empty()) {
            summed.tile::<S, 1>(simd, (channel, at), &[], output);
        }
    }

    /// For so many vectors of windows.
    #[inline(always)]
    fn tile<S: Simd, const N: usize>(
        &self,
        simd: S,
        (channel, at): (usize, usize),
        weights: &[[f32; ROWS]],
        output: &mut Region,
    ) {
        let [_, outputs] = self.op.channels;
        let channels = channel..outputs.min(channel + ROWS);
        let len = self.windows.len().min(at + N * S::F32_LANES) - at;
        let begins = self.windows.start + at;
        let columns = begins..begins + len;
        let mut kept = [[simd.splat_f32s(0.0); N]; ROWS];
        if self.before {
            for (channel, kept) in channels.clone().zip(&mut kept) {
                *kept = load(simd, output.row(self.number, channel, columns.clone()));
            }
        }
        let of_group = self.number % self.op.groups * outputs;
        // From here on in memory, row by row.
        let made = multiplied(simd, kept, weights, &self.block, at);
        for (channel, made) in channels.zip(&made) {
            let added =
                |tensor: &[f32]| load(simd, &tensor[(self.number * outputs + channel) * self.plane..][columns.clone()]);
            let made = done(simd, self.last, of_channel(simd, of_group + channel), *made, added);
            store(simd, output.row(self.number, channel, columns.clone()), &made);
        }
    }
}

/// What windows see, place by place.
#[derive(Clone, Copy)]
pub(super) struct Block<'a> {
    pub(super) rows: &'a [f32],
    /// Elements of a row, and the first that is of the block.
    pub(super) pitch: usize,
    pub(super) first: usize,
}

/// `sums` and what a panel of weights makes of some columns of a block, from this one on.
#[inline(always)]
pub(super) fn multiplied<S: Simd, const N: usize>(
    simd: S,
    mut sums: [[S::f32s; N]; ROWS],
    weights: &[[f32; ROWS]],
    block: &Block,
    at: usize,
) -> [[S::f32s; N]; ROWS] {
    let columns = block.first + at..block.first + at + N * S::F32_LANES;
    for (weights, row) in weights.iter().zip(block.rows.chunks_exact(block.pitch)) {
        let (windows, _) = S::as_simd_f32s(&row[columns.clone()]);
        for (sums, weight) in sums.iter_mut().zip(weights) {
            let weight = simd.splat_f32s(*weight);
            for (sum, windows) in sums.iter_mut().zip(windows) {
                *sum = simd.mul_add_e_f32s(weight, *windows, *sum);
            }
        }
    }
    sums
}
