//! What models take on the CPU of this machine: with kernels of our own, with none but tract's, and in onnxruntime.
//!
//! `cargo bench -p thalweg-devices --bench cpu` prints one row a model, medians of runs that take turns. `--threads N` lets N
//! threads share each run, in place of one. `--python FILE` names an interpreter that has the package `onnxruntime`, without which
//! its column stays empty. `--operators` prints a row an operator instead, beside what this machine reaches, and `--json` either as JSON.
//! Models are `FILE.onnx`, or `FILE.onnx@INPUT=SIZES;INPUT=SIZES`, in place of those of the repository.
#![allow(clippy::print_stdout)]

mod subject;

use std::io::{BufRead, BufReader, Write};
use std::num::NonZero;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde::Serialize;
use subject::{Failed, MODELS, Subject, difference};
use thalweg_devices::device::DeviceProfile;
use thalweg_devices::{Cores, OperatorTime, Stage, this_machine};
use thalweg_planner::DType;

/// Runs of each, and how long all of a model's may take.
const RUNS: usize = 101;
const BUDGET: Duration = Duration::from_secs(20);

#[derive(Serialize)]
struct Row {
    model: String,
    threads: u32,
    own_ms: f64,
    plain_ms: f64,
    onnxruntime_ms: Option<f64>,
    /// The largest difference from tract's own kernels, of the largest value.
    off: f32,
}

fn main() -> Result<(), Failed> {
    let mut arguments = std::env::args().skip(1);
    let (mut python, mut json, mut operators, mut models) = ("python3".to_owned(), false, false, Vec::new());
    let mut threads = NonZero::<u32>::MIN;
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--python" => python = arguments.next().ok_or("--python needs a file")?,
            "--threads" => threads = arguments.next().ok_or("--threads needs a number")?.parse()?,
            "--json" => json = true,
            "--operators" => operators = true,
            "--bench" => {}
            _ => models.push(argument),
        }
    }
    if models.is_empty() {
        models.extend(MODELS.map(subject::of_repository));
    }
    let cores = Cores::start("core", threads)?;
    if operators {
        let peaks = this_machine()?;
        if !json {
            println!("one core: products of {}, copies of {}", peaks.matrix_product, peaks.memory_copy);
        }
        let mut rows = Vec::new();
        for model in &models {
            rows.extend(print_operators(model, (threads, &cores), &peaks, json)?);
        }
        if json {
            println!("{:#}", serde_json::to_value(rows)?);
        }
        return Ok(());
    }
    let rows = models.iter().map(|model| measure(model, &python, threads, &cores));
    let rows = rows.collect::<Result<Vec<Row>, Failed>>()?;
    if json {
        println!("{:#}", serde_json::to_value(&rows)?);
        return Ok(());
    }
    println!("model                          own ms  tract ms  onnxruntime ms  tract/own  own/onnxruntime  off");
    for Row { model, own_ms, plain_ms, onnxruntime_ms, off, .. } in &rows {
        let (ort, ratio) = onnxruntime_ms.map_or(("-".to_owned(), "-".to_owned()), |ort_ms| {
            (format!("{ort_ms:.2}"), format!("{:.2}", own_ms / ort_ms))
        });
        let faster = plain_ms / own_ms;
        println!("{model:27} {own_ms:9.2} {plain_ms:9.2} {ort:>15} {faster:10.2} {ratio:>16}  {off:.1e}");
    }
    Ok(())
}

/// Where the time of a model goes: its operators, the longest first. They are printed, unless all are wanted as JSON.
fn print_operators(
    text: &str,
    (threads, cores): (NonZero<u32>, &Cores),
    peaks: &DeviceProfile,
    json: bool,
) -> Result<Vec<OperatorRow>, Failed> {
    let subject = Subject::load(text)?;
    let part = subject.model.whole_part()?;
    let mut all = Vec::new();
    for (kernels, stage) in [("own", part.clone().prepare()?), ("tract", part.prepare_plain()?)] {
        let times = cores.run(|| stage.operator_times(&subject.inputs, 31))?;
        let model = &subject.name;
        let mut rows: Vec<_> =
            times.into_iter().map(|time| OperatorRow::new(model, (threads, kernels), time, peaks)).collect();
        rows.sort_by(|one, other| other.us.total_cmp(&one.us));
        if !json {
            let ms = rows.iter().map(|row| row.us).sum::<f64>() / 1e3;
            println!("{model}, {kernels}: {ms:.2} ms\n       us  G macs/s  of product  of copy");
            rows.iter().take(40).for_each(OperatorRow::print);
        }
        all.append(&mut rows);
    }
    Ok(all)
}

/// An operator beside what one core of this machine reaches in a product of large matrices, and in copying more than its
/// caches hold: the larger share says which of the two bounds it. Beyond 1 it multiplies less than its scheme says, or what it
/// reads and makes is in a cache, or several threads share it.
#[derive(Serialize)]
struct OperatorRow {
    model: String,
    threads: u32,
    kernels: &'static str,
    node: String,
    op: String,
    us: f64,
    gmacs_per_s: f64,
    of_product: f64,
    of_copy: f64,
}

