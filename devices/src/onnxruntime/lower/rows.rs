//! Nodes that make one element, or one row, of many: reductions, softmax, norms.

use tract_onnx::tract_hir::internal::{DatumType, TypedNode};
use tract_onnx::tract_hir::tract_core::ops::nn::{Reduce, Reducer, RmsNorm, Softmax, SoftmaxKind};
use tract_onnx_opl::lrn::Lrn;

use super::super::onnx;
use super::{Either, Lowering, Why};

impl Lowering<'_> {
    pub(super) fn reduce(&mut self, node: &TypedNode, op: &Reduce) -> Result<(), Why> {
        let (Either { name: value, lead }, computed) = self.operand(node.inputs[0])?;
        let axes: Vec<usize> = op.axes.iter().map(|axis| axis + lead).collect();
        if axes.is_empty() {
            return Err("it reduces no axis".to_owned());
        }
        let name = match op.reducer {
            Reducer::Sum => {
                let axes = self.numbers(axes)?;
                let sum = self.add("ReduceSum", &[value, axes], Vec::new());
                self.within_few_bits(sum, self.datum(node.id.into())?)?
            }
            Reducer::Max => self.reduced("ReduceMax", value, axes),
            Reducer::Min => self.reduced("ReduceMin", value, axes),
            Reducer::Prod if computed.is_float() => self.reduced("ReduceProd", value, axes),
            Reducer::MeanOfSquares if computed.is_float() => {
                let squares = self.add("Mul", &[value.clone(), value], Vec::new());
                self.reduced("ReduceMean", squares, axes)
            }
            Reducer::All => self.reduced("ReduceMin", value, axes),
            Reducer::Any => self.reduced("ReduceMax", value, axes),
            Reducer::ArgMax(last) if axes.len() == 1 => {
                return self.place(node, "ArgMax", last, value, (axes[0], lead));
            }
            Reducer::ArgMin(last) if axes.len() == 1 => {
                return self.place(node, "ArgMin", last, value, (axes[0], lead));
            }
            other => return Err(format!("the reduction {other:?} of {computed:?}")),
        };
        self.set_computed(node, Either { name, lead }, computed)
    }

    fn reduced(&mut self, op: &str, value: String, axes: Vec<usize>) -> String {
        self.add(op, &[value], vec![onnx::ints("axes", axes)])
    }

    /// A sum of integers of few bits ends at their ends.
    fn within_few_bits(&mut self, sum: String, datum: DatumType) -> Result<String, Why> {
        let (least, most) = match datum {
            DatumType::I8 => (i32::from(i8::MIN), i32::from(i8::MAX)),
            DatumType::U8 => (0, i32::from(u8::MAX)),
            DatumType::I16 => (i32::from(i16::MIN), i32::from(i16::MAX)),
            DatumType::U16 => (0, i32::from(u16::MAX)),
            _ => return Ok(sum),
        };
        let (least, most) = (self.hold(&least.into())?, self.hold(&most.into())?);
        Ok(self.add("Clip", &[sum, least, most], Vec::new()))
    }

    fn place(
        &mut self,
        node: &TypedNode,
        op: &str,
        last: bool,
        value: String,
        (axis, lead): (usize, usize),
    ) -> Result<(), Why> {
        let attributes = vec![onnx::int("axis", axis as i64), onnx::int("select_last_index", i64::from(last))];
        let name = self.add(op, &[value], attributes);
        self.set(node, Either { name, lead })
    }

    pub(super) fn softmax(&mut self, node: &TypedNode, op: &Softmax) -> Result<(), Why> {
        if op.quant_output_dt.is_some() {
            return Err("it is quantised".to_owned());
        }
        let computed = self.floats(node)?;
        let kind = match op.kind {
            SoftmaxKind::Softmax => "Softmax",
            SoftmaxKind::LogSoftmax => "LogSoftmax",
        };
        let (Either { name: value, lead }, _) = self.operand(node.inputs[0])?;
        if let [axis] = op.axes[..] {
            let name = self.add(kind, &[value], vec![onnx::int("axis", (axis + lead) as i64)]);
            return self.set_computed(node, Either { name, lead }, computed);
        }
        // All of the axes last, and as one.
        let value = self.in_type(node.inputs[0], computed)?;
        let shape = self.shape(node.inputs[0])?;
        let (together, apart): (Vec<usize>, Vec<usize>) = (0..shape.len()).partition(|axis| op.axes.contains(axis));
        let order: Vec<usize> = apart.iter().chain(&together).copied().collect();
        let moved: Vec<usize> = order.iter().map(|axis| shape[*axis]).collect();
        let rows: usize = apart.iter().map(|axis| shape[*axis]).product();
        let value = self.transposed(value, &order);
        let value = self.reshaped(value, &[rows, moved[apart.len()..].iter().product()])?;
        let made = self.add(kind, &[value], vec![onnx::int("axis", 1)]);
        let made = self.reshaped(made, &moved)?;
        let mut back = vec![0; order.len()];
        order.iter().enumerate().for_each(|(place, axis)| back[*axis] = place);
        let name = self.transposed(made, &back);
        self.set_computed(node, Either { name, lead: 0 }, computed)
    }

    /// `x / √(mean(x²) + ε)`.
    pub(super) fn rms_norm(&mut self, node: &TypedNode, op: &RmsNorm) -> Result<(), Why> {
        let epsilon = op.eps.cast_to_scalar::<f32>().map_err(|cause| cause.to_string())?;
        let computed = self.floats(node)?;
        let (Either { name: value, lead }, _) = self.operand(node.inputs[0])?;
        let epsilon = self.scalar(epsilon.into(), computed)?;
        let squares = self.add("Mul", &[value.clone(), value.clone()], Vec::new());
        let mean = self.reduced("ReduceMean", squares, vec![op.axis + lead]);
        let moved = self.add("Add", &[mean, epsilon], Vec::new());
        let root = self.add("Sqrt", &[moved], Vec::new());
        let name = self.add("Div", &[value, root], Vec::new());
        self.set_computed(node, Either { name, lead }, computed)
    }

    /// Each element by those of the channels around it.
    pub(super) fn normalised_locally(&mut self, node: &TypedNode, op: &Lrn) -> Result<(), Why> {
        let computed = self.floats(node)?;
        let value = self.in_type(node.inputs[0], computed)?;
        let attributes = vec![
            onnx::float("alpha", op.alpha),
            onnx::float("beta", op.beta),
            onnx::float("bias", op.bias),
            onnx::int("size", op.size as i64),
        ];
        let name = self.add("LRN", &[value], attributes);
        self.set_computed(node, Either { name, lead: 0 }, computed)
    }
}
