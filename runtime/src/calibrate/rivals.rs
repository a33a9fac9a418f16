//! What sending the input as a picture takes and costs.

use thalweg_codec::{Codec, Format, Pixels, Quality};
use thalweg_devices::Model;
use thalweg_planner::TensorId;

use super::measure::{mean, variances};
use super::parallel::in_parallel;
use super::{Held, Judge, Options, Sample, spread};
use crate::codebook::RivalFigures;
use crate::run::RunError;

/// From where answers suffer to where they do not.
const QUALITIES: [u8; 6] = [30, 50, 65, 80, 90, 95];

/// Each picture codec at several qualities, and the share of right answers without any, where samples have labels.
///
/// `photos` are the inputs that are pictures; the others travel as they are. `progress` hears how many runs are done.
pub fn rivals<S: Sample>(
    model: &Model,
    photos: &[(TensorId, Pixels)],
    held: &Held<S>,
    judge: &dyn Judge,
    options: &Options,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<(Option<f64>, Vec<RivalFigures>), RunError> {
    let whole = model.whole()?;
    let codecs: Vec<(Format, Quality)> = match photos {
        [] => Vec::new(),
        _ => Format::ALL
            .into_iter()
            .flat_map(|format| QUALITIES.into_iter().filter_map(move |quality| Some((format, Quality::new(quality)?))))
            .collect(),
    };
    let chosen = spread(held.all().len(), options.measured_max);
    let reference = |at: usize| -> Result<_, RunError> { Ok(whole.run(&held.all()[chosen[at]].inputs()?)?) };
    let references = in_parallel(chosen.len(), options.threads, reference, |_| {})?;
    let variances = variances(references.iter().map(Vec::as_slice));
    let run = |at: usize| {
        let inputs = held.all()[chosen[at]].inputs()?;
        let reference = &references[at];
        let mut shown = Vec::with_capacity(codecs.len());
        for (format, quality) in &codecs {
            let mut bytes = 0;
            let mut carried = Vec::with_capacity(inputs.len());
            for (port, input) in model.inputs().iter().zip(&inputs) {
                let picture = photos.iter().find(|(tensor, _)| *tensor == port.tensor);
                let codec = picture.map_or(Codec::F32, |(_, pixels)| Codec::Picture {
                    format: *format,
                    quality: *quality,
                    pixels: *pixels,
                });
                let mut stream = Vec::new();
                codec.encode(input, &mut stream)?;
                bytes += stream.len();
                carried.push(codec.decode(input.spec(), &stream)?);
            }
            let outputs = whole.run(&carried)?;
            let right = judge.rightness(chosen[at], &outputs);
            shown.push((bytes as f64, judge.disagreement(reference, &outputs, &variances), right));
        }
        Ok::<_, RunError>((judge.rightness(chosen[at], reference), shown))
    };
    let shown = in_parallel(chosen.len(), options.threads, run, |done| progress(done, chosen.len()))?;
    let accuracy = mean(shown.iter().filter_map(|(right, _)| *right));
    let figures = |(at, (format, quality)): (usize, &(Format, Quality))| {
        let codec = Codec::Picture { format: *format, quality: *quality, pixels: Pixels::default() };
        let of = || shown.iter().map(|(_, shown)| &shown[at]);
        let right = mean(of().filter_map(|(_, _, right)| *right));
        RivalFigures {
            codec: codec.to_string(),
            bytes: mean(of().map(|(bytes, _, _)| *bytes)).unwrap_or(0.0),
            disagreement: mean(of().map(|(_, disagreement, _)| *disagreement)).unwrap_or(0.0),
            accuracy_loss: accuracy.zip(right).map(|(without, with)| without - with),
        }
    };
    let rivals = codecs.iter().enumerate().map(figures).collect();
    Ok((accuracy, rivals))
}
