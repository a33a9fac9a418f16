//! Where a sliding window reads and writes: worked out once, the same for all channels.

use std::iter;
use std::ops::Range;

use pulp::Simd;
use smallvec::SmallVec;

/// Elements of a row that is copied by a call.
const SHORT: usize = 32;

/// Places of a window that are listed without an allocation.
pub(super) const TAPS: usize = 64;

/// Longer steps, and windows that reach further, are left to tract, and so is what takes so many times the elements of both of
/// its planes, and more than these.
const STRIDE_MAX: usize = 4;
const REACH_MAX: usize = 64;
const SIZE_MAX: usize = 1 << 20;
const PADDED_TIMES_MAX: usize = 8;
const PADDED_MIN: usize = 1 << 16;

/// A two-dimensional window over planes of `input` to planes of `output`, each as height and width.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Window {
    pub(super) input: [usize; 2],
    pub(super) output: [usize; 2],
    pub(super) kernel: [usize; 2],
    pub(super) strides: [usize; 2],
    pub(super) dilations: [usize; 2],
    /// Rows above and columns left of the image.
    pub(super) before: [usize; 2],
}

/// How a plane lies between zeros, or whatever surrounds it, so that no window is cut off, and so that neighbouring windows read
/// neighbouring elements at each of their places: where windows go in steps of two, rows of even and of odd number lie apart, and
/// so do columns.
///
/// The windows of all rows are then one row: that of number `y * pitch + x` begins at this element of the first phase. A few
/// at the end of each row are none; what is computed for them is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Padded {
    /// Elements of a row, and of a phase, of which there are as many as the product of strides.
    pub(super) pitch: usize,
    phase: usize,
    /// By place in the window, how far it is from the window's beginning.
    pub(super) taps: SmallVec<[usize; TAPS]>,
}

impl Window {
    /// Elements of a plane of the input, and of the output.
    pub(super) fn planes(&self) -> [usize; 2] {
        [self.input, self.output].map(|[height, width]| height * width)
    }

