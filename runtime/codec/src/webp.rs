//! `webp/Q`: input pictures in fewer bytes than JPEG, for more time.
//!
//! libwebp encodes, because `image` writes lossless WebP only. Streams come from the network, so they are decoded in
//! safe Rust, by `image`: that takes two to four times as long as libwebp.
//!
//! The figures behind [`METHOD`], on a photo of 224 x 224 pixels at quality 90 with one core:
//!
//! | encoder       | bytes  | PSNR, dB | encode, ms | decode, ms |
//! |---------------|--------|----------|------------|------------|
//! | JPEG          | 23,134 | 37.3     | 1.5        | 0.3        |
//! | WebP method 0 | 16,482 | 36.9     | 2.0        | 1.5        |
//! | WebP method 2 | 15,906 | 36.8     | 2.7        | 1.6        |
//! | WebP method 4 | 15,782 | 36.9     | about 9    | 1.6        |
//! | WebP method 6 | 15,324 | 36.8     | 39         | 1.6        |

use std::io::Cursor;

use image::codecs::webp::WebPDecoder;
use webp::{Encoder, WebPConfig};

use crate::Quality;
use crate::picture::ENDS_EARLY;

/// How hard libwebp tries, from 0 to 6. The last one before it optimises rate and distortion of each block: its own
/// choice, 4, saves 1 % more bytes for three times the time, which pays below about 150 kbit/s.
const METHOD: i32 = 2;
/// A container's header and the header of its only chunk (RFC 9649, sections 2.3 to 2.5).
const HEADER: usize = 20;

/// Appends a file of `size`, width and height, to `out`.
pub(crate) fn write(picture: &[u8], size: (u32, u32), quality: Quality, out: &mut Vec<u8>) -> Result<(), String> {
    let mut config = WebPConfig::new().map_err(|()| "libwebp is of another version than its bindings".to_owned())?;
    config.quality = quality.get().into();
    config.method = METHOD;
    let file = Encoder::from_rgb(picture, size.0, size.1).encode_advanced(&config);
    out.extend_from_slice(&file.map_err(|error| format!("libwebp says {error:?}"))?);
    Ok(())
}

/// Reads the header of a file of one lossy picture and nothing else, as [`write()`] makes it.
pub(crate) fn open(file: &[u8]) -> Result<WebPDecoder<Cursor<&[u8]>>, String> {
    let (header, chunk) = file.split_first_chunk::<HEADER>().ok_or(ENDS_EARLY)?;
    let (words, _) = header.as_chunks::<4>();
    // No lossless picture, which takes more memory, and no animation.
    if [words[0], words[2], words[3]] != [*b"RIFF", *b"WEBP", *b"VP8 "] {
        return Err("it is no lossy WebP file of one picture".to_owned());
    }
    let [file_len, chunk_len] = [words[1], words[4]].map(|word| u64::from(u32::from_le_bytes(word)));
    // Chunks are padded to an even length. The library takes what is missing for zeros.
    if file_len + 8 != file.len() as u64 || chunk_len + chunk_len % 2 != chunk.len() as u64 {
        return Err(format!("its header says that it has {} bytes, but it has {}", file_len + 8, file.len()));
    }
    WebPDecoder::new(Cursor::new(file)).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Vec<u8> {
        let mut file = Vec::new();
        write(&[90; 3 * 40], (10, 4), Quality::new(90).expect("a quality"), &mut file).expect("a file");
        file
    }

    fn refusal(change: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut file = file();
        change(&mut file);
        open(&file).err().expect("a damaged file")
    }

    #[test]
    fn a_file_is_one_lossy_picture() {
        assert!(open(&file()).is_ok());
        for (at, word) in [(0, b"RIFX"), (8, b"WAVE"), (12, b"VP8L"), (12, b"VP8X")] {
            let text = refusal(|file| file[at..at + 4].copy_from_slice(word));
            assert_eq!(text, "it is no lossy WebP file of one picture");
        }
        assert_eq!(refusal(|file| file.truncate(19)), ENDS_EARLY);
    }

    #[test]
    fn lengths_that_disagree_are_refused() {
        let len = file().len();
        let text = format!("its header says that it has {len} bytes, but it has {}", len - 2);
        assert_eq!(refusal(|file| file.truncate(len - 2)), text);
        for at in [4, 16] {
            assert!(refusal(|file| file[at + 3] = 0xff).starts_with("its header says that it has"));
            assert!(refusal(|file| file[at] = file[at].wrapping_add(2)).starts_with("its header says that it has"));
        }
        assert!(refusal(|file| file.extend([0, 0])).starts_with("its header says that it has"));
    }
}
