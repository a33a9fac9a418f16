//! Parts that mean harm are tried out by the real program, and this process lives.

use std::path::{Path, PathBuf};
use std::time::Duration;

use thalweg::trial::{Limits, TrialError, Tried, run};
use thalweg_devices::{Model, PartFile, Partition, Shapes};
use thalweg_planner::Bytes;

/// Enough for the honest part, in debug builds too.
const LIMITS: Limits = Limits { memory: Bytes(1 << 30), cpu: Duration::from_secs(60), time: Duration::from_secs(120) };

fn try_out(files: &[PartFile], limits: &Limits) -> Result<Tried, TrialError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.expect("a runtime").block_on(run(Path::new(env!("CARGO_BIN_EXE_thalweg")), files, limits))
}

/// The whole of a small model.
fn honest() -> Vec<PartFile> {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/models");
    let model = Model::load(&models.join("onnx_light/light_squeezenet.onnx"), &Shapes::new()).expect("a model");
    let tensors = |ports: &[thalweg_devices::Port]| ports.iter().map(|port| port.tensor).collect::<Vec<_>>();
    let layers: Vec<usize> = (0..model.describe().layers.len()).collect();
    let whole = model.partition(&layers, &tensors(model.inputs()), &tensors(model.outputs())).expect("the whole");
    whole.to_files().expect("written")
}

/// A part that takes nothing, gives one tensor of this shape, and is otherwise what `graph` says. Taken from the honest
/// part is only who wrote it.
fn hostile(graph: &str, shape: &str) -> Vec<PartFile> {
    let said = honest().into_iter().find(|file| file.name == "part.toml").expect("what the graph does not say");
    let said = String::from_utf8(said.bytes).expect("text");
    let engine = said.lines().find(|line| line.starts_with("engine")).expect("who wrote it");
    let said = format!(
        "{engine}\nname = \"a trap\"\ntakes = []\n[[gives]]\nshape = {shape}\nkind = {{ plain = \"f32\" }}\n\
         [weights]\n[quantised]\n"
    );
    let graph = format!("version 1.0;\nextension tract_registry tract_core;\n{graph}\n");
    let file = |name: &str, text: String| PartFile { name: name.to_owned(), bytes: text.into_bytes() };
    let files = vec![file("graph.nnef", graph), file("part.toml", said)];
    files
}

#[test]
fn an_honest_part_is_tried_out() {
    let tried = try_out(&honest(), &LIMITS).unwrap_or_else(|error| panic!("{error}"));
    assert!(tried.prepare_us > 0 && tried.run_us > 0);
    assert!(tried.memory_bytes.is_none_or(|bytes| (1 << 20..1 << 30).contains(&bytes)), "{tried:?}");
}

#[test]
fn what_asks_for_gigabytes_gets_none() {
    // Made while the graph is read, and while it runs.
    let read = "graph network() -> (y) { y = tile([[1.0]], repeats = [100000, 100000]); }";
    let run = "graph network() -> (y) { x = tile([[1.0]], repeats = [1, 20000]); y = tile(x, repeats = [20000, 1]); }";
    for (graph, shape) in [(read, "[100000, 100000]"), (run, "[20000, 20000]")] {
        let error = try_out(&hostile(graph, shape), &LIMITS).expect_err("40 and 1.6 GB");
        assert!(matches!(error, TrialError::Memory { .. }), "{graph}: {error}");
    }
}

#[test]
fn what_computes_for_ever_is_ended() {
    let mut graph =
        "graph network() -> (y) { a = tile([[1.0]], repeats = [1, 3000]); x0 = tile(a, repeats = [3000, 1]); "
            .to_owned();
    for step in 0..1000 {
        graph += &format!("x{} = matmul(x{step}, x{step}); ", step + 1);
    }
    graph += "y = softmax(x1000, axes = [1]); }";
    let part = hostile(&graph, "[3000, 3000]");
    let limits = Limits { cpu: Duration::from_secs(1), ..LIMITS };
    let error = try_out(&part, &limits).expect_err("27 tera multiply-adds");
    assert!(matches!(error, TrialError::Cpu { .. }), "{error}");
    let limits = Limits { time: Duration::from_millis(700), ..LIMITS };
    let error = try_out(&part, &limits).expect_err("the same on the clock");
    assert!(matches!(error, TrialError::Time { .. }), "{error}");
}

#[test]
fn what_panics_or_calls_itself_ends_only_the_child() {
    let panics = "graph network() -> (y) { y = external<string>(shape = [1]); }";
    let error = try_out(&hostile(panics, "[1]"), &LIMITS).expect_err("it panics");
    assert!(matches!(error, TrialError::Refused { .. }) && error.to_string().contains("panicked"), "{error}");
    let itself = "fragment f(x: tensor<scalar>) -> (y: tensor<scalar>) { y = f(x); }\n\
                  graph network() -> (y) { y = f(1.0); }";
    let error = try_out(&hostile(itself, "[1]"), &LIMITS).expect_err("it never comes back");
    assert!(matches!(error, TrialError::Crashed { .. }) && error.to_string().contains("stack"), "{error}");
}

#[test]
fn what_is_no_part_and_what_is_no_program_is_told() {
    let mut files = honest();
    files.retain(|file| file.name != "graph.nnef");
    let error = try_out(&files, &LIMITS).expect_err("it has no graph").to_string();
    assert!(error.starts_with("the part cannot be used: graph.nnef is missing"), "{error}");
    let tight = Limits { memory: Bytes(1 << 20), ..LIMITS };
    let error = try_out(&honest(), &tight).expect_err("the program alone has more");
    assert!(matches!(error, TrialError::Memory { .. }), "{error}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let missing = runtime.block_on(run(&PathBuf::from("/no/such/program"), &[], &LIMITS));
    assert!(matches!(missing, Err(TrialError::Start { .. })));
    let other = runtime.block_on(run(Path::new("/bin/echo"), &[], &LIMITS));
    assert!(matches!(other, Err(TrialError::OtherProgram { .. })));
}

#[test]
fn people_do_not_see_the_command() {
    let (mut out, mut errors) = (Vec::new(), Vec::new());
    thalweg::command::command(["thalweg", "--help"].map(Into::into), &mut out, &mut errors);
    assert!(!String::from_utf8_lossy(&out).contains("try-part"));
    assert_eq!(Partition::from_files(&honest()).map(drop), Ok(()));
}
