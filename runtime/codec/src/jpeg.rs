//! `jpeg/Q`: input pictures, as a camera would send them.

use std::io::Cursor;

use image::codecs::jpeg::{JpegDecoder, JpegEncoder};
use image::{ColorType, ExtendedColorType, ImageDecoder, ImageError, Limits};
use thalweg_planner::{DType, Tensor, TensorSpec};

use crate::{CodecError, Quality};

/// How a picture's tensor was made: (pixel - mean) / scale, for red, green and blue, from pixels in 0..=255.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pixels {
    /// What is subtracted. Finite.
    pub mean: [f32; 3],
    /// What is divided by. Finite and not zero.
    pub scale: [f32; 3],
}

impl Default for Pixels {
    /// The pixels as they are: mean 0, scale 1.
    fn default() -> Self {
        Self { mean: [0.0; 3], scale: [1.0; 3] }
    }
}

impl Pixels {
    /// Bytes on the wire.
    const SIZE: usize = 24;

    fn check(&self) -> Result<(), CodecError> {
        for colour in 0..3 {
            let (mean, scale) = (self.mean[colour], self.scale[colour]);
            if !mean.is_finite() || !scale.is_finite() || scale == 0.0 {
                return Err(CodecError::Pixels { colour, mean, scale });
            }
        }
        Ok(())
    }

    fn to_bytes(self) -> impl Iterator<Item = u8> {
        self.mean.into_iter().chain(self.scale).flat_map(f32::to_le_bytes)
    }

    fn from_bytes(bytes: &[u8; Self::SIZE]) -> Self {
        let (numbers, _) = bytes.as_chunks::<4>();
        let number = |at: usize| f32::from_le_bytes(numbers[at]);
        Self { mean: [number(0), number(1), number(2)], scale: [number(3), number(4), number(5)] }
    }
}

/// Width and height of the picture in such a tensor; `None` where it is no picture or JPEG has no such sizes.
pub(crate) fn size_of(spec: &TensorSpec) -> Option<(u16, u16)> {
    let ([3, height, width] | [1, 3, height, width]) = spec.shape.as_slice() else { return None };
    let side = |size: &usize| u16::try_from(*size).ok().filter(|size| *size > 0);
    if spec.dtype == DType::F32 { Some((side(width)?, side(height)?)) } else { None }
}

/// Appends the body and returns true; false where a value was not made from a pixel, and then `out` is as it was.
pub(crate) fn encode(
    tensor: &Tensor,
    quality: Quality,
    pixels: &Pixels,
    out: &mut Vec<u8>,
) -> Result<bool, CodecError> {
    pixels.check()?;
    let Some((width, height)) = size_of(tensor.spec()) else { return Ok(false) };
    let Some(picture) = to_picture(tensor.data(), pixels) else { return Ok(false) };
    out.extend(pixels.to_bytes());
    JpegEncoder::new_with_quality(out, quality.get())
        .encode(&picture, width.into(), height.into(), ExtendedColorType::Rgb8)
        .map_err(|error| refused(tensor.spec(), &error))?;
    Ok(true)
}

pub(crate) fn decode(spec: &TensorSpec, body: &[u8]) -> Result<Tensor, CodecError> {
    let too_short = || CodecError::Picture { spec: spec.clone(), reason: "the stream ends early".into() };
    let (pixels, file) = body.split_first_chunk().ok_or_else(too_short)?;
    let pixels = Pixels::from_bytes(pixels);
    pixels.check()?;
    // The library fills what is missing with grey: the mark of the end says that nothing is.
    if !file.ends_with(&[0xff, 0xd9]) {
        return Err(too_short());
    }
    let picture = read_picture(spec, file)?;
    let data = from_picture(&picture, &pixels);
    Tensor::new(spec.clone(), data).map_err(|_| too_short())
}

