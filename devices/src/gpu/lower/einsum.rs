//! Sums over axes of two operands, as products of matrices.

use tract_onnx::tract_hir::internal::TypedNode;
use tract_onnx::tract_hir::tract_core::ops::einsum::EinSum;

use super::super::ir::ValueId;
use super::super::view::{Index, View, as_one, row_major, volume};
use super::product::{Side, Sides};
use super::{Lowering, Why};

impl Lowering<'_> {
    /// A sum over axes of two operands. Axes are put into four groups: those of both operands and the result are the batch,
    /// those that the result lacks are summed, the others are rows and columns.
    pub(super) fn einsum(&mut self, node: &TypedNode, op: &EinSum) -> Result<View, Why> {
        if op.q_params.is_some() || op.axes.input_count() != 2 || op.axes.output_count() != 1 {
            return Err(format!("it is quantised, or has {} operands", op.axes.input_count()));
        }
        let views = [self.factor(node.inputs[0])?, self.factor(node.inputs[1])?];
        self.float(&views[0])?;
        self.float(&views[1])?;
        let axes = Axes::of(op, &views)?;
        // The operand whose axes come first in the result is the left one; packed weights are best there.
        let order = if axes.right_first() { [1, 0] } else { [0, 1] };
        let sum = self.sum(&axes, order, &views)?;
        Ok(axes.result(sum, &self.shape(node.id.into())?, order))
    }

    fn sum(&mut self, axes: &Axes, [left, right]: [usize; 2], views: &[View; 2]) -> Result<ValueId, Why> {
        let (batch, left_only, right_only) = axes.grouped(left, right);
        let k_ids = axes.summed();
        let collapse = |operand: usize, ids: &[usize]| as_one(&axes.strides(operand, ids));
        let fits = [(left, &left_only), (left, &k_ids), (right, &right_only), (right, &k_ids)]
            .iter()
            .all(|(operand, ids)| collapse(*operand, ids).is_some());
        if !fits {
            return self.sum_of_copies(axes, [left, right], views);
        }
        let size = |ids: &[usize]| ids.iter().map(|id| axes.sizes[*id]).product::<usize>();
        let (m, n, k) = (size(&left_only), size(&right_only), size(&k_ids));
        let shape: Vec<usize> = batch.iter().map(|id| axes.sizes[*id]).collect();
        let base = |operand: usize| {
            let strides: Vec<usize> = axes.strides(operand, &batch).into_iter().map(|(_, stride)| stride).collect();
            Index::of(&shape, &strides, axes.offsets[operand])
        };
        let step = |operand: usize, ids: &[usize]| collapse(operand, ids).map_or(0, |(_, stride)| stride);
        let sides = Sides {
            left: Side { view: &views[left], base: base(left), own: step(left, &left_only), k: step(left, &k_ids) },
            right: Side {
                view: &views[right],
                base: base(right),
                own: step(right, &right_only),
                k: step(right, &k_ids),
            },
        };
        if (n == 1 || m == 1)
            && let Some(made) = self.vector(&sides, (volume(&shape), m, n, k))?
        {
            return Ok(made);
        }
        self.strided_product(sides, (volume(&shape), m, n, k))
    }

    /// The same with each operand in the order of batch, own axes and summed ones.
    fn sum_of_copies(&mut self, axes: &Axes, order: [usize; 2], views: &[View; 2]) -> Result<ValueId, Why> {
        let mut copies = views.clone();
        let mut copied = axes.clone();
        let comes_together = |operand: usize, ids: &[usize]| as_one(&axes.strides(operand, ids)).is_some();
        let (batch, own, other) = axes.grouped(order[0], order[1]);
        for (operand, own) in order.into_iter().zip([own, other]) {
            if comes_together(operand, &own) && comes_together(operand, &axes.summed()) {
                continue;
            }
            let ids = batch.iter().copied().chain(own).chain(axes.summed());
            let ids: Vec<usize> = ids.filter(|id| axes.has(operand, *id)).collect();
            let (shape, strides): (Vec<_>, Vec<_>) = axes.strides(operand, &ids).into_iter().unzip();
            let view = View { value: views[operand].value, shape, strides, offset: axes.offsets[operand] };
            copies[operand] = self.copied(view)?;
            copied.lie(operand, &ids);
        }
        if copied == *axes {
            return Err("its axes do not come together".to_owned());
        }
        self.sum(&copied, order, &copies)
    }
}

/// The axes of a sum that are longer than 1.
#[derive(Debug, Clone, PartialEq)]
struct Axes {
    sizes: Vec<usize>,
    /// Strides in each operand; none where it lacks the axis.
    inputs: [Vec<Option<usize>>; 2],
    offsets: [usize; 2],
    /// Place in the result; none where it is summed.
    output: Vec<Option<usize>>,
}

