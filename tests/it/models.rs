//! The models that tests cut: those in the repository, and larger ones where this machine has them.

use std::path::{Path, PathBuf};

use thalweg_devices::{Model, Port, Shapes};
use thalweg_modules::random::{Range, random};
use thalweg_modules::{Layout, Normalise, Photo};
use thalweg_planner::{DType, Tensor};

/// What EfficientNet-Lite0 was trained on: (level - 127) / 128.
pub(crate) const NORMALISE: Normalise = Normalise { mean: [127.0; 3], scale: [128.0; 3], layout: Layout::Nchw };

/// A model, and what it needs to be run.
pub(crate) struct Case {
    /// Path below `examples/models`, or below `../shared/models` beside the repository.
    pub(crate) file: &'static str,
    /// Shapes of inputs that the model leaves open.
    pub(crate) shapes: &'static [(&'static str, &'static [usize])],
}

const fn case(file: &'static str, shapes: &'static [(&'static str, &'static [usize])]) -> Case {
    Case { file, shapes }
}

/// Every model: vision, speech and language, recurrent state, several inputs and outputs, integer inputs.
pub(crate) const CASES: [Case; 21] = [
    case("efficientnet_lite0/efficientnet_lite0_op13.onnx", &[]),
    case("ppocr/ch_PP-OCRv4_det_infer.onnx", &[("x", &[1, 3, 96, 128])]),
    case("ppocr/ch_PP-OCRv4_rec_infer.onnx", &[("x", &[1, 3, 48, 96])]),
    case("ppocr/ch_ppocr_mobile_v2.0_cls_infer.onnx", &[("x", &[1, 3, 48, 192])]),
    case("silero_vad/silero_vad_16k_sequence.onnx", &[]),
    case("silero_vad/silero_vad_openvino_16k.onnx", &[]),
    case("onnx_light/light_bvlc_alexnet.onnx", &[]),
    case("onnx_light/light_densenet121.onnx", &[]),
    case("onnx_light/light_inception_v1.onnx", &[]),
    case("onnx_light/light_inception_v2.onnx", &[]),
    case("onnx_light/light_resnet50.onnx", &[]),
    case("onnx_light/light_shufflenet.onnx", &[]),
    case("onnx_light/light_squeezenet.onnx", &[]),
    case("onnx_light/light_vgg19.onnx", &[]),
    case("onnx_light/light_zfnet512.onnx", &[]),
    case("yolov3_tiny/yolov3_tiny_op13_w16.onnx", &[]),
    case(
        "minilm_l6_int8/model.onnx",
        &[("input_ids", &[1, 12]), ("attention_mask", &[1, 12]), ("token_type_ids", &[1, 12])],
    ),
    case("g2p_en/g2p_encoder.onnx", &[("ids", &[1, 9])]),
    case("g2p_en/g2p_decoder_step.onnx", &[]),
    case("mnist_cnn/mnist_cnn_op13.onnx", &[]),
    case("ppocr/ch_ppocr_mobile_v2.0_cls_infer.onnx", &[("x", &[2, 3, 48, 64])]),
];

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is a folder of the repository")
}

/// Models and data that are too large for the repository, in a folder beside it; none where it is not there.
pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    let file = root().parent()?.join("shared").join(path);
    file.exists().then_some(file)
}

impl Case {
    /// The file, if this machine has it.
    pub(crate) fn path(&self) -> Option<PathBuf> {
        let own = root().join("examples/models").join(self.file);
        if own.exists() { Some(own) } else { shared(&format!("models/{}", self.file)) }
    }

    /// The loaded model and inputs for it.
    pub(crate) fn load(&self, path: &Path) -> (Model, Vec<Tensor>) {
        let shapes: Shapes = self.shapes.iter().map(|(name, sizes)| ((*name).to_owned(), sizes.to_vec())).collect();
        let model = Model::load(path, &shapes).unwrap_or_else(|error| panic!("{error}"));
        let inputs = model.inputs().iter().map(input).collect();
        (model, inputs)
    }
}

/// A real photo for image inputs, token numbers that every vocabulary has, and random numbers for the rest.
fn input(port: &Port) -> Tensor {
    let spec = &port.spec;
    match (spec.dtype, spec.shape.as_slice()) {
        (DType::F32, [1, 3, ..]) => {
            let bytes = std::fs::read(root().join("examples/classify/photo.jpg")).expect("the example's photo");
            let photo = Photo::decode(&bytes, "photo.jpg").expect("a photo");
            NORMALISE.tensor(&photo, spec).expect("an image input")
        }
        (DType::I64, _) => {
            let high = if port.name.contains("ids") && !port.name.contains("type") { 20.0 } else { 2.0 };
            random(spec, 1, Some(Range { low: 0.0, high })).expect("token numbers")
        }
        _ => random(spec, 1, None).expect("random numbers"),
    }
}