/// Red, green and blue of each pixel in turn, after the file's header was found to agree with `spec`.
fn read_picture(spec: &TensorSpec, file: &[u8]) -> Result<Vec<u8>, CodecError> {
    let mut decoder = JpegDecoder::new(Cursor::new(file)).map_err(|error| refused(spec, &error))?;
    let (width, height) = decoder.dimensions();
    let expected = size_of(spec).map(|(width, height)| (u32::from(width), u32::from(height)));
    if expected != Some((width, height)) {
        return Err(CodecError::WrongPicture { spec: spec.clone(), width, height });
    }
    if decoder.color_type() != ColorType::Rgb8 {
        return Err(CodecError::Picture { spec: spec.clone(), reason: "it has no colours".into() });
    }
    let mut limits = Limits::default();
    limits.max_image_width = Some(width);
    limits.max_image_height = Some(height);
    limits.max_alloc = Some(spec.bytes().0);
    decoder.set_limits(limits).map_err(|error| refused(spec, &error))?;
    let mut picture = vec![0; spec.len()];
    decoder.read_image(&mut picture).map_err(|error| refused(spec, &error))?;
    Ok(picture)
}

/// From a plane a colour to the colours of a pixel side by side. `None` where a value does not round to 0..=255.
fn to_picture(data: &[u8], pixels: &Pixels) -> Option<Vec<u8>> {
    let (numbers, _) = data.as_chunks::<4>();
    let mut picture = vec![0; numbers.len()];
    for (colour, plane) in numbers.chunks_exact(numbers.len() / 3).enumerate() {
        let (mean, scale) = (pixels.mean[colour], pixels.scale[colour]);
        let mut represented = true;
        for (pixel, number) in picture.chunks_exact_mut(3).zip(plane) {
            let value = f32::from_le_bytes(*number) * scale + mean + 0.5;
            represented &= (0.0..256.0).contains(&value);
            pixel[colour] = value as u8;
        }
        if !represented {
            return None;
        }
    }
    Some(picture)
}

/// The way back, by the very formula that makes tensors from pixels.
fn from_picture(picture: &[u8], pixels: &Pixels) -> Vec<u8> {
    let mut data = vec![0; 4 * picture.len()];
    let (numbers, _) = data.as_chunks_mut::<4>();
    for (colour, plane) in numbers.chunks_exact_mut(picture.len() / 3).enumerate() {
        let (mean, scale) = (pixels.mean[colour], pixels.scale[colour]);
        for (number, pixel) in plane.iter_mut().zip(picture.chunks_exact(3)) {
            *number = ((f32::from(pixel[colour]) - mean) / scale).to_le_bytes();
        }
    }
    data
}

