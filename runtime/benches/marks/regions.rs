//! Regions of a probability map: where text was found.

use thalweg_planner::Tensor;

use crate::Failure;

/// PaddleOCR's threshold of the map.
const THRESHOLD: f32 = 0.3;
/// Smaller regions are noise: PaddleOCR drops those with a side below 3 pixels.
const PIXELS_MIN: usize = 9;
/// Boxes that overlap at least so much are the same.
const SAME_FROM: f64 = 0.5;

/// A map above the threshold, and the boxes around its connected regions.
pub(crate) struct Regions {
    map: Vec<bool>,
    pub(crate) boxes: Vec<Frame>,
}

/// Left, top, and behind the last pixel on the right and below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    left: usize,
    top: usize,
    right: usize,
    bottom: usize,
}

/// Of the first output, which is `[1, 1, H, W]`.
pub(crate) fn regions(outputs: &[Tensor]) -> Result<Regions, Failure> {
    let width = outputs[0].spec().shape.last().copied().unwrap_or_default().max(1);
    let map: Vec<bool> =
        outputs[0].to_f32().ok_or("a map that is not f32")?.into_iter().map(|value| value > THRESHOLD).collect();
    let (mut seen, mut boxes) = (vec![false; map.len()], Vec::new());
    for first in 0..map.len() {
        if map[first] && !seen[first] {
            let (frame, pixels) = fill(&map, &mut seen, first, width);
            if pixels >= PIXELS_MIN {
                boxes.push(frame);
            }
        }
    }
    Ok(Regions { map, boxes })
}

/// The box around all that is connected with a pixel, and how many pixels that are.
fn fill(map: &[bool], seen: &mut [bool], first: usize, width: usize) -> (Frame, usize) {
    let (mut open, mut pixels) = (vec![first], 0);
    let mut frame = Frame { left: first % width, top: first / width, right: 0, bottom: 0 };
    seen[first] = true;
    while let Some(at) = open.pop() {
        let (column, row) = (at % width, at / width);
        pixels += 1;
        frame.left = frame.left.min(column);
        frame.top = frame.top.min(row);
        frame.right = frame.right.max(column + 1);
        frame.bottom = frame.bottom.max(row + 1);
        let beside = [
            (column > 0).then(|| at - 1),
            (column + 1 < width).then_some(at + 1),
            at.checked_sub(width),
            Some(at + width).filter(|next| *next < map.len()),
        ];
        for next in beside.into_iter().flatten() {
            if map[next] && !seen[next] {
                seen[next] = true;
                open.push(next);
            }
        }
    }
    (frame, pixels)
}

/// Whether the boxes of both go together one to one.
pub(crate) fn alike(one: &Regions, other: &Regions) -> bool {
    let mut open = other.boxes.clone();
    let paired = |frame: &Frame| {
        let found = open.iter().position(|open| frame.overlap(open) >= SAME_FROM);
        found.map(|at| open.swap_remove(at)).is_some()
    };
    one.boxes.len() == other.boxes.len() && one.boxes.iter().all(paired)
}

impl Regions {
    /// Intersection over union of the pixels; 1 where neither has any.
    pub(crate) fn overlap(&self, other: &Self) -> f64 {
        let count = |of: fn(bool, bool) -> bool| {
            self.map.iter().zip(&other.map).filter(|(one, other)| of(**one, **other)).count() as f64
        };
        let (both, any) = (count(|one, other| one && other), count(|one, other| one || other));
        if any == 0.0 { 1.0 } else { both / any }
    }
}

impl Frame {
    fn area(&self) -> f64 {
        (self.right.saturating_sub(self.left) * self.bottom.saturating_sub(self.top)) as f64
    }

    fn overlap(&self, other: &Self) -> f64 {
        let both = Self {
            left: self.left.max(other.left),
            top: self.top.max(other.top),
            right: self.right.min(other.right),
            bottom: self.bottom.min(other.bottom),
        };
        both.area() / (self.area() + other.area() - both.area()).max(1.0)
    }
}
