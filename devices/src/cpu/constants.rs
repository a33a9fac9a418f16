//! Constants that a file keeps smaller than they are used: weights in f16, or in whole numbers with a scale.
//!
//! The engine leaves what grows by more than a bit to each run. Here weights are turned once, when a part is prepared; and of a
//! table only what is gathered is turned.

use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::tract_core::ops::array::Gather;
use tract_onnx::tract_hir::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_hir::tract_core::ops::cast::Cast;
use tract_onnx::tract_hir::tract_core::ops::konst::Const;

use super::rewrite::rewrite;

/// Constants may grow by so many times: from bytes to f32.
const GROWTH_MAX: usize = 4;

/// Turns constants once, and tables after they are gathered from.
pub(super) fn once(graph: &mut TypedModel) -> TractResult<()> {
    rewrite(graph, &[gathered, folded])
}

/// What is done to each element of a table: the same can be done to what was gathered from it.
enum Turn {
    Cast(Cast),
    /// By one number, which is the operand of this place, or by numbers for each row that is gathered.
    By(TypedBinOp, usize, Arc<Tensor>),
}

/// Gathers from a table itself, and turns what that makes.
fn gathered(graph: &TypedModel, id: usize) -> TractResult<Option<TypedModelPatch>> {
    let node = graph.node(id);
    let Some(gather) = node.op_as::<Gather>().filter(|gather| gather.output_type.is_none()) else { return Ok(None) };
    let (mut table, mut turns) = (node.inputs[0], Vec::new());
    while !graph.node(table.node).op_is::<Const>() {
        let Some((from, turn)) = turned(graph, table.node, gather.axis)? else { return Ok(None) };
        turns.push(turn);
        table = from;
    }
    if turns.is_empty() {
        return Ok(None);
    }
    let mut patch = TypedModelPatch::default();
    let inputs = patch.taps(graph, &[table, node.inputs[1]])?;
    let name = |patch: &TypedModelPatch| format!("{}.{}", node.name, patch.model.nodes.len());
    let mut made = patch.wire_node(name(&patch), gather.clone(), &inputs)?[0];
    for turn in turns.into_iter().rev() {
        let next = name(&patch);
        made = match turn {
            Turn::Cast(op) => patch.wire_node(next, op, &[made])?[0],
            Turn::By(op, place, numbers) => {
                let rank = patch.outlet_fact(made)?.rank();
                let is_one = numbers.len() == 1;
                let numbers = if is_one { numbers.into_tensor().into_shape(&vec![1; rank])?.into() } else { numbers };
                let mut by = patch.add_const(format!("{next}.by"), numbers)?;
                if !is_one {
                    by = patch.wire_node(format!("{next}.rows"), gather.clone(), &[by, inputs[1]])?[0];
                }
                let operands = if place == 0 { [by, made] } else { [made, by] };
                patch.wire_node(next, op, &operands)?[0]
            }
        };
    }
    patch.shunt_outside(graph, id.into(), made)?;
    Ok(Some(patch))
}

/// What a node turns, and how, if the same can be done to rows that are gathered along `axis`.
fn turned(graph: &TypedModel, id: usize, axis: usize) -> TractResult<Option<(OutletId, Turn)>> {
    let node = graph.node(id);
    if let Some(op) = node.op_as::<Cast>() {
        return Ok(Some((node.inputs[0], Turn::Cast(op.clone()))));
    }
    let Some(op) = node.op_as::<TypedBinOp>() else { return Ok(None) };
    for (place, input) in node.inputs.iter().enumerate() {
        let from = node.inputs[1 - place];
        let fact = graph.outlet_fact(from)?;
        let has_rows =
            |numbers: &Tensor| numbers.rank() == fact.rank() && fact.shape[axis] == numbers.shape()[axis].to_dim();
        let numbers = graph.outlet_fact(*input)?.konst.clone();
        let numbers = numbers.filter(|numbers| numbers.len() == 1 || has_rows(numbers));
        if let (Some(numbers), true) = (numbers, fact.shape == node.outputs[0].fact.shape) {
            return Ok(Some((from, Turn::By(op.clone(), place, numbers))));
        }
    }
    Ok(None)
}

/// What a node makes of constants, in its place.
fn folded(graph: &TypedModel, id: usize) -> TractResult<Option<TypedModelPatch>> {
    let node = graph.node(id);
    let facts = graph.node_input_facts(id)?;
    let constants: Option<TVec<_>> = facts.iter().map(|fact| fact.konst.clone()).collect();
    let (Some(constants), [output], false) = (constants, &*node.outputs, node.inputs.is_empty()) else {
        return Ok(None);
    };
    let size = |fact: &TypedFact| fact.mem_size().as_i64().and_then(|size| usize::try_from(size).ok());
    let most = facts.iter().filter_map(|fact| size(fact)).max().unwrap_or(0).saturating_mul(GROWTH_MAX);
    if size(&output.fact).is_none_or(|size| size > most) {
        return Ok(None);
    }
    let inputs = constants.into_iter().map(IntoTValue::into_tvalue).collect();
    let Some(mut made) = node.op.eval_out_of_plan(inputs)? else { return Ok(None) };
    let mut patch = TypedModelPatch::default();
    let made = patch.add_const(&node.name, made.remove(0).into_tensor())?;
    patch.shunt_outside(graph, id.into(), made)?;
    Ok(Some(patch))
}