    /// Places of the window.
    pub(super) fn places(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Whether nothing overflows that is worked out of it: its sizes come from a file.
    pub(super) fn is_small(&self) -> bool {
        let sizes = [self.input, self.output, self.kernel, self.strides, self.dilations, self.before];
        let steps = [self.kernel, self.strides, self.dilations];
        steps.iter().flatten().all(|step| *step > 0) && sizes.iter().flatten().all(|size| *size <= SIZE_MAX)
    }

    /// Whether windows see one element each, and each of the image once.
    pub(super) fn sees_one_each(&self) -> bool {
        self.kernel == [1, 1] && self.strides == [1, 1] && self.before == [0, 0] && self.input == self.output
    }

    /// The same as one row, if windows see one element each.
    pub(super) fn in_one_row(self) -> Self {
        let row = |[height, width]: [usize; 2]| [1, height * width];
        if self.sees_one_each() { Self { input: row(self.input), output: row(self.output), ..self } } else { self }
    }

    /// Whether a plane takes little more between zeros than without them: sizes of a window come from a file.
    pub(super) fn is_padded_in_little(&self) -> bool {
        let field = |axis: usize| (self.kernel[axis] - 1).saturating_mul(self.dilations[axis]);
        let small = |axis: usize| (1..=STRIDE_MAX).contains(&self.strides[axis]) && field(axis) <= REACH_MAX;
        let planes: usize = self.planes().iter().sum();
        small(0) && small(1) && self.padded_len(&self.padded(), 0) <= PADDED_TIMES_MAX * planes + PADDED_MIN
    }

    /// How far the last window of an axis reaches, in steps of windows.
    pub(super) fn reach(&self, axis: usize) -> usize {
        (self.kernel[axis] - 1) * self.dilations[axis] / self.strides[axis]
    }

    /// That of some rows of the output alone, and the rows of the image that its windows see.
    pub(super) fn of_rows(&self, rows: Range<usize>) -> (Self, Range<usize>) {
        let ([height, width], [above, left], [down, _]) = (self.input, self.before, self.strides);
        let begins = rows.start * down;
        let ends = begins + (rows.len() - 1) * down + (self.kernel[0] - 1) * self.dilations[0] + 1;
        let seen = begins.saturating_sub(above).min(height)..ends.saturating_sub(above).min(height);
        let (input, output) = ([seen.len(), width], [rows.len(), self.output[1]]);
        (Self { input, output, before: [above.saturating_sub(begins), left], ..self.clone() }, seen)
    }

    pub(super) fn padded(&self) -> Padded {
        let [down, across] = self.strides;
        // With one more, pairs of columns never lack the second.
        let pitch = self.output[1] + self.reach(1) + usize::from(across > 1);
        let phase = (self.output[0] + self.reach(0)) * pitch;
        let tap = |at: usize| {
            let (y, x) = (at / self.kernel[1] * self.dilations[0], at % self.kernel[1] * self.dilations[1]);
            (y % down * across + x % across) * phase + y / down * pitch + x / across
        };
        Padded { pitch, phase, taps: (0..self.places()).map(tap).collect() }
    }

    /// Elements of a plane between zeros, if so many windows are computed, all told.
    pub(super) fn padded_len(&self, padded: &Padded, windows: usize) -> usize {
        let phases = padded.phase * self.strides[0] * self.strides[1];
        phases.max(padded.taps.iter().max().map_or(0, |last| last + windows))
    }

    /// Writes to each row of `into`, one for each place, what windows of these numbers see at it: zeros beyond the image.
    #[inline(always)]
    pub(super) fn gather(&self, image: &[f32], places: Range<usize>, windows: Range<usize>, into: &mut [f32]) {
        let [plane, _] = self.planes();
        let pitch = into.len() / places.len();
        for (place, row) in places.zip(into.chunks_exact_mut(pitch)) {
            let (channel, tap) = (place / self.places(), place % self.places());
            let (down, across) = (tap / self.kernel[1] * self.dilations[0], tap % self.kernel[1] * self.dilations[1]);
            let image = &image[channel * plane..][..plane];
            for ([y, x], some) in rows(windows.clone(), self.output[1]) {
                self.see(image, [y * self.strides[0] + down, x * self.strides[1] + across], &mut row[some]);
            }
        }
    }

    /// Writes what lies at this row and column of the padded image, and so many steps further to the right.
    #[inline(always)]
    pub(super) fn see(&self, image: &[f32], [y, x]: [usize; 2], into: &mut [f32]) {
        let ([height, width], [above, before], step) = (self.input, self.before, self.strides[1]);
        let row = y.checked_sub(above).filter(|y| *y < height).map(|y| &image[y * width..][..width]);
        let Some(row) = row else { return into.fill(0.0) };
        let left = before.saturating_sub(x).div_ceil(step).min(into.len());
        let (zeros, into) = into.split_at_mut(left);
        blank(zeros);
        let row = row.get((x + left * step).saturating_sub(before)..).unwrap_or_default();
        let (seen, zeros) = into.split_at_mut(row.len().div_ceil(step).min(into.len()));
        match step {
            1 => put(row, seen),
            2 => put_every_other(row, seen),
            _ => seen.iter_mut().zip(row.iter().step_by(step)).for_each(|(into, element)| *into = *element),
        }
        blank(zeros);
    }

    /// Puts a plane of the input between the zeros of `into`, or whatever is there.
    #[inline(always)]
    pub(super) fn pad(&self, padded: &Padded, plane: &[f32], into: &mut [f32]) {
        let ([_, width], [top, left], [down, across]) = (self.input, self.before, self.strides);
        let rows = padded.phase / padded.pitch;
        for (y, from) in (top..).zip(plane.chunks_exact(width)).take_while(|(y, _)| y / down < rows) {
            let first = y % down * across * padded.phase + y / down * padded.pitch;
            let row = |phase: usize, at: usize| {
                let begins = first + phase * padded.phase;
                begins + at.min(padded.pitch)..begins + padded.pitch
            };
            match across {
                1 => put(from, &mut into[row(0, left)]),
                2 => {
                    let (one, other) = (row(left % 2, left / 2), row(1 - left % 2, left.div_ceil(2)));
                    if let Ok([one, other]) = into.get_disjoint_mut([one, other]) {
                        put_pairs(from, one, other);
                    }
                }
                _ => {
                    for (at, x) in (left..left + across.min(width)).enumerate() {
                        let into = &mut into[row(x % across, x / across)];
                        let every = from[at..].iter().step_by(across);
                        into.iter_mut().zip(every).for_each(|(into, element)| *into = *element);
                    }
                }
            }
        }
    }
}

/// The rows that some windows lie in, with so many columns: where each of these parts begins, as row and column, and which of
/// the windows they are, counted from the first.
#[inline(always)]
pub(super) fn rows(windows: Range<usize>, columns: usize) -> impl Iterator<Item = ([usize; 2], Range<usize>)> {
    let first = windows.start;
    let mut next = first;
    iter::from_fn(move || {
        let (y, x) = (next / columns, next % columns);
        let begins = next;
        next = windows.end.min(begins + columns - x);
        (begins < next).then(|| ([y, x], begins - first..next - first))
    })
}

/// Keeps of each row of so many elements what windows are there for, as many as there are columns.
#[inline(always)]
pub(super) fn keep<S: Simd>((made, pitch): (&[f32], usize), (into, columns): (&mut [f32], usize)) {
    for (row, into) in made.chunks_exact(pitch).zip(into.chunks_exact_mut(columns)) {
        let row = &row[..columns];
        let Some(last) = columns.checked_sub(S::F32_LANES) else {
            put(row, into);
            continue;
        };
        let mut vector = |at: usize| {
            let some = at..at + S::F32_LANES;
            let from = S::as_simd_f32s(&row[some.clone()]).0[0];
            S::as_mut_simd_f32s(&mut into[some]).0[0] = from;
        };
        (0..last).step_by(S::F32_LANES).for_each(&mut vector);
        vector(last);
    }
}

/// As much of a row as there is room for: the last columns may be in no window. Short rows in steps of four, the last of which
/// may overlap, since a call of what copies any number of bytes takes longer.
#[inline(always)]
fn put(from: &[f32], into: &mut [f32]) {
    let len = from.len().min(into.len());
    let (from, into) = (&from[..len], &mut into[..len]);
    if !(4..SHORT).contains(&len) {
        return into.copy_from_slice(from);
    }
    let mut four = |at: usize| into[at..at + 4].copy_from_slice(&from[at..at + 4]);
    (0..len - 4).step_by(4).for_each(&mut four);
    four(len - 4);
}

/// Zeros, of which there are mostly none, or one.
#[inline(always)]
fn blank(into: &mut [f32]) {
    match into {
        [] => {}
        [one] => *one = 0.0,
        more => more.fill(0.0),
    }
}

#[inline(always)]
fn put_every_other(from: &[f32], into: &mut [f32]) {
    let pairs = from.chunks_exact(2);
    let rest = pairs.remainder();
    let count = pairs.len();
    if let ([last], Some(place)) = (rest, into.get_mut(count)) {
        *place = *last;
    }
    into.iter_mut().zip(pairs).for_each(|(place, pair)| *place = pair[0]);
}

/// The first of each pair to one row, the second to the other.
#[inline(always)]
fn put_pairs(from: &[f32], one: &mut [f32], other: &mut [f32]) {
    let (pairs, rest) = from.as_chunks::<2>();
    let len = pairs.len().min(one.len()).min(other.len());
    for ((pair, one), other) in pairs[..len].iter().zip(&mut one[..len]).zip(&mut other[..len]) {
        (*one, *other) = (pair[0], pair[1]);
    }
    let beyond = pairs.get(len).map_or(rest, |pair| pair);
    if let (Some(first), Some(place)) = (beyond.first(), one.get_mut(len)) {
        *place = *first;
    }
    if let (Some(second), Some(place)) = (beyond.get(1), other.get_mut(len)) {
        *place = *second;
    }
}
