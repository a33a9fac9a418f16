//! Models of the repository, and inputs for them.

use std::path::Path;

use thalweg_planner::Tensor;

use crate::agreement::noise;
use crate::{Model, Shapes};

/// By its name, with the shape that its only input leaves open.
pub(crate) fn model(name: &str, shape: &str) -> Model {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../examples/models/{name}.onnx"));
    let sizes: Vec<usize> = shape.split(',').filter_map(|size| size.parse().ok()).collect();
    let shapes = if sizes.is_empty() { Shapes::new() } else { [(String::new(), sizes)].into() };
    Model::load(&path, &shapes).expect("a model of the repository")
}

pub(crate) fn inputs(model: &Model) -> Vec<Tensor> {
    model.inputs().iter().map(|port| noise(&port.spec)).collect()
}
