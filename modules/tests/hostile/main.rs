//! Modules that mean harm, one a test: what the caller gets for each.

#![allow(clippy::unwrap_used)]

mod written;
mod compile;
mod versions;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use thalweg_modules::sandbox::{
    Exceeded, Grants, Instance, Limit, Limits, Machine, Models, Module, PortNames, Sandbox, SandboxError,
};
use thalweg_modules::signature::{SignatureError, SigningKey, Trust, sign};
use thalweg_planner::{Bytes, DType, Tensor, TensorSpec};

use written::{ECHO, Written};

/// Long enough for every module here that ends by itself.
const TIME: Duration = Duration::from_secs(60);

fn limits() -> Limits {
    Limits { time_ms: Limit::of::<100>(), memory_bytes: Limit::of::<{ 1 << 20 }>(), ..Limits::RECOMMENDED }
}

fn sandbox() -> &'static Sandbox {
    static SANDBOX: OnceLock<Sandbox> = OnceLock::new();
    SANDBOX.get_or_init(|| Sandbox::open(Machine::probe(), Trust::Everyone).unwrap())
}

fn load(written: &Written) -> Result<Module, SandboxError> {
    sandbox().load("hostile", &written.component(), &Grants::default(), &limits())
}

fn start(written: &Written, limits: &Limits) -> Instance {
    load(written).unwrap().start(limits, "{}").unwrap()
}

fn input() -> Tensor {
    Tensor::new(TensorSpec::new(DType::U8, [4]), vec![1, 2, 3, 4]).unwrap()
}

fn run_within(written: &Written, limits: &Limits) -> Result<Vec<Tensor>, SandboxError> {
    start(written, limits).run(&[input()], TIME)
}

fn run(written: &Written) -> Result<Vec<Tensor>, SandboxError> {
    run_within(written, &limits())
}

fn exceeded(exceeded: Exceeded) -> SandboxError {
    SandboxError::Exceeded { module: "hostile".into(), exceeded }
}

fn interface(error: SandboxError, part: &str) {
    assert!(matches!(&error, SandboxError::Interface { reason, .. } if reason.contains(part)), "{error}");
}

#[test]
fn a_module_that_behaves_runs_and_passes_on_without_a_copy() {
    let mut instance = start(&Written::default(), &limits());
    let given = input();
    let got = instance.run(std::slice::from_ref(&given), TIME).unwrap();
    assert_eq!(got[0].data().as_ptr(), given.data().as_ptr());
    assert_eq!(run(&Written::making(5, &[4], 4)).unwrap()[0].data(), [0; 4]);
}

#[test]
fn an_endless_loop_ends_at_its_deadline_and_spends_the_instance() {
    let mut instance = start(&Written::running("(loop $on (br $on)) unreachable"), &limits());
    let started = Instant::now();
    assert_eq!(instance.run(&[input()], TIME), Err(exceeded(Exceeded::Time(Duration::from_millis(100)))));
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    assert!(instance.is_spent());
    assert!(matches!(instance.run(&[input()], TIME), Err(SandboxError::Spent { .. })));
}

#[test]
fn a_request_may_have_less_time_than_the_limit() {
    let mut instance = start(&Written::running("(loop $on (br $on)) unreachable"), &limits());
    let time = Duration::from_millis(5);
    assert_eq!(instance.run(&[input()], time), Err(exceeded(Exceeded::Time(time))));
}

#[test]
fn endless_calls_of_the_host_end_by_number_and_by_time() {
    let written = Written::running("(loop $on (call $spec (local.get $in) (i32.const 600)) (br $on)) unreachable");
    let few = Limits { host_calls: Limit::of::<1000>(), time_ms: Limit::of::<60_000>(), ..limits() };
    assert_eq!(run_within(&written, &few), Err(exceeded(Exceeded::HostCalls(1000))));
    let limits = Limits { host_calls: Limit::of::<100_000_000>(), ..limits() };
    assert_eq!(run_within(&written, &limits), Err(exceeded(Exceeded::Time(Duration::from_millis(100)))));
}

