//! What benches measure: models with inputs.

#[path = "../../src/agreement.rs"]
mod agreement;

use std::path::Path;

use thalweg_devices::{Model, Shapes};
use thalweg_planner::Tensor;

pub(crate) use agreement::{difference, noise};

pub(crate) type Failed = Box<dyn std::error::Error>;

/// Those of the repository, in `examples/models`.
pub(crate) const MODELS: [&str; 7] = [
    "efficientnet_lite0/efficientnet_lite0_op13.onnx",
    "ppocr/ch_PP-OCRv4_det_infer.onnx@x=1,3,320,320",
    "ppocr/ch_PP-OCRv4_rec_infer.onnx@x=1,3,48,320",
    "ppocr/ch_ppocr_mobile_v2.0_cls_infer.onnx@x=1,3,48,192",
    "onnx_light/light_resnet50.onnx",
    "onnx_light/light_densenet121.onnx",
    "onnx_light/light_vgg19.onnx",
];

pub(crate) fn of_repository(model: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/models").join(model).to_string_lossy().into_owned()
}

/// A model, whose inputs are noise.
pub(crate) struct Subject {
    pub(crate) name: String,
    pub(crate) model: Model,
    pub(crate) inputs: Vec<Tensor>,
}

impl Subject {
    /// Of `FILE.onnx`, or `FILE.onnx@INPUT=SIZES;INPUT=SIZES`.
    pub(crate) fn load(text: &str) -> Result<Self, Failed> {
        let (path, shapes) = text.split_once('@').unwrap_or((text, ""));
        let mut fixed = Shapes::new();
        for shape in shapes.split(';').filter(|shape| !shape.is_empty()) {
            let (name, sizes) = shape.split_once('=').ok_or("a shape is NAME=SIZES")?;
            fixed.insert(name.to_owned(), sizes.split(',').map(str::parse).collect::<Result<_, _>>()?);
        }
        let model = Model::load(Path::new(path), &fixed)?;
        let name = Path::new(path).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let inputs = model.inputs().iter().map(|port| noise(&port.spec)).collect();
        Ok(Self { name, model, inputs })
    }
}
