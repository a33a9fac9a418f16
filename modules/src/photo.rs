//! Photos: JPEG and PNG files become pixels, and pixels get the size that a model takes.

use image::RgbImage;
use image::imageops::{self, FilterType};
use thalweg_module_decode_image as decode_image;

use crate::ModuleError;
pub use decode_image::{PIXELS_MAX, SIDE_MAX};

/// A picture in 8-bit sRGB: at least one pixel, rows from the top, pixels from the left, channels R, G, B.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Photo(pub(crate) RgbImage);

impl Photo {
    /// Decodes a JPEG or PNG file; `file` is what errors call it.
    ///
    /// It is turned as its EXIF orientation says. Transparency is dropped, 16-bit channels are cut to 8 bits,
    /// and a colour profile is not applied.
    pub fn decode(bytes: &[u8], file: &str) -> Result<Self, ModuleError> {
        let photo = decode_image::Photo::decode(bytes).map_err(|error| ModuleError::of_photo(file, error))?;
        Ok(Self(photo.into()))
    }

    /// The largest part in the middle that has the proportions of `width` x `height`, resized to it.
    ///
    /// Nothing is stretched; what is cut off are two borders of equal width. The filter is a triangle, which is bilinear
    /// when it enlarges, and widened by the factor of reduction when it reduces, so that fine patterns do not alias.
    /// It works on the sRGB values, as the training pipelines of image models do. A photo of the right size is copied.
    pub fn fit(&self, width: u32, height: u32) -> Result<Self, ModuleError> {
        let allowed = 1..=SIDE_MAX;
        if !allowed.contains(&width) || !allowed.contains(&height) {
            return Err(ModuleError::PhotoSize { width: width as usize, height: height as usize });
        }
        if self.0.dimensions() == (width, height) {
            return Ok(self.clone());
        }
        let (part_width, part_height) = decode_image::proportioned(self.0.dimensions(), (width, height));
        let (left, top) = ((self.width() - part_width) / 2, (self.height() - part_height) / 2);
        let part = imageops::crop_imm(&self.0, left, top, part_width, part_height);
        Ok(Self(imageops::resize(&*part, width, height, FilterType::Triangle)))
    }

    /// Pixels across.
    pub fn width(&self) -> u32 {
        self.0.width()
    }

