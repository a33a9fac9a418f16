//! Weights as kernels keep them.

use std::sync::Arc;

use tract_onnx::tract_hir::internal::*;

use super::convolution::{ALIGNED, floats};

/// Fewer weights stay on small pages: what is free between them would take memory on large ones.
const ELEMENTS_MIN: usize = 1 << 16;

/// Weights in the order in which a kernel reads them. They begin at a cache line, as most of its vectors do then, and lie on large
/// pages, where the system has some: each run reads all weights of a model, and looks up where each page is that is not in the TLB,
/// under virtualisation in two tables. `docs/cpu.md` says what it gains.
pub(super) fn kept(weights: &[f32]) -> TractResult<Arc<Tensor>> {
    let kept = Tensor::from_shape_align(&[weights.len()], weights, ALIGNED)?;
    if weights.len() >= ELEMENTS_MIN {
        enlarge(floats(&kept)?);
    }
    Ok(kept.into_arc_tensor())
}

/// Moves what lies on the same large pages to such, unless the administrator wants none. Where the system refuses, nothing changes:
/// before Linux 6.1, or where not all of a page is one piece of this process's memory.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn enlarge(memory: &[f32]) {
    use std::sync::LazyLock;
    use std::{fs, ptr};

    /// Bytes of one, on x86 and mostly on Arm.
    const LARGE: usize = 2 << 20;
    static ARE_WANTED: LazyLock<bool> = LazyLock::new(|| {
        let setting = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled");
        setting.is_ok_and(|setting| !setting.contains("[never]"))
    });

    if !*ARE_WANTED {
        return;
    }
    let memory = memory.as_ptr_range();
    for page in (memory.start.addr() / LARGE * LARGE..memory.end.addr()).step_by(LARGE) {
        #[expect(unsafe_code, reason = "there is no safe way to ask")]
        // SAFETY: whatever lies there keeps its address and its bytes, and nobody gains or loses a right to it.
        unsafe {
            libc::madvise(ptr::without_provenance_mut(page), LARGE, libc::MADV_COLLAPSE);
        }
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn enlarge(_: &[f32]) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_what_they_were_and_begin_at_a_cache_line() {
        for len in [0, 1, ELEMENTS_MIN, (6 << 20) / size_of::<f32>() + 1] {
            let weights: Vec<f32> = (0..len).map(|number| number as f32).collect();
            let kept = kept(&weights).expect("room");
            let made = floats(&kept).expect("floats");
            assert_eq!(made, weights);
            assert!(len == 0 || made.as_ptr().addr().is_multiple_of(ALIGNED), "{len}");
        }
    }
}
