//! What the sandbox costs: a call, an instance, a tensor that is passed through, read, and made anew.
//!
//! The modules are those of the hostile tests that behave, and `top-k`.

use std::time::Duration;

use divan::counter::BytesCount;
use divan::{AllocProfiler, Bencher};
use thalweg_guest::Module as _;
use thalweg_module_top_k::TopK;
use thalweg_modules::sandbox::{Cache, Grants, Instance, Limit, Limits, Machine, Module, Sandbox};
use thalweg_modules::signature::{SigningKey, Trust};
use thalweg_planner::{DType, Tensor, TensorSpec};

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../tests/hostile/written.rs"]
mod written;

use written::Written;

/// A picture of 224 x 224 in f32, as networks take them.
const PICTURE_BYTES: usize = 4 * 3 * 224 * 224;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

fn limits() -> Limits {
    Limits { time_ms: Limit::of::<60_000>(), host_calls: Limit::of::<100_000_000>(), ..Limits::RECOMMENDED }
}

fn load(component: &[u8]) -> Module {
    let sandbox = Sandbox::open(Machine::probe(), Trust::Everyone).expect("a sandbox");
    sandbox.load("bench", component, &Grants::default(), &limits()).expect("a module")
}

fn start(component: &[u8]) -> Instance {
    load(component).start(&limits(), "{}").expect("an instance")
}

fn bytes(len: usize) -> Tensor {
    Tensor::new(TensorSpec::new(DType::U8, [len]), vec![7; len]).expect("as many bytes")
}

/// Gives four bytes out again.
#[divan::bench]
fn warm_call(bencher: Bencher<'_, '_>) {
    let mut instance = start(&Written::default().component());
    let input = [bytes(4)];
    bencher.bench_local(|| instance.run(&input, Duration::MAX).expect("an answer"));
}

/// An instance of a module that was loaded before, with its settings, until it is dropped.
#[divan::bench]
fn instantiation(bencher: Bencher<'_, '_>) {
    let module = load(&Written::default().component());
    let limits = limits();
    bencher.bench_local(|| module.start(&limits, "{}").expect("an instance"));
}

/// 600 KB that the module gives out again without a look.
#[divan::bench]
fn passed_through(bencher: Bencher<'_, '_>) {
    let mut instance = start(&Written { output: None, ..Written::default() }.component());
    let input = [bytes(PICTURE_BYTES)];
    let bencher = bencher.counter(BytesCount::new(PICTURE_BYTES));
    bencher.bench_local(|| {
        let output = instance.run(&input, Duration::MAX).expect("an answer");
        assert_eq!(output[0].data().as_ptr(), input[0].data().as_ptr(), "a copy");
        output
    });
}

/// 600 KB that the module reads, and makes a new tensor of: bytes, and numbers, which the host looks through.
#[divan::bench(args = [DType::U8, DType::F32])]
fn read_and_made(bencher: Bencher<'_, '_>, dtype: DType) {
    let mut instance = start(&copying(dtype).component());
    let len = PICTURE_BYTES / dtype.size();
    let input = [Tensor::new(TensorSpec::new(dtype, [len]), vec![7; PICTURE_BYTES]).expect("as many bytes")];
    let bencher = bencher.counter(BytesCount::new(PICTURE_BYTES));
    bencher.bench_local(|| instance.run(&input, Duration::MAX).expect("an answer"));
}

fn copying(dtype: DType) -> Written {
    // As the interface numbers them.
    let number = if dtype == DType::F32 { 0 } else { 5 };
    let shape: String =
        ((PICTURE_BYTES / dtype.size()) as u64).to_le_bytes().iter().map(|byte| format!("\\{byte:02x}")).collect();
    let run = format!(
        "(call $read (local.get $in) (i64.const 0) (i64.const {PICTURE_BYTES}) (i32.const 600))
         (call $drop (local.get $in))
         (call $make (i32.const {number}) (i32.const 8192) (i32.const 1)
                     (i32.load offset=4 (i32.const 600)) (i32.load offset=8 (i32.const 600)) (i32.const 640))
         (i32.store (i32.const 700) (i32.load offset=4 (i32.const 640)))
         (call $answer (i32.const 700) (i32.const 1))"
    );
    let fields = format!("(data (i32.const 8192) \"{shape}\")");
    Written { dtype: number, output: None, pages: 12, fields, run, ..Written::default() }
}

/// The five best of 1,000 classes, in the sandbox.
#[divan::bench]
fn top_k(bencher: Bencher<'_, '_>) {
    let module = load(include_bytes!("../guests/artifacts/top-k.wasm"));
    let mut instance = module.start(&limits(), &settings()).expect("an instance");
    let input = [Tensor::from_f32([1, 1000], &scores()).expect("1,000 scores")];
    bencher.bench_local(|| instance.run(&input, Duration::MAX).expect("an answer"));
}

