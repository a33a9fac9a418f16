//! Products of two matrices, or of a matrix and a vector.

use super::super::ir::{Insert, Kind, Operand, Origin, Template, ValueId};
use super::super::matrix::{Left, MATRIX, Right, inserts};
use super::super::tiling::tiling;
use super::super::view::{Index, View};
use super::rows::SUM;
use super::{Lowering, Why};

const VECTOR: Template = Template { name: "vector", text: include_str!("../kernels/vector.wgsl") };

/// A product, with all operands in memory or made of an image.
pub(super) struct Product {
    pub(super) m: usize,
    pub(super) n: usize,
    pub(super) k: usize,
    pub(super) batch: usize,
    pub(super) left: ValueId,
    pub(super) left_kind: Left,
    /// Where the operand of one of the batch begins; in fours where it is packed.
    pub(super) left_base: Index,
    pub(super) right: ValueId,
    pub(super) right_kind: Right,
    pub(super) right_base: Index,
    pub(super) params: Vec<(&'static str, usize)>,
    pub(super) consts: Vec<(&'static str, usize)>,
}

/// One operand of a product.
pub(super) struct Side<'a> {
    pub(super) view: &'a View,
    pub(super) base: Index,
    /// Strides of its own axes and of the summed ones.
    pub(super) own: usize,
    pub(super) k: usize,
}

pub(super) struct Sides<'a> {
    pub(super) left: Side<'a>,
    pub(super) right: Side<'a>,
}

