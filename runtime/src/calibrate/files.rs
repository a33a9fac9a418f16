//! Samples from a folder: photos, `.npy` files, or a folder for each sample with a file for each input.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thalweg_devices::Port;
use thalweg_modules::{Layout, Normalise, Photo, numpy};
use thalweg_planner::Tensor;

use super::Sample;
use crate::config::Origin;
use crate::run::{RunError, Subject, read};
use crate::steps::Part;

/// A sample in a folder. Two are the same if their contents are.
#[derive(Debug, Clone)]
pub struct SampleFile {
    /// The name of the file or folder.
    pub name: String,
    /// Hash of the contents.
    pub content: [u8; 32],
    /// The file for each input; `None` where the pipeline's own input is taken.
    files: Vec<Option<PathBuf>>,
    makers: Arc<Vec<Maker>>,
    /// The steps before the model that is calibrated; none where it is alone.
    before: Option<Arc<Part>>,
}

/// How one input of the model is made.
#[derive(Debug)]
struct Maker {
    port: Port,
    /// How pixels become numbers, where the input may be a photo; none where it is the bytes of a file.
    normalise: Option<Normalise>,
    /// What is taken where a sample has no file for it.
    otherwise: Option<Tensor>,
}

impl SampleFile {
    /// How inputs are made from files, as a text that differs if that does.
    pub fn making(subject: &Subject) -> String {
        let makers = makers(subject);
        let texts = makers.iter().map(|maker| format!("{:?} {:?}", maker.normalise, maker.otherwise.is_some()));
        texts.collect::<Vec<_>>().join(";")
    }
}

impl PartialEq for SampleFile {
    fn eq(&self, other: &Self) -> bool {
        self.content == other.content
    }
}

impl Sample for SampleFile {
    fn inputs(&self) -> Result<Vec<Tensor>, RunError> {
        let input = |(maker, file): (&Maker, &Option<PathBuf>)| match (file, &maker.otherwise) {
            (Some(file), _) => maker.tensor(file),
            (None, Some(tensor)) => Ok(tensor.clone()),
            (None, None) => {
                Err(RunError::MissingSample { sample: self.name.clone().into(), input: maker.port.name.clone() })
            }
        };
        let made: Vec<Tensor> = self.makers.iter().zip(&self.files).map(input).collect::<Result<_, RunError>>()?;
        Ok(match &self.before {
            Some(before) => before.run(&made)?,
            None => made,
        })
    }
}

impl Maker {
    fn tensor(&self, file: &Path) -> Result<Tensor, RunError> {
        let (bytes, name) = (read(file)?, file.display().to_string());
        let Some(normalise) = self.normalise else { return Ok(Tensor::from_bytes(bytes)) };
        if is_photo(file) {
            return Ok(normalise.tensor(&Photo::decode(&bytes, &name)?, &self.port.spec)?);
        }
        Ok(numpy::read(&bytes, &name, Some(&self.port.spec))?)
    }
}

/// The samples in `folder`, by name, for a model of the subject: the one that is alone, or that of `step`, which gets what
/// the steps before it make of them.
///
/// A file `.jpg`, `.jpeg`, `.png` or `.npy` fills the only input, or of several the pipeline's only photo. A folder
/// holds files called after inputs, `/` and `:` in names written as `_`. Other files, and what begins with a dot, are
/// left out. Photos become numbers as the pipeline says; without one, pixels become 0 to 1. Where the pipeline takes the
/// bytes of a file or a text, any file is a sample.
pub fn sample_files(folder: &Path, subject: &Subject, step: Option<&str>) -> Result<Vec<SampleFile>, RunError> {
    let makers = Arc::new(makers(subject));
    let before = step.and_then(|step| subject.steps.before(step)).transpose()?.map(Arc::new);
    let takes_any = matches!(makers[..], [Maker { normalise: None, .. }]);
    let unreadable = |cause| RunError::Unreadable { file: folder.to_owned(), cause };
    let mut entries: Vec<PathBuf> = fs::read_dir(folder)
        .map_err(unreadable)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .map_err(unreadable)?;
    entries.sort();
    let mut samples = Vec::new();
    for path in entries {
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        if name.starts_with('.') {
            continue;
        }
        let files: Vec<Option<PathBuf>> = if path.is_dir() {
            makers.iter().map(|maker| file_of(&path, &maker.port.name)).collect()
        } else if takes_any || is_photo(&path) || has_extension(&path, "npy") {
            let only = only_input(subject, &path).ok_or_else(|| RunError::WhichInput { file: path.clone() })?;
            (0..makers.len()).map(|at| (at == only).then(|| path.clone())).collect()
        } else {
            continue;
        };
        let missing = makers.iter().zip(&files).find(|(maker, file)| file.is_none() && maker.otherwise.is_none());
        if let Some((maker, _)) = missing {
            return Err(RunError::MissingSample { sample: path, input: maker.port.name.clone() });
        }
        let content = content(&files)?;
        samples.push(SampleFile { name, content, files, makers: makers.clone(), before: before.clone() });
    }
    if samples.is_empty() {
        return Err(RunError::NoSamples { folder: folder.to_owned() });
    }
    Ok(samples)
}

