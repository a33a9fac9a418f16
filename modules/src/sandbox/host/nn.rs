//! Models through the interface that WASI standardises: what `wasi:nn` calls a graph is a part that was granted.

use std::sync::Arc;
use std::time::Instant;

use thalweg_planner::{DType, Tensor, TensorSpec};
use wasmtime::component::Resource;

use super::super::PortNames;
use super::super::bindings::nn::wasi::nn::errors::ErrorCode;
use super::super::bindings::nn::wasi::nn::tensor::TensorType;
use super::super::bindings::nn::wasi::nn::{errors, graph, inference, tensor};
use super::super::held::Held;
use super::{Host, printable};

/// The name of a part that was granted: a graph, or an execution context, which has nothing more here.
#[allow(unreachable_pub, reason = "generated code names it as its own")]
pub struct Graph(Arc<str>);

/// As [`Graph`].
#[allow(unreachable_pub, reason = "generated code names it as its own")]
pub struct Context(Arc<str>);

/// Why something was refused.
#[allow(unreachable_pub, reason = "generated code names it as its own")]
pub struct Fault {
    code: ErrorCode,
    text: String,
}

impl Fault {
    fn new(code: ErrorCode, text: &str) -> Self {
        Self { code, text: printable(text) }
    }
}

/// Answers to a module: the outer error stops it, the inner one is for it.
type Answer<T> = wasmtime::Result<Result<T, Resource<Fault>>>;

impl Host {
    /// Keeps what may outlive a call: it holds no tensor of a request.
    fn keep<T: Send + 'static>(&mut self, kept: T) -> wasmtime::Result<Resource<T>> {
        match self.kept.push(kept) {
            Ok(handle) => Ok(handle),
            Err(_) => Err(self.too_many_handles()),
        }
    }

    fn answer<T: Send + 'static>(&mut self, answer: Result<T, Fault>) -> Answer<Resource<T>> {
        match answer {
            Ok(kept) => self.keep(kept).map(Ok),
            Err(fault) => self.keep(fault).map(Err),
        }
    }

    fn run(&mut self, part: &str, named: Vec<(String, Tensor)>) -> wasmtime::Result<Result<Vec<Output>, Fault>> {
        let Some(models) = self.models.clone() else { return Err(wasmtime::Error::msg("no models were granted")) };
        let Some(names) = models.ports(part) else {
            return Ok(Err(Fault::new(ErrorCode::NotFound, &not_granted(part))));
        };
        let inputs = match in_order(&names, named) {
            Ok(inputs) => inputs,
            Err(text) => return Ok(Err(Fault::new(ErrorCode::InvalidArgument, &text))),
        };
        let time = self.call.until.saturating_duration_since(Instant::now());
        let outputs = models.infer(part, &inputs, time);
        self.check_time()?;
        let outputs = outputs.map_err(|text| Fault::new(ErrorCode::RuntimeError, &text));
        Ok(outputs.and_then(|outputs| named_outputs(names, outputs)))
    }
}

type Output = (String, Tensor);

fn not_granted(part: &str) -> String {
    format!("no part {part} was granted: name it in the pipeline file")
}

/// The tensors as the part takes them.
fn in_order(names: &PortNames, named: Vec<(String, Tensor)>) -> Result<Vec<Tensor>, String> {
    let mut ordered: Vec<Option<Tensor>> = vec![None; names.inputs.len()];
    for (name, tensor) in named {
        let by_name = names.inputs.iter().position(|input| *input == name);
        let place = by_name.or_else(|| name.parse().ok()).and_then(|place: usize| ordered.get_mut(place));
        let known = || names.inputs.join(", ");
        let place = place.ok_or_else(|| format!("the part has no input {name}, but {}", known()))?;
        if place.replace(tensor).is_some() {
            return Err(format!("input {name} is given twice"));
        }
    }
    let missing = ordered.iter().position(Option::is_none).and_then(|place| names.inputs.get(place));
    match missing {
        Some(name) => Err(format!("input {name} is missing")),
        None => Ok(ordered.into_iter().flatten().collect()),
    }
}

fn named_outputs(names: PortNames, outputs: Vec<Tensor>) -> Result<Vec<Output>, Fault> {
    if names.outputs.len() != outputs.len() {
        let text = format!("the part gave {} outputs, not {}", outputs.len(), names.outputs.len());
        return Err(Fault::new(ErrorCode::RuntimeError, &text));
    }
    let named = names.outputs.into_iter().zip(outputs);
    let named = named.map(|(name, output)| match tensor_type(output.spec().dtype) {
        Some(_) => Ok((name, output)),
        None => {
            let text = format!("output {name} is {}, which wasi:nn has no type for", output.spec());
            Err(Fault::new(ErrorCode::UnsupportedOperation, &text))
        }
    });
    named.collect()
}

fn dtype(ty: TensorType) -> DType {
    match ty {
        TensorType::Fp16 => DType::F16,
        TensorType::Fp32 => DType::F32,
        TensorType::Fp64 => DType::F64,
        TensorType::Bf16 => DType::Bf16,
        TensorType::U8 => DType::U8,
        TensorType::I32 => DType::I32,
        TensorType::I64 => DType::I64,
    }
}

