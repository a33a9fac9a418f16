//! Nodes that make one element, or one row, of many: reductions, softmax, norms; and rows of tables.

use tract_onnx::tract_hir::internal::TypedNode;
use tract_onnx::tract_hir::tract_core::ops::array::Gather;
use tract_onnx::tract_hir::tract_core::ops::nn::{Reduce, Reducer, RmsNorm, Softmax, SoftmaxKind};

use super::super::ir::{Insert, Kind, Operand, Template};
use super::super::view::{Index, View, row_major, volume};
use super::{Lowering, Why};

const REDUCE: Template = Template { name: "reduce", text: include_str!("../kernels/reduce.wgsl") };
const ROWS: Template = Template { name: "rows", text: include_str!("../kernels/rows.wgsl") };
const GATHER: Template = Template { name: "gather", text: include_str!("../kernels/gather.wgsl") };

/// Reductions of at least so many elements take a workgroup each, and of so many a large one.
const LONG: usize = 48;
const VERY_LONG: usize = 2048;

/// How a reduction begins, goes on and ends, as WGSL.
pub(super) struct How {
    start: &'static str,
    join: &'static str,
    value: &'static str,
    scale: &'static str,
}

pub(super) const SUM: How = How { start: "0.0", join: "a + b", value: "value", scale: "" };

