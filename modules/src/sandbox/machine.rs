//! How much of the machine the sandbox may take, from a look at its memory.

use std::fs;

/// Memory of a machine that tells nothing of itself: that of the smallest that Thalweg is for.
const MEMORY_ASSUMED: u64 = 1 << 30;

/// Of the memory, one instance gets at most a quarter: a camera's board also runs its part of the network.
const MEMORY_SHARE: u64 = 4;

const INSTANCE_MIN: u64 = 32 << 20;
const INSTANCE_MAX: u64 = 1 << 30;

/// Of the addresses, instances reserve at most a quarter, and one of them a quarter of that: while one is warm, others of
/// its kind are started and asked to describe themselves.
const ADDRESSES_SHARE: u64 = 4;
const ADDRESSES_SHARE_OF_ONE: u64 = 4;

/// Addresses of an instance beside its memory: its tables, and pages that nothing may touch.
const BESIDE_BYTES: u64 = 1 << 20;

/// Addresses of a process: 47 bits on x86-64; on Arm 39 bits, which Raspberry Pi OS and JetPack choose.
const ADDRESSES_ASSUMED: u64 = if cfg!(target_arch = "x86_64") { 1 << 47 } else { 1 << 39 };

const INSTANCES_MAX: u64 = 2048;

/// A memory that reserves all that 32 bits can name needs no checks of bounds in its code.
const UNCHECKED: u64 = 4 << 30;

/// Instances for which addresses must suffice before each gets `UNCHECKED` of them.
const INSTANCES_UNCHECKED_MIN: u64 = 1024;

/// What the sandbox takes of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    /// The largest linear memory of an instance.
    pub memory_bytes_max: u64,
    /// Addresses that are reserved for each linear memory; no memory.
    pub reserved_bytes: u64,
    /// Instances that can live at a time.
    pub instances_max: u32,
}

impl Machine {
    /// Looks at the machine that this runs on: its memory, and what the process may take of it.
    pub fn probe() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        Self::new(
            memory(&read("/proc/meminfo")).unwrap_or(MEMORY_ASSUMED),
            addresses(&read("/proc/self/limits")).unwrap_or(u64::MAX).min(ADDRESSES_ASSUMED),
        )
    }

    /// What a machine of so much memory gives, whose processes have so many addresses.
    pub fn new(memory_bytes: u64, addresses_bytes: u64) -> Self {
        let share = addresses_bytes / ADDRESSES_SHARE;
        let most = (memory_bytes / MEMORY_SHARE).min(share / ADDRESSES_SHARE_OF_ONE);
        // Whole pages of WebAssembly.
        let memory_bytes_max = most.clamp(INSTANCE_MIN, INSTANCE_MAX) & !0xffff;
        let reserved_bytes = if share / UNCHECKED >= INSTANCES_UNCHECKED_MIN { UNCHECKED } else { memory_bytes_max };
        let instances_max = (share / (reserved_bytes + BESIDE_BYTES)).clamp(1, INSTANCES_MAX) as u32;
        Self { memory_bytes_max, reserved_bytes, instances_max }
    }
}

/// `MemTotal` of `/proc/meminfo`, in bytes.
fn memory(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The soft limit of `Max address space` in `/proc/self/limits`, in bytes; none where it is unlimited.
fn addresses(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says_is_read() {
        assert_eq!(memory("MemTotal:         931316 kB\nMemFree:  1 kB\n"), Some(931_316 * 1024));
        assert_eq!(memory(""), None);
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max address space         1073741824           unlimited            bytes     \n";
        assert_eq!(addresses(limits), Some(1 << 30));
        assert_eq!(addresses(&limits.replace("1073741824", "unlimited ")), None);
    }

    #[test]
    fn small_and_narrow_machines_get_less() {
        let board = Machine::new(931_316 * 1024, 1 << 39);
        let (bytes, most) = (238_354_432, 1 << 30);
        assert_eq!(board, Machine { memory_bytes_max: bytes, reserved_bytes: bytes, instances_max: 574 });
        let server = Machine::new(64 << 30, 1 << 47);
        assert_eq!(server, Machine { memory_bytes_max: most, reserved_bytes: 4 << 30, instances_max: 2048 });
        let narrow = Machine::new(8 << 30, 1 << 30);
        let bytes = 64 << 20;
        assert_eq!(narrow, Machine { memory_bytes_max: bytes, reserved_bytes: bytes, instances_max: 3 });
        let nothing = 32 << 20;
        assert_eq!(
            Machine::new(0, 0),
            Machine { memory_bytes_max: nothing, reserved_bytes: nothing, instances_max: 1 }
        );
    }
}
