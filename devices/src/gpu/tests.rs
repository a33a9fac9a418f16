//! Whole models and their parts on the first adapter there is, beside the CPU: software Vulkan in CI.

mod kernels;
mod turns;

use super::{Gpu, GpuError, GpuStage, adapters};
use crate::agreement::difference;
use crate::cases::models::{inputs, model};
use crate::cut::Partition;
use crate::stage::{Compiled, RunTime, Stage};
use crate::{Backends, Precision};

/// Models of the repository, with the shapes that they leave open and whether all of each has kernels.
const MODELS: [(&str, &str, bool); 10] = [
    ("efficientnet_lite0/efficientnet_lite0_op13", "", true),
    ("ppocr/ch_PP-OCRv4_det_infer", "1,3,64,96", true),
    ("ppocr/ch_PP-OCRv4_rec_infer", "1,3,48,96", true),
    ("ppocr/ch_ppocr_mobile_v2.0_cls_infer", "1,3,48,192", true),
    ("onnx_light/light_resnet50", "", true),
    ("onnx_light/light_densenet121", "", true),
    ("onnx_light/light_inception_v1", "", false),
    ("onnx_light/light_shufflenet", "", true),
    ("silero_vad/silero_vad_16k_sequence", "", false),
    ("silero_vad/silero_vad_openvino_16k", "", false),
];

pub(super) fn gpu() -> Option<Gpu> {
    gpu_with(Precision::F32)
}

/// None where no driver is installed, or the adapter cannot keep weights so.
pub(super) fn gpu_with(precision: Precision) -> Option<Gpu> {
    let Some(adapter) = adapters().into_iter().next() else {
        eprintln!("skipped: no driver for a GPU is installed, such as Debian's mesa-vulkan-drivers");
        return None;
    };
    match Gpu::open(&adapter.name, precision) {
        Err(cause @ GpuError::NoF16 { .. }) => {
            eprintln!("skipped: {cause}");
            None
        }
        opened => Some(opened.expect("an adapter that is there")),
    }
}

/// A part that a GPU computes, whether that is faster or not.
fn on_gpu(part: &Partition, gpu: &Gpu) -> Stage {
    part.clone().with(Compiled::Gpu(part.clone().prepare_on(gpu).expect("kernels")), RunTime::default())
}

fn in_each_precision() -> Vec<Gpu> {
    [Precision::F32, Precision::F16].into_iter().filter_map(gpu_with).collect()
}

#[test]
fn every_model_agrees_with_the_cpu_and_takes_at_most_three_submissions() {
    let gpus = in_each_precision();
    for (name, shape, whole) in MODELS {
        let model = model(name, shape);
        let inputs = inputs(&model);
        let expected = model.whole().expect("the CPU").run(&inputs).expect("the CPU");
        let mut constants = Vec::new();
        for gpu in &gpus {
            let stage: GpuStage = model.whole_part().expect("a part").prepare_on(gpu).expect("kernels");
            let made = stage.run(&inputs).expect("a run");
            let (off, coverage) = (difference(&made, &expected), stage.coverage());
            constants.push(stage.memory().constants);
            eprintln!("{name} in {:?}: off by {off:e}, constants of {constants:?} bytes", gpu.precision());
            assert!(off <= gpu.precision().tolerance(), "{name} in {:?} is off by {off:e}", gpu.precision());
            assert_eq!(coverage.left.is_empty(), whole, "{name} leaves {:?}", coverage.left);
            assert!(coverage.submits <= if whole { 1 } else { 3 }, "{name}: {} submissions", coverage.submits);
            // In f16 it is the same kernels: one run will do.
            if gpu.precision() == Precision::F32 {
                assert_eq!(stage.run(&inputs).expect("another run"), made, "{name} differs from run to run");
            }
        }
        assert!(
            constants.windows(2).all(|pair| pair[1] * 100 <= pair[0] * 52),
            "{name}: constants of {constants:?} bytes"
        );
    }
}

#[test]
fn head_and_tail_make_what_the_whole_makes_wherever_it_is_cut() {
    let gpus = in_each_precision();
    let model = model("efficientnet_lite0/efficientnet_lite0_op13", "");
    let graph = model.describe();
    let inputs = inputs(&model);
    let whole =
        |gpu| model.whole_part().expect("a part").prepare_on(gpu).expect("kernels").run(&inputs).expect("a run");
    let expected: Vec<_> = gpus.iter().map(whole).collect();
    for (number, separator) in crate::cuts(&model, &graph, 2).into_iter().step_by(9).enumerate() {
        let (below, above): (Vec<usize>, Vec<usize>) = (0..graph.layers.len()).partition(|at| *at < separator.at);
        let head = model.partition(&below, &graph.inputs, &separator.live).expect("a head");
        let tail = model.partition(&above, &separator.live, &graph.outputs).expect("a tail");
        // In f16 it is the same kernels: fewer cuts will do.
        let tried = gpus.iter().filter(|gpu| gpu.precision() == Precision::F32 || number.is_multiple_of(3));
        for (gpu, expected) in tried.zip(&expected) {
            let crossing = head.clone().prepare_on(gpu).expect("kernels").run(&inputs).expect("a run");
            let made = tail.clone().prepare_on(gpu).expect("kernels").run(&crossing).expect("a run");
            assert!(made == *expected, "cut at {} in {:?} it is another", separator.at, gpu.precision());
        }
    }
}

