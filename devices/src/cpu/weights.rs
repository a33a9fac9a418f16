//! Weights as kernels keep them.

#[cfg(target_os = "linux")]
use std::ptr;
use std::sync::Arc;

use tract_onnx::tract_hir::internal::*;

use super::convolution::floats;

/// Bytes of a large page of memory, on x86 and mostly on Arm.
const LARGE: usize = 2 << 20;
/// Fewer weights stay on small ones: what lies between them would take memory that nobody needs, with DenseNet-121 10 MiB.
const ELEMENTS_MIN: usize = 1 << 16;

/// Weights in the order in which a kernel reads them. They begin at a cache line, as most of its vectors do then.
///
/// Each run reads all weights of a model, and of a page that was not read for long the processor has to find out first where it is, in a
/// virtual machine twice over: so they lie on large pages, where the system has some. ResNet-50's on small ones took a tenth
/// longer.
pub(super) fn kept(weights: &[f32]) -> TractResult<Arc<Tensor>> {
    let kept = Tensor::from_shape(&[weights.len()], weights)?;
    if weights.len() >= ELEMENTS_MIN {
        enlarge(floats(&kept)?);
    }
    Ok(kept.into_arc_tensor())
}

/// Moves what lies on the same large pages to such. It is no matter where the system refuses: before Linux 6.1, or where a page would
/// not all be memory of this process.
#[cfg(target_os = "linux")]
fn enlarge(memory: &[f32]) {
    let memory = memory.as_ptr_range();
    for page in (memory.start.addr() / LARGE * LARGE..memory.end.addr()).step_by(LARGE) {
        #[expect(unsafe_code, reason = "there is no safe way to ask")]
        // SAFETY: whatever lies there keeps its address and its bytes, and nobody gains or loses a right to it.
        unsafe {
            libc::madvise(ptr::without_provenance_mut(page), LARGE, libc::MADV_COLLAPSE);
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn enlarge(_: &[f32]) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_what_they_were_and_begin_at_a_cache_line() {
        for len in [0, 1, ELEMENTS_MIN, 3 * LARGE / size_of::<f32>() + 1] {
            let weights: Vec<f32> = (0..len).map(|number| number as f32).collect();
            let kept = kept(&weights).expect("room");
            let made = floats(&kept).expect("floats");
            assert_eq!(made, weights);
            assert!(len == 0 || made.as_ptr().addr().is_multiple_of(64), "{len}");
        }
    }
}
