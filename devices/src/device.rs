//! Device profiles: what a machine is capable of when it runs one model on one core or its GPU, and who says so.

use serde::{Deserialize, Serialize};
use thalweg_planner::{ByteRate, Bytes, MacRate, Slowdown};

use crate::figure::{InvalidFigure, check};
use crate::link::Source;
use crate::model::Model;
use crate::profile::PrefixTime;

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
    /// Bytes a second that one core, or the accelerator, reads plus writes when it copies a large block.
    pub memory_copy: ByteRate,
    /// Where the figures come from. Empty for a measured profile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub source: Vec<Source>,
    /// Models that were timed on it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub timed: Vec<TimedModel>,
}

/// What the prefixes of one model take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimedModel {
    /// The model's hash in hexadecimal digits: of its file, its input shapes and what the engine made of it.
    pub model: String,
    /// In ascending order of layers, the whole model last.
    pub prefix: Vec<PrefixTime>,
}

impl DeviceProfile {
    /// The times of this very model, if it was timed here.
    pub fn times_of(&self, model: &Model) -> Option<&[PrefixTime]> {
        let hash = model.hash_text();
        self.timed.iter().find(|timed| timed.model == hash).map(|timed| timed.prefix.as_slice())
    }

    /// Keeps the times of a model, in place of earlier ones.
    pub fn keep_times(&mut self, model: &Model, prefix: Vec<PrefixTime>) {
        let model = model.hash_text();
        self.timed.retain(|timed| timed.model != model);
        self.timed.push(TimedModel { model, prefix });
    }

    /// Refuses a machine without cores, memory or speed.
    pub fn validate(&self) -> Result<(), InvalidFigure> {
        check(self.cores > 0, "cores", self.cores, "write how many cores the processor has, at least 1")?;
        check(self.memory > Bytes(0), "memory", self.memory, "write how much a program can use, such as \"512 MiB\"")?;
        let rates = [
            ("matrix_product", Some(self.matrix_product)),
            ("convolution", self.convolution),
            ("depthwise", self.depthwise),
        ];
        for (key, rate) in rates {
            let fits = rate.is_none_or(|rate| rate > MacRate(0));
            check(fits, key, rate.unwrap_or_default(), "write a rate above zero, such as \"8 GMAC/s\"")?;
        }
        let copies = self.memory_copy > ByteRate(0);
        check(copies, "memory_copy", self.memory_copy, "write a rate above zero, such as \"4 GB/s\"")
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    type Spoil = fn(&mut DeviceProfile);

    fn machine() -> DeviceProfile {
        DeviceProfile {
            title: "any".to_owned(),
            cores: 4,
            memory: Bytes(1 << 30),
            matrix_product: MacRate(8_000_000_000),
            convolution: None,
            depthwise: Some(MacRate(1_000_000_000)),
            memory_copy: ByteRate(4_000_000_000),
            source: Vec::new(),
            timed: Vec::new(),
        }
    }

    #[test]
    fn refuses_what_no_machine_is_like() {
        assert_eq!(machine().validate(), Ok(()));
        let wrong: [(&str, Spoil); 6] = [
            ("cores", |profile| profile.cores = 0),
            ("memory", |profile| profile.memory = Bytes(0)),
            ("matrix_product", |profile| profile.matrix_product = MacRate(0)),
            ("convolution", |profile| profile.convolution = Some(MacRate(0))),
            ("depthwise", |profile| profile.depthwise = Some(MacRate(0))),
            ("memory_copy", |profile| profile.memory_copy = ByteRate(0)),
        ];
        for (key, spoil) in wrong {
            let mut profile = machine();
            spoil(&mut profile);
            assert_eq!(profile.validate().map_err(|error| error.key), Err(key.to_owned()));
        }
    }

    #[test]
    fn a_class_that_one_side_lacks_slows_down_like_matrix_products() {
        let mut reference = machine();
        reference.matrix_product = MacRate(32_000_000_000);
        reference.convolution = Some(MacRate(20_000_000_000));
        reference.depthwise = Some(MacRate(10_000_000_000));
        reference.memory_copy = ByteRate(8_000_000_000);
        let expected = Slowdown { matrix_product: 4.0, convolution: 4.0, depthwise: 10.0, memory_bound: 2.0 };
        assert_eq!(machine().slowdown(&reference), expected);
    }
}
