//! Pictures are those of OpenCV's `warpPerspective`.
//!
//! `fixtures/photo_80x60.bin` has R, G and B of each pixel; `fixtures/opencv_81x48.bin` is what OpenCV 5.0 makes of the
//! quadrilateral, bilinear, where both corners and pixels are moved by half a pixel: OpenCV counts from the middles.

use thalweg_module_crop::{Photo, Settings, crop};

const PHOTO: &[u8] = include_bytes!("fixtures/photo_80x60.bin");
const EXPECTED: &[u8] = include_bytes!("fixtures/opencv_81x48.bin");
/// OpenCV rounds places to 1/32 of a pixel, and the photo changes by up to 16 levels from one pixel to the next.
const LEVELS_APART_MAX: u8 = 2;

#[test]
fn pictures_are_those_of_opencv() {
    let photo = Photo::new(PHOTO, 80, 60).expect("a photo");
    let corners = [[12.3, 8.7], [70.1, 15.2], [66.4, 49.9], [9.5, 38.1]];
    let picture = crop(&photo, &corners, &Settings::default()).expect("a quadrilateral");
    assert_eq!((picture.width, picture.height), (81, 48));
    let apart = picture.bytes.iter().zip(EXPECTED).map(|(a, b)| a.abs_diff(*b)).max();
    assert_eq!(picture.bytes.len(), EXPECTED.len());
    assert!(apart <= Some(LEVELS_APART_MAX), "{apart:?} levels apart");
}
