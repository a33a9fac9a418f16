//! Pixels become the numbers that an image model was trained on.

use std::fmt;

use serde::{Deserialize, Serialize};
use thalweg_module_decode_image::luma;
use thalweg_planner::{DType, Tensor, TensorSpec};

use crate::{ModuleError, Photo};

/// The order of axes of a picture's tensor: batch, channel, height, width.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Channel by channel, as PyTorch has it.
    #[default]
    Nchw,
    /// Pixel by pixel, as TensorFlow has it.
    Nhwc,
}

impl Layout {
    /// The inputs that it can fill, for messages.
    pub(crate) fn wanted(self) -> &'static str {
        match self {
            Self::Nchw => "f32[1,3,height,width] (colour) or f32[1,1,height,width] (grey)",
            Self::Nhwc => "f32[1,height,width,3] (colour) or f32[1,height,width,1] (grey)",
        }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Nchw => "nchw",
            Self::Nhwc => "nhwc",
        })
    }
}

/// How pixels become numbers: `(value - mean) / scale`, value from 0 to 255, for R, G and B.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Normalise {
    /// What is subtracted. A grey input takes the first.
    pub mean: [f32; 3],
    /// What is divided by; not zero. A grey input takes the first.
    pub scale: [f32; 3],
    /// Where the channels stand.
    pub layout: Layout,
}

impl Normalise {
    /// The photo as the input `spec`: resized by [`Photo::fit`], then normalised.
    ///
    /// `spec` is f32 and holds one picture of 3 channels or of 1, which is the luma of ITU-R BT.709.
    pub fn tensor(&self, photo: &Photo, spec: &TensorSpec) -> Result<Tensor, ModuleError> {
        let unfit = || ModuleError::NotAPictureInput { spec: spec.clone(), layout: self.layout };
        let (channels, height, width) = match (self.layout, spec.shape.as_slice()) {
            (Layout::Nchw, &[1, channels @ (1 | 3), height, width]) => (channels, height, width),
            (Layout::Nhwc, &[1, height, width, channels @ (1 | 3)]) => (channels, height, width),
            _ => return Err(unfit()),
        };
        if spec.dtype != DType::F32 {
            return Err(unfit());
        }
        let side = |pixels: usize| u32::try_from(pixels).map_err(|_| ModuleError::PhotoSize { width, height });
        let fitted = photo.fit(side(width)?, side(height)?)?;
        let mut values = vec![0.0; spec.len()];
        let area = height * width;
        for (at, pixel) in fitted.0.pixels().enumerate() {
            let levels = if channels == 1 { [luma(pixel.0); 3] } else { pixel.0 };
            for (channel, level) in levels.into_iter().take(channels).enumerate() {
                let place = match self.layout {
                    Layout::Nchw => channel * area + at,
                    Layout::Nhwc => at * channels + channel,
                };
                values[place] = (f32::from(level) - self.mean[channel]) / self.scale[channel];
            }
        }
        Ok(Tensor::from_f32(spec.shape.clone(), &values)?)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A red and a green pixel, side by side.
    fn photo() -> Photo {
        Photo(image::RgbImage::from_vec(2, 1, vec![255, 0, 0, 0, 255, 0]).unwrap())
    }

    fn numbers(normalise: &Normalise, shape: [usize; 4]) -> Vec<f32> {
        normalise.tensor(&photo(), &TensorSpec::new(DType::F32, shape)).unwrap().to_f32().unwrap()
    }

    const PLAIN: Normalise = Normalise { mean: [0.0; 3], scale: [1.0; 3], layout: Layout::Nchw };

    #[test]
    fn layouts_differ_in_order_only() {
        assert_eq!(numbers(&PLAIN, [1, 3, 1, 2]), [255.0, 0.0, 0.0, 255.0, 0.0, 0.0]);
        let nhwc = Normalise { layout: Layout::Nhwc, ..PLAIN };
        assert_eq!(numbers(&nhwc, [1, 1, 2, 3]), [255.0, 0.0, 0.0, 0.0, 255.0, 0.0]);
    }

    #[test]
    fn each_channel_has_its_mean_and_scale() {
        let normalise = Normalise { mean: [127.0, 0.0, -1.0], scale: [128.0, 255.0, 2.0], ..PLAIN };
        assert_eq!(numbers(&normalise, [1, 3, 1, 2]), [1.0, -127.0 / 128.0, 0.0, 1.0, 0.5, 0.5]);
    }

    #[test]
    fn grey_weighs_the_colours() {
        assert_eq!(numbers(&PLAIN, [1, 1, 1, 2]), [54.0, 182.0]);
        assert_eq!([0, 1, 200, 255].map(|level| luma([level; 3])), [0, 1, 200, 255]);
    }

    #[test]
    fn inputs_that_take_no_picture_are_refused() {
        let message =
            |dtype, shape: &[usize]| PLAIN.tensor(&photo(), &TensorSpec::new(dtype, shape)).unwrap_err().to_string();
        assert_eq!(
            message(DType::F32, &[1, 576]),
            "a photo cannot fill f32[1,576]: with layout \"nchw\" the input must be f32[1,3,height,width] (colour) \
             or f32[1,1,height,width] (grey)"
        );
        assert!(message(DType::I64, &[1, 3, 8, 8]).starts_with("a photo cannot fill i64[1,3,8,8]"));
        assert!(message(DType::F32, &[2, 3, 8, 8]).starts_with("a photo cannot fill f32[2,3,8,8]"));
        let huge = message(DType::F32, &[1, 3, usize::MAX, usize::MAX]);
        assert!(huge.ends_with("each side takes 1 to 4096 pixels"), "{huge}");
    }
}
