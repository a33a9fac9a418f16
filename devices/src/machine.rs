//! Measures this machine: what one core reaches in a product of large matrices and in copying memory.

use std::time::{Duration, Instant};

use thalweg_planner::{ByteRate, Bytes, MacRate};
use tract_onnx::tract_hir::internal::{DatumExt as _, IntoRunnable as _, SpecialOps as _, TypedModel};
use tract_onnx::tract_hir::tract_core::internal::{Tensor, tvec};
use tract_onnx::tract_hir::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_hir::tract_core::prelude::{Datum as _, TractResult};

use crate::device::DeviceProfile;
use crate::error::StageError;
use crate::guard::guard;
use crate::reason::reason;

/// Rows and columns of the matrices: large enough for the engine's best kernel, small enough for the second-level cache.
const MATRIX: usize = 384;
/// Bytes that are copied: more than the caches that one core can fill.
const COPIED: usize = 24 << 20;
/// How often each measurement runs; the median counts.
const RUNS: usize = 7;

/// The profile of this machine. Takes a tenth of a second.
pub fn this_machine() -> Result<DeviceProfile, StageError> {
    let failed =
        |cause: String| StageError::Prepare { part: "the matrix product that measures this machine".into(), cause };
    let product = guard(matrix_product_time).map_err(failed)?.map_err(|cause| failed(reason(&cause)))?;
    let copy = copy_time();
    Ok(DeviceProfile {
        title: processor_name(),
        cores: std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32),
        memory: memory(),
        matrix_product: MacRate((MATRIX.pow(3) as f64 / product.as_secs_f64()) as u64),
        convolution: None,
        depthwise: None,
        memory_copy: ByteRate((2.0 * COPIED as f64 / copy.as_secs_f64()) as u64),
        source: Vec::new(),
        timed: Vec::new(),
    })
}

fn median(mut run: impl FnMut() -> TractResult<()>) -> TractResult<Duration> {
    run()?;
    let mut times = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        let started = Instant::now();
        run()?;
        times.push(started.elapsed());
    }
    times.sort_unstable();
    Ok(times[RUNS / 2])
}

fn matrix_product_time() -> TractResult<Duration> {
    let mut graph = TypedModel::default();
    let rows = graph.add_source("rows", f32::fact([MATRIX, MATRIX]))?;
    let columns = Tensor::zero::<f32>(&[MATRIX, MATRIX])?;
    let columns = graph.add_const("columns", columns)?;
    let product = EinSum::new("mk,kn->mn".parse()?, f32::datum_type());
    let product = graph.wire_node("product", product, &[rows, columns])?;
    graph.select_output_outlets(&product)?;
    graph.optimize()?;
    let plan = graph.into_runnable()?;
    let input = Tensor::zero::<f32>(&[MATRIX, MATRIX])?;
    median(|| plan.run(tvec!(input.clone().into())).map(drop))
}

fn copy_time() -> Duration {
    let source = vec![1u8; COPIED];
    let mut target = vec![0u8; COPIED];
    let copy = || {
        target.copy_from_slice(std::hint::black_box(&source));
        std::hint::black_box(&target);
        Ok(())
    };
    median(copy).unwrap_or(Duration::MAX)
}

fn processor_name() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let value = |key: &str| {
        text.lines().find(|line| line.starts_with(key))?.split_once(": ").map(|(_, value)| value.to_owned())
    };
    value("model name")
        .or_else(|| value("Model"))
        .map_or("this machine".to_owned(), |name| format!("this machine ({name})"))
}

/// What the system says is installed; 1 GiB where it does not say.
fn memory() -> Bytes {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total =
        text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    Bytes(total.map_or(1 << 30, |kib| kib * 1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_multiplies_and_copies() {
        let profile = this_machine().expect("the engine multiplies matrices");
        assert!(profile.matrix_product.0 > 50_000_000, "{}", profile.matrix_product);
        assert!(profile.memory_copy.0 > 50_000_000, "{}", profile.memory_copy);
        assert!(profile.memory.0 >= 1 << 30 && profile.cores >= 1);
    }
}
