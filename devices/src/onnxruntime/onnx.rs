//! The pieces of an ONNX model, as the engine's own types for it.

use thalweg_planner::DType;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto, type_proto,
};
use tract_onnx::tract_hir::internal::{DatumType, Tensor};

use crate::tensor::dtype;

/// The version of ONNX's operators that parts are written in. Every library since 1.12 knows it.
pub(super) const OPSET: i64 = 17;
/// The version of the format that came with it.
const IR_VERSION: i64 = 8;

/// The type under which elements of the engine's type are known to ONNX: of quantised ones that of what is stored.
pub(super) fn elements(datum: DatumType) -> Result<DataType, String> {
    match dtype(datum) {
        Some(DType::Bool) => Ok(DataType::Bool),
        Some(DType::U8) => Ok(DataType::Uint8),
        Some(DType::U16) => Ok(DataType::Uint16),
        Some(DType::U32) => Ok(DataType::Uint32),
        Some(DType::U64) => Ok(DataType::Uint64),
        Some(DType::I8) => Ok(DataType::Int8),
        Some(DType::I16) => Ok(DataType::Int16),
        Some(DType::I32) => Ok(DataType::Int32),
        Some(DType::I64) => Ok(DataType::Int64),
        Some(DType::F16) => Ok(DataType::Float16),
        Some(DType::F32) => Ok(DataType::Float),
        Some(DType::F64) => Ok(DataType::Double),
        _ => Err(format!("{datum:?} has no counterpart")),
    }
}

/// A constant.
pub(super) fn tensor(name: &str, tensor: &Tensor) -> Result<TensorProto, String> {
    let stored = if tensor.datum_type() == DatumType::TDim {
        tensor.cast_to::<i64>().map_err(|cause| cause.to_string())?.into_owned()
    } else {
        tensor.clone()
    };
    let data = stored.as_plain_ram().ok_or("a constant without plain storage")?.as_bytes().to_vec();
    Ok(TensorProto {
        name: name.to_owned(),
        data_type: elements(stored.datum_type())? as i32,
        dims: stored.shape().iter().map(|size| *size as i64).collect(),
        raw_data: data,
        ..TensorProto::default()
    })
}

/// What a graph takes or gives.
pub(super) fn port(name: &str, datum: DatumType, shape: &[usize]) -> Result<ValueInfoProto, String> {
    let size =
        |size: &usize| Dimension { value: Some(dimension::Value::DimValue(*size as i64)), ..Dimension::default() };
    let tensor = type_proto::Tensor {
        elem_type: elements(datum)? as i32,
        shape: Some(TensorShapeProto { dim: shape.iter().map(size).collect() }),
    };
    let r#type = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() };
    Ok(ValueInfoProto { name: name.to_owned(), r#type: Some(r#type), ..ValueInfoProto::default() })
}

/// A node and the operator's settings.
pub(super) fn node(op: &str, inputs: &[String], outputs: &[String], attributes: Vec<AttributeProto>) -> NodeProto {
    NodeProto {
        op_type: op.to_owned(),
        name: outputs.first().cloned().unwrap_or_default(),
        input: inputs.to_vec(),
        output: outputs.to_vec(),
        attribute: attributes,
        ..NodeProto::default()
    }
}

pub(super) fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { name: name.to_owned(), r#type: AttributeType::Int as i32, i: value, ..AttributeProto::default() }
}

pub(super) fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto { name: name.to_owned(), r#type: AttributeType::Float as i32, f: value, ..AttributeProto::default() }
}

pub(super) fn ints(name: &str, values: impl IntoIterator<Item = usize>) -> AttributeProto {
    let ints = values.into_iter().map(|value| value as i64).collect();
    AttributeProto { name: name.to_owned(), r#type: AttributeType::Ints as i32, ints, ..AttributeProto::default() }
}

pub(super) fn text(name: &str, value: &str) -> AttributeProto {
    let s = value.as_bytes().to_vec();
    AttributeProto { name: name.to_owned(), r#type: AttributeType::String as i32, s, ..AttributeProto::default() }
}

pub(super) fn graph(name: &str, graph: GraphProto) -> AttributeProto {
    let g = Some(graph);
    AttributeProto { name: name.to_owned(), r#type: AttributeType::Graph as i32, g, ..AttributeProto::default() }
}

/// A graph as a model of its own.
pub(super) fn model(graph: GraphProto) -> ModelProto {
    let opset = OperatorSetIdProto { domain: String::new(), version: OPSET };
    ModelProto {
        ir_version: IR_VERSION,
        producer_name: "thalweg".to_owned(),
        opset_import: vec![opset],
        graph: Some(graph),
        ..ModelProto::default()
    }
}
