//! JPEG and PNG files become pixels.

use std::io::Cursor;

use image::codecs::jpeg::JpegDecoder;
use image::codecs::png::PngDecoder;
use image::{DynamicImage, ImageDecoder, ImageFormat, Limits, RgbImage};

use crate::ImageError;

/// Photos of more pixels are refused before they are decoded: 64 million are 192 MiB, above what phones deliver.
pub const PIXELS_MAX: u64 = 64_000_000;

/// What a decoder may allocate beside the pixels, in bytes: the coefficients of a progressive JPEG take twice as many
/// as the pixels.
const DECODER_BYTES_MAX: u64 = 3 * 3 * PIXELS_MAX;

/// A picture in 8-bit sRGB: at least one pixel, rows from the top, pixels from the left, channels R, G, B.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Photo(pub(crate) RgbImage);

impl Photo {
    /// Decodes a JPEG or PNG file.
    ///
    /// It is turned as its EXIF orientation says. Transparency is dropped, 16-bit channels are cut to 8 bits,
    /// and a colour profile is not applied.
    pub fn decode(bytes: &[u8]) -> Result<Self, ImageError> {
        let mut limits = Limits::no_limits();
        limits.max_alloc = Some(DECODER_BYTES_MAX);
        match format_of(bytes)? {
            Format::Jpeg => {
                let decoder = JpegDecoder::new(Cursor::new(bytes)).map_err(|error| damaged("JPEG", &error))?;
                checked(&decoder)?;
                if !has_end(bytes) {
                    return Err(ImageError::CutShort);
                }
                upright(decoder, limits, "JPEG")
            }
            Format::Png => {
                let decoder = PngDecoder::with_limits(Cursor::new(bytes), limits.clone());
                let decoder = decoder.map_err(|error| damaged("PNG", &error))?;
                checked(&decoder)?;
                upright(decoder, limits, "PNG")
            }
        }
    }

    /// Pixels across.
    pub fn width(&self) -> u32 {
        self.0.width()
    }

    /// Pixels down.
    pub fn height(&self) -> u32 {
        self.0.height()
    }

    /// R, G and B of each pixel.
    pub fn bytes(&self) -> &[u8] {
        self.0.as_raw()
    }

    /// The same, without a copy.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0.into_raw()
    }
}

impl From<Photo> for RgbImage {
    fn from(photo: Photo) -> Self {
        photo.0
    }
}

enum Format {
    Jpeg,
    Png,
}

/// JPEG or PNG by the first bytes; a file's name may lie.
fn format_of(bytes: &[u8]) -> Result<Format, ImageError> {
    let found = match image::guess_format(bytes) {
        Ok(ImageFormat::Jpeg) => return Ok(Format::Jpeg),
        Ok(ImageFormat::Png) => return Ok(Format::Png),
        Ok(other) => format!("a picture of type {}", other.to_mime_type()),
        Err(_) if bytes.is_empty() => "empty".to_owned(),
        Err(_) => "of an unknown format".to_owned(),
    };
    Err(ImageError::Format { found })
}

fn damaged(format: &'static str, error: &image::ImageError) -> ImageError {
    ImageError::Damaged { format, reason: error.to_string().trim().to_owned() }
}

fn checked(decoder: &impl ImageDecoder) -> Result<(), ImageError> {
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > PIXELS_MAX {
        return Err(ImageError::TooLarge { width, height });
    }
    Ok(())
}

fn upright(mut decoder: impl ImageDecoder, limits: Limits, format: &'static str) -> Result<Photo, ImageError> {
    let damaged = |error| damaged(format, &error);
    decoder.set_limits(limits).map_err(damaged)?;
    let orientation = decoder.orientation().map_err(damaged)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(damaged)?;
    image.apply_orientation(orientation);
    Ok(Photo(image.into_rgb8()))
}

