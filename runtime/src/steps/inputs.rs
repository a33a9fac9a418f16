//! Makes the tensors that a pipeline takes, from what its file says.

use std::path::Path;

use thalweg_codec::Pixels;
use thalweg_devices::Port;
use thalweg_modules::{Layout, Photo, numpy, random};
use thalweg_planner::{Tensor, TensorSpec};

use crate::config::{Input, Origin};
use crate::run::{RunError, read};

/// The `[[input]]` that fills `port` of a pipeline's only model, whose inputs have these names.
pub(super) fn find<'a>(file: &Path, inputs: &'a [Input], names: &[String], port: &Port) -> Result<&'a Input, RunError> {
    let stray = inputs.iter().filter_map(|input| input.name.as_ref()).find(|name| !names.contains(name));
    if let Some(name) = stray {
        let (file, name) = (file.to_owned(), name.clone());
        return Err(RunError::NoSuchInput { file, name, inputs: names.join(", ") });
    }
    let only = names.len() == 1 && inputs.len() == 1;
    let fills = |input: &&Input| input.name.as_ref().map_or(only, |name| *name == port.name);
    inputs.iter().find(fills).ok_or_else(|| RunError::MissingInput {
        file: file.to_owned(),
        name: port.name.clone(),
        spec: port.spec.clone(),
    })
}

/// An input's tensor. Those that have no type and shape of their own get the ones of `spec`; none where it is missing.
pub(super) fn tensor(input: &Input, spec: Option<&TensorSpec>) -> Result<Option<Tensor>, RunError> {
    Ok(Some(match (&input.origin, spec) {
        (Origin::Npy { file }, spec) => numpy::read(&read(file)?, &file.display().to_string(), spec)?,
        (Origin::File { file }, _) => Tensor::from_bytes(read(file)?),
        (Origin::Text { text }, _) => Tensor::from_bytes(text.clone().into_bytes()),
        (_, None) => return Ok(None),
        (Origin::Photo { file, normalise }, Some(spec)) => {
            let photo = Photo::decode(&read(file)?, &file.display().to_string())?;
            normalise.tensor(&photo, spec)?
        }
        (Origin::Random { seed, range }, Some(spec)) => random::random(spec, *seed, *range)?,
        (Origin::Zeros, Some(spec)) => random::zeros(spec)?,
    }))
}

/// How the pixels of an input became numbers, where a picture codec can carry it: colour photos, channel by channel.
pub(super) fn pixels(input: &Input) -> Option<Pixels> {
    match &input.origin {
        Origin::Photo { normalise, .. } if normalise.layout == Layout::Nchw => {
            Some(Pixels { mean: normalise.mean, scale: normalise.scale })
        }
        _ => None,
    }
}