#[test]
fn bytes_that_are_read_and_made_are_counted() {
    let limits = Limits { host_bytes: Limit::of::<1000>(), ..limits() };
    let reading = "(loop $on (call $read (local.get $in) (i64.const 0) (i64.const 4) (i32.const 600)) (br $on))
                   unreachable";
    assert_eq!(run_within(&Written::running(reading), &limits), Err(exceeded(Exceeded::HostBytes(Bytes(1000)))));
    // Asking for what is not there is counted as well.
    let asking = reading.replace("(i64.const 4)", "(i64.const 1001)");
    assert_eq!(run_within(&Written::running(&asking), &limits), Err(exceeded(Exceeded::HostBytes(Bytes(1000)))));
    assert_eq!(
        run_within(&Written::making(5, &[2000], 2000), &limits),
        Err(exceeded(Exceeded::HostBytes(Bytes(1000))))
    );
}

#[test]
fn memory_grows_to_the_limit_and_not_past_it() {
    let growing = |pages: u32| {
        let grow = format!("(if (i32.lt_s (memory.grow (i32.const {pages})) (i32.const 0)) (then unreachable))");
        run(&Written::running(&format!("{grow} {ECHO}")))
    };
    assert_eq!(growing(15).unwrap(), [input()]);
    assert_eq!(growing(16), Err(exceeded(Exceeded::Memory(Bytes(1 << 20)))));
    let large = Written { pages: 17, ..Written::default() };
    assert_eq!(load(&large).err(), Some(exceeded(Exceeded::Memory(Bytes(1 << 20)))));
}

#[test]
fn tables_grow_to_the_limit_and_not_past_it() {
    let limit = Limits::RECOMMENDED.table_elements.get();
    let sized = |fields: String| Written { fields, ..Written::default() };
    let large = sized(format!("(table {} funcref)", limit + 1));
    assert_eq!(load(&large).err(), Some(exceeded(Exceeded::Tables(limit))));
    let grow = format!(
        "(if (i32.lt_s (table.grow 0 (ref.null func) (i32.const {limit})) (i32.const 0)) (then unreachable)) {ECHO}"
    );
    let growing = Written { run: grow, ..sized("(table 1 funcref)".into()) };
    assert_eq!(run(&growing), Err(exceeded(Exceeded::Tables(limit))));
    let huge = load(&sized("(table 10000000 funcref)".into())).err().unwrap();
    assert!(matches!(huge, SandboxError::Invalid { .. }), "{huge}");
}

#[test]
fn deep_recursion_ends_at_the_stack_and_harms_nobody() {
    let fields = "(func $deep (param i32) (result i32)
                    (i32.add (i32.const 1) (call $deep (i32.add (local.get 0) (i32.const 1)))))";
    let deep = "(drop (call $deep (i32.const 0))) unreachable";
    let written = Written { fields: fields.into(), ..Written::running(deep) };
    assert_eq!(run(&written), Err(exceeded(Exceeded::Stack(Bytes(512 << 10)))));
    assert!(run(&Written::default()).is_ok());
}

#[test]
fn traps_are_told_by_kind() {
    let trapped = |run_: &str| match run(&Written::running(run_)).unwrap_err() {
        SandboxError::Trapped { reason, .. } => reason,
        other => panic!("{other}"),
    };
    assert_eq!(trapped("unreachable"), "wasm trap: wasm `unreachable` instruction executed");
    assert_eq!(trapped("(i32.div_u (i32.const 1) (i32.const 0))"), "wasm trap: integer divide by zero");
    assert_eq!(trapped("(i32.load (i32.const -4))"), "wasm trap: out of bounds memory access");
}

