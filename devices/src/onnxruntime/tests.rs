//! Parts on onnxruntime, beside the CPU: whole models, cuts, and what is refused.
//!
//! Where its library lies says the environment variable `THALWEG_ONNXRUNTIME`. Without it these tests say so, and pass.

mod nodes;

use std::path::{Path, PathBuf};

use super::{Onnxruntime, OnnxruntimeError};
use crate::agreement::difference;
use crate::cases::models::{inputs, model};
use crate::{Precision, Provider};

/// How far an output may be from what the CPU makes, of its largest value: as far as a GPU in f32, for the same reason. Sums
/// are added in another order, and functions such as the tangent are other approximations.
const TOLERANCE: f32 = Precision::F32.tolerance();

/// Models of the repository, and of the folder `shared` beside it, with the shapes that they leave open.
const MODELS: [(&str, &str); 18] = [
    ("efficientnet_lite0/efficientnet_lite0_op13", ""),
    ("ppocr/ch_PP-OCRv4_det_infer", "1,3,64,96"),
    ("ppocr/ch_PP-OCRv4_rec_infer", "1,3,48,96"),
    ("ppocr/ch_ppocr_mobile_v2.0_cls_infer", "1,3,48,192"),
    ("onnx_light/light_resnet50", ""),
    ("onnx_light/light_densenet121", ""),
    ("onnx_light/light_inception_v1", ""),
    ("onnx_light/light_shufflenet", ""),
    ("silero_vad/silero_vad_16k_sequence", ""),
    ("silero_vad/silero_vad_openvino_16k", ""),
    ("onnx_light/light_bvlc_alexnet", ""),
    ("onnx_light/light_inception_v2", ""),
    ("onnx_light/light_squeezenet", ""),
    ("../../../../work/shared/models/yolov3_tiny/yolov3_tiny_op13_w16", ""),
    ("../../../../work/shared/models/minilm_l6_int8/model", "input_ids=attention_mask=token_type_ids=1,12"),
    ("../../../../work/shared/models/g2p_en/g2p_encoder", "1,9"),
    ("../../../../work/shared/models/g2p_en/g2p_decoder_step", ""),
    ("../../../../work/shared/models/mnist_cnn/mnist_cnn_op13", ""),
];

fn path() -> Option<PathBuf> {
    let path = std::env::var_os("THALWEG_ONNXRUNTIME").map(PathBuf::from);
    if path.is_none() {
        eprintln!("skipped: THALWEG_ONNXRUNTIME does not say where onnxruntime's library is");
    }
    path
}

pub(super) fn library() -> Option<Onnxruntime> {
    Some(Onnxruntime::open(&path()?, Provider::Cpu).expect("the library"))
}

#[test]
fn every_model_agrees_with_the_cpu() {
    let Some(library) = library() else { return };
    let mut wrong = Vec::new();
    for (name, shape) in MODELS {
        if !crate::cases::models::file(name).exists() {
            eprintln!("{name}: it is not there");
            continue;
        }
        let model = model(name, shape);
        let inputs = inputs(&model);
        let expected = model.whole().expect("the CPU").run(&inputs).expect("the CPU");
        let stage = match model.whole_part().expect("a part").prepare_by_onnxruntime(&library) {
            Ok(stage) => stage,
            Err(cause) => {
                wrong.push(format!("{name}: {cause}"));
                continue;
            }
        };
        let made = stage.run(&inputs).expect("a run");
        let off = difference(&made, &expected);
        eprintln!("{name}: off by {off:e}");
        if off > 1e-3 {
            for (m, e) in made.iter().zip(&expected) {
                eprintln!("{:?}\n{:?}", &m.to_f32().unwrap()[..8], &e.to_f32().unwrap()[..8]);
            }
            eprintln!("{}", model.typed);
        }
        if off > TOLERANCE {
            wrong.push(format!("{name} is off by {off:e}"));
        }
        assert_eq!(stage.run(&inputs).expect("another run"), made, "{name} differs from run to run");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn head_and_tail_make_what_the_whole_makes_wherever_it_is_cut() {
    let Some(library) = library() else { return };
    for (name, shape, step) in [
        ("efficientnet_lite0/efficientnet_lite0_op13", "", 9),
        ("ppocr/ch_PP-OCRv4_rec_infer", "1,3,48,96", 31),
        ("onnx_light/light_shufflenet", "", 23),
    ] {
        let model = model(name, shape);
        let graph = model.describe();
        let inputs = inputs(&model);
        let prepare = |part: crate::Partition| part.prepare_by_onnxruntime(&library).expect("it is all there");
        let expected = prepare(model.whole_part().expect("a part")).run(&inputs).expect("a run");
        let mut most = 0.0_f32;
        for separator in crate::cuts(&model, &graph, 2).into_iter().step_by(step) {
            let (below, above): (Vec<usize>, Vec<usize>) = (0..graph.layers.len()).partition(|at| *at < separator.at);
            let head = model.partition(&below, &graph.inputs, &separator.live).expect("a head");
            let tail = model.partition(&above, &separator.live, &graph.outputs).expect("a tail");
            let crossing = prepare(head).run(&inputs).expect("a run");
            let off = difference(&prepare(tail).run(&crossing).expect("a run"), &expected);
            most = most.max(off);
            assert!(off <= TOLERANCE, "{name} cut at {}: off by {off:e}", separator.at);
        }
        eprintln!("{name}: cuts are off by {most:e} at most");
    }
}

#[test]
fn a_library_that_is_not_there_is_named_with_how_to_get_it() {
    let error = Onnxruntime::open(Path::new("/no/libonnxruntime.so"), Provider::Cpu).expect_err("there is none");
    let text = error.to_string();
    assert!(text.starts_with("/no/libonnxruntime.so: onnxruntime cannot be loaded: "), "{text}");
    assert!(text.contains("pip install onnxruntime"), "{text}");
}

#[test]
fn a_file_that_is_no_library_is_refused() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let error = Onnxruntime::open(&file, Provider::Cpu).expect_err("it is a text");
    assert!(matches!(error, OnnxruntimeError::NotLoaded { .. } | OnnxruntimeError::Another { .. }), "{error}");
}

#[test]
fn a_provider_that_the_library_lacks_is_named() {
    let Some(path) = path() else { return };
    for provider in [Provider::Cuda, Provider::Tensorrt] {
        match Onnxruntime::open(&path, provider) {
            // It may have it.
            Ok(_) => {}
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains(&format!("has no provider {}", provider.name())), "{text}");
            }
        }
    }
}
