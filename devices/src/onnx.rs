//! Reads an ONNX file into a [`Model`]: types every wire, fixes every shape, and simplifies the whole once.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use tract_onnx::Onnx;
use tract_onnx::pb::{self, AttributeProto, ModelProto, TensorProto};
use tract_onnx::prelude::{Framework, InferenceFact, InferenceModel, TractResult, onnx};
use tract_onnx::tract_hir::infer::{Factoid, InferenceModelExt as _};
use tract_onnx::tract_hir::internal::{TDim, TVec, TypedModel, bail};

use crate::bounds;
use crate::error::ModelError;
use crate::guard::guard;
use crate::model::Model;
use crate::reason::reason;

/// Shapes that the user fixes, by input name. The empty name stands for the only input of a model that has one.
pub type Shapes = BTreeMap<String, Vec<usize>>;

impl Model {
    /// Reads and simplifies an ONNX file.
    ///
    /// A leading dimension that the model leaves open is a batch and becomes 1; any other open dimension must be fixed by
    /// `shapes`. No byte sequence panics.
    pub fn load(path: &Path, shapes: &Shapes) -> Result<Self, ModelError> {
        let unreadable = |cause| ModelError::Unreadable { path: path.to_owned(), cause };
        let mut bytes = Vec::new();
        std::fs::File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)).map_err(unreadable)?;
        let hash = *blake3::hash(&bytes).as_bytes();
        let read = Reading { path, shapes };
        let proto = read.decode(bytes)?;
        let typed = read.simplify(proto)?;
        let made = read.engine("describe", || Model::new(typed, hash))?;
        made.map_err(|refused| ModelError::NotPortable {
            path: path.to_owned(),
            port: refused.port,
            dtype: refused.dtype,
        })
    }
}

/// One file being read.
struct Reading<'a> {
    path: &'a Path,
    shapes: &'a Shapes,
}

impl Reading<'_> {
    fn path(&self) -> PathBuf {
        self.path.to_owned()
    }

    /// Runs a step of the engine: its errors and panics become one of ours.
    fn engine<T>(&self, step: &'static str, call: impl FnOnce() -> TractResult<T>) -> Result<T, ModelError> {
        let failed = |cause: String| ModelError::Engine { path: self.path(), step, cause, advice: self.advice() };
        guard(call).map_err(failed)?.map_err(|cause| failed(reason(&cause)))
    }

    fn advice(&self) -> &'static str {
        if self.shapes.is_empty() { "check the file, or export it again" } else { "try another shape for its inputs" }
    }

    fn decode(&self, bytes: Vec<u8>) -> Result<ModelProto, ModelError> {
        let not_onnx = |cause: String| ModelError::NotOnnx { path: self.path(), bytes: bytes.len() as u64, cause };
        let proto = guard(|| onnx().proto_model_for_read(&mut bytes.as_slice()));
        let proto = proto.map_err(not_onnx)?.map_err(|cause| not_onnx(undecodable(&bytes, &reason(&cause))))?;
        match &proto.graph {
            Some(graph) if !graph.node.is_empty() || !graph.output.is_empty() => Ok(proto),
            _ if bytes.is_empty() => Err(not_onnx("the file is empty".to_owned())),
            _ => Err(not_onnx("they hold no graph".to_owned())),
        }
    }

    fn simplify(&self, mut proto: ModelProto) -> Result<TypedModel, ModelError> {
        if let Some(cause) = proto.graph.as_ref().and_then(bounds::absurd) {
            return Err(ModelError::Engine { path: self.path(), step: "load", cause, advice: self.advice() });
        }
        proto.graph.iter_mut().for_each(give_constants_their_type);
        let folder = self.path.parent().and_then(Path::to_str);
        let engine = onnx().with_ignore_value_info(true).with_ignore_output_shapes(true);
        if let Some((op, node)) = proto.graph.as_ref().and_then(|graph| unknown_operator(&engine, graph)) {
            return Err(ModelError::UnknownOperator { path: self.path(), op, node });
        }
        let mut model = self.engine("read", || {
            let parsed = engine.parse(&proto, folder)?;
            match parsed.unresolved_inputs.first() {
                Some(name) => bail!("nothing makes the tensor {name}"),
                None => Ok(parsed.model),
            }
        })?;
        drop(proto);
        self.fix_shapes(&mut model)?;
        self.engine("type", || model.into_typed())
            .and_then(|typed| self.engine("simplify", || typed.into_decluttered()))
    }

    fn fix_shapes(&self, model: &mut InferenceModel) -> Result<(), ModelError> {
        let outlets = model.inputs.clone();
        let names: Vec<String> = outlets.iter().map(|outlet| model.node(outlet.node).name.clone()).collect();
        let known = |name: &String| names.contains(name) || (name.is_empty() && names.len() == 1);
        if let Some((input, shape)) = self.shapes.iter().find(|(name, _)| !known(name)) {
            let names = names.join(", ");
            let why = match input.as_str() {
                "" => format!("the model has several inputs, so name one of {names}"),
                _ => format!("the model has no such input, only {names}"),
            };
            return Err(self.wrong_shape(input, shape, why));
        }
        for (index, name) in names.iter().enumerate() {
            let fact = self.engine("read", || model.input_fact(index).cloned())?;
            let shape = self.fixed_shape(name, &fact)?;
            let Some(datum) = fact.datum_type.concretize() else {
                return Err(ModelError::NotPortable {
                    path: self.path(),
                    port: format!("input \"{name}\""),
                    dtype: "unknown".to_owned(),
                });
            };
            self.engine("read", || model.set_input_fact(index, InferenceFact::dt_shape(datum, shape)))?;
        }
        Ok(())
    }

    /// The shape of one input: what the user says, then what the model says, then 1 for an open batch.
    fn fixed_shape(&self, name: &str, fact: &InferenceFact) -> Result<TVec<usize>, ModelError> {
        let stated: Option<Vec<Option<TDim>>> =
            (!fact.shape.is_open()).then(|| fact.shape.dims().map(Factoid::concretize).collect());
        let known = |dim: &Option<TDim>| dim.as_ref().and_then(|dim| usize::try_from(dim.to_i64().ok()?).ok());
        if let Some(given) = self.shapes.get(name).or_else(|| self.shapes.get("")) {
            let fits = stated.as_ref().is_none_or(|stated| {
                stated.len() == given.len() && stated.iter().zip(given).all(|(s, g)| known(s).is_none_or(|s| s == *g))
            });
            let why = || format!("the model takes [{}]", stated.as_deref().map_or("any".to_owned(), print_shape));
            return if fits { Ok(given.iter().copied().collect()) } else { Err(self.wrong_shape(name, given, why())) };
        }
        let unknown = |shape: String, suggestion: String| ModelError::UnknownDimension {
            path: self.path(),
            input: name.to_owned(),
            shape,
            suggestion,
        };
        let stated = stated.ok_or_else(|| unknown("any".to_owned(), "SIZE,SIZE,…".to_owned()))?;
        let batch = |axis: usize| (axis == 0 && stated.len() > 1).then_some(1);
        let sizes: Vec<Option<usize>> =
            stated.iter().enumerate().map(|(axis, dim)| known(dim).or(batch(axis))).collect();
        let fixed: Option<TVec<usize>> = sizes.iter().copied().collect();
        fixed.ok_or_else(|| {
            let suggestion = sizes.iter().map(|size| size.map_or("SIZE".to_owned(), |size| size.to_string()));
            unknown(print_shape(&stated), suggestion.collect::<Vec<_>>().join(","))
        })
    }

    fn wrong_shape(&self, input: &str, shape: &[usize], why: String) -> ModelError {
        let shape = shape.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
        ModelError::WrongShape { path: self.path(), input: input.to_owned(), shape, why }
    }
}

