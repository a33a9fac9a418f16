//! What a module suffers from hostile ones beside it: its calls while others loop without end, grow their memory, or call
//! the host without end, and are killed, again and again. Beside them stands what it suffers from a thread that only
//! computes, which no sandbox is to blame for. Prints Markdown.
//!
//! Each round has a window of each kind, so that what else the machine does falls on all alike; a ratio is that of two
//! windows of one round. `cargo bench -p thalweg-modules --bench neighbours`, or with `-- ROUNDS` another number.

#![allow(clippy::print_stdout, reason = "the figures")]

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use thalweg_modules::own;
use thalweg_modules::sandbox::{Exceeded, Grants, Instance, Limit, Limits, Machine, Module, Sandbox, SandboxError};
use thalweg_modules::signature::Trust;
use thalweg_planner::{DType, Tensor, TensorSpec};

#[allow(dead_code, clippy::unwrap_used, reason = "those of the tests, which use more of it")]
#[path = "../tests/guests/cases.rs"]
mod cases;
#[allow(dead_code, clippy::unwrap_used, reason = "those of the tests, which use more of it")]
#[path = "../tests/guests/natively.rs"]
mod natively;
#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../tests/hostile/written.rs"]
mod written;

use written::Written;

const ROUNDS: usize = 30;
const WINDOW: Duration = Duration::from_millis(700);

/// What a hostile call may take. It is killed then.
const DEADLINE: Duration = Duration::from_millis(10);

/// The module whose calls are timed: one that reads, computes and makes tensors, within 0.1 ms.
const NEIGHBOUR: &str = "text-boxes";

const LIMITS: Limits = Limits {
    time_ms: Limit::of::<60_000>(),
    host_calls: Limit::of::<100_000_000>(),
    host_bytes: Limit::of::<{ 16 << 30 }>(),
    ..Limits::RECOMMENDED
};

/// What runs beside the module, by what its table row is called.
const BESIDE: [(&str, Beside); 5] = [
    ("nothing", Beside::Nothing),
    ("a native thread that computes", Beside::Native),
    ("a loop without end", Beside::Hostile("(loop $on (br $on)) unreachable")),
    ("memory that grows to its limit, over and over", Beside::Hostile(GROWING)),
    ("calls of the host without end", Beside::Hostile(CALLING)),
];

/// Asks for page after page and writes into each; past the limit it is stopped.
const GROWING: &str = "(loop $on
    (i32.store (i32.mul (memory.grow (i32.const 1)) (i32.const 65536)) (i32.const 7))
    (br $on)) unreachable";

const CALLING: &str = "(loop $on
    (call $read (local.get $in) (i64.const 0) (i64.const 4) (i32.const 600))
    (br $on)) unreachable";

#[derive(Clone, Copy)]
enum Beside {
    Nothing,
    Native,
    Hostile(&'static str),
}

/// What a kind of window has shown.
#[derive(Default)]
struct Shown {
    calls: Vec<Duration>,
    /// The 99th percentile of each window.
    p99: Vec<Duration>,
    /// How long after its deadline each call of a hostile module ended; and how late a native thread that looks at the
    /// clock all the time sees the same deadline, because the machine did something else.
    late: Vec<Duration>,
    /// Hostile calls that ended before it, at another limit.
    stopped: usize,
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let rounds = arguments.next().map_or(ROUNDS, |rounds| rounds.parse().expect("a number of rounds"));
    let sandbox = Sandbox::open(Machine::probe(), Trust::Everyone).expect("a sandbox");
    let own = own::named(NEIGHBOUR).expect("a module");
    let load = |component: &[u8]| sandbox.load("bench", component, &Grants::default(), &LIMITS).expect("a module");
    let case = cases::of(NEIGHBOUR).swap_remove(0);
    let inputs: Vec<Tensor> = case.inputs.iter().map(natively::hosted).collect();
    let mut neighbour = load(own.component).start(&LIMITS, &case.settings).expect("an instance");
    let hostile = BESIDE.map(|(_, beside)| match beside {
        Beside::Hostile(run) => Some(load(&Written::running(run).component())),
        Beside::Nothing | Beside::Native => None,
    });
    let mut shown: [Shown; BESIDE.len()] = Default::default();
    for _ in 0..rounds {
        for (at, (_, beside)) in BESIDE.iter().enumerate() {
            window(&mut neighbour, &inputs, *beside, hostile[at].as_ref(), &mut shown[at]);
        }
    }
    print(rounds, &mut shown);
}

/// Calls of the neighbour, one after the other, while something runs beside it.
fn window(neighbour: &mut Instance, inputs: &[Tensor], beside: Beside, hostile: Option<&Module>, shown: &mut Shown) {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let other = scope.spawn(|| match (beside, hostile) {
            (Beside::Native, _) => (computes(&over), 0),
            (_, Some(module)) => killed(module, &over),
            (_, None) => (Vec::new(), 0),
        });
        let (begun, mut times) = (Instant::now(), Vec::new());
        while begun.elapsed() < WINDOW {
            let started = Instant::now();
            black_box(neighbour.run(inputs, Duration::MAX).expect("an answer"));
            times.push(started.elapsed());
        }
        over.store(true, Ordering::Relaxed);
        let (late, stopped) = other.join().expect("no panic");
        times.sort_unstable();
        shown.p99.push(rank(&times, 0.99));
        shown.calls.extend(times);
        shown.late.extend(late);
        shown.stopped += stopped;
    });
}