#[test]
fn outputs_are_held_to_what_was_declared() {
    let count = run(&Written::running("(call $drop (local.get $in)) (call $answer (i32.const 0) (i32.const 0))"));
    let wanted = SandboxError::OutputCount { module: "hostile".into(), expected: 1, got: 0 };
    assert_eq!(count, Err(wanted));
    for (dtype, shape, bytes, shown) in
        [(5, vec![5], 5, "u8[5]"), (4, vec![4], 4, "i8[4]"), (5, vec![2, 2], 4, "u8[2,2]")]
    {
        match run(&Written::making(dtype, &shape, bytes)).unwrap_err() {
            SandboxError::Output { port, got, .. } => {
                assert_eq!((port.to_string(), got.to_string()), ("u8[4]".into(), shown.into()));
            }
            other => panic!("{other}"),
        }
    }
    // Bytes that do not make the tensor: the host refuses, and this module traps then.
    for (shape, bytes) in [(vec![4], 5), (vec![u64::MAX, u64::MAX], 4), (vec![1 << 63, 2], 0)] {
        assert!(matches!(run(&Written::making(5, &shape, bytes)), Err(SandboxError::Trapped { .. })));
    }
    let limits = Limits { output_bytes: Limit::of::<3>(), ..limits() };
    assert_eq!(run_within(&Written::default(), &limits), Err(exceeded(Exceeded::OutputBytes(Bytes(3)))));
    // A list of more outputs than may be, of one tensor in another shape each time.
    let many = "(loop $on
                  (call $reshape (local.get $in) (i32.const 8192) (i32.const 1) (i32.const 600))
                  (i32.store (i32.add (i32.const 45000) (i32.mul (i32.const 4) (local.get $i)))
                             (i32.load (i32.const 604)))
                  (local.set $i (i32.add (local.get $i) (i32.const 1)))
                  (br_if $on (i32.lt_u (local.get $i) (i32.const 17))))
                (call $answer (i32.const 45000) (i32.const 17))";
    let fields = "(data (i32.const 8192) \"\\04\")".to_owned();
    let many = Written { fields, ..Written::running(many) };
    assert_eq!(run(&many), Err(exceeded(Exceeded::Outputs(16))));
}

#[test]
fn outputs_that_are_not_numbers_are_refused_by_name_and_element() {
    // Infinity, minus infinity, and a last one: of f32, f16, bf16 and f64.
    let floats = |last: f32| {
        let all = [f32::INFINITY, f32::NEG_INFINITY, last];
        let halves = |bits: fn(f32) -> u16| all.iter().flat_map(|number| bits(*number).to_le_bytes()).collect();
        [
            (0, all.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>()),
            (1, halves(|number| half::f16::from_f32(number).to_bits())),
            (2, halves(|number| half::bf16::from_f32(number).to_bits())),
            (3, all.iter().flat_map(|number| f64::from(*number).to_le_bytes()).collect()),
        ]
    };
    let given = |written: &Written| {
        let limits = limits();
        let input = Tensor::from_f32([1], &[f32::NAN]).unwrap();
        let bytes = Tensor::new(TensorSpec::new(DType::ALL[written.dtype as usize], [0]), vec![]).unwrap();
        start(written, &limits).run(&[if written.dtype == 0 { input } else { bytes }], TIME)
    };
    let refused = |written: &Written| match given(written).unwrap_err() {
        error @ SandboxError::NotANumber { .. } => error.to_string(),
        other => panic!("{other}"),
    };
    for (dtype, bytes) in floats(f32::MAX) {
        assert_eq!(given(&Written::floats(dtype, &[3], &bytes)).unwrap()[0].data(), bytes);
    }
    for (dtype, bytes) in floats(f32::NAN) {
        let error = refused(&Written::floats(dtype, &[3], &bytes));
        assert!(error.starts_with("output out of module hostile is not a number at element 2: "), "{error}");
    }

    let [(_, bytes), ..] = floats(f32::NAN);
    let make =
        "(call $make (i32.const 0) (i32.const 8192) (i32.const 1) (i32.const 16384) (i32.const 12) (i32.const 600))";
    let running = |run: &str| Written { run: format!("{make} {run}"), ..Written::floats(0, &[3], &bytes) };
    let reshaped = "(call $drop (local.get $in))
                    (call $reshape (i32.load (i32.const 604)) (i32.const 8192) (i32.const 1) (i32.const 700))
                    (call $drop (i32.load (i32.const 604)))
                    (i32.store (i32.const 40000) (i32.load (i32.const 704)))
                    (call $answer (i32.const 40000) (i32.const 1))";
    assert!(refused(&running(reshaped)).contains("element 2"));
    // What goes no further does no harm, and what came in goes out as it is.
    let passed = given(&running(&format!("(call $drop (i32.load (i32.const 604))) {ECHO}"))).unwrap();
    assert!(passed[0].to_f32().unwrap()[0].is_nan());
}

