//! The memory of this process: kept small, because what one thread has freed is there for all others, and told.

/// Makes all threads of this process allocate from one arena, where the C library is glibc.
///
/// By default each thread gets an arena of its own, which keeps what it has once needed. A node's compute thread needs
/// its part's activations, so three nodes in one process kept them three times: EfficientNet-Lite0 on three tiers took
/// 176 MiB with an arena a thread, and 128 MiB with one. Must be called before threads are started.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "the C library has no safe interface to its allocator's settings")]
pub fn share_one_arena() {
    // SAFETY: mallopt takes two integers and changes a setting of the allocator; it reads and writes no memory of ours.
    // A setting that it does not know is refused by its result, which is no harm here.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Other C libraries have one arena anyway.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn share_one_arena() {}

/// Gives back to the system what was freed: loading a part takes several times what it needs then, and the allocator keeps
/// that. A device that holds the parts of four plans had 68 MiB resident before, 57 after.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "the C library has no safe interface to its allocator")]
pub(crate) fn give_back() {
    // SAFETY: malloc_trim takes an integer, may be called from any thread at any time, and gives back only what is free.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Other C libraries give back by themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn give_back() {}

/// The most memory that this process has had resident so far, in bytes; none where the system is not Linux.
pub(crate) fn resident_bytes_max() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

/// Memory that is free for parts, in bytes: what the system could give without swapping; 512 MiB where it does not say.
pub(crate) fn available() -> u64 {
    const ASSUMED: u64 = 512 << 20;
    let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = info.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.map_or(ASSUMED, |kib| kib * 1024)
}
