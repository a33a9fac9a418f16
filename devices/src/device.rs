//! Device profiles: what a machine is capable of when it runs one model on one core, and who says so.

use serde::{Deserialize, Serialize};
use thalweg_planner::{ByteRate, Bytes, MacRate, Slowdown};

use crate::link::Source;

/// A kind of machine, such as a Raspberry Pi 4, or this one, measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceProfile {
    /// What people call it.
    pub title: String,
    /// Processor cores.
    pub cores: u32,
    /// Memory that a program can use.
    pub memory: Bytes,
    /// Multiply-adds a second in a product of large f32 matrices, on one core, or on the accelerator where it has one.
    pub matrix_product: MacRate,
    /// The same for convolutions. Without it they keep the ratio to matrix products of the machine that measures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub convolution: Option<MacRate>,
    /// The same for depthwise convolutions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depthwise: Option<MacRate>,
    /// Bytes a second that one core reads plus writes when it copies a large block.
    pub memory_copy: ByteRate,
    /// Where the figures come from. Empty for a measured profile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub source: Vec<Source>,
}

impl DeviceProfile {
    /// How much longer layers take here than on `reference`, class by class.
    pub fn slowdown(&self, reference: &DeviceProfile) -> Slowdown {
        let matrix_product = ratio(reference.matrix_product.0, self.matrix_product.0);
        let by_class = |theirs: Option<MacRate>, ours: Option<MacRate>| match (theirs, ours) {
            (Some(theirs), Some(ours)) => ratio(theirs.0, ours.0),
            _ => matrix_product,
        };
        Slowdown {
            convolution: by_class(reference.convolution, self.convolution),
            depthwise: by_class(reference.depthwise, self.depthwise),
            matrix_product,
            memory_bound: ratio(reference.memory_copy.0, self.memory_copy.0),
        }
    }
}

fn ratio(reference: u64, here: u64) -> f64 {
    reference.max(1) as f64 / here.max(1) as f64
}
