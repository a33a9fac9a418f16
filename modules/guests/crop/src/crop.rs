//! The pixels of a line of text.

use serde::{Deserialize, Serialize};

use crate::{Corners, CropError, Homography};

/// The most pixels that a line may have: 96 rows of text 10,000 characters long.
pub const PIXELS_MAX: usize = 1 << 24;

/// Lines that are this many times as high as wide are turned by a quarter to the left, as PaddleOCR does.
const TURNED_FROM: f64 = 1.5;

/// A pixel of the result is the mean of at most this many places of the photo along each axis: enough for text of 192
/// pixels height at 48, and still bearable.
const PLACES_MAX: f64 = 4.0;

/// A photo in RGB, 8 bits a channel: rows from the top, pixels from the left.
#[derive(Debug, Clone, Copy)]
pub struct Photo<'a> {
    pixels: &'a [[u8; 3]],
    width: usize,
    height: usize,
}

impl<'a> Photo<'a> {
    /// The photo of these bytes, R, G and B of each pixel.
    pub fn new(bytes: &'a [u8], width: usize, height: usize) -> Result<Self, CropError> {
        let (pixels, rest) = bytes.as_chunks::<3>();
        if pixels.is_empty() || !rest.is_empty() || width.checked_mul(height) != Some(pixels.len()) {
            return Err(CropError::Photo { found: bytes.len(), width, height });
        }
        Ok(Self { pixels, width, height })
    }

    /// The colour at a place, from the four pixels whose middles are around it; outside of the photo its edge goes on.
    fn at(&self, [x, y]: [f64; 2]) -> [f64; 3] {
        let (x, left, right) = around(x, self.width);
        let (y, upper, lower) = around(y, self.height);
        let pixel = |column: usize, row: usize| self.pixels[row * self.width + column].map(f64::from);
        let [a, b, c, d] = [pixel(left, upper), pixel(right, upper), pixel(left, lower), pixel(right, lower)];
        std::array::from_fn(|channel| {
            let above = a[channel] + (b[channel] - a[channel]) * x;
            let below = c[channel] + (d[channel] - c[channel]) * x;
            above + (below - above) * y
        })
    }

    /// Corners lie within one photo's size of the photo.
    fn check(&self, corners: &Corners) -> Result<(), CropError> {
        let (width, height) = (self.width as f32, self.height as f32);
        let near = |[x, y]: &[f32; 2]| (-width..=2.0 * width).contains(x) && (-height..=2.0 * height).contains(y);
        match corners.iter().find(|corner| !near(corner)) {
            Some(corner) => Err(CropError::Corner { corner: *corner, width: self.width, height: self.height }),
            None => Ok(()),
        }
    }
}

/// The pixels on both sides of a place among `count`, and how far it is from the middle of the first to the second.
fn around(at: f64, count: usize) -> (f64, usize, usize) {
    let at = (at - 0.5).clamp(0.0, (count - 1) as f64);
    let first = at as usize;
    (at - first as f64, first, (first + 1).min(count - 1))
}

/// What a line is cut out as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Pixels down: 48 for PP-OCR since version 3, 32 before.
    pub height: usize,
    /// The most pixels across. A longer line is squeezed into it.
    pub width_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { height: 48, width_max: 3200 }
    }
}

/// A line of text in RGB, 8 bits a channel: rows from the top, pixels from the left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Three bytes a pixel.
    pub bytes: Vec<u8>,
    /// Pixels across.
    pub width: usize,
    /// Pixels down.
    pub height: usize,
}

/// The quadrilateral as an upright picture of the height that `settings` say and the width that its longer sides ask
/// for, rounded up, at least 1.
///
/// One whose longer upright side is at least 1.5 times its longer level side is turned by a quarter to the left before.
/// Each pixel is the mean of as many places as it covers pixels of the photo, 1 to 4 along each axis; the colour at a
/// place is bilinear, and as at the photo's edge outside of it. Corners lie at most one photo's width or height away.
pub fn crop(photo: &Photo, corners: &Corners, settings: &Settings) -> Result<Picture, CropError> {
    photo.check(corners)?;
    let [upper, right, lower, left] = [0, 1, 2, 3].map(|at| length(corners[at], corners[(at + 1) % 4]));
    let (mut across, mut down, mut corners) = (upper.max(lower), left.max(right), *corners);
    if down >= TURNED_FROM * across {
        std::mem::swap(&mut across, &mut down);
        corners.rotate_left(1);
    }
    let to = Homography::to(&corners)?;
    let height = settings.height;
    // An ill quotient was refused with the corners; conversion to an integer saturates.
    let width = ((height as f64 * across / down).ceil() as usize).clamp(1, settings.width_max.max(1));
    let pixels = width.checked_mul(height).filter(|count| (1..=PIXELS_MAX).contains(count));
    let pixels = pixels.ok_or(CropError::Size { width, height })?;

    let places = |photo: f64, picture: usize| (photo / picture as f64).ceil().clamp(1.0, PLACES_MAX) as usize;
    let (columns, rows) = (places(across, width), places(down, height));
    let share = |at: usize, place: usize, places: usize, count: usize| {
        (at as f64 + (place as f64 + 0.5) / places as f64) / count as f64
    };
    let mut bytes = Vec::with_capacity(3 * pixels);
    for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
        let mut sum = [0.0; 3];
        for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
            let colour = photo.at(to.at(share(x, column, columns, width), share(y, row, rows, height)));
            sum.iter_mut().zip(colour).for_each(|(sum, level)| *sum += level);
        }
        bytes.extend(sum.map(|sum| (sum / (columns * rows) as f64).round() as u8));
    }
    Ok(Picture { bytes, width, height })
}

