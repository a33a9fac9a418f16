//! Models of the repository, and inputs for them.

use std::path::{Path, PathBuf};

use thalweg_planner::Tensor;

use crate::agreement::noise;
use crate::{Model, Shapes};

/// Where a model of the repository lies.
pub(crate) fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../examples/models/{name}.onnx"))
}

/// By its name, with the shape that its only input leaves open, or that several do, which are named then.
pub(crate) fn model(name: &str, shape: &str) -> Model {
    let (names, sizes) = shape.rsplit_once('=').unwrap_or(("", shape));
    let sizes: Vec<usize> = sizes.split(',').filter_map(|size| size.parse().ok()).collect();
    let named = names.split('=').map(|name| (name.to_owned(), sizes.clone()));
    let shapes: Shapes = if sizes.is_empty() { Shapes::new() } else { named.collect() };
    Model::load(&file(name), &shapes).expect("a model of the repository")
}

pub(crate) fn inputs(model: &Model) -> Vec<Tensor> {
    model.inputs().iter().map(|port| noise(&port.spec)).collect()
}