impl Lowering<'_> {
    /// The right operand by strides: four elements at a time where that is possible.
    pub(super) fn with_strides(&self, mut product: Product, right_k: usize, right_n: usize) -> Product {
        let len = self.program.values[product.right].len;
        if right_n == 1 && fours(&product.right_base, &[product.n, right_k, len]) {
            product.right_kind = Right::Wide;
        } else {
            product.params.push(("right_n", right_n));
        }
        product.params.push(("right_k", right_k));
        product
    }

    pub(super) fn strided_product(
        &mut self,
        sides: Sides<'_>,
        (batch, m, n, k): (usize, usize, usize, usize),
    ) -> Result<ValueId, Why> {
        let constant = match &self.program.values[sides.left.view.value].origin {
            Origin::Constant(constant) if sides.left.base.terms.is_empty() => Some(constant),
            _ => None,
        };
        let mut product = Product {
            m,
            n,
            k,
            batch,
            left: sides.left.view.value,
            left_kind: Left::Strided,
            left_base: sides.left.base.clone(),
            right: sides.right.view.value,
            right_kind: Right::Strided,
            right_base: sides.right.base,
            params: Vec::new(),
            consts: Vec::new(),
        };
        match constant {
            Some(constant) => {
                let (from, own, step) = (sides.left.base.offset, sides.left.own, sides.left.k);
                let weights = constant.packed((1, m, k), |_, m_at, k_at| from + m_at * own + k_at * step);
                product.left = self.upload(weights, Kind::Float);
                (product.left_kind, product.left_base) = (Left::Packed, Index::default());
                product.params.push(("m4", m.div_ceil(4)));
            }
            None => {
                product.params.push(("left_m", sides.left.own));
                let in_fours = fours(&product.left_base, &[k, sides.left.own, self.program.values[product.left].len]);
                if sides.left.k == 1 && in_fours {
                    product.left_kind = Left::Rows;
                } else {
                    product.params.push(("left_k", sides.left.k));
                }
            }
        }
        let product = self.with_strides(product, sides.right.k, sides.right.own);
        self.product(product)
    }

    /// A product with one column or row, if the matrix lies so that a workgroup can read along it.
    pub(super) fn vector(
        &mut self,
        sides: &Sides<'_>,
        (batch, m, n, k): (usize, usize, usize, usize),
    ) -> Result<Option<ValueId>, Why> {
        let (matrix, vector) = if n == 1 { (&sides.left, &sides.right) } else { (&sides.right, &sides.left) };
        let one = |index: &Index| match index.terms.as_slice() {
            [] => Some(0),
            [term] if term.div == 1 && term.size.is_none() => Some(term.stride),
            _ => None,
        };
        let Some((matrix_stride, vector_stride)) = one(&matrix.base).zip(one(&vector.base)) else { return Ok(None) };
        if (matrix.k, vector.k) != (1, 1) || (m == 1 && n == 1 && k < 64) {
            return Ok(None);
        }
        let rows = m.max(n);
        let numbers = [matrix.base.offset, vector.base.offset, matrix_stride, vector_stride, matrix.own, k];
        let lens = [matrix, vector].map(|side| self.program.values[side.view.value].len);
        let wide = numbers.iter().chain(&lens).all(|number| number.is_multiple_of(4));
        let by = if wide { 4 } else { 1 };
        let len = batch * rows;
        let (grid, pitch) = self.grid(len, 1)?;
        let params = vec![
            ("len", len),
            ("pitch", pitch),
            ("m", rows),
            ("steps", k / by),
            ("matrix", numbers[0] / by),
            ("vector", numbers[1] / by),
            ("matrix_stride", matrix_stride / by),
            ("vector_stride", vector_stride / by),
            ("row_stride", matrix.own / by),
        ];
        let call = self.call(VECTOR, len, params, grid);
        let call = &mut self.program.calls[call];
        let multiply = if wide {
            "sum += dot(in0[row + k], in1[vector + k]);"
        } else {
            "sum = fma(in0[row + k], in1[vector + k], sum);"
        };
        call.inserts = vec![("multiply", Insert::Text(multiply.to_owned()))];
        call.macs = (len * k) as u64;
        let operand = |side: &Side<'_>| Operand { value: side.view.value, wide };
        Ok(Some(self.template(vec![operand(matrix), operand(vector)])))
    }

    pub(super) fn product(&mut self, product: Product) -> Result<ValueId, Why> {
        let Product { m, n, k, batch, .. } = product;
        let (tile, splits) =
            tiling((m, n, k, batch), product.right_kind, self.bounds).ok_or("the device shares too little memory")?;
        let chunk = k.div_ceil(splits).next_multiple_of(tile.depth);
        let splits = k.div_ceil(chunk);
        let grid = [n.div_ceil(tile.bn), m.div_ceil(tile.bm), batch * splits];
        if grid.iter().any(|groups| *groups > self.bounds.groups) || m * n * batch * splits > u32::MAX as usize / 2 {
            return Err(format!("{m} by {n} elements, {batch} times, are too many"));
        }
        let mut params = vec![("m", m), ("n", n), ("k", k), ("batch", batch), ("chunk", chunk)];
        params.extend(product.params);
        let len = m * n * batch * splits;
        let call = self.call(MATRIX, len, params, grid);
        let call = &mut self.program.calls[call];
        call.consts = tile.consts(product.left_kind);
        call.consts.extend(product.consts);
        call.inserts = inserts(tile, product.left_kind, product.right_kind);
        call.inserts.push(("left_base", Insert::Index("batch", product.left_base)));
        call.inserts.push(("right_base", Insert::Index("batch", product.right_base)));
        call.sizes = format!(
            "{m}x{n}x{k} {batch} times in {}x{} and {splits} parts {:?} {:?}",
            tile.bm, tile.bn, product.left_kind, product.right_kind
        );
        call.row = n;
        call.macs = (m * n * k * batch) as u64;
        let reads = vec![
            Operand { value: product.left, wide: product.left_kind != Left::Strided },
            Operand { value: product.right, wide: product.right_kind == Right::Wide },
        ];
        let made = self.template(reads);
        if splits == 1 {
            return Ok(made);
        }
        let shape = [splits, batch * m, n];
        let parts = View::whole(made, &shape);
        let whole = self.reduced(&parts, &[0], &[batch * m * n], SUM)?;
        Ok(whole.value)
    }
}

/// Whether all that is read from there is so in fours.
fn fours(base: &Index, numbers: &[usize]) -> bool {
    let strides = base.terms.iter().map(|term| term.stride);
    strides.chain([base.offset]).chain(numbers.iter().copied()).all(|number| number.is_multiple_of(4))
}
