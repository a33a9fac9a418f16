//! What the picture codecs share: which tensors are pictures, pixels to numbers and back, and the check of a header.

use image::{ColorType, ImageDecoder, ImageError, Limits};
use thalweg_planner::{DType, Tensor, TensorSpec};

use crate::{CodecError, Quality, jpeg, webp};

/// The file format that a picture travels in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Baseline JPEG.
    Jpeg,
    /// Lossy WebP.
    Webp,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Jpeg, Self::Webp];

    /// What a codec's name begins with.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "jpeg",
            Self::Webp => "webp",
        }
    }

    /// The longest side, in pixels: JPEG writes it in 16 bits, the key frames of VP8 (RFC 6386, section 9.1) in 14.
    fn side_max(self) -> usize {
        match self {
            Self::Jpeg => 65_535,
            Self::Webp => 16_383,
        }
    }

    /// Width and height of the picture in such a tensor; `None` where it is no picture or the format has no such sizes.
    pub(crate) fn size_of(self, spec: &TensorSpec) -> Option<(u32, u32)> {
        let ([3, height, width] | [1, 3, height, width]) = spec.shape.as_slice() else { return None };
        let side = |size: &usize| u32::try_from(*size).ok().filter(|_| (1..=self.side_max()).contains(size));
        if spec.dtype == DType::F32 { Some((side(width)?, side(height)?)) } else { None }
    }

    /// Appends the body and returns true; false where a value was not made from a pixel. Then, and on an error, what
    /// was appended is without meaning.
    pub(crate) fn encode(
        self,
        tensor: &Tensor,
        quality: Quality,
        pixels: &Pixels,
        out: &mut Vec<u8>,
    ) -> Result<bool, CodecError> {
        pixels.check()?;
        let Some(size) = self.size_of(tensor.spec()) else { return Ok(false) };
        let Some(picture) = to_picture(tensor.data(), pixels) else { return Ok(false) };
        out.extend(pixels.to_bytes());
        let written = match self {
            Self::Jpeg => jpeg::write(&picture, size, quality, out).map_err(|error| error.to_string()),
            Self::Webp => webp::write(&picture, size, quality, out),
        };
        written.map_err(|reason| CodecError::Picture { spec: tensor.spec().clone(), reason })?;
        Ok(true)
    }

    pub(crate) fn decode(self, spec: &TensorSpec, body: &[u8]) -> Result<Tensor, CodecError> {
        let too_short = || refused(spec, ENDS_EARLY);
        let (pixels, file) = body.split_first_chunk().ok_or_else(too_short)?;
        let pixels = Pixels::from_bytes(pixels);
        pixels.check()?;
        let picture = match self {
            Self::Jpeg => self.read(spec, jpeg::open(file).map_err(|reason| refused(spec, reason))?),
            Self::Webp => self.read(spec, webp::open(file).map_err(|reason| refused(spec, reason))?),
        }?;
        Tensor::new(spec.clone(), from_picture(&picture, &pixels)).map_err(|_| too_short())
    }

    /// Red, green and blue of each pixel in turn, after the file's header was found to agree with `spec`.
    fn read(self, spec: &TensorSpec, mut decoder: impl ImageDecoder) -> Result<Vec<u8>, CodecError> {
        let (width, height) = decoder.dimensions();
        if self.size_of(spec) != Some((width, height)) {
            return Err(CodecError::WrongPicture { spec: spec.clone(), width, height });
        }
        if decoder.color_type() != ColorType::Rgb8 {
            return Err(refused(spec, "it is not of three colours"));
        }
        let failed = |error: ImageError| refused(spec, error);
        let mut limits = Limits::default();
        limits.max_image_width = Some(width);
        limits.max_image_height = Some(height);
        limits.max_alloc = Some(spec.bytes().0);
        decoder.set_limits(limits).map_err(failed)?;
        let mut picture = vec![0; spec.len()];
        decoder.read_image(&mut picture).map_err(failed)?;
        Ok(picture)
    }
}

/// Why a file that was cut short is refused.
pub(crate) const ENDS_EARLY: &str = "the stream ends early";