/// Whether a JPEG's end marker follows its first scan: the decoder fills what is missing with grey and says nothing.
///
/// Segments before the scan are skipped by their lengths (ITU-T T.81, B.1.1), so that an embedded preview does not
/// count.
fn has_end(jpeg: &[u8]) -> bool {
    const START_OF_SCAN: u8 = 0xDA;
    const END_OF_IMAGE: [u8; 2] = [0xFF, 0xD9];
    let mut at = 2;
    while let Some(&[first, marker, high, low]) = jpeg.get(at..at + 4) {
        match (first, marker) {
            (0xFF, START_OF_SCAN) => return jpeg[at..].windows(2).any(|two| two == END_OF_IMAGE),
            (0xFF, 0x01..=0xFE) => at += 2 + usize::from(u16::from_be_bytes([high, low])),
            // A fill byte, or a stray one that decoders skip as well.
            _ => at += 1,
        }
    }
    false
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use image::codecs::jpeg::JpegEncoder;
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn gradient(width: u32, height: u32) -> Photo {
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
        assert_eq!(Photo::decode(&png(&photo)).unwrap(), photo);
        let decoded = Photo::decode(&jpeg(&photo, 95)).unwrap();
        let largest = photo.bytes().iter().zip(decoded.bytes()).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!((1..=8).contains(&largest), "{largest} levels off");
    }

    #[test]
    fn orientation_is_applied() {
        // An EXIF block with one entry, orientation 6: the camera was turned, rows run down from the right.
        let mut exif = b"\xFF\xE1\x00\x22Exif\0\0MM\0\x2A\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0".to_vec();
        exif.extend([0; 4]);
        let mut bytes = jpeg(&gradient(40, 30), 95);
        bytes.splice(2..2, exif);
        let photo = Photo::decode(&bytes).unwrap();
        assert_eq!((photo.width(), photo.height()), (30, 40));
    }

    #[test]
    fn what_is_no_whole_photo_is_refused() {
        let refused = |bytes: &[u8]| Photo::decode(bytes).unwrap_err();
        assert_eq!(refused(b""), ImageError::Format { found: "empty".to_owned() });
        assert_eq!(refused(b"GIF89a,,,,"), ImageError::Format { found: "a picture of type image/gif".to_owned() });
        assert_eq!(refused(b"hello, world"), ImageError::Format { found: "of an unknown format".to_owned() });
        let whole = jpeg(&gradient(64, 64), 90);
        assert_eq!(refused(&whole[..whole.len() - 9]), ImageError::CutShort);
        let whole = png(&gradient(64, 64));
        assert!(matches!(refused(&whole[..whole.len() / 2]), ImageError::Damaged { format: "PNG", .. }));
    }

    #[test]
    fn a_huge_photo_is_refused_before_it_is_decoded() {
        let mut bytes = png(&gradient(1, 1));
        bytes[16..24].copy_from_slice(&[0, 0, 0xFF, 0xFF, 0, 0, 0xFF, 0xFF]);
        // The checksum of the header, which the decoder looks at first.
        let checksum = crc(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&checksum.to_be_bytes());
        assert_eq!(Photo::decode(&bytes), Err(ImageError::TooLarge { width: 65_535, height: 65_535 }));
    }

    /// The checksum of PNG's chunks (ISO 3309), bit by bit.
    fn crc(bytes: &[u8]) -> u32 {
        let bit = |sum: u32, _| if sum & 1 == 1 { 0xEDB8_8320 ^ (sum >> 1) } else { sum >> 1 };
        !bytes.iter().fold(u32::MAX, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), bit))
    }

    proptest! {
        #[test]
        fn damaged_photos_never_panic(at in any::<prop::sample::Index>(), with: u8, is_png: bool) {
            let photo = gradient(19, 17);
            let mut bytes = if is_png { png(&photo) } else { jpeg(&photo, 80) };
            let at = at.index(bytes.len());
            bytes[at] = with;
            let _ = Photo::decode(&bytes);
        }
    }
}