impl Lowering<'_> {
    pub(super) fn reduce(&mut self, node: &TypedNode, op: &Reduce) -> Result<View, Why> {
        let view = self.view(node.inputs[0])?;
        self.float(&view)?;
        let how = match op.reducer {
            Reducer::Sum => SUM,
            Reducer::MeanOfSquares => How { value: "value * value", scale: "/ f32(p.count)", ..SUM },
            Reducer::Max => How { start: "-0x1.fffffep127f", join: "max(a, b)", ..SUM },
            Reducer::Min => How { start: "0x1.fffffep127f", join: "min(a, b)", ..SUM },
            Reducer::Prod => How { start: "1.0", join: "a * b", ..SUM },
            other => return Err(format!("the reduction {other:?}")),
        };
        let shape = self.shape(node.id.into())?;
        self.reduced(&view, &op.axes, &shape, how)
    }

    pub(super) fn reduced(&mut self, view: &View, axes: &[usize], shape: &[usize], how: How) -> Result<View, Why> {
        let (outer, inner) = apart(view, axes);
        let (len, count) = (volume(&outer.shape), volume(&inner.shape));
        let (lanes, group) = match count {
            0..LONG => (1, 64),
            LONG..VERY_LONG => (64, 64),
            _ => (256.min(self.bounds.threads), 256.min(self.bounds.threads)),
        };
        let (grid, pitch) = self.grid(len, group / lanes)?;
        let params = vec![("len", len), ("pitch", pitch * lanes / group), ("count", count)];
        let call = self.call(REDUCE, len, params, grid);
        let call = &mut self.program.calls[call];
        call.consts = vec![("LANES", lanes), ("GROUP", group)];
        call.inserts = vec![
            ("base", Insert::Index("line", Index::of_view(&outer))),
            ("inner", Insert::Index("r", Index::of_view(&inner))),
            ("join", Insert::Text(how.join.to_owned())),
            ("start", Insert::Text(how.start.to_owned())),
            ("value", Insert::Text(how.value.to_owned())),
            ("scale", Insert::Text(how.scale.to_owned())),
        ];
        call.macs = (len * count) as u64;
        call.sizes = format!("{len} of {count}");
        let value = self.template(vec![Operand { value: view.value, wide: false }]);
        Ok(View::whole(value, shape))
    }

    pub(super) fn softmax(&mut self, node: &TypedNode, op: &Softmax) -> Result<View, Why> {
        let store = match op.kind {
            SoftmaxKind::Softmax => "exp(in0[origin + inner(r)] - most) / all",
            SoftmaxKind::LogSoftmax => "in0[origin + inner(r)] - most - log(all)",
        };
        let body = format!(
            "var own = -0x1.fffffep127f;
  for (var r = thread; r < p.count; r += 64u) {{
    own = max(own, in0[origin + inner(r)]);
  }}
  let most = of_all(thread, own, true);
  var sum = 0.0;
  for (var r = thread; r < p.count; r += 64u) {{
    sum += exp(in0[origin + inner(r)] - most);
  }}
  let all = of_all(thread, sum, false);
  {}",
            store_all(store)
        );
        self.rows(node, &op.axes, body)
    }

    pub(super) fn rms_norm(&mut self, node: &TypedNode, op: &RmsNorm) -> Result<View, Why> {
        let epsilon = op.eps.cast_to_scalar::<f32>().map_err(|cause| cause.to_string())?;
        let body = format!(
            "var sum = 0.0;
  for (var r = thread; r < p.count; r += 64u) {{
    let value = in0[origin + inner(r)];
    sum = fma(value, value, sum);
  }}
  let scale = 1.0 / sqrt(of_all(thread, sum, false) / f32(p.count) + f32({epsilon:?}));
  {}",
            store_all("in0[origin + inner(r)] * scale")
        );
        self.rows(node, &[op.axis], body)
    }

    fn rows(&mut self, node: &TypedNode, axes: &[usize], body: String) -> Result<View, Why> {
        let view = self.view(node.inputs[0])?;
        self.float(&view)?;
        let (outer, inner) = apart(&view, axes);
        let placed = View { value: 0, strides: row_major(&view.shape), shape: view.shape.clone(), offset: 0 };
        let (place_outer, place_inner) = apart(&placed, axes);
        let (len, count) = (volume(&outer.shape), volume(&inner.shape));
        let (grid, pitch) = self.grid(len, 1)?;
        let call = self.call(ROWS, len * count, vec![("len", len), ("pitch", pitch), ("count", count)], grid);
        let index = |view: &View, variable| Insert::Index(variable, Index::of_view(view));
        self.program.calls[call].inserts = vec![
            ("base", index(&outer, "line")),
            ("inner", index(&inner, "r")),
            ("place_base", index(&place_outer, "line")),
            ("place", index(&place_inner, "r")),
            ("body", Insert::Text(body)),
        ];
        let value = self.template(vec![Operand { value: view.value, wide: false }]);
        Ok(View::whole(value, &view.shape))
    }

    pub(super) fn gather(&mut self, node: &TypedNode, op: &Gather) -> Result<View, Why> {
        let table = self.view(node.inputs[0])?;
        self.float(&table)?;
        let numbers = self.view(node.inputs[1])?;
        let (table, numbers) = (self.dense(table)?, self.dense(numbers)?);
        let shape = self.shape(node.id.into())?;
        let inner = volume(&table.shape[op.axis + 1..]);
        let len = volume(&shape);
        let (grid, pitch) = self.grid(len, 64)?;
        let rows = table.shape[op.axis];
        let params = vec![
            ("len", len),
            ("pitch", pitch),
            ("count", volume(&numbers.shape)),
            ("rows", rows),
            ("inner", inner),
            ("outer_stride", inner * rows),
            ("row_stride", inner),
            ("offset", table.offset),
            ("numbers_offset", numbers.offset),
        ];
        self.call(GATHER, len, params, grid);
        let operand = |view: &View| Operand { value: view.value, wide: false };
        let value = self.template(vec![operand(&table), operand(&numbers)]);
        Ok(View::whole(value, &shape))
    }

    pub(super) fn float(&self, view: &View) -> Result<(), Why> {
        match self.program.values[view.value].kind {
            Kind::Float => Ok(()),
            Kind::Int => Err("it is of integers".to_owned()),
        }
    }
}

fn store_all(expression: &str) -> String {
    format!(
        "if line < p.len {{
    for (var r = thread; r < p.count; r += 64u) {{
      finish(place_base(line) + place(r), line, {expression});
    }}
  }}"
    )
}

/// The axes that stay, and those that are reduced, the latter from the beginning of the value.
fn apart(view: &View, axes: &[usize]) -> (View, View) {
    let of = |reduced: bool| {
        let axes = (0..view.shape.len()).filter(|axis| axes.contains(axis) == reduced);
        let (shape, strides) = axes.map(|axis| (view.shape[axis], view.strides[axis])).unzip();
        View { value: view.value, shape, strides, offset: if reduced { 0 } else { view.offset } }
    };
    (of(false), of(true))
}
