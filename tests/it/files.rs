//! A part that came as files gives the same bits as the part that was cut here.
#![allow(clippy::print_stdout)]

use std::collections::BTreeSet;
use std::path::Path;

use thalweg_devices::{Model, PartFile, Partition, StageError, cuts};
use thalweg_planner::{Graph, LIVE_MAX, Separator, Tensor, TensorId};

use crate::models::{CASES, Case};

/// Cuts of one model, and bytes of weights that they may write together.
const CUTS: usize = 3;
const WEIGHTS_MAX: u64 = 500_000_000;

#[test]
fn parts_that_came_as_files_are_the_parts_bit_for_bit() {
    for case in &CASES {
        match case.path() {
            Some(path) => check_case(case, &path),
            None => println!("{}: skipped, this machine does not have it", case.file),
        }
    }
}

fn check_case(case: &Case, path: &Path) {
    let (model, inputs) = case.load(path);
    let graph = model.describe();
    let all = cuts(&model, &graph, LIVE_MAX);
    let affordable = WEIGHTS_MAX / graph.weights(0..graph.layers.len()).0.max(1);
    let count = CUTS.min(all.len()).min(affordable.max(1) as usize);
    // The engine names nodes in another order each time it loads a model.
    let again = case.load(path).0;
    let mut sizes = Vec::new();
    for place in (0..count).map(|index| &all[(2 * index + 1) * all.len() / (2 * count)]) {
        let at = place.at;
        let [head, tail] = parts(&model, &graph, place);
        let made = same(case.file, at, &head, &inputs);
        let live = &made[..place.live.len()];
        same(case.file, at, &tail, live);
        let files = [&head, &tail].map(|part| part.to_files().expect("written before"));
        let again = parts(&again, &graph, place).map(|part| part.to_files().expect("written before"));
        assert!(files == again, "{} cut {at}: the same part is not the same files", case.file);
        let bytes = |files: &[PartFile]| files.iter().map(|file| file.bytes.len()).sum::<usize>();
        sizes.push((at, bytes(&files[0]), bytes(&files[1])));
    }
    println!("{}: {} layers, cuts with bytes of both parts: {sizes:?}", case.file, graph.layers.len());
}

/// The parts below and above a cut.
fn parts(model: &Model, graph: &Graph, place: &Separator) -> [Partition; 2] {
    let (below, above): (Vec<usize>, Vec<usize>) = (0..graph.layers.len()).partition(|layer| *layer < place.at);
    let made = graph.outputs_of(0..place.at);
    let (head_outputs, tail_outputs): (Vec<TensorId>, Vec<TensorId>) =
        graph.outputs.iter().partition(|tensor| made.contains(tensor) || graph.inputs.contains(tensor));
    let gives: Vec<TensorId> = place.live.iter().chain(&head_outputs).copied().collect();
    [model.partition(&below, &graph.inputs, &gives), model.partition(&above, &place.live, &tail_outputs)]
        .map(|part| part.unwrap_or_else(|error| panic!("{error}")))
}

fn same(file: &str, at: usize, part: &Partition, inputs: &[Tensor]) -> Vec<Tensor> {
    let run = |part: Partition| part.prepare().and_then(|stage| stage.run(inputs));
    let whole = run(part.clone()).unwrap_or_else(|error| panic!("{file} cut {at}: {error}"));
    let read = part.to_files().and_then(|files| Partition::from_files(&files));
    let came = read.and_then(run).unwrap_or_else(|error| panic!("{file} cut {at}: {error}"));
    assert_eq!(came, whole, "{file} cut {at}: the part that came as files gives other bits");
    whole
}

/// A model of the repository, cut at a third and at two thirds.
fn squeezenet() -> [Vec<PartFile>; 2] {
    let case = CASES.iter().find(|case| case.file.ends_with("light_squeezenet.onnx")).expect("a case");
    let (model, _) = case.load(&case.path().expect("it is in the repository"));
    let graph = model.describe();
    let all = cuts(&model, &graph, 1);
    [1, 2].map(|third| parts(&model, &graph, &all[third * all.len() / 3])[0].to_files().expect("written"))
}