fn refused(spec: &TensorSpec, error: &ImageError) -> CodecError {
    CodecError::Picture { spec: spec.clone(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Codec;

    const PIXELS: Pixels = Pixels { mean: [127.0, 116.0, 104.0], scale: [128.0, 57.0, -58.0] };

    fn codec(quality: u8) -> Codec {
        Codec::Jpeg { quality: Quality::new(quality).expect("a quality"), pixels: PIXELS }
    }

    /// Colours that change slowly over the picture, with an edge through its middle.
    fn smooth(width: usize, height: usize) -> Tensor {
        let pixel = |at: usize| {
            let (colour, y, x) = (at / (width * height), at / width % height, at % width);
            let wave = (x as f32 / 17.0 + colour as f32).sin() * 60.0 + (y as f32 / 11.0).cos() * 40.0;
            let edge = if x + y > (width + height) / 2 { 20.0 } else { -20.0 };
            let pixel = (128.0 + wave + edge).round().clamp(0.0, 255.0);
            (pixel - PIXELS.mean[colour]) / PIXELS.scale[colour]
        };
        let values: Vec<f32> = (0..3 * width * height).map(pixel).collect();
        Tensor::from_f32([1, 3, height, width], &values).expect("a picture")
    }

    /// Peak signal-to-noise ratio over all pixels, in dB.
    fn psnr(original: &Tensor, decoded: &Tensor) -> f64 {
        let [original, decoded] = [original, decoded].map(|tensor| to_picture(tensor.data(), &PIXELS).expect("pixels"));
        let square = |(a, b): (&u8, &u8)| f64::from(a.abs_diff(*b)).powi(2);
        let mean = original.iter().zip(&decoded).map(square).sum::<f64>() / original.len() as f64;
        10.0 * (255.0_f64.powi(2) / mean).log10()
    }

    fn coded(tensor: &Tensor, quality: u8) -> Vec<u8> {
        let mut stream = Vec::new();
        codec(quality).encode(tensor, &mut stream).expect("a picture");
        stream
    }

    #[test]
    fn a_smooth_picture_is_small_and_looks_the_same() {
        let original = smooth(224, 160);
        let mut before = (0, 0.0);
        for quality in [10, 50, 90] {
            let stream = coded(&original, quality);
            let decoded = codec(quality).decode(original.spec(), &stream).expect("a stream");
            let now = (stream.len(), psnr(&original, &decoded));
            assert!(now.0 > before.0 && now.1 > before.1, "quality {quality}: {now:?} after {before:?}");
            before = now;
        }
        assert!(before.1 > 30.0, "{} dB at quality 90", before.1);
        assert!(before.0 * 30 < original.data().len(), "{} bytes at quality 90", before.0);
    }

    #[test]
    fn the_decoder_needs_no_pixels_of_its_own() {
        let original = smooth(40, 30);
        let stream = coded(&original, 90);
        let named: Codec = "jpeg/1".parse().expect("a codec");
        assert_eq!(named.decode(original.spec(), &stream), codec(90).decode(original.spec(), &stream));
    }

    #[test]
    fn pixels_that_restore_nothing_are_refused() {
        let original = smooth(8, 8);
        for (mean, scale) in [(0.0, 0.0), (f32::NAN, 1.0), (0.0, f32::INFINITY)] {
            let pixels = Pixels { mean: [mean; 3], scale: [scale; 3] };
            let codec = Codec::Jpeg { quality: Quality::new(90).expect("a quality"), pixels };
            let mut stream = vec![7];
            assert!(matches!(codec.encode(&original, &mut stream), Err(CodecError::Pixels { .. })));
            assert_eq!(stream, [7]);
        }
    }

    #[test]
    fn what_was_not_made_from_pixels_travels_exactly() {
        let values = vec![1000.0; 3 * 64];
        let original = Tensor::from_f32([3, 8, 8], &values).expect("a tensor");
        let stream = coded(&original, 90);
        assert_eq!(codec(90).decode(original.spec(), &stream).expect("a stream"), original);
    }

    #[test]
    fn a_header_of_another_size_is_refused_before_any_pixel_is_decoded() {
        let stream = coded(&smooth(40, 30), 90);
        let decoded = codec(90).decode(smooth(30, 40).spec(), &stream);
        assert!(matches!(decoded, Err(CodecError::WrongPicture { width: 40, height: 30, .. })), "{decoded:?}");
    }

    #[test]
    fn a_picture_cut_short_is_refused() {
        let original = smooth(40, 30);
        let stream = coded(&original, 90);
        for len in 0..stream.len() {
            assert!(codec(90).decode(original.spec(), &stream[..len]).is_err(), "{len} of {} bytes", stream.len());
        }
    }

    #[test]
    fn floats_that_are_no_picture_are_refused_and_integers_are_not() {
        for shape in [vec![1, 4, 8, 8], vec![2, 3, 8, 8], vec![3, 8], vec![3, 65_536, 1]] {
            assert!(!codec(90).supports(&TensorSpec::new(DType::F32, shape.clone())), "{shape:?}");
            assert!(codec(90).supports(&TensorSpec::new(DType::I64, shape)));
        }
        assert!(codec(90).supports(smooth(8, 8).spec()));
    }
}