fn tensor_type(dtype: DType) -> Option<TensorType> {
    Some(match dtype {
        DType::F16 => TensorType::Fp16,
        DType::F32 => TensorType::Fp32,
        DType::F64 => TensorType::Fp64,
        DType::Bf16 => TensorType::Bf16,
        DType::U8 => TensorType::U8,
        DType::I32 => TensorType::I32,
        DType::I64 => TensorType::I64,
        DType::I8 | DType::I16 | DType::U16 | DType::U32 | DType::U64 | DType::Bool => return None,
    })
}

impl tensor::Host for Host {}

impl tensor::HostTensor for Host {
    fn new(&mut self, dimensions: Vec<u32>, ty: TensorType, data: Vec<u8>) -> wasmtime::Result<Resource<Held>> {
        self.count(data.len() as u64)?;
        let shape: Vec<usize> = dimensions.iter().map(|size| *size as usize).collect();
        let tensor = Tensor::new(TensorSpec::new(dtype(ty), shape), data);
        self.give(Held::given(tensor.map_err(|error| wasmtime::Error::msg(error.to_string()))?))
    }

    fn dimensions(&mut self, tensor: Resource<Held>) -> wasmtime::Result<Vec<u32>> {
        self.count(0)?;
        match self.tensors.get(&tensor)?.tensor.spec().shape.as_slice() {
            [] => Ok(vec![1]),
            shape => Ok(shape.iter().map(|size| u32::try_from(*size)).collect::<Result<_, _>>()?),
        }
    }

    fn ty(&mut self, tensor: Resource<Held>) -> wasmtime::Result<TensorType> {
        self.count(0)?;
        let dtype = self.tensors.get(&tensor)?.tensor.spec().dtype;
        tensor_type(dtype).ok_or_else(|| wasmtime::Error::msg(format!("wasi:nn has no type for {dtype}")))
    }

    fn data(&mut self, tensor: Resource<Held>) -> wasmtime::Result<Vec<u8>> {
        let bytes = self.tensors.get(&tensor)?.tensor.spec().bytes();
        self.count(bytes.0)?;
        Ok(self.tensors.get(&tensor)?.tensor.data().to_vec())
    }

    fn drop(&mut self, tensor: Resource<Held>) -> wasmtime::Result<()> {
        self.count(0)?;
        self.tensors.delete(tensor)?;
        Ok(())
    }
}

impl graph::Host for Host {
    fn load(
        &mut self,
        builder: Vec<Vec<u8>>,
        _: graph::GraphEncoding,
        _: graph::ExecutionTarget,
    ) -> Answer<Resource<Graph>> {
        self.count(builder.iter().map(|bytes| bytes.len() as u64).sum())?;
        let text = "models come from the pipeline file, not from modules: use load-by-name";
        self.answer(Err(Fault::new(ErrorCode::Security, text)))
    }

    fn load_by_name(&mut self, name: String) -> Answer<Resource<Graph>> {
        self.count(name.len() as u64)?;
        let granted = self.models.as_ref().is_some_and(|models| models.ports(&name).is_some());
        let fault = || Fault::new(ErrorCode::NotFound, &not_granted(&name));
        let graph = if granted { Ok(Graph(name.as_str().into())) } else { Err(fault()) };
        self.answer(graph)
    }
}

impl graph::HostGraph for Host {
    fn init_execution_context(&mut self, graph: Resource<Graph>) -> Answer<Resource<Context>> {
        self.count(0)?;
        let context = Context(Arc::clone(&self.kept.get(&graph)?.0));
        self.answer(Ok(context))
    }

    fn drop(&mut self, graph: Resource<Graph>) -> wasmtime::Result<()> {
        self.count(0)?;
        self.kept.delete(graph)?;
        Ok(())
    }
}

impl inference::Host for Host {}

impl inference::HostGraphExecutionContext for Host {
    fn compute(
        &mut self,
        context: Resource<Context>,
        inputs: Vec<(String, Resource<Held>)>,
    ) -> Answer<Vec<(String, Resource<Held>)>> {
        self.count(inputs.iter().map(|(name, _)| name.len() as u64).sum())?;
        let part = Arc::clone(&self.kept.get(&context)?.0);
        let mut named = Vec::with_capacity(inputs.len());
        for (name, input) in inputs {
            named.push((name, self.tensors.delete(input)?.tensor));
        }
        match self.run(&part, named)? {
            Ok(outputs) => {
                let outputs = outputs.into_iter().map(|(name, output)| Ok((name, self.give(Held::given(output))?)));
                outputs.collect::<wasmtime::Result<_>>().map(Ok)
            }
            Err(fault) => self.keep(fault).map(Err),
        }
    }

    fn drop(&mut self, context: Resource<Context>) -> wasmtime::Result<()> {
        self.count(0)?;
        self.kept.delete(context)?;
        Ok(())
    }
}

impl errors::Host for Host {}

impl errors::HostError for Host {
    fn code(&mut self, error: Resource<Fault>) -> wasmtime::Result<ErrorCode> {
        self.count(0)?;
        Ok(self.kept.get(&error)?.code)
    }

    fn data(&mut self, error: Resource<Fault>) -> wasmtime::Result<String> {
        let text = self.kept.get(&error)?.text.clone();
        self.count(text.len() as u64)?;
        Ok(text)
    }

    fn drop(&mut self, error: Resource<Fault>) -> wasmtime::Result<()> {
        self.count(0)?;
        self.kept.delete(error)?;
        Ok(())
    }
}
