//! Calibration of a small model, and what is kept of it.

use std::fs;
use std::path::{Path, PathBuf};

use thalweg_devices::Shapes;
use thalweg_modules::random::random;

use super::*;
use crate::codebook::Codebooks;

/// A small model that was trained: it tells whether a line of text is upside down.
fn turned() -> (Model, Graph) {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/models");
    let shapes = Shapes::from([("x".to_owned(), vec![1, 3, 48, 96])]);
    let model = Model::load(&models.join("ppocr/ch_ppocr_mobile_v2.0_cls_infer.onnx"), &shapes);
    let model = model.expect("a model of the repository");
    let graph = model.describe();
    (model, graph)
}

fn inputs(model: &Model, count: u64) -> Vec<Vec<Tensor>> {
    let sample = |seed| vec![random(&model.inputs()[0].spec, seed, None).expect("random numbers")];
    (1..=count).map(sample).collect()
}

fn options() -> Options {
    Options { effort: Duration::from_millis(1), measured_max: 2, threads: 2, fit: fit::Options::DEFAULT }
}

fn none_yet(model: &Model, samples: &str) -> Codebooks {
    Codebooks {
        hash: [0; 32],
        model: model.hash_text(),
        samples: samples.to_owned(),
        fitted: 4,
        measured: 2,
        judge: "argmax".to_owned(),
        accuracy: None,
        rivals: Vec::new(),
        cuts: Vec::new(),
    }
}

/// A cut in the middle of those that are worth it, so that the test is short.
fn calibrated(model: &Model, graph: &Graph) -> CutBooks {
    let split = Split::thirds(inputs(model, 6));
    let places = worthwhile(model, graph, 2, 100, false);
    let place = &places.cuts[places.cuts.len() / 2];
    let judge = judge_for(Some(Judged::Error), &[], None).expect("a judge");
    cut((model, graph), place, &split.fitting, &split.held, judge.as_ref(), &options(), &|_, _, _| {})
        .expect("codebooks of the cut")
}

#[test]
fn finer_levels_take_more_bytes_and_change_less() {
    let (model, graph) = turned();
    let cut = calibrated(&model, &graph);
    assert!(cut.tensors.iter().all(|tensor| tensor.book.is_some()));
    let levels: Vec<_> = cut.levels().collect();
    assert!(levels.len() > 4, "{levels:?}");
    let all = cut.codecs.iter().flat_map(|codec| &codec.tensors);
    assert!(all.clone().all(|figures| figures.bytes > 0.0 && figures.encode_ms > 0.0 && figures.decode_ms > 0.0));
    for pair in levels.windows(2) {
        let [coarse, fine] = [pair[0], pair[1]];
        assert!(coarse.bytes() < fine.bytes(), "{pair:?}");
        assert!(coarse.tensors[0].distortion > fine.tensors[0].distortion, "{pair:?}");
    }
    assert!(cut.codecs.iter().all(|codec| (0.0..=1.0).contains(&codec.disagreement)));
}

#[test]
fn what_is_kept_is_gone_on_with() {
    let (model, graph) = turned();
    let folder = tempfile::tempdir().expect("a folder for a test");
    let file = folder.path().join("x.codebook");
    let open = |samples: &str, fresh| Kept::open(&file, &model, none_yet(&model, samples), fresh);
    let mut kept = open("one", false).expect("a new file");
    let cut = calibrated(&model, &graph);
    kept.keep(cut.clone()).expect("a file that can be written");
    kept.note(|books| books.accuracy = Some(0.5)).expect("the same");
    let again = open("one", false).expect("the same samples");
    assert!(again.has(cut.at) && !again.has(cut.at + 1));
    assert_eq!(again.books().accuracy, Some(0.5));
    assert_eq!(again.books().cuts[0].tensors[0].book, cut.tensors[0].book);
    let names: Vec<PathBuf> = fs::read_dir(&folder).expect("it").map(|entry| entry.expect("a file").path()).collect();
    assert_eq!(names, std::slice::from_ref(&file), "nothing is left beside it");

    assert!(matches!(open("other", false), Err(RunError::OtherSamples { .. })));
    assert!(open("other", true).expect("begun anew").books().cuts.is_empty());
    let bytes = fs::read(&file).expect("the file");
    for wrong in [&bytes[..bytes.len() - 1], b"other", b""] {
        fs::write(&file, wrong).expect("a file");
        let error = open("one", false).expect_err("a file that is no codebook").to_string();
        assert!(error.contains("x.codebook") && error.contains("--fresh"), "{error}");
    }
}

#[test]
fn chosen_samples_are_spread() {
    assert_eq!(spread(10, 4), [0, 2, 5, 7]);
    assert_eq!(spread(3, 9), [0, 1, 2]);
    assert!(spread(0, 4).is_empty());
}

#[test]
fn a_deviation_is_zero_where_it_has_no_meaning() {
    assert_eq!(deviation([1.0, -1.0, 1.0, -1.0].iter()), 1.0);
    assert_eq!(deviation([].iter()), 0.0);
    assert_eq!(deviation([f32::NAN].iter()), 0.0);
}
