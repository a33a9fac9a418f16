//! Leaves the vector registers as other code wants to find them.

/// Says that the upper halves of the vector registers are not in use any more.
///
/// Some of the engine's kernels end without saying so. Until somebody does, the processor keeps those halves with every
/// instruction of the older kind (SSE) on that thread, of which programs for any x86-64 are made: coding features took 2.6
/// times as long after a model had run as before (Intel, "64 and IA-32 Architectures Optimization Reference Manual",
/// section on mixing AVX and SSE code).
#[cfg(target_arch = "x86_64")]
pub(crate) fn clear_upper_halves() {
    if let Some(avx) = pulp::core_arch::x86::Avx::try_new() {
        avx._mm256_zeroupper();
    }
}

/// Only x86-64 has them.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn clear_upper_halves() {}
