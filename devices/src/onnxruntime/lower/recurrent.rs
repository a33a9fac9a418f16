//! What cells of recurrent networks do behind their products: gates, and the state that they let through.

use tract_onnx::prelude::{IntoTensor as _, tract_ndarray::Array2};
use tract_onnx::tract_hir::internal::{DatumType, OutletId, Tensor, TypedNode};
use tract_onnx::tract_hir::tract_core::ops::gru_seq::GruSeq;

use super::super::onnx;
use super::{Either, Lowering, Why};

impl Lowering<'_> {
    /// Of an LSTM: input, output and forget gates and the candidate lie side by side on the last axis.
    pub(super) fn lstm(&mut self, node: &TypedNode, hidden: usize) -> Result<(), Why> {
        let (gates, computed) = self.rows(node.inputs[0], 4 * hidden)?;
        let (state, _) = self.rows(node.inputs[1], hidden)?;
        let open = self.gate(&gates, [0, 3 * hidden], "Sigmoid")?;
        let candidate = self.gate(&gates, [3 * hidden, 4 * hidden], "Tanh")?;
        let [input, output, forget] = [0, 1, 2].map(|gate| [gate * hidden, (gate + 1) * hidden]);
        let (input, output) = (self.columns(&open, input)?, self.columns(&open, output)?);
        let forget = self.columns(&open, forget)?;
        let kept = self.add("Mul", &[forget, state], Vec::new());
        let taken = self.add("Mul", &[input, candidate], Vec::new());
        let state = self.add("Add", &[kept, taken], Vec::new());
        let shown = self.add("Tanh", std::slice::from_ref(&state), Vec::new());
        let shown = self.add("Mul", &[shown, output], Vec::new());
        for (slot, name) in [shown, state].into_iter().enumerate() {
            self.set_rows(OutletId::new(node.id, slot), name, computed)?;
        }
        Ok(())
    }

    /// Of a GRU: update and reset gates and the candidate lie side by side, once of the input and once of the state.
    pub(super) fn gru(&mut self, node: &TypedNode, hidden: usize) -> Result<(), Why> {
        let (of_input, computed) = self.rows(node.inputs[0], 3 * hidden)?;
        let (of_state, _) = self.rows(node.inputs[1], 3 * hidden)?;
        let (state, _) = self.rows(node.inputs[2], hidden)?;
        let both = [0, 2 * hidden];
        let gates = [self.columns(&of_input, both)?, self.columns(&of_state, both)?];
        let gates = self.add("Add", &gates, Vec::new());
        let gates = self.add("Sigmoid", &[gates], Vec::new());
        let (update, reset) = (self.columns(&gates, [0, hidden])?, self.columns(&gates, [hidden, 2 * hidden])?);
        let last = [2 * hidden, 3 * hidden];
        let remembered = self.columns(&of_state, last)?;
        let remembered = self.add("Mul", &[reset, remembered], Vec::new());
        let candidate = [self.columns(&of_input, last)?, remembered];
        let candidate = self.add("Add", &candidate, Vec::new());
        let candidate = self.add("Tanh", &[candidate], Vec::new());
        let apart = self.add("Sub", &[state, candidate.clone()], Vec::new());
        let apart = self.add("Mul", &[update, apart], Vec::new());
        let made = self.add("Add", &[candidate, apart], Vec::new());
        self.set_rows(node.id.into(), made, computed)
    }

    /// A GRU over a whole sequence `[batch, time, columns]`. Where the product of its input was made before, that is
    /// multiplied by one here.
    pub(super) fn gru_over_time(&mut self, node: &TypedNode, op: &GruSeq) -> Result<(), Why> {
        let (hidden, shape) = (op.hidden, self.shape(node.inputs[0])?);
        let [batch, time, columns] = shape[..] else { return Err(format!("it reads {shape:?}")) };
        let sequence = self.plain(node.inputs[0])?;
        let sequence = self.transposed(sequence, &[1, 0, 2]);
        let recurrent = if op.projected { 1 } else { 2 };
        let weights = if op.projected {
            self.hold(&Array2::<f32>::eye(columns).into_tensor())?
        } else {
            self.plain(node.inputs[1])?
        };
        let weights = self.reshaped(weights, &[1, 3 * hidden, columns])?;
        let of_state = self.plain(node.inputs[recurrent])?;
        let of_state = self.reshaped(of_state, &[1, 3 * hidden, hidden])?;
        let mut bias = String::new();
        if op.has_bias {
            bias = self.plain(node.inputs[recurrent + 1])?;
            bias = self.reshaped(bias, &[1, 6 * hidden])?;
            if op.projected {
                let (start, end) = (self.numbers([3 * hidden])?, self.numbers([6 * hidden])?);
                let axis = self.numbers([1])?;
                let rest = self.add("Slice", &[bias, start, end, axis], Vec::new());
                let none = Tensor::zero::<f32>(&[1, 3 * hidden]).map_err(|cause| cause.to_string())?;
                let none = self.hold(&none)?;
                bias = self.add("Concat", &[none, rest], vec![onnx::int("axis", 1)]);
            }
        }
        let first = self.plain(*node.inputs.last().ok_or("it has no inputs")?)?;
        let first = self.reshaped(first, &[1, batch, hidden])?;
        let inputs = [sequence, weights, of_state, bias, String::new(), first];
        let names = [self.name(), self.name()];
        let attributes = vec![
            onnx::int("hidden_size", hidden as i64),
            onnx::int("linear_before_reset", 1),
            onnx::text("direction", if op.chunk < 0 { "reverse" } else { "forward" }),
        ];
        self.nodes.push(onnx::node("GRU", &inputs, &names, attributes));
        let [all, last] = names;
        let all = if op.emit_y {
            let all = self.reshaped(all, &[time, batch, hidden])?;
            self.transposed(all, &[1, 0, 2])
        } else {
            self.hold(&Tensor::zero::<f32>(&[batch, 0, hidden]).map_err(|cause| cause.to_string())?)?
        };
        let last = self.reshaped(last, &[batch, 1, hidden])?;
        for (slot, name) in [all, last].into_iter().enumerate() {
            self.set_slot(OutletId::new(node.id, slot), Either { name, lead: 0 });
        }
        Ok(())
    }

    /// What a cell reads, as a matrix with rows of this length.
    fn rows(&mut self, outlet: OutletId, columns: usize) -> Result<(String, DatumType), Why> {
        let computed = super::cast::computed(self.datum(outlet)?)?;
        let value = self.in_type(outlet, computed)?;
        let all = self.shape(outlet)?.iter().product::<usize>();
        let rows = all.checked_div(columns).ok_or("it has no columns")?;
        Ok((self.reshaped(value, &[rows, columns])?, computed))
    }

    fn columns(&mut self, matrix: &str, [start, end]: [usize; 2]) -> Result<String, Why> {
        let inputs = [matrix.to_owned(), self.numbers([start])?, self.numbers([end])?, self.numbers([1])?];
        Ok(self.add("Slice", &inputs, Vec::new()))
    }

    fn gate(&mut self, matrix: &str, columns: [usize; 2], function: &str) -> Result<String, Why> {
        let columns = self.columns(matrix, columns)?;
        Ok(self.add(function, &[columns], Vec::new()))
    }

    fn set_rows(&mut self, outlet: OutletId, name: String, computed: DatumType) -> Result<(), Why> {
        let shape = self.shape(outlet)?;
        let name = self.reshaped(name, &shape)?;
        let name = self.cast_value(name, computed, self.datum(outlet)?)?;
        self.set_slot(outlet, Either { name, lead: 0 });
        Ok(())
    }
}
