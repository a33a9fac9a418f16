//! Tiles: some windows by some vectors of output channels, whose sums stay in registers.

use std::array;
use std::ops::Range;

use pulp::Simd;
use smallvec::SmallVec;

use super::BLOCK;
use crate::cpu::window::TAPS;

/// Vectors of output channels of a tile at most.
pub(super) const fn vectors_max<S: Simd>() -> usize {
    // AVX2 has 16 registers.
    if S::F32_LANES == 8 { 2 } else { 4 }
}

/// How far places of a window are from its beginning, each with some elements that lie together.
pub(super) struct Taps {
    places: SmallVec<[usize; TAPS]>,
    depth: usize,
    /// Elements from the beginning of a window to the end of what it sees.
    reach: usize,
}

impl Taps {
    pub(super) fn new(places: impl Iterator<Item = usize>, depth: usize) -> Self {
        let places: SmallVec<[usize; TAPS]> = places.collect();
        let reach = places.iter().max().map_or(0, |last| last.saturating_add(depth));
        Self { places, depth, reach }
    }
}

/// What a tile reads: its windows begin at these places.
pub(super) struct Seen<'a, const P: usize> {
    image: &'a [f32],
    at: [usize; P],
    taps: &'a Taps,
}

impl<'a, const P: usize> Seen<'a, P> {
    /// Of an image that has all of what these windows see.
    #[inline(always)]
    pub(super) fn new(image: &'a [f32], at: [usize; P], taps: &'a Taps) -> Self {
        assert!(at.iter().all(|at| at.saturating_add(taps.reach) <= image.len()), "a window reaches beyond the image");
        Self { image, at, taps }
    }

    /// Elements of a window from this place on, of which there are so many at most.
    #[inline(always)]
    fn elements(&self, window: usize, place: usize, count: usize) -> &[f32] {
        let begins = self.at[window] + place;
        debug_assert!(begins + count <= self.image.len(), "what is asked for is none of the window's taps");
        #[expect(unsafe_code, reason = "each would be looked at once for a few multiplications")]
        // SAFETY: `place` is one of `taps` and some of its elements, so it ends within `reach`, and that in the image.
        unsafe {
            self.image.get_unchecked(begins..begins + count)
        }
    }

    /// `sums` and the elements of each window by a row of weights each, of which V vectors are taken from the one at `first` on.
    #[inline(always)]
    pub(super) fn multiplied<S: Simd, const V: usize>(
        &self,
        simd: S,
        mut sums: [[S::f32s; V]; P],
        (weights, row, first): (&[f32], usize, usize),
    ) -> [[S::f32s; V]; P] {
        let mut weights = weights.chunks_exact(row);
        for tap in &self.taps.places {
            for (place, weights) in (*tap..).zip(weights.by_ref().take(self.taps.depth)) {
                let Some(by) = S::as_simd_f32s(&weights[first..]).0.first_chunk::<V>() else { continue };
                // A copy, so that each is read once.
                let by = *by;
                for (window, sums) in sums.iter_mut().enumerate() {
                    let element = simd.splat_f32s(self.elements(window, place, 1)[0]);
                    for (sum, by) in sums.iter_mut().zip(&by) {
                        *sum = simd.mul_add_e_f32s(*by, element, *sum);
                    }
                }
            }
        }
        sums
    }

    /// What becomes of the elements of each window that are a vector of channels, one after the other.
    #[inline(always)]
    pub(super) fn folded<S: Simd>(&self, start: S::f32s, fold: impl Fn(S::f32s, S::f32s) -> S::f32s) -> [S::f32s; P] {
        assert!(S::F32_LANES <= self.taps.depth, "a vector reaches beyond a tap");
        let mut made = [start; P];
        for tap in &self.taps.places {
            for (window, made) in made.iter_mut().enumerate() {
                *made = fold(*made, S::as_simd_f32s(self.elements(window, *tap, S::F32_LANES)).0[0]);
            }
        }
        made
    }

    /// The elements of each window that are a vector of channels, by weights of theirs, which are so far apart.
    #[inline(always)]
    pub(super) fn by_channel<S: Simd>(&self, simd: S, weights: &[f32]) -> [S::f32s; P] {
        assert!(S::F32_LANES <= self.taps.depth, "a vector reaches beyond a tap");
        let mut sums = [simd.splat_f32s(0.0); P];
        for (tap, weights) in self.taps.places.iter().zip(weights.chunks(BLOCK)) {
            let by = S::as_simd_f32s(weights).0[0];
            for (window, sum) in sums.iter_mut().enumerate() {
                let elements = S::as_simd_f32s(self.elements(window, *tap, S::F32_LANES)).0[0];
                *sum = simd.mul_add_e_f32s(by, elements, *sum);
            }
        }
        sums
    }
}

/// Each tile of P windows asks for its share of the weights that are read after those of all windows, which come from the third cache
/// in large models.
#[inline(always)]
pub(super) fn ask<const P: usize>(next: &[f32], windows: &Range<usize>, window: usize) {
    let lines = next.as_chunks::<BLOCK>().0;
    let each = lines.len().div_ceil((windows.len() / P).max(1));
    for line in lines.iter().skip((window - windows.start) / P * each).take(each) {
        #[cfg(target_arch = "x86_64")]
        #[expect(unsafe_code, reason = "there is no safe way to ask")]
        // SAFETY: nothing is read, and every x86-64 has the instruction.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast());
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = line;
    }
}

/// The numbers of the channels from this one on, or the one of all.
#[inline(always)]
pub(super) fn constant<S: Simd>(simd: S, numbers: &[f32], channel: usize) -> S::f32s {
    match numbers {
        [one] => simd.splat_f32s(*one),
        all => S::as_simd_f32s(&all[channel..]).0[0],
    }
}

/// The channels from this one on, of P windows.
#[inline(always)]
pub(super) fn load<S: Simd, const P: usize>(windows: &[f32], channel: usize) -> [S::f32s; P] {
    // So many that a compiler counts them.
    let windows: &[[f32; BLOCK]; P] = windows.as_chunks().0.first_chunk().expect("P windows");
    array::from_fn(|at| S::as_simd_f32s(&windows[at][channel..]).0[0])
}

/// As [`load`], the other way.
#[inline(always)]
pub(super) fn store<S: Simd, const P: usize>(windows: &mut [f32], channel: usize, made: &[S::f32s; P]) {
    let windows: &mut [[f32; BLOCK]; P] = windows.as_chunks_mut().0.first_chunk_mut().expect("P windows");
    for (window, made) in windows.iter_mut().zip(made) {
        S::as_mut_simd_f32s(&mut window[channel..]).0[0] = *made;
    }
}

/// Calls a method for tiles of these windows, by turns of P, 4, 2 and 1 of them.
macro_rules! tiles {
    ($windows:expr, $most:literal, |$first:ident, $P:ident| $call:expr) => {{
        let windows: std::ops::Range<usize> = $windows;
        let mut $first = windows.start;
        while $first < windows.end {
            $first += match windows.end - $first {
                $most.. => {
                    const $P: usize = $most;
                    $call;
                    $most
                }
                4.. => {
                    const $P: usize = 4;
                    $call;
                    4
                }
                2.. => {
                    const $P: usize = 2;
                    $call;
                    2
                }
                _ => {
                    const $P: usize = 1;
                    $call;
                    1
                }
            };
        }
    }};
}
pub(super) use tiles;
