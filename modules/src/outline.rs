//! Draws boxes onto a photo, for people to look at.

use std::io::Cursor;

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder, Rgb, RgbImage};
use thalweg_planner::{DType, Tensor};

use crate::ModuleError;

/// Outlines get these colours in turn: light and dark ones that differ for the colour-blind too (Okabe and Ito, "Color
/// Universal Design", 2008).
const COLOURS: [[u8; 3]; 6] =
    [[230, 159, 0], [86, 180, 233], [0, 158, 115], [240, 228, 66], [213, 94, 0], [204, 121, 167]];

/// The shorter side of a photo is this many outlines wide: three pixels of 480.
const WIDTHS: f32 = 160.0;

type Point = [f32; 2];

/// The photo `u8[height, width, 3]` as a PNG file with the outlines of `boxes` on it: `f32[boxes, 6]`, of each left, top,
/// right, bottom and two other numbers, or `f32[boxes, 9]`, of each x and y of four corners and another number, in pixels.
///
/// Boxes without an area, which fill lists up, are left out, and so is what lies outside of the photo.
pub fn outlined(photo: &Tensor, boxes: &Tensor) -> Result<Vec<u8>, ModuleError> {
    let undrawable = || ModuleError::Undrawable { photo: photo.spec().clone(), boxes: boxes.spec().clone() };
    let [height, width, 3] = photo.spec().shape[..] else { return Err(undrawable()) };
    if photo.spec().dtype != DType::U8 {
        return Err(undrawable());
    }
    let [_, numbers @ (6 | 9)] = boxes.spec().shape[..] else { return Err(undrawable()) };
    let sides = u32::try_from(width).ok().zip(u32::try_from(height).ok());
    let canvas = sides.and_then(|(width, height)| RgbImage::from_raw(width, height, photo.data().to_vec()));
    let mut canvas = canvas.ok_or_else(undrawable)?;
    let reach = (width.min(height) as f32 / WIDTHS).max(1.0) / 2.0;
    let values = boxes.to_f32().ok_or_else(undrawable)?;
    let corners = values.chunks_exact(numbers).map(corners).filter(|corners| area(corners) > 0.0);
    for (corners, colour) in corners.zip(COLOURS.into_iter().cycle()) {
        for side in 0..4 {
            line(&mut canvas, corners[side], corners[(side + 1) % 4], reach, Rgb(colour));
        }
    }
    let mut file = Cursor::new(Vec::new());
    let encoded =
        PngEncoder::new(&mut file).write_image(&canvas, canvas.width(), canvas.height(), ExtendedColorType::Rgb8);
    encoded.map_err(|error| ModuleError::NotWritten { reason: error.to_string() })?;
    Ok(file.into_inner())
}

fn corners(of: &[f32]) -> [Point; 4] {
    match *of {
        [left, top, right, bottom, _, _] => [[left, top], [right, top], [right, bottom], [left, bottom]],
        _ => [0, 2, 4, 6].map(|at| [of[at], of[at + 1]]),
    }
}

/// The shoelace formula; 0 where a number is none.
fn area(corners: &[Point; 4]) -> f32 {
    let cross = |at: usize| {
        let ([x, y], [next_x, next_y]) = (corners[at], corners[(at + 1) % 4]);
        x * next_y - next_x * y
    };
    let doubled: f32 = (0..4).map(cross).sum();
    if doubled.is_finite() { doubled.abs() / 2.0 } else { 0.0 }
}

/// All pixels whose middle is at most `reach` away from the line between two points.
fn line(canvas: &mut RgbImage, from: Point, to: Point, reach: f32, colour: Rgb<u8>) {
    let range = |axis: usize, size: u32| {
        let (low, high) = (from[axis].min(to[axis]) - reach - 1.0, from[axis].max(to[axis]) + reach + 1.0);
        low.clamp(0.0, size as f32) as u32..high.clamp(0.0, size as f32) as u32
    };
    let (rows, columns) = (range(1, canvas.height()), range(0, canvas.width()));
    let along = [to[0] - from[0], to[1] - from[1]];
    let length = (along[0] * along[0] + along[1] * along[1]).max(f32::MIN_POSITIVE);
    for row in rows {
        for column in columns.clone() {
            let beside = [column as f32 + 0.5 - from[0], row as f32 + 0.5 - from[1]];
            let share = ((beside[0] * along[0] + beside[1] * along[1]) / length).clamp(0.0, 1.0);
            let (x, y) = (beside[0] - share * along[0], beside[1] - share * along[1]);
            if x * x + y * y <= reach * reach {
                canvas.put_pixel(column, row, colour);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use thalweg_planner::TensorSpec;

    use super::*;

    fn drawn(boxes: &Tensor) -> RgbImage {
        let photo = Tensor::new(TensorSpec::new(DType::U8, [40, 60, 3]), vec![9; 7200]).unwrap();
        image::load_from_memory(&outlined(&photo, boxes).unwrap()).unwrap().into_rgb8()
    }

    #[test]
    fn outlines_stand_where_the_boxes_are() {
        let upright = Tensor::from_f32([2, 6], &[10.0, 5.0, 30.0, 25.0, 0.9, 3.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        let picture = drawn(&upright.unwrap());
        let is_drawn = |column, row| *picture.get_pixel(column, row) == Rgb(COLOURS[0]);
        assert!(is_drawn(10, 15) && is_drawn(20, 5) && is_drawn(29, 24));
        assert!(!is_drawn(20, 15) && !is_drawn(40, 15) && *picture.get_pixel(0, 0) == Rgb([9; 3]));
        // The same one by its corners.
        let corners = Tensor::from_f32([1, 9], &[10.0, 5.0, 30.0, 5.0, 30.0, 25.0, 10.0, 25.0, 0.9]);
        assert_eq!(drawn(&corners.unwrap()), picture);
    }

    #[test]
    fn other_tensors_are_refused() {
        let (photo, boxes) = (Tensor::from_bytes(vec![0; 12]), Tensor::from_f32([1, 5], &[0.0; 5]).unwrap());
        let refused = outlined(&photo, &boxes).unwrap_err().to_string();
        assert!(refused.starts_with("f32[1,5] cannot be drawn onto u8[12]"), "{refused}");
    }

    proptest! {
        #[test]
        fn no_box_panics(numbers in proptest::collection::vec(any::<f32>(), 9)) {
            drawn(&Tensor::from_f32([1, 9], &numbers).unwrap());
        }
    }
}
