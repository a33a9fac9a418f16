//! A part of a model as files, and back: what a node gets that has not got the model.
//!
//! The graph is text in NNEF, each weight tensor is a file that is named by its content, and a small file says what
//! NNEF does not. Names in the graph are given anew, by place, because the engine numbers nodes of one origin in
//! another way each time: so the same part of the same model is the same files, and parts and versions share the
//! weights that are equal.

mod names;
mod product;
mod said;
mod text;
mod tidy;
mod weight;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tract_nnef::ast::dump::Dumper;
use tract_nnef::ast::parse::parse_document;
use tract_nnef::ast::{Document, Identifier, ProtoModel};
use tract_nnef::framework::Nnef;
use tract_nnef::registry::Registry;
use tract_nnef::ser::{rewrite_model, to_proto_model};
use tract_onnx::WithOnnx as _;
use tract_onnx::tract_hir::internal::{OutletId, TypedModel};
use tract_onnx::tract_hir::tract_core::internal::{Tensor, bail};
use tract_onnx::tract_hir::tract_core::ops::nn::gelu_exact::GeluExact;
use tract_onnx::tract_hir::tract_core::prelude::TractResult;

use crate::bounds::ELEMENTS_MAX;
use crate::cut::{Border, Partition};
use crate::error::StageError;
use crate::guard::guard;
use crate::reason::reason;
use said::{Said, Wire};

/// The graph.
const GRAPH: &str = "graph.nnef";
/// What the graph does not say.
const SAID: &str = "part.toml";
/// How the name of a weight tensor's file ends, after the 64 hexadecimal digits of its content's BLAKE3 hash.
const WEIGHT_ENDING: &str = ".dat";

/// Files of one part. DenseNet-121, which has many, has under 1,000 as a whole.
pub const FILES_MAX: usize = 1 << 16;

/// One file of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartFile {
    /// `graph.nnef`, `part.toml`, or the hash of a weight tensor's bytes and `.dat`: never a path.
    pub name: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

impl Partition {
    /// The part as files, in the order of their names: the same part of the same model gives the same bytes.
    ///
    /// Fails when the engine has no written form of an operator, and names it.
    pub fn to_files(&self) -> Result<Vec<PartFile>, StageError> {
        let failed = |cause: String| StageError::Unwritable { part: self.name.clone(), cause };
        let files = guard(|| self.written()).map_err(failed)?;
        files.map_err(|cause| failed(reason(&cause)))
    }

    /// The part that [`Partition::to_files`] has written, in any order of the files.
    ///
    /// Refuses what another version of the engine has written, what is incomplete, and what is no such part. No bytes
    /// panic; but the engine can be made to ask for much memory or time, so parts from elsewhere are first tried out in
    /// a process with limits.
    pub fn from_files(files: &[PartFile]) -> Result<Self, StageError> {
        let of = |file: &str, cause: String| StageError::Unreadable { file: file.to_owned(), cause };
        let named = by_name(files)?;
        let said = Said::read(named.get(SAID).copied().ok_or_else(|| of(SAID, "is missing".to_owned()))?, &engine()?)?;
        let graph = named.get(GRAPH).ok_or_else(|| of(GRAPH, "is missing".to_owned()))?;
        let text = text::checked(graph).map_err(|cause| of(GRAPH, cause))?;
        let tensors = weights(&said, &named)?;
        let quantization = said.quantised().map_err(|cause| of(SAID, cause))?;
        let read = guard(|| -> TractResult<TypedModel> {
            let proto = ProtoModel { doc: parse_document(text)?, tensors, quantization, resources: HashMap::new() };
            proto.validate()?;
            nnef().translate(&proto, TypedModel::default()).map_err(|(_, cause)| cause)
        });
        let graph = read.map_err(|cause| of(GRAPH, cause))?.map_err(|cause| of(GRAPH, reason(&cause)))?;
        let (takes, gives) = said.borders().map_err(|cause| of(SAID, cause))?;
        check(&graph, &takes, &gives).map_err(|cause| of(GRAPH, cause))?;
        // It computes constants, so not before their sizes are known to be none that are absurd.
        let tidy = guard(|| tidy::tidied(graph)).map_err(|cause| of(GRAPH, cause))?;
        let graph = tidy.map_err(|cause| of(GRAPH, reason(&cause)))?;
        Ok(Self { name: said.name, graph, takes, gives })
    }

    fn written(&self) -> TractResult<Vec<PartFile>> {
        let nnef = nnef();
        let mut graph = self.graph.clone();
        // They describe the whole model, and who exported it.
        graph.properties.clear();
        product::keep(&mut graph);
        // What writing makes of the graph is numbered by chance too, so it is done before names are given.
        rewrite_model(&mut graph)?;
        names::by_place(&mut graph);
        let mut proto = to_proto_model(&nnef, &graph)?;
        if !proto.resources.is_empty() {
            bail!("it has a model inside it, which is not written");
        }
        let engine = engine_of(&proto.doc)?;
        proto.doc.fragments.retain(|fragment| fragment.decl.id.0 != PROPERTIES);
        let mut text = Vec::new();
        Dumper::new(&nnef, &mut text).document(&proto.doc)?;
        let mut files = BTreeMap::from([(GRAPH.to_owned(), text)]);
        let mut weights = BTreeMap::new();
        for (label, tensor) in &proto.tensors {
            let bytes = weight::write(tensor)?;
            let hash = blake3::hash(&bytes).to_hex().to_string();
            files.insert(format!("{hash}{WEIGHT_ENDING}"), bytes);
            weights.insert(label.0.clone(), hash);
        }
        let said = Said::new(&self.name, engine, &self.takes, &self.gives, weights, proto.quantization);
        files.insert(SAID.to_owned(), said?.write()?);
        Ok(files.into_iter().map(|(name, bytes)| PartFile { name, bytes }).collect())
    }
}