impl Axes {
    fn of(op: &EinSum, views: &[View; 2]) -> Result<Self, Why> {
        let mut axes = Self {
            sizes: Vec::new(),
            inputs: [Vec::new(), Vec::new()],
            offsets: [views[0].offset, views[1].offset],
            output: Vec::new(),
        };
        for axis in op.axes.iter_all_axes() {
            let places: Vec<&[usize]> = axis.inputs.iter().map(|places| &places[..]).collect();
            if places.iter().any(|places| places.len() > 1) || axis.outputs[0].len() > 1 {
                return Err(format!("its axis {} comes twice", axis.repr));
            }
            let in_view = |operand: usize| {
                places[operand].first().map(|at| (views[operand].shape[*at], views[operand].strides[*at]))
            };
            let found = [in_view(0), in_view(1)];
            let size = found.iter().flatten().map(|(size, _)| *size).max().unwrap_or(1);
            if size == 1 {
                continue;
            }
            axes.sizes.push(size);
            for (strides, found) in axes.inputs.iter_mut().zip(found) {
                // An axis of 1 beside a longer one repeats.
                strides.push(found.map(|(own, stride)| if own == 1 { 0 } else { stride }));
            }
            axes.output.push(axis.outputs[0].first().copied());
        }
        let alone = |id: usize| axes.output[id].is_none() && axes.inputs.iter().any(|strides| strides[id].is_none());
        if (0..axes.sizes.len()).any(alone) {
            return Err("it sums over an axis of one operand".to_owned());
        }
        Ok(axes)
    }

    fn has(&self, operand: usize, id: usize) -> bool {
        self.inputs[operand][id].is_some()
    }

    fn own(&self, operand: usize) -> Vec<usize> {
        (0..self.sizes.len()).filter(|id| self.has(operand, *id) && !self.has(1 - operand, *id)).collect()
    }

    fn summed(&self) -> Vec<usize> {
        (0..self.sizes.len()).filter(|id| self.output[*id].is_none()).collect()
    }

    /// Sizes and strides in one operand; a stride of 0 where it lacks the axis.
    fn strides(&self, operand: usize, ids: &[usize]) -> Vec<(usize, usize)> {
        ids.iter().map(|id| (self.sizes[*id], self.inputs[operand][*id].unwrap_or(0))).collect()
    }

    /// Whether an axis of the second operand alone comes last-but-own of the first in the result.
    fn right_first(&self) -> bool {
        let last = |operand: usize| self.own(operand).into_iter().filter_map(|id| self.output[id]).max();
        match (last(0), last(1)) {
            (Some(first), Some(second)) => first > second,
            (Some(_), None) => false,
            (None, _) => true,
        }
    }

    /// Batch, axes of the left operand alone, and of the right one, each in the order of the result. What of the right one
    /// comes before the left one's is batch, so that the result is in one piece.
    fn grouped(&self, left: usize, right: usize) -> (Vec<usize>, Vec<usize>, Vec<usize>) {
        let in_order = |mut ids: Vec<usize>| {
            ids.sort_by_key(|id| self.output[*id]);
            ids
        };
        let left_own = in_order(self.own(left));
        let first = left_own.first().and_then(|id| self.output[*id]);
        let early = |id: &usize| self.output[*id].zip(first).is_some_and(|(own, first)| own < first);
        let (before, right_own): (Vec<_>, Vec<_>) = in_order(self.own(right)).into_iter().partition(early);
        let both =
            (0..self.sizes.len()).filter(|id| self.output[*id].is_some() && self.has(0, *id) && self.has(1, *id));
        let batch = in_order(both.chain(before).collect());
        (batch, left_own, right_own)
    }

    /// Operand `operand` lies in one piece, its axes in this order.
    fn lie(&mut self, operand: usize, ids: &[usize]) {
        let shape: Vec<usize> = ids.iter().map(|id| self.sizes[*id]).collect();
        for (id, stride) in ids.iter().zip(row_major(&shape)) {
            self.inputs[operand][*id] = Some(stride);
        }
        self.offsets[operand] = 0;
    }

    /// The result's axes in what a product has made: batch, rows, columns.
    fn result(&self, value: ValueId, shape: &[usize], [left, right]: [usize; 2]) -> View {
        let (batch, rows, columns) = self.grouped(left, right);
        let ids: Vec<usize> = batch.into_iter().chain(rows).chain(columns).collect();
        let sizes: Vec<usize> = ids.iter().map(|id| self.sizes[*id]).collect();
        let mut strides = vec![0; shape.len()];
        for (id, stride) in ids.iter().zip(row_major(&sizes)) {
            if let Some(place) = self.output[*id] {
                strides[place] = stride;
            }
        }
        View { value, shape: shape.to_vec(), strides, offset: 0 }
    }
}