#[test]
fn what_was_lost_goes_on_on_the_cpu_and_no_request_is_lost() {
    let Some(gpu) = gpu() else { return };
    let model = model("onnx_light/light_squeezenet", "");
    let inputs = inputs(&model);
    let part = model.whole_part().expect("a part");
    let expected = model.whole().expect("the CPU").run(&inputs).expect("the CPU");
    let stage = on_gpu(&part, &gpu);
    assert_eq!((stage.backend(), stage.why_cpu()), (gpu.adapter().name.as_str(), None));
    assert!(difference(&stage.run(&inputs).expect("a run"), &expected) <= Precision::F32.tolerance());
    gpu.lose();
    assert_eq!(stage.run(&inputs).expect("the CPU takes over"), expected);
    assert_eq!(stage.backend(), "cpu");
    let why = stage.why_cpu().expect("it says why");
    assert!(why.contains("is lost") && why.contains(&gpu.adapter().name), "{why}");
    let again = model.whole_part().expect("a part").prepare_on(&gpu);
    assert!(matches!(again, Err(GpuError::Lost { .. })), "{again:?}");
}

#[test]
fn a_device_that_is_lost_while_requests_run_loses_none_of_them() {
    let Some(gpu) = gpu() else { return };
    let model = model("silero_vad/silero_vad_openvino_16k", "");
    let inputs = inputs(&model);
    let part = model.whole_part().expect("a part");
    let expected = model.whole().expect("the CPU").run(&inputs).expect("the CPU");
    let stage = on_gpu(&part, &gpu);
    let (say, heard) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let (say, stage, inputs, expected) = (say.clone(), &stage, &inputs, &expected);
            scope.spawn(move || {
                // Ten more after it is lost, if that is ever noticed.
                let mut after = 0;
                while after < 10 {
                    after += usize::from(stage.is_on_cpu());
                    let made = stage.run(inputs).expect("one of both computes it");
                    assert!(difference(&made, expected) <= Precision::F32.tolerance());
                    let _ = say.send(());
                }
            });
        }
        heard.iter().take(10).for_each(drop);
        assert!(!stage.is_on_cpu());
        gpu.lose();
    });
    assert!(stage.is_on_cpu());
}

#[test]
fn a_lost_device_is_opened_again_for_what_is_prepared_next() {
    let Some(gpu) = gpu() else { return };
    let part = model("onnx_light/light_squeezenet", "").whole_part().expect("a part");
    let backends = Backends::with(&gpu.adapter().name);
    let opened = || backends.gpu().expect("one is wanted").expect("it is there");
    opened().lose();
    assert!(part.clone().prepare_on(&opened()).is_ok());
    assert!(backends.compare(&part).expect("both run it")[1].run_us.is_some());
}

#[test]
fn a_thousand_runs_allocate_nothing_on_the_device() {
    let Some(gpu) = gpu() else { return };
    let model = model("silero_vad/silero_vad_openvino_16k", "");
    let inputs = inputs(&model);
    let stage = model.whole_part().expect("a part").prepare_on(&gpu).expect("kernels");
    let first = stage.run(&inputs).expect("a run");
    let before = gpu.allocated();
    for _ in 0..1000 {
        assert_eq!(stage.run(&inputs).expect("a run"), first);
    }
    assert_eq!(gpu.allocated(), before, "what is allocated on the device");
}

#[test]
fn backends_keep_weights_as_they_are_asked_to() {
    let part = model("silero_vad/silero_vad_16k_sequence", "").whole_part().expect("a part");
    let constants = in_each_precision().into_iter().map(|gpu| {
        let backends = Backends::with(&gpu.adapter().name).precision(gpu.precision());
        backends.compare(&part).expect("both run it").last().map_or(0, |on_gpu| on_gpu.constants)
    });
    let constants: Vec<u64> = constants.collect();
    assert!(constants.windows(2).all(|pair| pair[1] < pair[0]) && !constants.contains(&0), "{constants:?}");
}

#[test]
fn an_adapter_that_is_not_there_is_named_beside_those_that_are() {
    let backends = Backends::with("no such adapter");
    let why = backends.adapter().expect_err("there is none");
    assert!(why.starts_with("no adapter with \"no such adapter\" in its name: "), "{why}");
    let model = model("onnx_light/light_squeezenet", "");
    let stage = backends.prepare(model.whole_part().expect("a part")).expect("the CPU goes on");
    assert_eq!(stage.backend(), "cpu");
}
