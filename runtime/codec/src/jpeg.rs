//! `jpeg/Q`: input pictures, as a camera would send them.

use std::io::Cursor;

use image::codecs::jpeg::{JpegDecoder, JpegEncoder};
use image::{ExtendedColorType, ImageResult};

use crate::Quality;
use crate::picture::ENDS_EARLY;

/// Appends a file of `size`, width and height, to `out`.
pub(crate) fn write(picture: &[u8], size: (u32, u32), quality: Quality, out: &mut Vec<u8>) -> ImageResult<()> {
    JpegEncoder::new_with_quality(out, quality.get()).encode(picture, size.0, size.1, ExtendedColorType::Rgb8)
}

/// Reads the header.
pub(crate) fn open(file: &[u8]) -> Result<JpegDecoder<Cursor<&[u8]>>, String> {
    // The library fills what is missing with grey: the mark of the end says that nothing is.
    if !file.ends_with(&[0xff, 0xd9]) {
        return Err(ENDS_EARLY.to_owned());
    }
    JpegDecoder::new(Cursor::new(file)).map_err(|error| error.to_string())
}
