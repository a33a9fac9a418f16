//! Pixels become the numbers that a text recogniser was trained on.

use serde::{Deserialize, Serialize};

use crate::{CropError, PIXELS_MAX, Picture};

/// The order of the channels in an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channels {
    /// Blue, green, red: what OpenCV reads, and so what PaddleOCR's models were trained on.
    #[default]
    Bgr,
    /// Red, green, blue.
    Rgb,
}

/// The line as f32[3, height, width], channel by channel: (level / 255 - 0.5) / 0.5, and zeros to its right.
pub fn input(line: &Picture, width: usize, channels: Channels) -> Result<Vec<f32>, CropError> {
    let area = line.height.checked_mul(width).filter(|area| *area <= PIXELS_MAX);
    let area = area.ok_or(CropError::Size { width, height: line.height })?;
    if line.width.checked_mul(line.height).and_then(|pixels| pixels.checked_mul(3)) != Some(line.bytes.len()) {
        return Err(CropError::Photo { found: line.bytes.len(), width: line.width, height: line.height });
    }
    if line.width > width {
        return Err(CropError::TooWide { width: line.width, input: width });
    }
    let mut values = vec![0.0; 3 * area];
    for (at, pixel) in line.bytes.as_chunks::<3>().0.iter().enumerate() {
        let place = at / line.width * width + at % line.width;
        for (channel, level) in pixel.iter().enumerate() {
            let channel = if channels == Channels::Bgr { 2 - channel } else { channel };
            values[channel * area + place] = (f32::from(*level) / 255.0 - 0.5) / 0.5;
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn line() -> Picture {
        Picture { bytes: vec![255, 0, 0, 0, 255, 0], width: 1, height: 2 }
    }

    #[test]
    fn channels_stand_apart_and_zeros_follow() {
        let rgb = [1.0, 0.0, -1.0, 0.0, -1.0, 0.0, 1.0, 0.0, -1.0, 0.0, -1.0, 0.0];
        assert_eq!(input(&line(), 2, Channels::Rgb).unwrap(), rgb);
        let bgr = [-1.0, 0.0, -1.0, 0.0, -1.0, 0.0, 1.0, 0.0, 1.0, 0.0, -1.0, 0.0];
        assert_eq!(input(&line(), 2, Channels::Bgr).unwrap(), bgr);
    }

    #[test]
    fn sizes_that_lie_are_refused() {
        let wide = Picture { width: 2, height: 1, ..line() };
        assert_eq!(input(&wide, 1, Channels::Bgr).unwrap_err(), CropError::TooWide { width: 2, input: 1 });
        assert!(matches!(input(&line(), usize::MAX, Channels::Bgr), Err(CropError::Size { .. })));
        assert!(matches!(input(&line(), PIXELS_MAX, Channels::Bgr), Err(CropError::Size { .. })));
        let lies = Picture { width: usize::MAX, height: 2, ..line() };
        assert!(matches!(input(&lies, 2, Channels::Bgr), Err(CropError::Photo { .. })));
        let empty = Picture { bytes: vec![], width: 0, height: 2 };
        assert_eq!(input(&empty, 1, Channels::Bgr).unwrap(), [0.0; 6]);
    }
}