/// Why bytes are no model, in words; `said` is what the decoder says.
fn undecodable(bytes: &[u8], said: &str) -> String {
    const START: usize = 64;
    let start = &bytes[..bytes.len().min(START)];
    if start.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()) {
        return "they are text, perhaps a web page or a pointer of Git LFS".to_owned();
    }
    let said = said.strip_prefix("failed to decode Protobuf message: ").unwrap_or(said);
    match said.strip_suffix(": buffer underflow") {
        Some(place) => format!("they end in the middle of {place}"),
        None => said.to_owned(),
    }
}

fn print_shape(dims: &[Option<TDim>]) -> String {
    dims.iter().map(|dim| dim.as_ref().map_or("?".to_owned(), TDim::to_string)).collect::<Vec<_>>().join(",")
}

/// The first operator that the engine lacks, and the node that uses it.
fn unknown_operator(engine: &Onnx, graph: &pb::GraphProto) -> Option<(String, String)> {
    let unknown = graph.node.iter().find(|node| !engine.op_register.0.contains_key(&node.op_type));
    let bodies = graph.node.iter().flat_map(|node| &node.attribute).filter_map(|attribute| attribute.g.as_ref());
    let found = unknown.map(|node| (node.op_type.clone(), node.name.clone()));
    found.or_else(|| bodies.into_iter().find_map(|body| unknown_operator(engine, body)))
}

/// ONNX says that a `ConstantOfShape` without a value makes f32 zeros; the engine would make f64.
fn give_constants_their_type(graph: &mut pb::GraphProto) {
    for node in &mut graph.node {
        if node.op_type == "ConstantOfShape" && !node.attribute.iter().any(|attribute| attribute.name == "value") {
            node.attribute.push(AttributeProto {
                name: "value".to_owned(),
                r#type: pb::attribute_proto::AttributeType::Tensor.into(),
                t: Some(TensorProto {
                    dims: vec![1],
                    data_type: pb::tensor_proto::DataType::Float.into(),
                    float_data: vec![0.0],
                    ..TensorProto::default()
                }),
                ..AttributeProto::default()
            });
        }
        node.attribute.iter_mut().filter_map(|attribute| attribute.g.as_mut()).for_each(give_constants_their_type);
    }
}
