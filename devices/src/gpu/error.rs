//! Why the GPU does not compute something. The CPU does then.

/// An error of the GPU.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GpuError {
    /// There is no such adapter.
    #[error("no adapter{}: {}", named(.name), offered(.found))]
    NoAdapter {
        /// What was asked for; empty for any of hardware.
        name: String,
        /// All that there are.
        found: String,
    },
    /// The adapter gives no device.
    #[error("{adapter} gives no device: {cause}")]
    NoDevice {
        /// Its name.
        adapter: String,
        /// What its driver says.
        cause: String,
    },
    /// Its kernels cannot read f16.
    #[error("{adapter} has no f16 in its kernels: take weights in f32, or another adapter")]
    NoF16 {
        /// Its name.
        adapter: String,
    },
    /// The device is gone: its driver was reset, or it was taken out.
    #[error("the device of {adapter} is lost: {cause}")]
    Lost {
        /// Its name.
        adapter: String,
        /// What its driver says.
        cause: String,
    },
    /// There is not enough memory.
    #[error("{adapter} has no memory for it: {cause}")]
    Memory {
        /// Its name.
        adapter: String,
        /// What its driver says.
        cause: String,
    },
    /// A kernel is refused.
    #[error("{adapter} refuses a kernel: {cause}")]
    Kernel {
        /// Its name.
        adapter: String,
        /// What was wrong with it.
        cause: String,
    },
    /// Something of a part has no kernel.
    #[error("{node} ({op}) has no kernel: {why}")]
    Unsupported {
        /// The node.
        node: String,
        /// Its operator.
        op: String,
        /// What of it.
        why: String,
    },
    /// The engine could not say something about a part.
    #[error("{0}")]
    Engine(String),
    /// A value does not fit into what the device computes on.
    #[error("input {index} holds {value}, and the device computes on 32-bit integers")]
    TooLarge {
        /// Which input.
        index: usize,
        /// What it holds.
        value: i64,
    },
}

impl GpuError {
    /// Whether it is one of the device, rather than of what it was given: then nothing else will run there either.
    pub(crate) fn is_of_the_device(&self) -> bool {
        matches!(
            self,
            Self::NoAdapter { .. }
                | Self::NoDevice { .. }
                | Self::NoF16 { .. }
                | Self::Lost { .. }
                | Self::Memory { .. }
        )
    }
}

fn named(name: &str) -> String {
    if name.is_empty() { String::new() } else { format!(" with \"{name}\" in its name") }
}

fn offered(found: &str) -> String {
    match found {
        "" => "there is none, or its Vulkan driver is not installed".to_owned(),
        _ => format!("there are {found}"),
    }
}
