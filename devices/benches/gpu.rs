//! What a GPU makes of whole models and of their kernels, beside the CPU: `cargo bench -p thalweg-devices --bench gpu`.
//!
//! After `--`: `--adapter NAME` for another than the fastest of hardware, `--f16` for weights in f16, `--kernels` for a
//! table of all kernels with rooflines, `--json`, and models as `FILE.onnx`, or `FILE.onnx@INPUT=SIZES;INPUT=SIZES`, in
//! place of those of the repository.
#![allow(clippy::print_stdout)]

mod subject;

use std::time::{Duration, Instant};

use serde::Serialize;
use subject::{Failed, MODELS, Subject, difference};
use thalweg_devices::gpu::{Gpu, GpuStage, Peaks, square_product};
use thalweg_devices::{Cores, Partition, Precision};
use thalweg_planner::Tensor;

/// Runs of which the median counts, after runs for as long as `WARM_UP`: an idle device takes a while to get to its clock.
const RUNS: usize = 101;
const WARM_UP: Duration = Duration::from_secs(1);
/// A model that takes long is run for so long at most.
const BUDGET: Duration = Duration::from_secs(5);
/// Runs between two looks at the memory of the process.
const MANY: usize = 1000;

#[derive(Serialize)]
struct Measured {
    model: String,
    gpu_ms: f64,
    kernels_ms: Option<f64>,
    cpu_ms: f64,
    /// The CPU again, one run by all its cores.
    all_cores_ms: f64,
    off: f32,
    prepare_ms: f64,
    first_ms: f64,
    kernels: usize,
    submits: usize,
    on_cpu: usize,
    constants_mib: f64,
    pool_mib: f64,
    growth_kib: i64,
}

#[derive(Serialize)]
struct Kernel {
    model: String,
    node: String,
    kernel: String,
    sizes: String,
    us: f64,
    gmacs: f64,
    gbytes: f64,
    /// Of what multiply-adds and bytes would take at the device's peaks, whichever is longer.
    roofline: f64,
}

fn main() -> Result<(), Failed> {
    let mut arguments = std::env::args().skip(1);
    let (mut adapter, mut kernels, mut json, mut models) = (String::new(), false, false, Vec::new());
    let mut precision = Precision::F32;
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--adapter" => adapter = arguments.next().ok_or("--adapter needs a name")?,
            "--f16" => precision = Precision::F16,
            "--kernels" => kernels = true,
            "--json" => json = true,
            "--bench" => {}
            _ => models.push(argument),
        }
    }
    let started = Instant::now();
    let gpu = match Gpu::open(&adapter, precision) {
        Ok(gpu) => gpu,
        Err(none) => {
            println!("{none}");
            return Ok(());
        }
    };
    let opened = started.elapsed();
    let peaks = gpu.peaks()?;
    let mut table = Table { gpu, peaks, kernels, rows: Vec::new(), of_kernels: Vec::new() };
    // In software the larger ones take minutes.
    let sizes: &[usize] = if table.gpu.adapter().software { &[256] } else { &[1024, 2048, 4096] };
    for size in sizes {
        table.product(*size)?;
    }
    if models.is_empty() {
        models.extend(MODELS.map(subject::of_repository));
    }
    for model in &models {
        table.model(model)?;
    }
    if json { table.print_json(opened) } else { table.print(opened) }
}

struct Table {
    gpu: Gpu,
    peaks: Option<Peaks>,
    kernels: bool,
    rows: Vec<Measured>,
    of_kernels: Vec<Kernel>,
}

impl Table {
    fn product(&mut self, size: usize) -> Result<(), Failed> {
        let stage = square_product(size)?.prepare_on(&self.gpu)?;
        self.roofline(&format!("product {size}"), &stage)
    }

    fn model(&mut self, text: &str) -> Result<(), Failed> {
        let Subject { name, model, inputs, .. } = Subject::load(text)?;
        let (stage, row) = self.measure(&name, &model.whole_part()?, &inputs)?;
        self.rows.push(row);
        if self.kernels { self.roofline(&name, &stage) } else { Ok(()) }
    }

    fn measure(&self, name: &str, part: &Partition, inputs: &[Tensor]) -> Result<(GpuStage, Measured), Failed> {
        let cpu = part.clone().prepare()?;
        let expected = cpu.run(inputs)?;
        let cpu_ms = median_ms(|| cpu.run(inputs).map(drop))?;
        let all = Cores::start("core", std::thread::available_parallelism()?.try_into()?)?;
        let all_cores_ms = all.run(|| median_ms(|| cpu.run(inputs).map(drop)))?;
        let started = Instant::now();
        let stage = part.clone().prepare_on(&self.gpu)?;
        let prepare_ms = ms(started.elapsed());
        let started = Instant::now();
        let made = stage.run(inputs)?;
        let first_ms = ms(started.elapsed());
        let gpu_ms = median_ms(|| stage.run(inputs).map(drop))?;
        let before = resident_kib();
        (0..MANY.min((20_000.0 / gpu_ms) as usize)).try_for_each(|_| stage.run(inputs).map(drop))?;
        let (coverage, memory) = (stage.coverage().clone(), stage.memory());
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let row = Measured {
            model: name.to_owned(),
            gpu_ms,
            kernels_ms: stage.times(10)?.map(|times| times.iter().map(|kernel| ms(kernel.time)).sum()),
            cpu_ms,
            all_cores_ms,
            off: difference(&made, &expected),
            prepare_ms,
            first_ms,
            kernels: coverage.kernels,
            submits: coverage.submits,
            on_cpu: coverage.left.len(),
            constants_mib: mib(memory.constants),
            pool_mib: mib(memory.pool),
            growth_kib: resident_kib() - before,
        };
        Ok((stage, row))
    }

