//! Pixels become the numbers that an image model was trained on.

use crate::{Colour, ImageError, Layout, Photo, Settings};

impl Photo {
    /// The photo as the input of a model that takes f32: fitted, then each level of a channel as
    /// `(level - mean) / scale`. The shape is [`Settings::shape`].
    pub fn numbers(&self, settings: &Settings) -> Result<Vec<f32>, ImageError> {
        let of_channel = |channel: usize| {
            std::array::from_fn(|level| (level as f32 - settings.mean[channel]) / settings.scale[channel])
        };
        Ok(arranged(&self.fit(settings)?, settings, &[0, 1, 2].map(of_channel)))
    }

    /// The photo as the input of a model that takes u8: fitted, its levels as they are. The shape is
    /// [`Settings::shape`].
    pub fn levels(&self, settings: &Settings) -> Result<Vec<u8>, ImageError> {
        let levels = std::array::from_fn(|level| level as u8);
        Ok(arranged(&self.fit(settings)?, settings, &[levels; 3]))
    }
}

/// The channels of a photo in the layout of the settings; `tables` has what each level of each channel becomes.
fn arranged<T: Copy + Default>(photo: &Photo, settings: &Settings, tables: &[[T; 256]; 3]) -> Vec<T> {
    let pixels = photo.bytes().as_chunks::<3>().0;
    let order = if settings.colour == Colour::Bgr { [2, 1, 0] } else { [0, 1, 2] };
    let number = |channel: usize, pixel: &[u8; 3]| tables[channel][usize::from(pixel[order[channel]])];
    match (settings.colour, settings.layout) {
        (Colour::Grey, _) => pixels.iter().map(|pixel| tables[0][usize::from(luma(*pixel))]).collect(),
        (_, Layout::Nhwc) => pixels.iter().flat_map(|pixel| [0, 1, 2].map(|channel| number(channel, pixel))).collect(),
        (_, Layout::Nchw) => {
            let mut values = vec![T::default(); 3 * pixels.len()];
            for (channel, plane) in values.chunks_exact_mut(pixels.len()).enumerate() {
                plane.iter_mut().zip(pixels).for_each(|(value, pixel)| *value = number(channel, pixel));
            }
            values
        }
    }
}

/// Brightness by ITU-R BT.709, in ten-thousandths; equal channels keep their value.
pub fn luma([red, green, blue]: [u8; 3]) -> u8 {
    let sum = 2126 * u32::from(red) + 7152 * u32::from(green) + 722 * u32::from(blue);
    (sum / 10_000) as u8
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A red and a green pixel, side by side.
    fn photo() -> Photo {
        Photo(image::RgbImage::from_vec(2, 1, vec![255, 0, 0, 0, 255, 0]).unwrap())
    }

    fn settings(more: &str) -> Settings {
        serde_json::from_str(&format!(r#"{{"width": 2, "height": 1 {more}}}"#)).unwrap()
    }

    fn numbers(more: &str) -> Vec<f32> {
        photo().numbers(&settings(more)).unwrap()
    }

    #[test]
    fn layouts_and_colours_differ_in_order_only() {
        assert_eq!(numbers(""), [255.0, 0.0, 0.0, 255.0, 0.0, 0.0]);
        assert_eq!(numbers(r#", "layout": "nhwc""#), [255.0, 0.0, 0.0, 0.0, 255.0, 0.0]);
        assert_eq!(numbers(r#", "colour": "bgr""#), [0.0, 0.0, 0.0, 255.0, 255.0, 0.0]);
        assert_eq!(photo().levels(&settings(r#", "layout": "nhwc""#)).unwrap(), photo().bytes());
        assert_eq!(settings(r#", "layout": "nhwc""#).shape(), [1, 1, 2, 3]);
        assert_eq!(settings(r#", "colour": "grey""#).shape(), [1, 1, 1, 2]);
    }

    #[test]
    fn each_channel_has_its_mean_and_scale() {
        let more = r#", "mean": [127, 0, -1], "scale": [128, 255, 2]"#;
        assert_eq!(numbers(more), [1.0, -127.0 / 128.0, 0.0, 1.0, 0.5, 0.5]);
    }

    #[test]
    fn grey_weighs_the_colours() {
        assert_eq!(numbers(r#", "colour": "grey""#), [54.0, 182.0]);
        assert_eq!([0, 1, 200, 255].map(|level| luma([level; 3])), [0, 1, 200, 255]);
    }

    #[test]
    fn what_cannot_be_divided_by_is_refused() {
        for scale in [0.0, f32::NAN, f32::INFINITY, 1e-40] {
            let settings = Settings { scale: [1.0, scale, 1.0], ..settings("") };
            assert!(matches!(photo().numbers(&settings), Err(ImageError::Normalise { channel: 1, .. })), "{scale}");
        }
        assert!(serde_json::from_str::<Settings>(r#"{"width": 2, "height": 1, "fitt": "crop"}"#).is_err());
    }
}