/// Computes from deadline to deadline, and says how late it saw each.
fn computes(over: &AtomicBool) -> Vec<Duration> {
    let (mut number, mut late) = (1u64, Vec::new());
    while !over.load(Ordering::Relaxed) {
        let started = Instant::now();
        while started.elapsed() < DEADLINE {
            for _ in 0..1000 {
                number = black_box(number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
            }
        }
        late.push(started.elapsed() - DEADLINE);
    }
    late
}

/// Starts instances of a hostile module and calls them, until all is over. Each is killed.
fn killed(module: &Module, over: &AtomicBool) -> (Vec<Duration>, usize) {
    let input = [Tensor::new(TensorSpec::new(DType::U8, [4]), vec![1, 2, 3, 4]).expect("four bytes")];
    let (mut late, mut stopped) = (Vec::new(), 0);
    while !over.load(Ordering::Relaxed) {
        let mut instance = module.start(&LIMITS, "{}").expect("an instance");
        let started = Instant::now();
        match instance.run(&input, DEADLINE) {
            Err(SandboxError::Exceeded { exceeded: Exceeded::Time(_), .. }) => late.push(started.elapsed() - DEADLINE),
            Err(SandboxError::Exceeded { .. }) => stopped += 1,
            other => panic!("{other:?}"),
        }
    }
    (late, stopped)
}

fn print(rounds: usize, shown: &mut [Shown]) {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    println!("{NEIGHBOUR}, {rounds} rounds on {cores} cores; hostile calls have {} ms.\n", DEADLINE.as_millis());
    println!("| beside it runs | calls | median | p99 | p99 by that beside nothing | by that beside a native thread |");
    println!("|---|---|---|---|---|---|");
    let (quiet, native) = (shown[0].p99.clone(), shown[1].p99.clone());
    for ((what, _), shown) in BESIDE.iter().zip(&mut *shown) {
        shown.calls.sort_unstable();
        let (count, half, p99) = (shown.calls.len(), us(rank(&shown.calls, 0.5)), us(rank(&shown.calls, 0.99)));
        let (by_quiet, by_native) = (ratios(&shown.p99, &quiet), ratios(&shown.p99, &native));
        println!("| {what} | {count} | {half} µs | {p99} µs | {by_quiet} | {by_native} |");
    }
    println!("\n| ended | at the deadline | late: median | 99 of 100 | most | at another limit |");
    println!("|---|---|---|---|---|---|");
    for ((what, _), shown) in BESIDE.iter().zip(shown).skip(1) {
        shown.late.sort_unstable();
        let [half, p99, most] = [0.5, 0.99, 1.0].map(|share| us(rank(&shown.late, share)));
        println!("| {what} | {} | {half} µs | {p99} µs | {most} µs | {} |", shown.late.len(), shown.stopped);
    }
}

/// The median of the ratios of windows of one round, and their quartiles.
fn ratios(windows: &[Duration], by: &[Duration]) -> String {
    let ratio = |(window, by): (&Duration, &Duration)| window.as_secs_f64() / by.as_secs_f64();
    let mut ratios: Vec<f64> = windows.iter().zip(by).map(ratio).collect();
    ratios.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| ratios[((ratios.len() - 1) as f64 * share).round() as usize];
    format!("{:.2} ({:.2} to {:.2})", at(0.5), at(0.25), at(0.75))
}

/// The smallest of sorted times that so large a share is not above; zero of none.
fn rank(times: &[Duration], share: f64) -> Duration {
    let rank = (share * times.len() as f64).ceil() as usize;
    times.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

fn us(time: Duration) -> u128 {
    time.as_micros()
}