    /// Pixels down.
    pub fn height(&self) -> u32 {
        self.0.height()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Cursor;

    use decode_image::proportioned;
    use image::ImageFormat;
    use image::codecs::jpeg::JpegEncoder;
    use proptest::prelude::*;

    use super::*;

    fn gradient(width: u32, height: u32) -> Photo {
        let colour = |x: u32, y: u32| image::Rgb([(x * 255 / width) as u8, (y * 255 / height) as u8, 128]);
        Photo(RgbImage::from_fn(width, height, colour))
    }

    fn png(photo: &Photo) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        photo.0.write_to(&mut bytes, ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    fn jpeg(photo: &Photo, quality: u8) -> Vec<u8> {
        let mut bytes = Vec::new();
        JpegEncoder::new_with_quality(&mut bytes, quality).encode_image(&photo.0).unwrap();
        bytes
    }

    #[test]
    fn png_is_lossless_and_jpeg_is_near() {
        let photo = gradient(40, 30);
        assert_eq!(Photo::decode(&png(&photo), "a.png").unwrap(), photo);
        let decoded = Photo::decode(&jpeg(&photo, 95), "a.jpg").unwrap();
        let largest = photo.0.iter().zip(decoded.0.iter()).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!((1..=8).contains(&largest), "{largest} levels off");
    }

    #[test]
    fn what_is_cut_off_are_equal_borders() {
        // Blue borders of 10 pixels left and right of a red square: a square crop must see red only.
        let colour = |x: u32, _| if (10..50).contains(&x) { image::Rgb([255, 0, 0]) } else { image::Rgb([0, 0, 255]) };
        let wide = Photo(RgbImage::from_fn(60, 40, colour));
        let square = wide.fit(8, 8).unwrap();
        assert!(square.0.pixels().all(|pixel| pixel.0 == [255, 0, 0]));
        assert_eq!(proportioned((1_000_000, 1), (224, 224)), (1, 1));
        assert_eq!(proportioned((7, 1000), (2, 1)), (7, 4));
    }

    #[test]
    fn fine_patterns_become_grey_instead_of_aliasing() {
        let stripes = Photo(RgbImage::from_fn(256, 256, |x, _| image::Rgb([if x % 2 == 0 { 255 } else { 0 }; 3])));
        let small = stripes.fit(16, 16).unwrap();
        assert!(small.0.pixels().all(|pixel| pixel.0[0].abs_diff(127) <= 8), "{small:?}");
    }

    #[test]
    fn sizes_that_no_model_has_are_refused() {
        for (width, height) in [(0, 8), (8, 0), (SIDE_MAX + 1, 8)] {
            assert!(matches!(gradient(4, 4).fit(width, height), Err(ModuleError::PhotoSize { .. })));
        }
    }

    #[test]
    fn the_orientation_of_a_phone_is_applied() {
        // An EXIF segment whose only entry is orientation 6: turn by 90 degrees clockwise.
        let exif = b"\xFF\xE1\x00\x22Exif\0\0MM\0\x2A\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        let mut bytes = jpeg(&gradient(40, 20), 90);
        bytes.splice(2..2, exif.iter().copied());
        let photo = Photo::decode(&bytes, "phone.jpg").unwrap();
        assert_eq!((photo.width(), photo.height()), (20, 40));
    }

    #[test]
    fn each_fault_says_what_it_is() {
        let whole = jpeg(&gradient(64, 64), 90);
        let message = |bytes: &[u8]| Photo::decode(bytes, "x.jpg").unwrap_err().to_string();
        assert_eq!(message(b""), "x.jpg is empty, not a JPEG or PNG photo: convert it to one of them");
        assert_eq!(
            message(b"hello, world"),
            "x.jpg is of an unknown format, not a JPEG or PNG photo: convert it to one of them"
        );
        assert!(message(b"GIF89a......").starts_with("x.jpg is a picture of type image/gif,"));
        assert_eq!(message(&whole[..whole.len() / 2]), "x.jpg is cut short: its last part is missing; copy it again");
        let whole = png(&gradient(64, 64));
        assert!(message(&whole[..whole.len() / 2]).starts_with("x.jpg does not decode as PNG: "));
    }

    #[test]
    fn a_photo_that_is_too_large_is_refused_before_it_is_decoded() {
        let mut bytes = jpeg(&gradient(8, 8), 90);
        let frame = bytes.windows(2).position(|two| two == [0xFF, 0xC0]).unwrap();
        bytes[frame + 5..frame + 9].copy_from_slice(&[0xFF, 0xDC, 0xFF, 0xDC]);
        let error = Photo::decode(&bytes, "x.jpg").unwrap_err();
        assert_eq!(error.to_string(), "x.jpg has 65500 x 65500 pixels, more than 64 million: scale it down");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn damaged_photos_never_panic(
            as_png: bool,
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            kept in any::<prop::sample::Index>(),
            cut: bool,
        ) {
            let photo = gradient(24, 16);
            let mut bytes = if as_png { png(&photo) } else { jpeg(&photo, 80) };
            for (place, value) in changes {
                let at = place.index(bytes.len());
                bytes[at] = value;
            }
            if cut {
                bytes.truncate(kept.index(bytes.len()));
            }
            if let Ok(photo) = Photo::decode(&bytes, "damaged") {
                prop_assert!(photo.fit(7, 5).is_ok());
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64), png: bool) {
            let start: &[u8] = if png { b"\x89PNG\r\n\x1a\n" } else { b"\xFF\xD8\xFF" };
            prop_assert!(Photo::decode(&[start, &bytes].concat(), "noise").is_err());
        }
    }
}