impl OperatorRow {
    fn new(
        model: &str,
        (threads, kernels): (NonZero<u32>, &'static str),
        operator: OperatorTime,
        peaks: &DeviceProfile,
    ) -> Self {
        let OperatorTime { node, op, time, macs, bytes } = operator;
        let [macs_per_s, bytes_per_s] = [macs, bytes].map(|count| count as f64 / time.as_secs_f64());
        let of_product = macs_per_s / peaks.matrix_product.0 as f64;
        let of_copy = bytes_per_s / peaks.memory_copy.0 as f64;
        let (model, us, gmacs_per_s) = (model.to_owned(), time.as_secs_f64() * 1e6, macs_per_s / 1e9);
        Self { model, threads: threads.get(), kernels, node, op, us, gmacs_per_s, of_product, of_copy }
    }

    fn print(&self) {
        let Self { us, gmacs_per_s, of_product, of_copy, op, node, .. } = self;
        println!("{us:9.1} {gmacs_per_s:9.1} {of_product:11.2} {of_copy:8.2}  {op} {node}");
    }
}

fn measure(text: &str, python: &str, threads: NonZero<u32>, cores: &Cores) -> Result<Row, Failed> {
    let subject = Subject::load(text)?;
    let part = subject.model.whole_part()?;
    let (own, plain) = (part.clone().prepare()?, part.prepare_plain()?);
    let inputs = &subject.inputs;
    let run = |stage: &Stage| cores.run(|| stage.run(inputs));
    let off = difference(&run(&own)?, &run(&plain)?);
    run(&plain)?;
    let mut beside = Beside::start((python, threads), text, &subject);
    let (started, mut times) = (Instant::now(), [const { Vec::new() }; 3]);
    while times[0].len() < 3 || (times[0].len() < RUNS && started.elapsed() < BUDGET) {
        for (place, stage) in [&own, &plain].into_iter().enumerate() {
            let begun = Instant::now();
            run(stage)?;
            times[place].push(begun.elapsed().as_secs_f64() * 1e3);
        }
        times[2].extend(beside.as_mut().and_then(Beside::run_ms));
    }
    let median = |mut times: Vec<f64>| {
        times.sort_unstable_by(f64::total_cmp);
        times.get(times.len() / 2).copied()
    };
    let [own_ms, plain_ms, onnxruntime_ms] = times.map(median);
    let (own_ms, plain_ms) = (own_ms.unwrap_or(f64::NAN), plain_ms.unwrap_or(f64::NAN));
    Ok(Row { model: subject.name, threads: threads.get(), own_ms, plain_ms, onnxruntime_ms, off })
}

/// The same model in onnxruntime, with so many threads, in a process of its own that runs when it is told to.
struct Beside {
    child: Child,
    tell: ChildStdin,
    hear: BufReader<ChildStdout>,
}

const SCRIPT: &str = r#"
import sys, time, numpy, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = int(sys.argv[2])
options.log_severity_level = 3
# Its threads would go on looking for work between its runs, and take a core from whose turn it is then.
options.add_session_config_entry("session.force_spinning_stop", "1")
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
feed = {}
for given in sys.argv[3:]:
    name, kind, sizes = given.rsplit("=", 2)
    shape = [int(size) for size in sizes.split(",") if size]
    feed[name] = numpy.random.default_rng(1).random(shape).astype(kind)
session.run(None, feed)
for line in sys.stdin:
    started = time.perf_counter()
    session.run(None, feed)
    print((time.perf_counter() - started) * 1e3, flush=True)
"#;

/// Inputs as the script takes them: `name=type=sizes`, with the type as numpy has it.
fn described(subject: &Subject) -> impl Iterator<Item = String> {
    subject.model.inputs().iter().map(|port| {
        let kind = if port.spec.dtype == DType::F32 { "float32" } else { "int64" };
        let sizes: Vec<String> = port.spec.shape.iter().map(usize::to_string).collect();
        format!("{}={kind}={}", port.name, sizes.join(","))
    })
}

impl Beside {
    /// None where the interpreter or its package is not there.
    fn start((python, threads): (&str, NonZero<u32>), text: &str, subject: &Subject) -> Option<Self> {
        let path = text.split_once('@').map_or(text, |(path, _)| path);
        let mut command = Command::new(python);
        command.args(["-c", SCRIPT, path, &threads.to_string()]).args(described(subject));
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut child = spawned.ok()?;
        let (tell, hear) = (child.stdin.take()?, BufReader::new(child.stdout.take()?));
        let mut beside = Self { child, tell, hear };
        beside.run_ms()?;
        Some(beside)
    }

    fn run_ms(&mut self) -> Option<f64> {
        self.tell.write_all(b"run\n").ok()?;
        let mut line = String::new();
        self.hear.read_line(&mut line).ok()?;
        line.trim().parse().ok()
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
