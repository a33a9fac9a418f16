//! Photos get the size that a model takes.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::{Rgb, RgbImage, imageops};

use crate::{Fit, ImageError, Photo, Settings};

impl Photo {
    /// The photo in the size and with the fit of the settings.
    ///
    /// The filter is a triangle, which is bilinear when it enlarges, and widened by the factor of reduction when it
    /// reduces, so that fine patterns do not alias. It works on the sRGB values, as the training pipelines of image
    /// models do, in integers, so that each machine gets the same. A photo of the right size is copied.
    pub fn fit(&self, settings: &Settings) -> Result<Self, ImageError> {
        settings.check()?;
        let whole = self.0.dimensions();
        let target = (settings.width, settings.height);
        if whole == target {
            return Ok(self.clone());
        }
        match settings.fit {
            Fit::Stretch => resized(&self.0, target).map(Self),
            Fit::Crop => {
                // Cut out first: the filter would look beyond the edges of a part.
                let (width, height) = proportioned(whole, target);
                let (left, top) = ((whole.0 - width) / 2, (whole.1 - height) / 2);
                resized(&imageops::crop_imm(&self.0, left, top, width, height).to_image(), target).map(Self)
            }
            Fit::Letterbox => {
                let part = proportioned(target, whole);
                let (left, top) = ((target.0 - part.0) / 2, (target.1 - part.1) / 2);
                let mut framed = RgbImage::from_pixel(target.0, target.1, Rgb(settings.border));
                imageops::replace(&mut framed, &resized(&self.0, part)?, left.into(), top.into());
                Ok(Self(framed))
            }
        }
    }
}

fn resized(photo: &RgbImage, (width, height): (u32, u32)) -> Result<RgbImage, ImageError> {
    let refused = || ImageError::Size { width, height };
    let source =
        ImageRef::new(photo.width(), photo.height(), photo.as_raw(), PixelType::U8x3).map_err(|_| refused())?;
    let mut target = Image::new(width, height, PixelType::U8x3);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    Resizer::new().resize(&source, &mut target, &options).map_err(|_| refused())?;
    RgbImage::from_raw(width, height, target.into_vec()).ok_or_else(refused)
}

/// The largest size within `whole` that has the proportions of `target`, rounded to whole pixels, at least 1 x 1.
pub fn proportioned(whole: (u32, u32), target: (u32, u32)) -> (u32, u32) {
    let scaled = |side: u32, to: u32, from: u32| {
        let rounded = (u64::from(side) * u64::from(to) + u64::from(from) / 2) / u64::from(from);
        u32::try_from(rounded).unwrap_or(u32::MAX).max(1)
    };
    let ((width, height), (target_width, target_height)) = (whole, target);
    if u64::from(width) * u64::from(target_height) > u64::from(height) * u64::from(target_width) {
        (scaled(height, target_width, target_height).min(width), height)
    } else {
        (width, scaled(width, target_height, target_width).min(height))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn settings(width: u32, height: u32, fit: &str) -> Settings {
        let json = format!(r#"{{"width": {width}, "height": {height}, "fit": "{fit}", "border": [0, 255, 0]}}"#);
        serde_json::from_str(&json).unwrap()
    }

    /// A red square of 40 pixels with blue borders of 10 pixels at its left and right.
    fn wide() -> Photo {
        let colour = |x: u32, _| if (10..50).contains(&x) { Rgb([255, 0, 0]) } else { Rgb([0, 0, 255]) };
        Photo(RgbImage::from_fn(60, 40, colour))
    }

    #[test]
    fn what_is_cut_off_are_equal_borders() {
        let square = wide().fit(&settings(8, 8, "crop")).unwrap();
        assert!(square.0.pixels().all(|pixel| pixel.0 == [255, 0, 0]));
        assert_eq!(proportioned((1_000_000, 1), (224, 224)), (1, 1));
        assert_eq!(proportioned((7, 1000), (2, 1)), (7, 4));
    }

    #[test]
    fn what_is_added_are_equal_borders() {
        let square = wide().fit(&settings(30, 30, "letterbox")).unwrap();
        let green = |row: u32| (0..30).all(|x| square.0.get_pixel(x, row).0 == [0, 255, 0]);
        assert_eq!((0..30).filter(|row| green(*row)).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 25, 26, 27, 28, 29]);
        assert_eq!(square.0.get_pixel(0, 15).0, [0, 0, 255]);
        assert_eq!(square.0.get_pixel(15, 15).0, [255, 0, 0]);
    }

    #[test]
    fn what_is_stretched_shows_all() {
        let square = wide().fit(&settings(30, 10, "stretch")).unwrap();
        assert_eq!(square.0.get_pixel(0, 5).0, [0, 0, 255]);
        assert_eq!(square.0.get_pixel(29, 5).0, [0, 0, 255]);
        assert_eq!(square.0.get_pixel(15, 5).0, [255, 0, 0]);
    }

    #[test]
    fn fine_patterns_become_grey_instead_of_aliasing() {
        let stripes = Photo(RgbImage::from_fn(256, 256, |x, _| Rgb([if x % 2 == 0 { 255 } else { 0 }; 3])));
        let small = stripes.fit(&settings(16, 16, "crop")).unwrap();
        assert!(small.0.pixels().all(|pixel| pixel.0[0].abs_diff(127) <= 8), "{small:?}");
    }

    #[test]
    fn sizes_are_bounded() {
        for (width, height) in [(0, 8), (8, 0), (4097, 8), (8, u32::MAX)] {
            assert_eq!(wide().fit(&settings(width, height, "crop")), Err(ImageError::Size { width, height }));
        }
    }

    proptest! {
        /// Another implementation of the same filter, in f32.
        #[test]
        fn is_the_triangle_filter(from in (1u32..60, 1u32..60), to in (1u32..60, 1u32..60), seed in any::<u32>()) {
            let level = |x: u32, y: u32| (x * 97 + y * 57 + x * y * (seed % 29)) as u8;
            let photo = Photo(RgbImage::from_fn(from.0, from.1, |x, y| Rgb([level(x, y), level(y, x), level(x, x)])));
            let found = photo.fit(&settings(to.0, to.1, "stretch")).unwrap();
            let expected = imageops::resize(&photo.0, to.0, to.1, imageops::FilterType::Triangle);
            let apart = found.bytes().iter().zip(expected.as_raw()).map(|(a, b)| a.abs_diff(*b)).max();
            prop_assert!(apart <= Some(1), "{apart:?}");
        }

        #[test]
        fn every_size_becomes_every_size(from in (1u32..40, 1u32..40), to in (1u32..40, 1u32..40), at in 0usize..3) {
            let photo = crate::decode::tests::gradient(from.0, from.1);
            let fitted = photo.fit(&settings(to.0, to.1, ["crop", "letterbox", "stretch"][at])).unwrap();
            prop_assert_eq!(fitted.0.dimensions(), to);
        }
    }
}