    fn roofline(&mut self, model: &str, stage: &GpuStage) -> Result<(), Failed> {
        let (Some(mut times), Some(peaks)) = (stage.times(20)?, self.peaks) else { return Ok(()) };
        times.sort_by_key(|kernel| std::cmp::Reverse(kernel.time));
        self.of_kernels.extend(times.into_iter().map(|kernel| {
            let seconds = kernel.time.as_secs_f64().max(1e-9);
            let least = (kernel.macs as f64 / peaks.macs).max(kernel.bytes as f64 / peaks.bytes);
            Kernel {
                model: model.to_owned(),
                node: kernel.node,
                kernel: kernel.kernel.to_owned(),
                sizes: kernel.sizes,
                us: seconds * 1e6,
                gmacs: kernel.macs as f64 / seconds / 1e9,
                gbytes: kernel.bytes as f64 / seconds / 1e9,
                roofline: least / seconds,
            }
        }));
        Ok(())
    }

    fn print(&self, opened: Duration) -> Result<(), Failed> {
        let adapter = self.gpu.adapter();
        println!(
            "{} through {}, driver {}; weights in {:?}; opened in {:.0} ms",
            adapter.name,
            adapter.backend,
            adapter.driver,
            self.gpu.precision(),
            ms(opened)
        );
        if let Some(Peaks { macs, bytes }) = self.peaks {
            println!("peaks: {:.1} T multiply-adds a second in f32, {:.0} GB/s", macs / 1e12, bytes / 1e9);
        }
        println!(
            "\nmodel                        GPU ms  kernels ms   CPU ms  all cores ms  times  off      prepare ms  first ms  kernels  submits  on CPU  constants MiB  pool MiB  growth KiB"
        );
        for row in &self.rows {
            let kernels_ms = row.kernels_ms.map_or("-".to_owned(), |ms| format!("{ms:.3}"));
            let times = row.cpu_ms / row.gpu_ms;
            println!(
                "{:27} {:7.3} {kernels_ms:>11} {:8.2} {:13.2} {times:6.1}  {:.1e} {:11.0} {:9.1} {:8} {:8} {:7} {:14.1} {:9.1} {:11}",
                row.model,
                row.gpu_ms,
                row.cpu_ms,
                row.all_cores_ms,
                row.off,
                row.prepare_ms,
                row.first_ms,
                row.kernels,
                row.submits,
                row.on_cpu,
                row.constants_mib,
                row.pool_mib,
                row.growth_kib
            );
        }
        println!("\nkernel            us  G macs/s    GB/s  of roofline");
        for kernel in &self.of_kernels {
            let (of, what) = (100.0 * kernel.roofline, format!("{}, {}: {}", kernel.model, kernel.node, kernel.sizes));
            println!(
                "{:10} {:9.2} {:9.0} {:7.0} {of:10.1} %  {what}",
                kernel.kernel, kernel.us, kernel.gmacs, kernel.gbytes
            );
        }
        Ok(())
    }

    fn print_json(&self, opened: Duration) -> Result<(), Failed> {
        let adapter = self.gpu.adapter();
        let peaks = self.peaks.map(|peaks| (peaks.macs, peaks.bytes));
        let all = serde_json::json!({
            "adapter": adapter.name, "backend": adapter.backend, "driver": adapter.driver, "opened_ms": ms(opened),
            "precision": self.gpu.precision(),
            "peaks": { "macs": peaks.map(|peaks| peaks.0), "bytes": peaks.map(|peaks| peaks.1) },
            "models": self.rows, "kernels": self.of_kernels,
        });
        println!("{all:#}");
        Ok(())
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn median_ms<E>(mut run: impl FnMut() -> Result<(), E>) -> Result<f64, E> {
    let started = Instant::now();
    while started.elapsed() < WARM_UP {
        run()?;
    }
    let (started, mut times) = (Instant::now(), Vec::new());
    while times.len() < 3 || (times.len() < RUNS && started.elapsed() < BUDGET) {
        let started = Instant::now();
        run()?;
        times.push(started.elapsed());
    }
    times.sort_unstable();
    Ok(ms(times[times.len() / 2]))
}

/// What the process has in memory; 0 where the system does not say.
fn resident_kib() -> i64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    status.split(' ').nth(1).and_then(|pages| pages.parse::<i64>().ok()).unwrap_or(0) * 4
}
