//! Runs a model through `wasi:nn`: loads it once, by name, and computes with it for each request. Only as a component,
//! since that interface is all there is to it.

#![cfg(target_arch = "wasm32")]

use std::mem;

use thalweg_guest::{DType, Description, Failure, Module, Port, Tensor};

/// What `wasi:nn` is in Rust, for a guest.
#[allow(missing_docs, unreachable_pub, unused_qualifications, unsafe_code, clippy::all, reason = "generated code")]
mod bindings {
    wit_bindgen::generate!({ path: "../../../wit-nn", world: "ml", generate_all });
}

use bindings::wasi::nn::errors::Error;
use bindings::wasi::nn::graph::{ExecutionTarget, GraphEncoding, load, load_by_name};
use bindings::wasi::nn::inference::GraphExecutionContext;
use bindings::wasi::nn::tensor::{self, TensorType};

/// The module, with the model that it loaded.
struct Classify {
    model: GraphExecutionContext,
    /// What it calls its input, or what harm it does.
    input: String,
    /// Whether it gives its input twice.
    twice: bool,
}

impl Module for Classify {
    fn describe() -> Description {
        Description {
            name: "wasi-nn".into(),
            version: "1.0.0".into(),
            inputs: vec![Port::any("picture", DType::F32)],
            outputs: vec![Port::any("scores", DType::F32)],
            nanoseconds_per_byte: 1.0,
            settings_schema: r#"{"type": "object"}"#.into(),
        }
    }

    /// `{"GRAPH": "INPUT"}`, or for an input what else it is to do; without a graph it tries to bring one of its own.
    fn configure(settings: &str) -> Result<Self, Failure> {
        let mut texts = settings.split('"').skip(1).step_by(2).map(str::to_owned);
        let graph = match texts.next() {
            Some(name) => load_by_name(&name),
            None => load(&[b"a model".to_vec()], GraphEncoding::Onnx, ExecutionTarget::Cpu),
        };
        let model = graph.and_then(|graph| graph.init_execution_context()).map_err(told)?;
        Ok(Self { model, input: texts.next().unwrap_or_default(), twice: texts.next().is_some() })
    }

    fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, Failure> {
        let [picture] = inputs else { return Err(Failure::input("one picture is expected")) };
        let dimensions: Vec<u32> = picture.shape().iter().map(|size| *size as u32).collect();
        let bytes = picture.to_bytes()?;
        let tensor = || tensor::Tensor::new(&dimensions, TensorType::Fp32, &bytes);
        match self.input.as_str() {
            "graphs without end" => loop {
                mem::forget(load_by_name("double"));
            },
            "too few bytes" => drop(tensor::Tensor::new(&[2], TensorType::Fp32, &[0; 4])),
            "kept" => {
                mem::forget(tensor());
                return Ok(vec![picture.clone()]);
            }
            _ => {}
        }
        let inputs = (0..=usize::from(self.twice)).map(|_| (self.input.clone(), tensor()));
        let outputs = self.model.compute(inputs.collect()).map_err(told)?;
        let scores = outputs.into_iter().find(|(name, _)| name == "y").map(|(_, scores)| scores);
        let Some(scores) = scores.filter(|scores| scores.ty() == TensorType::Fp32) else {
            return Err(Failure::Model("no output y came".into()));
        };
        let shape: Vec<u64> = scores.dimensions().iter().map(|size| u64::from(*size)).collect();
        Ok(vec![Tensor::new(DType::F32, &shape, scores.data())?])
    }
}

fn told(error: Error) -> Failure {
    Failure::Model(format!("{:?}: {}", error.code(), error.data()))
}

thalweg_guest::export!(Classify);
