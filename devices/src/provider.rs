//! What a library of onnxruntime computes on.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What onnxruntime computes on: its execution provider.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// The processor. Every library has it.
    #[default]
    Cpu,
    /// NVIDIA's GPUs, by CUDA.
    Cuda,
    /// NVIDIA's GPUs, by TensorRT, which compiles a part for minutes before its first run.
    Tensorrt,
}

/// No provider is called so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no provider is called \"{0}\": write cpu, cuda or tensorrt")]
pub struct UnknownProvider(String);

/// This program cannot load a library of onnxruntime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this program cannot load onnxruntime: {}", Self::ADVICE)]
pub struct NotBuilt;

impl NotBuilt {
    /// What to do.
    pub const ADVICE: &str =
        "it was built without the feature `ort`, so build it with `cargo build --release --features ort`";
}

impl Provider {
    /// As it is written in files and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::Tensorrt => "tensorrt",
        }
    }
}

impl FromStr for Provider {
    type Err = UnknownProvider;

    fn from_str(text: &str) -> Result<Self, UnknownProvider> {
        let named = [Self::Cpu, Self::Cuda, Self::Tensorrt].into_iter().find(|provider| provider.name() == text);
        named.ok_or_else(|| UnknownProvider(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_is_written_as_it_is_read() {
        for provider in [Provider::default(), Provider::Cuda, Provider::Tensorrt] {
            assert_eq!(provider.name().parse(), Ok(provider));
            assert_eq!(serde_json::to_value(provider).expect("a text"), provider.name());
        }
        let unknown = "rocm".parse::<Provider>().expect_err("there is none");
        assert_eq!(unknown.to_string(), "no provider is called \"rocm\": write cpu, cuda or tensorrt");
    }
}
