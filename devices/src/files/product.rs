//! Products as they are. The engine writes each as a product of matrices with their axes turned around it: another graph,
//! which gets other kernels, and so other bits.

use tract_nnef::ast::{RValue, TypeName};
use tract_nnef::deser::{ModelBuilder, ResolvedInvocation, Value};
use tract_nnef::registry::Registry;
use tract_nnef::ser::{IntoAst, datum_type, invocation, string};
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_hir::tract_core::ops::scan::Scan;

/// What a product is called in text.
const NAME: &str = "thalweg_einsum";

/// A product that is to be written, which the engine does not take for one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Product(EinSum);

impl Op for Product {
    fn name(&self) -> StaticName {
        self.0.name()
    }

    op_as_typed_op!();
}

impl EvalOp for Product {
    op_out_of_plan!();

    fn eval(&self, context: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        self.0.eval(context, inputs)
    }
}

impl TypedOp for Product {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        self.0.output_facts(inputs)
    }

    as_op!();
}

/// Prepares the products of a graph for writing, also those inside loops. Those of whole numbers that stand for others are
/// left to the engine.
pub(super) fn keep(graph: &mut TypedModel) {
    for node in &mut graph.nodes {
        if let Some(scan) = node.op_as_mut::<Scan>() {
            keep(&mut scan.body);
        } else if let Some(op) = node.op_as::<EinSum>().filter(|op| op.q_params.is_none()) {
            node.op = Box::new(Product(op.clone()));
        }
    }
}

/// Lets products be written and read.
pub(super) fn register(registry: &mut Registry) {
    registry.register_dumper(write);
    let parameters = [
        TypeName::Scalar.tensor().array().named("inputs"),
        TypeName::String.named("axes"),
        TypeName::String.named("type"),
    ];
    registry.register_primitive(NAME, &parameters, &[("output", TypeName::Scalar.tensor())], read);
}

fn write(ast: &mut IntoAst, node: &TypedNode, op: &Product) -> TractResult<Option<Arc<RValue>>> {
    let inputs = node.inputs.iter().map(|input| (*ast.mapping[input]).clone()).collect();
    let said = [("axes", string(op.0.axes.to_string())), ("type", datum_type(op.0.operating_dt))];
    Ok(Some(invocation(NAME, &[Arc::new(RValue::Array(inputs))], &said)))
}

fn read(builder: &mut ModelBuilder, invocation: &ResolvedInvocation) -> TractResult<Value> {
    let inputs: TVec<OutletId> = invocation.named_arg_as(builder, "inputs")?;
    let [axes, datum]: [String; 2] =
        [invocation.named_arg_as(builder, "axes")?, invocation.named_arg_as(builder, "type")?];
    builder.wire(EinSum::new(axes.parse()?, datum.parse()?), &inputs)
}
