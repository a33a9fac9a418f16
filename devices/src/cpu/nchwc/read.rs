//! Where windows read: in the image, or in a copy of some of its rows with what is beyond it around them.

use std::ops::Range;

use smallvec::SmallVec;

use crate::cpu::window::{Window, rows};

/// Windows that are computed at a time, about: what is made of them for some channels stays in the second cache. A multiple of those
/// of any tile.
const WINDOWS_MAX: usize = 1008;
/// Elements that are copied at a time, about.
const COPIED_MAX: usize = 1 << 17;

/// Some planes, `unit` elements of which lie together.
#[derive(Clone, Copy)]
pub(super) struct Planes {
    pub(super) count: usize,
    pub(super) unit: usize,
    /// What is beyond the image.
    pub(super) beyond: f32,
}

/// Whether some window sees what is beyond the image.
fn is_padded(window: &Window) -> bool {
    let ends = |axis: usize| (window.output[axis] - 1) * window.strides[axis] + extent(window, axis);
    window.before != [0, 0] || (0..2).any(|axis| ends(axis) > window.input[axis])
}

/// How many elements a window sees across, with those between.
fn extent(window: &Window, axis: usize) -> usize {
    (window.kernel[axis] - 1) * window.dilations[axis] + 1
}

/// Height and width of what is copied for so many rows of windows.
fn copied(window: &Window, rows: usize) -> [usize; 2] {
    [(0, rows), (1, window.output[1])].map(|(axis, some)| (some - 1) * window.strides[axis] + extent(window, axis))
}

impl Planes {
    /// Rows of windows at a time.
    fn rows(self, window: &Window) -> usize {
        let [height, columns] = window.output;
        let [_, width] = copied(window, 1);
        let copied = COPIED_MAX / (self.count * self.unit * width).max(1);
        let by_copy = (copied + window.strides[0]).saturating_sub(extent(window, 0)) / window.strides[0];
        let most = (WINDOWS_MAX / columns).max(1);
        if is_padded(window) { by_copy.clamp(1, most) } else { most }.min(height)
    }

    /// Elements of the copy, if one is made.
    pub(super) fn room_len(self, window: &Window) -> usize {
        self.copied_len(window, self.rows(window))
    }

    /// The same for so many rows of windows.
    pub(super) fn copied_len(self, window: &Window, rows: usize) -> usize {
        let [height, width] = copied(window, rows);
        if is_padded(window) { self.count * height * width * self.unit } else { 0 }
    }

    /// Parts of some windows, which are whole rows where there are several of these: as many as are computed at a time.
    pub(super) fn bands(self, window: &Window, windows: Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let in_one_row = window.output[0] == 1 && !is_padded(window);
        let each = if in_one_row { WINDOWS_MAX } else { self.rows(window) * window.output[1] };
        windows.clone().step_by(each).map(move |first| first..windows.end.min(first + each))
    }

    /// Where these windows read, which are as [`Planes::bands`] has them.
    pub(super) fn band<'a>(self, window: &'a Window, windows: Range<usize>) -> Band<'a> {
        let ([height, width], [_, columns]) = (window.input, window.output);
        let rows = windows.start / columns..windows.end.div_ceil(columns);
        let [height, width] = if is_padded(window) { copied(window, rows.len()) } else { [height, width] };
        let row = width * self.unit;
        let across = window.strides[1] * self.unit;
        let first = windows.start - rows.start * columns;
        let mut starts = SmallVec::new();
        for (y, (_, some)) in self::rows(first..first + windows.len(), columns).enumerate() {
            let begins = y * window.strides[0] * row;
            let first = if y == 0 { first } else { 0 };
            starts.extend((first..first + some.len()).map(|x| (begins + x * across) as u32));
        }
        Band { window, planes: self, windows, rows, plane: height * row, row, starts }
    }
}

/// Where some windows read.
pub(super) struct Band<'a> {
    window: &'a Window,
    planes: Planes,
    pub(super) windows: Range<usize>,
    /// Of windows.
    rows: Range<usize>,
    /// Elements of a plane, and of a row.
    plane: usize,
    row: usize,
    /// Where each window begins.
    starts: SmallVec<[u32; WINDOWS_MAX]>,
}

impl Band<'_> {
    /// What they see of an image: in it, or in `room`.
    pub(super) fn read<'a>(&self, image: &'a [f32], room: &'a mut [f32]) -> &'a [f32] {
        let Self { window, planes: Planes { count, unit, beyond }, rows, plane, row, .. } = self;
        let begins = rows.start * window.strides[0];
        if !is_padded(window) {
            return &image[begins * row..];
        }
        let [height, width] = window.input;
        let room = &mut room[..count * plane];
        for (from, into) in image.chunks_exact(height * width * unit).zip(room.chunks_exact_mut(*plane)) {
            for (y, into) in (begins..).zip(into.chunks_exact_mut(*row)) {
                let seen = y.checked_sub(window.before[0]).filter(|y| *y < height);
                let seen = seen.map_or(&[][..], |y| &from[y * width * unit..][..width * unit]);
                put(seen, window.before[1] * unit, *beyond, into);
            }
        }
        room
    }

    /// Elements of a plane, and of a row.
    pub(super) fn sizes(&self) -> [usize; 2] {
        [self.plane, self.row]
    }

    /// Where some windows, from this one on, begin.
    #[inline(always)]
    pub(super) fn at<const P: usize>(&self, window: usize) -> [usize; P] {
        let starts: &[u32; P] = self.starts[window - self.windows.start..].first_chunk().expect("windows of the band");
        starts.map(|start| start as usize)
    }

    /// How far a place of the window in a plane is from the window's beginning in the first plane.
    pub(super) fn tap(&self, plane: usize, place: usize) -> usize {
        let window = self.window;
        let [y, x] = [place / window.kernel[1] * window.dilations[0], place % window.kernel[1] * window.dilations[1]];
        plane * self.plane + y * self.row + x * self.planes.unit
    }
}

/// A row with so many elements before it that are `beyond`, and with as many after it as there is room for.
fn put(row: &[f32], before: usize, beyond: f32, into: &mut [f32]) {
    let (left, into) = into.split_at_mut(before.min(into.len()));
    left.fill(beyond);
    let (seen, right) = into.split_at_mut(row.len().min(into.len()));
    seen.copy_from_slice(&row[..seen.len()]);
    right.fill(beyond);
}
