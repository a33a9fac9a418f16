//! Refuses models that ask for absurd tensors, before the engine folds their constants into memory.
//!
//! A model of under a hundred bytes can ask for terabytes. What is known before anything is computed is checked here:
//! sizes of stored tensors, and the operators that make large tensors out of small constants.

use std::collections::BTreeMap;

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto};

/// Elements of all constants that are made of others: 2 GiB of f32. VGG-19, one of the largest networks, has 0.6 GiB.
pub(crate) const ELEMENTS_MAX: f64 = 536_870_912.0;

/// What asks for more than [`ELEMENTS_MAX`], in words; nothing when all is well.
///
/// What is made out of constants counts together, whichever operators make it: each keeps what it makes.
pub(crate) fn absurd(graph: &GraphProto) -> Option<String> {
    let constants = constants(graph);
    let stored = graph.initializer.iter().chain(attributes(graph).filter_map(|attribute| attribute.t.as_ref()));
    let tensor =
        stored.into_iter().find_map(|tensor| told(&format!("tensor \"{}\"", tensor.name), product(&tensor.dims)));
    let body = || attributes(graph).filter_map(|attribute| attribute.g.as_ref()).find_map(absurd);
    tensor.or_else(|| folded(graph, &constants)).or_else(body)
}

/// Follows constants through the graph, node by node in the order of the file, and adds up what is made of them.
fn folded(graph: &GraphProto, constants: &BTreeMap<&str, Vec<f64>>) -> Option<String> {
    let stored = graph.initializer.iter().map(|tensor| (tensor.name.as_str(), product(&tensor.dims)));
    let mut sizes: BTreeMap<&str, f64> = stored.collect();
    let mut sum = 0.0;
    for node in &graph.node {
        let inputs: Option<Vec<f64>> = node.input.iter().map(|input| sizes.get(input.as_str()).copied()).collect();
        // Of operators that are not looked into, the largest input says how large the output is.
        let made = elements(node, constants).or_else(|| match (inputs?, node.op_type.as_str()) {
            (inputs, "Concat") => Some(inputs.iter().sum()),
            (inputs, _) => Some(inputs.into_iter().fold(0.0, f64::max)),
        });
        let Some(made) = made else { continue };
        sum += made;
        sizes.extend(node.output.iter().map(|output| (output.as_str(), made)));
        if let Some(told) = told(&format!("node \"{}\" ({})", node.name, node.op_type), sum) {
            return Some(told);
        }
    }
    None
}

fn attributes(graph: &GraphProto) -> impl Iterator<Item = &tract_onnx::pb::AttributeProto> {
    graph.node.iter().flat_map(|node| &node.attribute)
}

fn told(what: &str, elements: f64) -> Option<String> {
    (elements > ELEMENTS_MAX)
        .then(|| format!("{what} asks for {elements:.0} elements, but at most {ELEMENTS_MAX} are allowed"))
}

/// Dimensions of 0 and below ask for nothing: the engine refuses what is negative.
fn product(sizes: &[i64]) -> f64 {
    sizes.iter().map(|size| (*size).max(0) as f64).product()
}

/// Elements that a node makes out of constants; none where that is not known yet.
fn elements(node: &NodeProto, constants: &BTreeMap<&str, Vec<f64>>) -> Option<f64> {
    let constant = |input: usize| constants.get(node.input.get(input)?.as_str());
    let sizes = |input: usize| Some(constant(input)?.iter().map(|size| size.max(0.0)).product());
    match node.op_type.as_str() {
        "ConstantOfShape" => sizes(0),
        "Expand" | "Tile" | "Upsample" => sizes(1),
        "Resize" => sizes(3).or_else(|| sizes(2)),
        "OneHot" => sizes(1),
        "Pad" => Some(constant(1)?.iter().fold(0.0, |most: f64, pad| most.max(*pad))),
        "Range" => {
            let [start, limit, step] = [constant(0)?.first()?, constant(1)?.first()?, constant(2)?.first()?];
            Some(((limit - start) / step).max(0.0))
        }
        _ => None,
    }
}

