//! How exactly a GPU keeps weights.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What weights are rounded to on a GPU. All else is f32 either way: what is computed, and all that is computed on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Nothing is rounded.
    #[default]
    F32,
    /// Weights of convolutions and of products are rounded to the nearest f16 and widened where they are read, so that
    /// they take half of the memory. A constant stays f32 where one of its weights is not finite in f16, or all are
    /// below 2^-14.
    F16,
}

/// No precision is called so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no precision is called \"{0}\": write f32 or f16")]
pub struct UnknownPrecision(String);

impl Precision {
    /// How far an output may be from what the CPU makes, of its largest value.
    ///
    /// In f32 sums are added in another order. In f16 a weight is off by 2^-11 of it at most (below 2^-14 by 2^-25), so
    /// what a layer makes by 2^-11 of the sum of its products' magnitudes. Over fifty layers that are all off in one
    /// direction that is (1 + 2^-11)^50 - 1 = 2.5 %; weights are off either way, so of networks it is less: 0.4 % at
    /// most of those of the repository. It is more where large products cancel: this is a check, not a proof.
    pub const fn tolerance(self) -> f32 {
        match self {
            Self::F32 => 1e-4,
            Self::F16 => 1e-2,
        }
    }
}

impl FromStr for Precision {
    type Err = UnknownPrecision;

    fn from_str(text: &str) -> Result<Self, UnknownPrecision> {
        match text {
            "f32" => Ok(Self::F32),
            "f16" => Ok(Self::F16),
            _ => Err(UnknownPrecision(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_precision_is_written_as_it_is_read() {
        for (text, precision) in [("f32", Precision::default()), ("f16", Precision::F16)] {
            assert_eq!(text.parse(), Ok(precision));
            assert_eq!(serde_json::to_value(precision).expect("a text"), text);
        }
        let unknown = "f8".parse::<Precision>().expect_err("there is none");
        assert_eq!(unknown.to_string(), "no precision is called \"f8\": write f32 or f16");
    }
}