fn refused(spec: &TensorSpec, reason: impl ToString) -> CodecError {
    CodecError::Picture { spec: spec.clone(), reason: reason.to_string() }
}

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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Codec;

    const PIXELS: Pixels = Pixels { mean: [127.0, 116.0, 104.0], scale: [128.0, 57.0, -58.0] };

    fn codec(format: Format, quality: u8) -> Codec {
        Codec::Picture { format, quality: Quality::new(quality).expect("a quality"), pixels: PIXELS }
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

    fn coded(tensor: &Tensor, codec: &Codec) -> Vec<u8> {
        let mut stream = Vec::new();
        codec.encode(tensor, &mut stream).expect("a picture");
        stream
    }

    #[test]
    fn a_smooth_picture_is_small_and_looks_the_same() {
        let original = smooth(224, 160);
        for format in Format::ALL {
            let mut before = (0, 0.0);
            for quality in [10, 50, 90] {
                let codec = codec(format, quality);
                let stream = coded(&original, &codec);
                let decoded = codec.decode(original.spec(), &stream).expect("a stream");
                let now = (stream.len(), psnr(&original, &decoded));
                assert!(now.0 > before.0 && now.1 > before.1, "{codec}: {now:?} after {before:?}");
                before = now;
            }
            assert!(before.1 > 30.0, "{} dB with {format:?} at quality 90", before.1);
            assert!(before.0 * 30 < original.data().len(), "{} bytes with {format:?} at quality 90", before.0);
        }
    }

    #[test]
    fn webp_takes_fewer_bytes_than_jpeg() {
        let original = smooth(224, 160);
        let [jpeg, webp] = Format::ALL.map(|format| coded(&original, &codec(format, 90)).len());
        assert!(webp * 5 < jpeg * 4, "{webp} bytes beside {jpeg}");
    }

    #[test]
    fn the_decoder_needs_no_pixels_of_its_own() {
        let original = smooth(40, 30);
        for (format, name) in [(Format::Jpeg, "jpeg/1"), (Format::Webp, "webp/1")] {
            let stream = coded(&original, &codec(format, 90));
            let named: Codec = name.parse().expect("a codec");
            assert_eq!(named.decode(original.spec(), &stream), codec(format, 90).decode(original.spec(), &stream));
        }
    }

    #[test]
    fn pixels_that_restore_nothing_are_refused() {
        let original = smooth(8, 8);
        for format in Format::ALL {
            for (mean, scale) in [(0.0, 0.0), (f32::NAN, 1.0), (0.0, f32::INFINITY)] {
                let pixels = Pixels { mean: [mean; 3], scale: [scale; 3] };
                let codec = Codec::Picture { format, quality: Quality::new(90).expect("a quality"), pixels };
                let mut stream = vec![7];
                assert!(matches!(codec.encode(&original, &mut stream), Err(CodecError::Pixels { .. })));
                assert_eq!(stream, [7]);
            }
        }
    }

    #[test]
    fn what_was_not_made_from_pixels_travels_exactly() {
        let original = Tensor::from_f32([3, 8, 8], &[1000.0; 3 * 64]).expect("a tensor");
        for codec in Format::ALL.map(|format| codec(format, 90)) {
            let stream = coded(&original, &codec);
            assert_eq!(codec.decode(original.spec(), &stream).expect("a stream"), original);
        }
    }

    #[test]
    fn a_header_of_another_size_is_refused_before_any_pixel_is_decoded() {
        for codec in Format::ALL.map(|format| codec(format, 90)) {
            let stream = coded(&smooth(40, 30), &codec);
            let decoded = codec.decode(smooth(30, 40).spec(), &stream);
            assert!(matches!(decoded, Err(CodecError::WrongPicture { width: 40, height: 30, .. })), "{decoded:?}");
        }
    }

    #[test]
    fn a_picture_cut_short_is_refused() {
        let original = smooth(40, 30);
        for codec in Format::ALL.map(|format| codec(format, 90)) {
            let stream = coded(&original, &codec);
            for len in 0..stream.len() {
                let decoded = codec.decode(original.spec(), &stream[..len]);
                assert!(decoded.is_err(), "{len} of {} bytes of {codec}", stream.len());
            }
        }
    }

    #[test]
    fn a_picture_of_the_other_format_is_refused() {
        let original = smooth(40, 30);
        for (written, read) in [(Format::Jpeg, Format::Webp), (Format::Webp, Format::Jpeg)] {
            let decoded = codec(read, 90).decode(original.spec(), &coded(&original, &codec(written, 90)));
            assert!(matches!(decoded, Err(CodecError::Picture { .. })), "{written:?} as {read:?}: {decoded:?}");
        }
    }

    #[test]
    fn floats_that_are_no_picture_are_refused_and_integers_are_not() {
        for format in Format::ALL {
            let (codec, beyond) = (codec(format, 90), format.side_max() + 1);
            for shape in [vec![1, 4, 8, 8], vec![2, 3, 8, 8], vec![3, 8], vec![3, beyond, 1], vec![3, 1, beyond]] {
                assert!(!codec.supports(&TensorSpec::new(DType::F32, shape.clone())), "{codec} of {shape:?}");
                assert!(codec.supports(&TensorSpec::new(DType::I64, shape)));
            }
            assert!(codec.supports(&TensorSpec::new(DType::F32, [3, beyond - 1, 1])));
        }
    }

    #[test]
    fn the_longest_sides_are_carried() {
        for format in Format::ALL {
            let original = smooth(format.side_max(), 2);
            let stream = coded(&original, &codec(format, 50));
            assert!(stream.len() * 10 < original.data().len(), "{format:?}: {} bytes", stream.len());
            assert!(codec(format, 50).decode(original.spec(), &stream).is_ok());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        /// Damage behind the pixels' 24 bytes and the tag, half of it in the first bytes, where the headers are.
        #[test]
        fn damaged_pictures_are_an_error_or_a_picture(
            format in prop::sample::select(Format::ALL.to_vec()),
            quality in 1..=100_u8,
            (width, height) in (1..70_usize, 1..70_usize),
            flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 1..6),
        ) {
            let original = smooth(width, height);
            let mut stream = coded(&original, &codec(format, quality));
            for (at, value, early) in flips {
                let start = (1 + Pixels::SIZE).min(stream.len() - 1);
                let len = stream.len() - start;
                let at = at.index(if early { len.min(60) } else { len });
                stream[start + at] ^= value;
            }
            if let Ok(tensor) = codec(format, 1).decode(original.spec(), &stream) {
                prop_assert_eq!(tensor.spec(), original.spec());
            }
        }
    }
}