fn weights(files: &[PartFile]) -> BTreeSet<&str> {
    files.iter().map(|file| file.name.as_str()).filter(|name| name.ends_with(".dat")).collect()
}

#[test]
fn cuts_share_weights_which_are_named_by_their_content() {
    let [small, large] = squeezenet();
    let (few, many) = (weights(&small), weights(&large));
    assert!(few.len() > 5 && few.is_subset(&many) && many.len() > few.len(), "{} of {}", few.len(), many.len());
    for file in large.iter().filter(|file| file.name.ends_with(".dat")) {
        let named = file.name.strip_suffix(".dat").expect("filtered");
        assert_eq!(named, blake3::hash(&file.bytes).to_hex().as_str());
    }
}

/// The message of files that must be refused.
fn refused(files: &[PartFile]) -> String {
    Partition::from_files(files).map(drop).expect_err("refused").to_string()
}

#[test]
fn what_is_incomplete_or_strange_is_refused_by_name() {
    let [good, _] = squeezenet();
    assert_eq!(Partition::from_files(&good.iter().rev().cloned().collect::<Vec<_>>()).map(drop), Ok(()));
    for at in 0..good.len() {
        let name = &good[at].name;
        let mut files = good.clone();
        let half = files[at].bytes.len() / 2;
        files[at].bytes.truncate(half);
        let error = refused(&files);
        assert!(error.starts_with(name.as_str()), "{error}");
        files.push(files[at].clone());
        assert!(refused(&files).starts_with(&format!("{name} is there twice")), "{name}");
        let mut files = good.clone();
        files.remove(at);
        assert!(refused(&files).starts_with(&format!("{name} is missing")), "{name}");
    }
    let mut files = good.clone();
    files.push(PartFile { name: "../../etc/passwd".to_owned(), bytes: Vec::new() });
    assert!(refused(&files).starts_with("../../etc/passwd is no file of this part"));
    let with = |name: &str, change: &dyn Fn(String) -> String| {
        let mut files = good.clone();
        let file = files.iter_mut().find(|file| file.name == name).expect("every part has it");
        file.bytes = change(String::from_utf8(file.bytes.clone()).expect("text")).into_bytes();
        Partition::from_files(&files).map(drop).expect_err("refused")
    };
    let other = with("part.toml", &|text| text.replacen("engine = \"tract ", "engine = \"tract 9", 1));
    assert!(matches!(other, StageError::OtherEngine { .. }), "{other}");
    let border = with("part.toml", &|text| text.replacen("224", "225", 1)).to_string();
    assert!(border.contains("but part.toml says"), "{border}");
    let gone = with("graph.nnef", &|text| text.replacen("conv(", "conf(", 1)).to_string();
    assert!(gone.starts_with("graph.nnef"), "{gone}");
}

#[test]
fn changed_files_never_panic() {
    let [good, _] = squeezenet();
    let mut random = 1_u64;
    // Numerical Recipes, 3rd edition, section 7.1: a quick generator is enough to choose bytes.
    let mut next = |below: usize| {
        random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (random >> 33) as usize % below
    };
    let texts: Vec<usize> = (0..good.len()).filter(|at| !good[*at].name.ends_with(".dat")).collect();
    let mut accepted = 0;
    for _ in 0..400 {
        let mut files = good.clone();
        let bytes = &mut files[texts[next(texts.len())]].bytes;
        for _ in 0..=next(3) {
            let at = next(bytes.len());
            match next(4) {
                0 => bytes[at] = b"()[]{};,=0123456789-.\"#\xff\0"[next(25)],
                1 => drop(bytes.remove(at)),
                2 => bytes.truncate(at.max(1)),
                _ => bytes[at] = bytes[at].wrapping_add(1),
            }
        }
        accepted += usize::from(Partition::from_files(&files).is_ok());
    }
    assert!(accepted < 200, "{accepted} of 400 mutations were not noticed");
}
