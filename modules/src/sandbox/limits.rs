//! What one instance of a module may take. There is no zero and no "unlimited".

use std::num::NonZeroU64;
use std::time::Duration;

/// A number from 1 to `MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Limit<const MAX: u64>(NonZeroU64);

/// A number that is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{value} is no such limit: it takes 1 to {max}")]
pub struct NoLimit {
    /// What was asked for.
    pub value: u64,
    /// The largest one.
    pub max: u64,
}

impl<const MAX: u64> Limit<MAX> {
    /// The limit, unless it is zero or above its maximum.
    pub const fn new(value: u64) -> Result<Self, NoLimit> {
        match NonZeroU64::new(value) {
            Some(number) if value <= MAX => Ok(Self(number)),
            _ => Err(NoLimit { value, max: MAX }),
        }
    }

    /// One that is checked while compiling.
    pub const fn of<const VALUE: u64>() -> Self {
        const { assert!(VALUE <= MAX, "above the maximum") };
        Self(const { NonZeroU64::new(VALUE).expect("zero is no limit") })
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0.get()
    }

    /// The number as a size in memory.
    pub(super) fn count(self) -> usize {
        usize::try_from(self.get()).unwrap_or(usize::MAX)
    }
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// The limits of one instance. The first four hold for as long as it lives, the others for each call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory. The machine may allow less: `SandboxError::MemoryOfMachine` says how much.
    pub memory_bytes: Limit<{ 4 * GIB }>,
    /// Elements of all tables together.
    pub table_elements: Limit<{ 16 * KIB }>,
    /// Core instances; a component of `wit-component` has three.
    pub instances: Limit<64>,
    /// Handles of tensors at a time; and so many again of graphs, contexts and errors of `wasi:nn`.
    pub handles: Limit<{ 64 * KIB }>,
    /// Wall-clock time of a call.
    pub time_ms: Limit<{ 10 * 60 * 1000 }>,
    /// Calls of the host.
    pub host_calls: Limit<100_000_000>,
    /// Bytes that are copied between module and host, in both directions together: tensors and texts.
    pub host_bytes: Limit<{ 16 * GIB }>,
    /// Tensors that come out.
    pub outputs: Limit<1024>,
    /// Their bytes together.
    pub output_bytes: Limit<{ 4 * GIB }>,
}

impl Limits {
    /// For a step between two networks: a photo of 12 megapixels fits (36 MB as RGB), and nothing takes a second. A
    /// board with 512 MB gives as much.
    pub const RECOMMENDED: Self = Self {
        memory_bytes: Limit::of::<{ 64 * MIB }>(),
        table_elements: Limit::of::<{ 8 * KIB }>(),
        instances: Limit::of::<8>(),
        handles: Limit::of::<1024>(),
        time_ms: Limit::of::<1000>(),
        host_calls: Limit::of::<100_000>(),
        host_bytes: Limit::of::<{ 256 * MIB }>(),
        outputs: Limit::of::<16>(),
        output_bytes: Limit::of::<{ 128 * MIB }>(),
    };

    pub(super) fn time(&self) -> Duration {
        Duration::from_millis(self.time_ms.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_zero_nor_more_than_the_maximum_is_a_limit() {
        assert_eq!(Limit::<64>::new(64).map(Limit::get), Ok(64));
        assert_eq!(Limit::<64>::new(0), Err(NoLimit { value: 0, max: 64 }));
        let message = Limit::<64>::new(65).map_err(|error| error.to_string());
        assert_eq!(message, Err("65 is no such limit: it takes 1 to 64".to_owned()));
    }
}
