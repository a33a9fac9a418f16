//! Samples and models that are too large for the repository, in a folder beside it.

use std::fs;
use std::path::{Path, PathBuf};

use thalweg_devices::{Model, Shapes};
use thalweg_modules::{Normalise, Photo};
use thalweg_planner::{Tensor, TensorSpec};

use crate::{Failure, both_cores};

/// The root of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A file or folder below `../shared` beside the repository; says so where it is not there.
pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    let file = root().join("../shared").join(path);
    if !file.exists() {
        println!("Skipped: this needs {path} in a folder `shared` beside the repository.\n");
    }
    file.exists().then_some(file)
}

/// A model of the repository's examples.
pub(crate) fn example(path: &str, shapes: &[(&str, &[usize])]) -> Result<Model, Failure> {
    load(&example_file(path), shapes)
}

/// A file below the repository's example models.
pub(crate) fn example_file(path: &str) -> PathBuf {
    root().join("examples/models").join(path)
}

/// A model with these input shapes.
pub(crate) fn load(file: &Path, shapes: &[(&str, &[usize])]) -> Result<Model, Failure> {
    let shapes: Shapes = shapes.iter().map(|(name, shape)| ((*name).to_owned(), shape.to_vec())).collect();
    Ok(Model::load(file, &shapes)?)
}

/// The pictures of a folder by name, each `every`th.
pub(crate) fn pictures(folder: &Path, every: usize) -> Result<Vec<PathBuf>, Failure> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "jpg" || extension == "png"));
    files.sort();
    Ok(files.into_iter().step_by(every.max(1)).collect())
}

/// Each picture as the only input of a model.
pub(crate) fn inputs(files: &[PathBuf], normalise: &Normalise, spec: &TensorSpec) -> Result<Vec<Vec<Tensor>>, Failure> {
    both_cores(files, |_, file| Ok(vec![normalise.tensor(&photo(file)?, spec)?]))
}

/// A picture.
pub(crate) fn photo(file: &Path) -> Result<Photo, Failure> {
    Ok(Photo::decode(&fs::read(file)?, &file.to_string_lossy())?)
}
