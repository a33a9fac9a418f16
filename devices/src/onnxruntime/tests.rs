//! Parts on onnxruntime, beside the CPU: whole models, cuts, and what is refused.
//!
//! Where its library lies says the environment variable `THALWEG_ONNXRUNTIME`. Without it these tests say so, and pass.

mod nodes;

use std::path::{Path, PathBuf};

use tract_onnx::tract_hir::internal::DatumType;
use tract_onnx::tract_hir::tract_core::ops::logic::bitnot;

use super::{Onnxruntime, OnnxruntimeError};
use crate::agreement::difference;
use crate::cases::Graph;
use crate::cases::models::{inputs, model};
use crate::stage::{Compiled, RunTime};
use crate::{Backends, Precision, Provider};

/// How far an output may be from what the CPU makes, of its largest value: as far as a GPU in f32, for the same reason. Sums
/// are added in another order, and functions such as the tangent are other approximations.
const TOLERANCE: f32 = Precision::F32.tolerance();

/// Models of the repository, and of the folder `shared` beside it, with the shapes that they leave open.
const MODELS: [(&str, &str); 17] = [
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
    ("../../../shared/models/yolov3_tiny/yolov3_tiny_op13_w16", ""),
    ("../../../shared/models/minilm_l6_int8/model", "input_ids=attention_mask=token_type_ids=1,12"),
    ("../../../shared/models/g2p_en/g2p_encoder", "1,9"),
    ("../../../shared/models/g2p_en/g2p_decoder_step", ""),
    ("../../../shared/models/mnist_cnn/mnist_cnn_op13", ""),
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
        if off > TOLERANCE {
            wrong.push(format!("{name} is off by {off:e}"));
        }
        assert_eq!(stage.run(&inputs).expect("another run"), made, "{name} differs from run to run");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// With constant weights its scores are 4e9, and alike but for what is rounded: a softmax of that says nothing.
#[test]
fn squeezenet_agrees_with_the_cpu_up_to_its_softmax() {
    let Some(library) = library() else { return };
    let model = model("onnx_light/light_squeezenet", "");
    let graph = model.describe();
    let inputs = inputs(&model);
    let last = crate::cuts(&model, &graph, 1).pop().expect("a chain at its end");
    let below: Vec<usize> = (0..last.at).collect();
    let head = model.partition(&below, &graph.inputs, &last.live).expect("a head");
    let expected = head.clone().prepare().expect("the CPU").run(&inputs).expect("the CPU");
    let made = head.prepare_by_onnxruntime(&library).expect("it is all there").run(&inputs).expect("a run");
    let off = difference(&made, &expected);
    assert!(off <= TOLERANCE, "off by {off:e}");
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

#[test]
fn what_has_no_counterpart_is_named_and_the_cpu_goes_on() {
    let Some(path) = path() else { return };
    let mut graph = Graph::default();
    let value = graph.input_of(DatumType::I32, &[5, 7]);
    let value = graph.add(bitnot(), &[value]);
    let part = graph.part(&[value]);
    let library = Onnxruntime::open(&path, Provider::Cpu).expect("the library");
    let error = part.clone().prepare_by_onnxruntime(&library).expect_err("there is none");
    assert_eq!(error.to_string(), "n1 (BitNot) has no counterpart in onnxruntime: the function BitNot of integers");
    let backends = Backends::with("none").onnxruntime(&path, Provider::Cpu).expect("it is built");
    let compared = backends.compare(&part).expect("the CPU");
    assert_eq!(compared[1].why_not, Some(error.to_string()));
    let stage = backends.prepare(part).expect("the CPU goes on");
    assert_eq!((stage.backend(), stage.why_cpu()), ("cpu", Some(error.to_string())));
}

#[test]
fn where_the_library_or_its_provider_is_missing_the_cpu_goes_on() {
    let missing = PathBuf::from("/no/libonnxruntime.so");
    let wanted = [(missing, Provider::Cpu, "cannot be loaded")]
        .into_iter()
        .chain(path().map(|path| (path, Provider::Cuda, "has no provider cuda")));
    for (path, provider, why) in wanted {
        let backends = Backends::with("none").onnxruntime(&path, provider).expect("it is built");
        let Some(Err(cause)) = backends.library() else { continue };
        assert!(cause.contains(why), "{cause}");
        let model = model("onnx_light/light_squeezenet", "");
        let stage = backends.prepare(model.whole_part().expect("a part")).expect("the CPU goes on");
        assert_eq!((stage.backend(), stage.why_cpu()), ("cpu", Some(cause)));
    }
}

#[test]
fn requests_run_side_by_side_and_make_the_same() {
    let Some(library) = library() else { return };
    let model = model("silero_vad/silero_vad_openvino_16k", "");
    let inputs = inputs(&model);
    let part = model.whole_part().expect("a part");
    let compiled = part.clone().prepare_by_onnxruntime(&library).expect("it is all there");
    let expected = compiled.run(&inputs).expect("a run");
    let stage = part.with(Compiled::Onnxruntime(compiled), RunTime::default());
    assert!(stage.backend().starts_with("onnxruntime"), "{}", stage.backend());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..20).for_each(|_| assert_eq!(stage.run(&inputs).expect("a run"), expected)));
        }
    });
}

#[test]
fn backends_compare_the_library_too() {
    let Some(path) = path() else { return };
    let part = model("onnx_light/light_shufflenet", "").whole_part().expect("a part");
    let backends = Backends::with("none").onnxruntime(&path, Provider::Cpu).expect("it is built");
    let compared = backends.compare(&part).expect("both run it");
    assert!(compared[1].backend.starts_with("onnxruntime") && compared[1].why_not.is_none(), "{:?}", compared[1]);
    assert!(compared[1].run_us.is_some() && compared[1].operators > 100, "{:?}", compared[1]);
    let stage = backends.prepare(part).expect("one of them");
    assert_eq!(stage.why_cpu(), None);
}