#[test]
fn handles_that_were_not_given_or_were_dropped_are_refused() {
    let not_given = "(i32.store (i32.const 40000) (i32.const 77)) (call $answer (i32.const 40000) (i32.const 1))";
    interface(run(&Written::running(not_given)).unwrap_err(), "unknown handle index 77");
    let not_given = format!("(call $spec (i32.const 77) (i32.const 600)) {ECHO}");
    interface(run(&Written::running(&not_given)).unwrap_err(), "unknown handle index 77");
    let dropped = format!("(call $drop (local.get $in)) (call $spec (local.get $in) (i32.const 600)) {ECHO}");
    interface(run(&Written::running(&dropped)).unwrap_err(), "unknown handle index");
    let given_twice =
        "(i32.store offset=4 (local.get $list) (local.get $in)) (call $answer (local.get $list) (i32.const 2))";
    interface(run(&Written::running(given_twice)).unwrap_err(), "unknown handle index");
    let outside = "(call $answer (i32.const -8) (i32.const 2))";
    interface(run(&Written::running(outside)).unwrap_err(), "out of bounds");
}

#[test]
fn handles_are_bounded_and_none_outlives_its_call() {
    let reshape = "(call $reshape (local.get $in) (i32.const 8192) (i32.const 1) (i32.const 600))";
    let fields = "(data (i32.const 8192) \"\\04\")".to_owned();
    let hoarding = Written { run: format!("(loop $on {reshape} (br $on)) unreachable"), fields, ..Written::default() };
    assert_eq!(run(&hoarding), Err(exceeded(Exceeded::Handles(1024))));
    let keeping = Written { run: format!("{reshape} {ECHO}"), ..hoarding };
    let mut instance = start(&keeping, &limits());
    let kept = SandboxError::Kept { module: "hostile".into(), count: 1 };
    assert_eq!(instance.run(&[input()], TIME), Err(kept));
    assert!(instance.is_spent());
}