/// Reads and writes graphs, with the one operator that models have and for which the engine has no written form, and with
/// the one of which it makes others.
fn nnef() -> Nnef {
    let mut own = Registry::new("thalweg");
    own.register_unit_element_wise("thalweg_gelu_exact", &GeluExact {});
    product::register(&mut own);
    Nnef::default().with_onnx().with_registry(own)
}

/// Where the engine says who has written a graph.
const PROPERTIES: &str = "tract_core_properties";

/// This build's engine and its version.
fn engine() -> Result<String, StageError> {
    let failed = |cause: String| StageError::Prepare { part: "the engine's version".to_owned(), cause };
    let proto = guard(|| engine_of(&to_proto_model(&nnef(), &TypedModel::default())?.doc));
    proto.map_err(failed)?.map_err(|cause| failed(reason(&cause)))
}

/// Who has written a graph, as the engine itself says.
fn engine_of(doc: &Document) -> TractResult<String> {
    use tract_nnef::ast::{Literal, RValue};
    let properties = doc.fragments.iter().find(|fragment| fragment.decl.id.0 == PROPERTIES);
    let pairs = properties.and_then(|fragment| Some(&fragment.body.as_ref()?.first()?.right));
    let Some(RValue::Array(pairs)) = pairs else { bail!("the engine does not tell its version") };
    let version = pairs.iter().find_map(|pair| match pair {
        RValue::Tuple(pair) => match pair.as_slice() {
            [RValue::Literal(Literal::String(key)), RValue::Literal(Literal::String(version))] => {
                (key == "tract_nnef_ser_version").then_some(version)
            }
            _ => None,
        },
        _ => None,
    });
    version.map_or_else(|| bail!("the engine does not tell its version"), |version| Ok(format!("tract {version}")))
}

/// Looks for what is there twice, or more than can be.
fn by_name(files: &[PartFile]) -> Result<BTreeMap<&str, &[u8]>, StageError> {
    let of = |file: &str, cause: String| StageError::Unreadable { file: file.chars().take(80).collect(), cause };
    if files.len() > FILES_MAX {
        return Err(of(SAID, format!("is one of {} files, but a part has at most {FILES_MAX}", files.len())));
    }
    let mut named = BTreeMap::new();
    for file in files {
        if named.insert(file.name.as_str(), file.bytes.as_slice()).is_some() {
            return Err(of(&file.name, "is there twice".to_owned()));
        }
    }
    Ok(named)
}

/// The tensors by their label in the graph. Equal ones are one file and one tensor.
fn weights(said: &Said, named: &BTreeMap<&str, &[u8]>) -> Result<HashMap<Identifier, Arc<Tensor>>, StageError> {
    let mut read: BTreeMap<&str, Arc<Tensor>> = BTreeMap::new();
    let mut tensors = HashMap::new();
    for (label, hash) in &said.weights {
        let tensor = match read.get(hash.as_str()) {
            Some(tensor) => Arc::clone(tensor),
            None => {
                let file = format!("{hash}{WEIGHT_ENDING}");
                let failed = |cause: String| StageError::Unreadable { file: file.clone(), cause };
                let bytes = named.get(file.as_str()).ok_or_else(|| failed("is missing".to_owned()))?;
                let got = blake3::hash(bytes).to_hex();
                if got.as_str() != hash {
                    return Err(failed(format!("has the hash {got}")));
                }
                let tensor = guard(|| weight::read(bytes)).map_err(failed)?;
                let tensor = Arc::new(tensor.map_err(|cause| failed(reason(&cause)))?);
                read.insert(hash, Arc::clone(&tensor));
                tensor
            }
        };
        tensors.insert(Identifier(label.clone()), tensor);
    }
    let stranger = named.keys().find(|name| match name.strip_suffix(WEIGHT_ENDING) {
        Some(hash) => !read.contains_key(hash),
        None => ![GRAPH, SAID].contains(*name),
    });
    match stranger {
        Some(name) => Err(StageError::Unreadable {
            file: name.chars().take(80).collect(),
            cause: "is no file of this part".to_owned(),
        }),
        None => Ok(tensors),
    }
}

/// What the graph takes and gives must be what the part says; and no tensor in it may be absurd.
fn check(graph: &TypedModel, takes: &[Border], gives: &[Border]) -> Result<(), String> {
    let facts = |outlets: &[OutletId]| -> Vec<Wire> {
        outlets.iter().map(|outlet| Wire::of(graph.outlet_fact(*outlet).ok())).collect()
    };
    let said = |borders: &[Border]| -> Vec<Wire> { borders.iter().map(Wire::of_border).collect() };
    for (what, made, said) in
        [("takes", facts(&graph.inputs), said(takes)), ("gives", facts(&graph.outputs), said(gives))]
    {
        if made != said {
            return Err(format!("{what} {}, but {SAID} says {}", Wire::print(&made), Wire::print(&said)));
        }
    }
    for node in graph.nodes() {
        for output in &node.outputs {
            let sizes = output.fact.shape.as_concrete();
            let Some(sizes) = sizes else { return Err(format!("node \"{}\" has no fixed shape", node.name)) };
            let elements: f64 = sizes.iter().map(|size| *size as f64).product();
            if elements > ELEMENTS_MAX {
                return Err(format!(
                    "node \"{}\" asks for {elements:.0} elements, but at most {ELEMENTS_MAX} are allowed",
                    node.name
                ));
            }
        }
    }
    Ok(())
}
