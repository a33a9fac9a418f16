//! An output in pieces, which threads make side by side.

use std::marker::PhantomData;
use std::ops::Range;
use std::slice;

use rayon::iter::{IndexedParallelIterator as _, IntoParallelRefMutIterator as _, ParallelIterator as _};
use smallvec::SmallVec;

/// Multiply-adds of a piece at least, some two microseconds: with fewer, threads wait for each other longer than they compute. Tests
/// split whatever there is.
const WORK_MIN: usize = if cfg!(test) { 1 } else { 1 << 17 };

/// Pieces that are listed without an allocation.
const PIECES: usize = 16;

/// In how many pieces so much work is best done here: in one outside of a pool, which is that of [`crate::Cores`].
pub(super) fn count(work: usize) -> usize {
    let threads = rayon::current_thread_index().map_or(1, |_| rayon::current_num_threads());
    (work / WORK_MIN).clamp(1, threads)
}

/// Does the same to each, side by side.
pub(super) fn each<T: Send>(pieces: impl Iterator<Item = T>, work: impl Fn(T) + Send + Sync) {
    let mut pieces: SmallVec<[Option<T>; PIECES]> = pieces.map(Some).collect();
    match pieces.as_mut_slice() {
        [] => {}
        [one] => one.take().into_iter().for_each(work),
        all => all.par_iter_mut().with_max_len(1).filter_map(Option::take).for_each(work),
    }
}

/// Planes in so many pieces at most, each of a multiple of `step` planes but the last: the number of the first plane, and the
/// elements.
pub(super) fn planes(
    all: &mut [f32],
    plane: usize,
    count: usize,
    step: usize,
) -> impl Iterator<Item = (usize, &mut [f32])> {
    let each = (all.len() / plane).div_ceil(step).div_ceil(count).max(1) * step;
    let pieces = all.chunks_mut(each * plane).enumerate();
    pieces.map(move |(at, piece)| (at * each, piece))
}

/// Some columns of the planes of some output channels, of each group of each image. Nothing outside of this file changes which.
pub(super) struct Region<'a> {
    all: *mut f32,
    /// Groups of all images.
    groups: usize,
    plane: usize,
    outputs: usize,
    channels: Range<usize>,
    columns: Range<usize>,
    of: PhantomData<&'a mut [f32]>,
}

#[expect(unsafe_code, reason = "a region is the only one that reaches its elements, as `&mut [f32]` is")]
// SAFETY: `split` is the one way to more regions of an output, and gives each columns or channels that no other one has.
unsafe impl Send for Region<'_> {}

impl<'a> Region<'a> {
    /// An output of planes of so many columns, with so many channels of a group.
    pub(super) fn whole(all: &'a mut [f32], plane: usize, outputs: usize) -> Self {
        let (groups, all) = (all.len().checked_div(outputs * plane).unwrap_or(0), all.as_mut_ptr());
        Self { all, groups, plane, outputs, channels: 0..outputs, columns: 0..plane, of: PhantomData }
    }

    /// Of a group.
    pub(super) fn channels(&self) -> Range<usize> {
        self.channels.clone()
    }

    pub(super) fn columns(&self) -> Range<usize> {
        self.columns.clone()
    }

    /// In so many pieces at most: by columns, each of which begins at a multiple of `columns`, or where these are too few by
    /// channels, at multiples of `channels`.
    pub(super) fn split(self, count: usize, channels: usize, columns: usize) -> impl Iterator<Item = Self> {
        let by_columns = self.columns.len().div_ceil(columns) >= count;
        let (all, step) = if by_columns { (&self.columns, columns) } else { (&self.channels, channels) };
        let (start, end, steps) = (all.start, all.end, all.len().div_ceil(step));
        let bound = move |piece: usize| end.min(start + steps * piece / count * step);
        let pieces = (0..count).map(move |piece| bound(piece)..bound(piece + 1)).filter(|range| !range.is_empty());
        pieces.map(move |range| {
            let (channels, columns) =
                if by_columns { (self.channels.clone(), range) } else { (range, self.columns.clone()) };
            Self { channels, columns, ..self }
        })
    }

    /// Columns of one channel of a group, of which there are so many before, of all images.
    #[inline(always)]
    pub(super) fn row(&mut self, number: usize, channel: usize, columns: Range<usize>) -> &mut [f32] {
        let inside = self.columns.start <= columns.start && columns.start <= columns.end;
        let begins = (number * self.outputs + channel) * self.plane + columns.start;
        assert!(
            inside && columns.end <= self.columns.end && self.channels.contains(&channel),
            "it is another region's"
        );
        assert!(number < self.groups, "there is no such group");
        #[expect(unsafe_code, reason = "it is the region's own")]
        // SAFETY: it is in the output, and in no other region, by what was looked at above.
        unsafe {
            slice::from_raw_parts_mut(self.all.add(begins), columns.len())
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn regions_have_each_element_once(
            [groups, outputs, plane] in [1_usize..4, 1_usize..20, 1_usize..200],
            count in 1_usize..9,
            steps in [1_usize..8, 1_usize..120],
        ) {
            let mut all = vec![0.0; groups * outputs * plane];
            let regions: Vec<_> = Region::whole(&mut all, plane, outputs).split(count, steps[0], steps[1]).collect();
            prop_assert!(regions.len() <= count);
            for mut region in regions {
                let (channels, columns) = (region.channels.clone(), region.columns.clone());
                prop_assert!(channels.start % steps[0] == 0 && columns.start % steps[1] == 0);
                for number in 0..groups {
                    for channel in channels.clone() {
                        region.row(number, channel, columns.clone()).iter_mut().for_each(|element| *element += 1.0);
                    }
                }
            }
            prop_assert!(all.iter().all(|element| *element == 1.0));
            let pieces: Vec<_> = planes(&mut all, plane, count, steps[0]).collect();
            prop_assert!(pieces.len() <= count && pieces.iter().all(|(first, _)| first % steps[0] == 0));
            prop_assert_eq!(pieces.iter().map(|(_, piece)| piece.len()).sum::<usize>(), groups * outputs * plane);
        }
    }

    #[test]
    #[should_panic(expected = "another region's")]
    fn no_region_reaches_into_another_one() {
        let mut all = vec![0.0; 32];
        let mut regions = Region::whole(&mut all, 16, 2).split(2, 1, 8);
        regions.next().expect("a region").row(0, 0, 4..9);
    }
}