#[test]
fn what_was_not_granted_is_refused_by_name() {
    let refused = |component: &[u8]| sandbox().load("hostile", component, &Grants::default(), &limits()).err().unwrap();
    let not_granted = |import: &str| SandboxError::NotGranted { module: "hostile".into(), import: import.into() };
    let clock = wat::parse_str(r#"(component (import "wasi:clocks/wall-clock@0.2.6" (instance)))"#).unwrap();
    assert_eq!(refused(&clock), not_granted("wasi:clocks/wall-clock@0.2.6"));
    let infer = r#"(import "thalweg:module/models@0.1.0" "infer" (func $infer (param i32 i32 i32 i32 i32)))"#;
    let infers = Written { world: "module-with-models", imports: infer, ..Written::default() };
    assert_eq!(refused(&infers.component()), not_granted("thalweg:module/models@0.1.0"));

    struct Twice;
    impl Models for Twice {
        fn ports(&self, _: &str) -> Option<PortNames> {
            None
        }

        fn infer(&self, part: &str, inputs: &[Tensor], _: Duration) -> Result<Vec<Tensor>, String> {
            assert_eq!(part, "hostile");
            Ok(vec![inputs[0].clone(), inputs[0].clone()])
        }
    }
    // The part is called after the module, whose name lies at 1024; the first of both answers goes out.
    let asking = "(i32.store (i32.const 39000) (local.get $in))
                  (call $infer (i32.const 1024) (i32.const 7) (i32.const 39000) (i32.const 1) (i32.const 600))
                  (call $drop (local.get $in))
                  (call $drop (i32.load offset=4 (i32.load offset=4 (i32.const 600))))
                  (call $answer (i32.load offset=4 (i32.const 600)) (i32.const 1))";
    let asking = Written { run: asking.into(), ..infers };
    let grants = Grants { models: Some(Arc::new(Twice)) };
    let module = sandbox().load("hostile", &asking.component(), &grants, &limits()).unwrap();
    assert_eq!(module.start(&limits(), "{}").unwrap().run(&[input()], TIME).unwrap(), [input()]);
}

#[test]
fn a_start_function_that_never_ends_is_stopped_while_loading() {
    let fields = "(func $on (loop $on (br $on))) (start $on)".to_owned();
    let endless = Written { fields, ..Written::default() };
    assert_eq!(load(&endless).err(), Some(exceeded(Exceeded::Time(Duration::from_millis(100)))));
}

#[test]
fn a_module_that_describes_itself_wrongly_is_refused() {
    let error = load(&Written { name: "Hostile \u{1b}[2J", ..Written::default() }).err().unwrap();
    assert!(matches!(&error, SandboxError::Description { .. }), "{error}");
    assert!(!error.to_string().contains('\u{1b}'), "{error}");
    assert!(error.to_string().contains("the name is"), "{error}");
}

#[test]
fn what_is_no_module_is_refused() {
    let refused = |bytes: &[u8]| sandbox().load("hostile", bytes, &Grants::default(), &limits()).err().unwrap();
    let empty = wat::parse_str("(component)").unwrap();
    assert!(matches!(refused(&empty), SandboxError::World { .. }));
    assert!(matches!(refused(b""), SandboxError::Invalid { .. }));
    assert!(matches!(refused(b"\0asm nonsense"), SandboxError::Invalid { .. }));
    assert!(matches!(refused(&wat::parse_str("(module)").unwrap()), SandboxError::Invalid { .. }));
    let whole = Written::default().component();
    for len in (0..whole.len()).step_by(101) {
        refused(&whole[..len]);
    }
}

#[test]
fn more_instances_than_fit_are_refused_until_one_ends() {
    let machine = Machine { instances_max: 2, ..Machine::probe() };
    let sandbox = Sandbox::open(machine, Trust::Everyone).unwrap();
    let module = sandbox.load("hostile", &Written::default().component(), &Grants::default(), &limits()).unwrap();
    let start = || module.start(&limits(), "{}");
    let first = start().unwrap();
    let second = start().unwrap();
    assert_eq!(start().err(), Some(SandboxError::Full { module: "hostile".into(), most: 2 }));
    drop(first);
    assert!(start().is_ok());
    drop(second);
}

#[test]
fn limits_above_what_the_machine_gives_are_refused() {
    let most = sandbox().machine().memory_bytes_max;
    let limits = Limits { memory_bytes: Limit::new(most + 1).unwrap(), ..limits() };
    let error = load(&Written::default()).unwrap().start(&limits, "{}").err();
    let wanted = SandboxError::MemoryOfMachine { module: "hostile".into(), asked: Bytes(most + 1), most: Bytes(most) };
    assert_eq!(error, Some(wanted));
}

#[test]
fn what_nobody_trusted_has_signed_is_not_even_looked_at() {
    let ours = SigningKey::generate().unwrap().0;
    let sandbox = Sandbox::open(Machine::probe(), Trust::Keys([ours.public()].into())).unwrap();
    let load = |component: &[u8]| sandbox.load("hostile", component, &Grants::default(), &limits()).err();
    let component = Written::default().component();
    let unsigned = SignatureError::Unsigned { module: "hostile".to_owned() };
    assert_eq!(load(&component), Some(SandboxError::Signature(unsigned.clone())));
    assert_eq!(load(b"no component"), Some(SandboxError::Signature(unsigned)));
    assert_eq!(load(&sign(&component, &ours)), None);
}