fn length(one: [f32; 2], other: [f32; 2]) -> f64 {
    let [x, y] = [0, 1].map(|axis| f64::from(other[axis] - one[axis]));
    // Not `hypot`: of it the last bits depend on the machine's library.
    (x * x + y * y).sqrt()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn whole(width: usize, height: usize) -> Corners {
        let (width, height) = (width as f32, height as f32);
        [[0.0, 0.0], [width, 0.0], [width, height], [0.0, height]]
    }

    #[test]
    fn a_tall_line_is_turned_to_the_left() {
        // One column of three pixels, from the top: the highest becomes the left one.
        let bytes = [10, 10, 10, 20, 20, 20, 30, 30, 30];
        let photo = Photo::new(&bytes, 1, 3).unwrap();
        let picture = crop(&photo, &whole(1, 3), &Settings { height: 1, width_max: 9 }).unwrap();
        assert_eq!((picture.width, picture.height), (3, 1));
        assert_eq!(picture.bytes, [10, 10, 10, 20, 20, 20, 30, 30, 30]);
    }

    #[test]
    fn fine_patterns_become_grey_instead_of_aliasing() {
        let bytes: Vec<u8> = (0..96 * 96).flat_map(|at| [if at % 2 == 0 { 255 } else { 0 }; 3]).collect();
        let photo = Photo::new(&bytes, 96, 96).unwrap();
        let picture = crop(&photo, &whole(96, 96), &Settings { height: 48, width_max: 99 }).unwrap();
        assert!(picture.bytes.iter().all(|level| level.abs_diff(127) <= 1), "{:?}", &picture.bytes[..9]);
    }

    #[test]
    fn long_lines_are_squeezed_and_short_ones_have_a_pixel() {
        let photo = Photo::new(&[7; 3 * 400], 100, 4).unwrap();
        let width = |corners, width_max| crop(&photo, &corners, &Settings { height: 48, width_max }).unwrap().width;
        assert_eq!(width(whole(100, 4), 9999), 1200);
        assert_eq!(width(whole(100, 4), 320), 320);
        assert_eq!(width(whole(100, 4), 0), 1);
    }

    #[test]
    fn what_cannot_be_cut_out_is_refused() {
        let photo = Photo::new(&[7; 12], 2, 2).unwrap();
        let refused = |corners, settings| crop(&photo, &corners, &settings).unwrap_err().to_string();
        let plain = Settings::default();
        let far = [[0.0, 0.0], [f32::MAX, 0.0], [2.0, 2.0], [0.0, 2.0]];
        assert!(refused(far, plain).contains("is not in or near the photo of 2 x 2"));
        assert!(refused([[0.0, 0.0], [2.0, f32::NAN], [2.0, 2.0], [0.0, 2.0]], plain).contains("NaN"));
        assert!(refused([[0.0; 2]; 4], plain).contains("enclose no convex area"));
        let size = |height| Settings { height, width_max: usize::MAX };
        assert!(refused(whole(2, 2), size(0)).starts_with("a line of 1 x 0 pixels"));
        assert!(refused(whole(2, 2), size(usize::MAX)).starts_with("a line of "));
        assert!(Photo::new(&[7; 12], 2, 3).is_err());
        assert!(Photo::new(&[7; 11], 2, 2).is_err());
        assert!(Photo::new(&[], 0, usize::MAX).is_err());
        assert!(Photo::new(&[7; 12], usize::MAX, 4).is_err());
    }

    proptest! {
        #[test]
        fn the_whole_photo_is_the_photo_itself(
            width in 2usize..9, height in 2usize..9, seed in any::<u64>(),
        ) {
            prop_assume!((height as f64) < TURNED_FROM * width as f64);
            let level = |at: usize| (seed.rotate_left(at as u32 * 7) ^ at as u64) as u8;
            let bytes: Vec<u8> = (0..3 * width * height).map(level).collect();
            let photo = Photo::new(&bytes, width, height).unwrap();
            let picture = crop(&photo, &whole(width, height), &Settings { height, width_max: 99 }).unwrap();
            prop_assert_eq!(picture, Picture { bytes, width, height });
        }

        /// A photo whose levels grow evenly across and down has at each place the level of that place.
        #[test]
        fn a_pixel_has_the_colour_of_its_place(moved in proptest::array::uniform8(-6f32..6.0)) {
            let level = |x: f64, y: f64| [4.0 * x, 4.0 * y, 2.0 * (x + y)];
            let middle = |at: usize| level((at % 60) as f64 + 0.5, (at / 60) as f64 + 0.5);
            let bytes: Vec<u8> = (0..60 * 40).flat_map(middle).map(|level| level.round() as u8).collect();
            let photo = Photo::new(&bytes, 60, 40).unwrap();
            let mut corners: Corners = [[8.0, 8.0], [50.0, 8.0], [50.0, 31.0], [8.0, 31.0]];
            corners.as_flattened_mut().iter_mut().zip(moved).for_each(|(at, by)| *at += by);
            let picture = crop(&photo, &corners, &Settings { height: 16, width_max: 99 }).unwrap();
            let to = Homography::to(&corners).unwrap();
            for (at, pixel) in picture.bytes.as_chunks::<3>().0.iter().enumerate() {
                let middle = |at: usize, count: usize| (at as f64 + 0.5) / count as f64;
                let [x, y] = to.at(middle(at % picture.width, picture.width), middle(at / picture.width, 16));
                let apart = level(x, y).iter().zip(pixel).map(|(a, b)| (a - f64::from(*b)).abs()).fold(0.0, f64::max);
                prop_assert!(apart < 1.3, "{apart} at {x}, {y}");
            }
        }
    }
}