/// Small constants by name: stored ones, and what `Constant` nodes hold.
fn constants(graph: &GraphProto) -> BTreeMap<&str, Vec<f64>> {
    let stored = graph.initializer.iter().map(|tensor| (tensor.name.as_str(), numbers(tensor)));
    let nodes = graph.node.iter().filter(|node| node.op_type == "Constant").filter_map(|node| {
        let attribute = node.attribute.first()?;
        let values = match &attribute.t {
            Some(tensor) => numbers(tensor),
            None if attribute.name == "value_int" => vec![attribute.i as f64],
            None if attribute.name == "value_float" => vec![f64::from(attribute.f)],
            None => attribute.ints.iter().map(|value| *value as f64).collect(),
        };
        Some((node.output.first()?.as_str(), values))
    });
    stored.chain(nodes).collect()
}

/// The numbers of a tensor of at most 64 elements; shapes have no more.
fn numbers(tensor: &TensorProto) -> Vec<f64> {
    if product(&tensor.dims) > 64.0 {
        return Vec::new();
    }
    let raw = tensor.raw_data.as_slice();
    match tensor.data_type {
        kind if kind == DataType::Int64 as i32 => {
            let stored = raw.as_chunks::<8>().0.iter().map(|bytes| i64::from_le_bytes(*bytes));
            stored.chain(tensor.int64_data.iter().copied()).map(|value| value as f64).collect()
        }
        kind if kind == DataType::Int32 as i32 => {
            let stored = raw.as_chunks::<4>().0.iter().map(|bytes| i32::from_le_bytes(*bytes));
            stored.chain(tensor.int32_data.iter().copied()).map(f64::from).collect()
        }
        kind if kind == DataType::Float as i32 => {
            let stored = raw.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
            stored.chain(tensor.float_data.iter().copied()).map(f64::from).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(name: &str, sizes: &[i64]) -> TensorProto {
        TensorProto {
            name: name.to_owned(),
            dims: vec![sizes.len() as i64],
            data_type: DataType::Int64.into(),
            int64_data: sizes.to_vec(),
            ..TensorProto::default()
        }
    }

    fn graph(op: &str, inputs: &[TensorProto]) -> GraphProto {
        let node = NodeProto {
            name: "big".to_owned(),
            op_type: op.to_owned(),
            input: inputs.iter().map(|tensor| tensor.name.clone()).collect(),
            ..NodeProto::default()
        };
        GraphProto { node: vec![node], initializer: inputs.to_vec(), ..GraphProto::default() }
    }

    #[test]
    fn terabytes_are_refused_by_name() {
        let message = absurd(&graph("ConstantOfShape", &[shape("s", &[1 << 20, 1 << 20])]));
        let expected =
            "node \"big\" (ConstantOfShape) asks for 1099511627776 elements, but at most 536870912 are allowed";
        assert_eq!(message.as_deref(), Some(expected));
        assert!(absurd(&graph("Tile", &[shape("x", &[1]), shape("r", &[1 << 40])])).is_some());
        let range = [shape("start", &[0]), shape("limit", &[i64::MAX]), shape("step", &[1])];
        assert!(absurd(&graph("Range", &range)).is_some());
        let stored = TensorProto { dims: vec![i64::MAX, i64::MAX], ..TensorProto::default() };
        assert!(absurd(&GraphProto { initializer: vec![stored], ..GraphProto::default() }).is_some());
    }

    #[test]
    fn many_small_steps_are_added_up() {
        let sizes = shape("size", &[1 << 20]);
        let mut big = graph("ConstantOfShape", &[sizes]);
        big.node[0].output = vec!["x0".to_owned()];
        for step in 1..12 {
            let input = format!("x{}", step - 1);
            let node = NodeProto {
                op_type: "Concat".to_owned(),
                input: vec![input.clone(), input],
                output: vec![format!("x{step}")],
                ..NodeProto::default()
            };
            big.node.push(node);
        }
        let message = absurd(&big).expect("2 + 4 + … + 2048 million elements are too many");
        assert!(message.contains("Concat"), "{message}");
    }

    #[test]
    fn usual_sizes_pass() {
        assert_eq!(absurd(&graph("ConstantOfShape", &[shape("s", &[25088, 4096])])), None);
        assert_eq!(absurd(&graph("Range", &[shape("a", &[0]), shape("b", &[512]), shape("c", &[1])])), None);
    }
}