fn makers(subject: &Subject) -> Vec<Maker> {
    let ports = subject.steps.inputs().iter().enumerate();
    let maker = |(at, port): (usize, &Port)| {
        let origin = origin(subject, port);
        let normalise = match origin {
            Some(Origin::Photo { normalise, .. }) => Some(*normalise),
            Some(Origin::File { .. } | Origin::Text { .. }) => None,
            _ => Some(Normalise { mean: [0.0; 3], scale: [255.0; 3], layout: layout(port) }),
        };
        // An input that a pipeline makes from nothing, such as a state of zeros, need not be in every sample.
        let made = matches!(origin, Some(Origin::Zeros | Origin::Random { .. } | Origin::Npy { .. }));
        let several = subject.steps.inputs().len() > 1;
        let otherwise = (made && several).then(|| subject.inputs.get(at).cloned()).flatten();
        Maker { port: port.clone(), normalise, otherwise }
    };
    ports.map(maker).collect()
}

/// What the pipeline says of an input.
fn origin<'a>(subject: &'a Subject, port: &Port) -> Option<&'a Origin> {
    let inputs = &subject.pipeline.as_ref()?.inputs;
    let named = inputs.iter().find(|input| input.name.as_ref() == Some(&port.name));
    let only = || inputs.first().filter(|input| inputs.len() == 1 && input.name.is_none());
    named.or_else(only).map(|input| &input.origin)
}

/// Three channels, or one, stand where such a size is.
fn layout(port: &Port) -> Layout {
    match port.spec.shape.as_slice() {
        [_, 1 | 3, _, _] => Layout::Nchw,
        [_, _, _, 1 | 3] => Layout::Nhwc,
        _ => Layout::default(),
    }
}

/// The input that a file by itself fills.
fn only_input(subject: &Subject, file: &Path) -> Option<usize> {
    let ports = subject.steps.inputs();
    let is_photo_input = |port: &Port| matches!(origin(subject, port), Some(Origin::Photo { .. }));
    let mut photos = (0..ports.len()).filter(|at| is_photo_input(&ports[*at]));
    match (ports.len(), photos.next(), photos.next()) {
        (1, ..) => Some(0),
        (_, Some(only), None) if is_photo(file) => Some(only),
        _ => None,
    }
}

/// The file in a sample's folder that is called after an input.
fn file_of(folder: &Path, input: &str) -> Option<PathBuf> {
    let stem = input.replace(['/', ':', '\\'], "_");
    ["npy", "jpg", "jpeg", "png"]
        .into_iter()
        .map(|end| folder.join(format!("{stem}.{end}")))
        .find(|file| file.is_file())
}

fn is_photo(file: &Path) -> bool {
    ["jpg", "jpeg", "png"].into_iter().any(|end| has_extension(file, end))
}

fn has_extension(file: &Path, wanted: &str) -> bool {
    file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(wanted))
}

/// Hash of the files of a sample, and of which it has.
fn content(files: &[Option<PathBuf>]) -> Result<[u8; 32], RunError> {
    let mut hash = blake3::Hasher::new();
    for file in files {
        match file {
            Some(file) => hash.update(blake3::hash(&read(file)?).as_bytes()),
            None => hash.update(b"none"),
        };
    }
    Ok(*hash.finalize().as_bytes())
}