/// The same natively.
#[divan::bench]
fn top_k_natively(bencher: Bencher<'_, '_>) {
    let module = TopK::configure(&settings()).expect("settings");
    let input = [thalweg_guest::Tensor::from_f32(&[1, 1000], &scores()).expect("1,000 scores")];
    bencher.bench_local(|| module.run(&input).expect("an answer"));
}

fn settings() -> String {
    let labels: Vec<String> = (0..1000).map(|class| format!("\"class {class}\"")).collect();
    format!("{{\"labels\": [{}]}}", labels.join(","))
}

fn scores() -> Vec<f32> {
    (0..1000).map(|class| (class as f32 * 0.37).sin() * 9.0).collect()
}

/// From the call of a module that never ends, with 10 ms, until its error.
#[divan::bench(sample_count = 50, sample_size = 1)]
fn killed_after_10_ms(bencher: Bencher<'_, '_>) {
    let module = load(&Written::running("(loop $on (br $on)) unreachable").component());
    let limits = limits();
    let instance = || module.start(&limits, "{}").expect("an instance");
    let input = [bytes(4)];
    let time = Duration::from_millis(10);
    bencher.with_inputs(instance).bench_local_values(|mut instance| instance.run(&input, time).expect_err("no end"));
}

/// Components that are as slow to compile as may be, each by other instructions; and a guest.
#[divan::bench(sample_count = 3, sample_size = 1, args = ["top-k", "adds", "branches", "loops", "merges", "calls", "table", "locals", "functions"])]
fn compiled(bencher: Bencher<'_, '_>, what: &str) {
    let sandbox = Sandbox::open(Machine::probe(), Trust::Everyone).expect("a sandbox");
    let component = match what {
        "top-k" => include_bytes!("../guests/artifacts/top-k.wasm").to_vec(),
        what => Written { fields: largest(what), ..Written::default() }.component(),
    };
    let bencher = bencher.counter(BytesCount::new(component.len()));
    bencher.bench_local(|| sandbox.load("bench", &component, &Grants::default(), &limits()).expect("a module"));
}

/// `top-k`, which was compiled before, from a folder.
#[divan::bench]
fn from_the_cache(bencher: Bencher<'_, '_>) {
    let folder = tempfile::tempdir().expect("a folder");
    let key = SigningKey::generate().expect("random numbers").0;
    let cache = Cache::new(folder.path(), key);
    let sandbox = Sandbox::open_with_cache(Machine::probe(), Trust::Everyone, cache).expect("a sandbox");
    let component = include_bytes!("../guests/artifacts/top-k.wasm");
    let load = || sandbox.load("bench", component, &Grants::default(), &limits()).expect("a module");
    load();
    bencher.counter(BytesCount::of_slice(component)).bench_local(load);
}

fn largest(what: &str) -> String {
    // A repeated piece takes so many bytes in the binary format.
    let repeat = |text: &str, bytes: usize| text.repeat(((128 << 10) - 200) / bytes);
    let function = |body: String| format!("(func (param i32) (result i32) {body} (local.get 0))");
    match what {
        "adds" => function(repeat("(local.set 0 (i32.add (local.get 0) (i32.load (local.get 0))))", 10)),
        "branches" => function(repeat("(if (local.get 0) (then (local.set 0 (i32.const 1))))", 9)),
        "loops" => format!("(func (param i32) {})", "(loop (br_if 0 (local.get 0)))".repeat(4_400)),
        "merges" => {
            let (locals, branches) = (1000, 3900);
            let each = |text: &str| (1..locals).map(|local| text.replace('?', &local.to_string())).collect::<String>();
            let sets = each("(local.set ? (i32.load (i32.add (local.get 0) (i32.const ?))))");
            let sums = each("(local.set 0 (i32.add (local.get 0) (local.get ?)))");
            let loops = "(loop (br_if 0 (local.get 0)))".repeat(branches / 2);
            format!("(func (param i32) (local{}) {sets}{loops}{sums})", " i32".repeat(locals - 1))
        }
        "calls" => function(repeat("(drop (call $answer (local.get 0) (local.get 0)))", 8)),
        "table" => {
            let blocks = 300;
            let targets: String = (0..blocks).map(|target| format!(" {target}")).collect();
            let tables = format!("(block (br_table{targets} (local.get 0)))").repeat(33);
            format!("(func (param i32) {}{tables}{})", "(block ".repeat(blocks), ")".repeat(blocks))
        }
        "locals" => {
            let sets: String =
                (1..5_000).map(|local| format!("(local.set {local} (i32.load (local.get {})))", local - 1)).collect();
            let sums: String =
                (1..5_000).map(|local| format!("(local.set 0 (i32.add (local.get 0) (local.get {local})))")).collect();
            format!("(func (param i32) (local{}) {sets}{sums})", " i32".repeat(5_000))
        }
        _ => "(func (param i32) (result i32) (i32.add (local.get 0) (i32.load (local.get 0))))".repeat(19_900),
    }
}
