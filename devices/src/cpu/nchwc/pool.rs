//! Pooling of f32 over tensors with channels in blocks. It makes the bits that [`crate::cpu::pool`] makes.

use pulp::{Arch, Simd, WithSimd};
use tract_onnx::tract_hir::internal::*;

use super::read::{Band, Planes};
use super::tile::{Seen, Taps, store, tiles};
use super::{BLOCK, packed};
use crate::cpu::convolution::{filled, floats, room, with_scratch};
use crate::cpu::operator::operator;
use crate::cpu::pieces::{self, Region};
use crate::cpu::pool::Fold;
use crate::cpu::window::Window;

/// Pooling over planes.
///
/// Its input: a tensor with channels in blocks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::cpu) struct Pool {
    window: Window,
    shape: TVec<usize>,
    fold: Fold,
}

operator!(Pool, "Pool", |op| op.shape);

impl Pool {
    /// To a tensor that has this shape without blocks, and its channels along an axis.
    pub(super) fn new(window: Window, fold: Fold, shape: &[usize], axis: usize) -> Self {
        Self { window, shape: packed(shape, axis), fold }
    }

    /// With the instructions of `arch`.
    pub(in crate::cpu) fn run_on(&self, arch: Arch, inputs: &[TValue]) -> TractResult<TVec<TValue>> {
        let [image] = inputs else { bail!("pooling takes one tensor") };
        let (image, [plane_in, plane]) = (floats(image)?, self.window.planes());
        let len: usize = self.shape.iter().product();
        let is_whole = image.len() * plane == len * plane_in && len.is_multiple_of(plane * BLOCK);
        ensure!(is_whole, "pooling of another tensor than it was made for");
        let scale = match &self.fold {
            Fold::Max => &[][..],
            Fold::Sum(scale) => floats(scale)?,
        };
        let planes = Planes { count: 1, unit: BLOCK, beyond: self.fold.start() };
        let count = pieces::count(len * self.window.places());
        filled(&self.shape, |output| {
            let blocks = output.len() / (plane * BLOCK);
            let regions = Region::whole(output, plane * BLOCK, blocks).split(count, 1, plane * BLOCK);
            pieces::each(regions, |output| {
                with_scratch(|scratch| {
                    let room = room(scratch, planes.room_len(&self.window));
                    arch.dispatch(Run { op: self, planes, image, scale, output, room });
                });
            });
        })
    }
}

/// One run.
struct Run<'a> {
    op: &'a Pool,
    planes: Planes,
    image: &'a [f32],
    /// By which sums are multiplied.
    scale: &'a [f32],
    /// Of all images.
    output: Region<'a>,
    room: &'a mut [f32],
}

impl WithSimd for Run<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { op: Pool { window, fold, .. }, planes, image, scale, mut output, room } = self;
        let ([plane_in, plane], places) = (window.planes(), window.places());
        let [rows, columns] = window.output;
        for band in planes.bands(window, 0..plane) {
            let band = &planes.band(window, band);
            let taps = &Taps::new((0..places).map(|place| band.tap(0, place)), S::F32_LANES);
            for block in output.channels() {
                let image = band.read(&image[block * plane_in * BLOCK..][..plane_in * BLOCK], room);
                let of = Block { band, image, taps, fold, scale, columns, pitch: scale.len() / rows, block };
                for channel in (0..BLOCK).step_by(S::F32_LANES) {
                    tiles!(band.windows.clone(), 6, |at, P| of.tile::<S, P>(simd, (channel, at), &mut output));
                }
            }
        }
    }
}

/// One block of channels.
struct Block<'a> {
    band: &'a Band<'a>,
    image: &'a [f32],
    taps: &'a Taps,
    fold: &'a Fold,
    scale: &'a [f32],
    /// Windows of a row, and numbers of one in `scale`.
    columns: usize,
    pitch: usize,
    block: usize,
}

impl Block<'_> {
    /// P windows of the channels from this one on that fill a vector.
    #[inline(always)]
    fn tile<S: Simd, const P: usize>(&self, simd: S, (channel, window): (usize, usize), output: &mut Region) {
        let seen = Seen::new(&self.image[channel..], self.band.at::<P>(window), self.taps);
        let start = simd.splat_f32s(self.fold.start());
        let made = match self.fold {
            Fold::Max => {
                seen.folded::<S>(start, |most, one| simd.select_f32s(simd.less_than_f32s(most, one), one, most))
            }
            Fold::Sum(_) => {
                let mut sums = seen.folded::<S>(start, |sum, one| simd.add_f32s(sum, one));
                for (at, sum) in (window..).zip(&mut sums) {
                    let scale = self.scale[at / self.columns * self.pitch + at % self.columns];
                    *sum = simd.mul_f32s(*sum, simd.splat_f32s(scale));
                }
                sums
            }
        };
        store::<S, P>(output.row(0, self.block, window * BLOCK..(window + P) * BLOCK), channel, &made);
    }
}
