//! How values lie in memory: views by strides, and indices that kernels compute from them.

use super::ir::ValueId;

/// Elements of a value in the order of a shape. A stride of 0 repeats; none is negative.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View {
    pub(super) value: ValueId,
    pub(super) shape: Vec<usize>,
    /// In elements.
    pub(super) strides: Vec<usize>,
    pub(super) offset: usize,
}

/// Strides of a tensor of this shape that lies in one piece, row by row.
pub(super) fn row_major(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

pub(super) fn volume(shape: &[usize]) -> usize {
    shape.iter().product()
}

impl View {
    /// All of a value.
    pub(super) fn whole(value: ValueId, shape: &[usize]) -> Self {
        Self { value, shape: shape.to_vec(), strides: row_major(shape), offset: 0 }
    }

    /// Whether it lies in one piece, row by row, from its offset on.
    pub(super) fn is_dense(&self) -> bool {
        matches!(merged(&self.shape, &self.strides).as_slice(), [] | [(_, 1)])
    }

    /// The same elements with the axis `from` at the place `to`.
    pub(super) fn moved(mut self, from: usize, to: usize) -> Self {
        let (size, stride) = (self.shape.remove(from), self.strides.remove(from));
        self.shape.insert(to, size);
        self.strides.insert(to, stride);
        self
    }

    /// With one more axis of size 1.
    pub(super) fn with_axis(mut self, axis: usize) -> Self {
        self.shape.insert(axis, 1);
        self.strides.insert(axis, 0);
        self
    }

    /// Without an axis, at its first place.
    pub(super) fn without_axis(mut self, axis: usize) -> Self {
        self.shape.remove(axis);
        self.strides.remove(axis);
        self
    }

    /// Every `step`th place of an axis, `size` of them from `start` on.
    pub(super) fn sliced(mut self, axis: usize, start: usize, size: usize, step: usize) -> Self {
        self.offset += start * self.strides[axis];
        self.shape[axis] = size;
        self.strides[axis] *= step;
        self
    }

    /// Repeated to this shape, which has as many axes or more.
    pub(super) fn repeated(mut self, shape: &[usize]) -> Option<Self> {
        while self.shape.len() < shape.len() {
            self = self.with_axis(0);
        }
        for (axis, size) in shape.iter().enumerate() {
            match self.shape[axis] {
                own if own == *size => {}
                1 => (self.shape[axis], self.strides[axis]) = (*size, 0),
                _ => return None,
            }
        }
        Some(self)
    }

    /// The same elements in the same order in another shape, where that takes no copy.
    pub(super) fn reshaped(&self, shape: &[usize]) -> Option<Self> {
        let reshaped = |strides| Self { shape: shape.to_vec(), strides, ..self.clone() };
        if volume(shape) != volume(&self.shape) {
            return None;
        }
        if self.is_dense() {
            return Some(reshaped(row_major(shape)));
        }
        // Axes that are only split, or that stay, or have size 1.
        let mut strides = vec![0; shape.len()];
        let mut own = merged(&self.shape, &self.strides);
        let mut left = own.pop();
        for axis in (0..shape.len()).rev().filter(|axis| shape[*axis] != 1) {
            let (size, stride) = left?;
            if size % shape[axis] != 0 {
                return None;
            }
            strides[axis] = stride;
            left = if size == shape[axis] { own.pop() } else { Some((size / shape[axis], stride * shape[axis])) };
        }
        Some(reshaped(strides))
    }
}

/// Sizes and strides without axes of size 1, and with neighbours in one where a step of the outer is all of the inner.
fn merged(shape: &[usize], strides: &[usize]) -> Vec<(usize, usize)> {
    let mut merged: Vec<(usize, usize)> = Vec::new();
    for (size, stride) in shape.iter().copied().zip(strides.iter().copied()).filter(|(size, _)| *size != 1) {
        match merged.last_mut() {
            Some((outer, step)) if *step == stride * size => (*outer, *step) = (*outer * size, stride),
            _ => merged.push((size, stride)),
        }
    }
    merged
}

/// Where something lies, by the number `o` of an element in a shape: `offset + Σ (o / div % size) · stride`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Index {
    pub(super) offset: usize,
    pub(super) terms: Vec<Term>,
}

/// One axis of an [`Index`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Term {
    pub(super) div: usize,
    /// None where nothing lies outside of it.
    pub(super) size: Option<usize>,
    pub(super) stride: usize,
}

impl Index {
    /// For elements with these strides, numbered in this shape.
    pub(super) fn of(shape: &[usize], strides: &[usize], offset: usize) -> Self {
        let (mut terms, mut div) = (Vec::new(), 1);
        let axes = merged(shape, strides);
        for (place, (size, stride)) in axes.iter().copied().enumerate().rev() {
            if stride != 0 {
                terms.push(Term { div, size: (place > 0).then_some(size), stride });
            }
            div *= size;
        }
        Self { offset, terms }
    }

    pub(super) fn of_view(view: &View) -> Self {
        Self::of(&view.shape, &view.strides, view.offset)
    }

    /// Element `o` lies at `offset + o`.
    pub(super) fn linear(offset: usize) -> Self {
        Self { offset, terms: vec![Term { div: 1, size: None, stride: 1 }] }
    }
}

/// The one stride of several axes taken as one, where they have one; their common size is that of the product.
pub(super) fn as_one(axes: &[(usize, usize)]) -> Option<(usize, usize)> {
    let (shape, strides): (Vec<_>, Vec<_>) = axes.iter().copied().unzip();
    match merged(&shape, &strides).as_slice() {
        [] => Some((1, 0)),
        [one] => Some(*one),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn indices(index: &Index, count: usize) -> Vec<usize> {
        let at = |o: usize| {
            let term = |term: &Term| term.size.map_or(o / term.div, |size| o / term.div % size) * term.stride;
            index.offset + index.terms.iter().map(term).sum::<usize>()
        };
        (0..count).map(at).collect()
    }

    #[test]
    fn an_index_follows_moved_repeated_and_sliced_axes() {
        let view = View::whole(0, &[2, 3, 4]);
        assert_eq!(Index::of_view(&view), Index::linear(0));
        let moved = view.clone().moved(1, 2);
        assert_eq!(indices(&Index::of_view(&moved), 6), [0, 4, 8, 1, 5, 9]);
        let sliced = view.clone().sliced(2, 1, 2, 2);
        assert_eq!(indices(&Index::of_view(&sliced), 5), [1, 3, 5, 7, 9]);
        let repeated = View::whole(0, &[3, 1]).repeated(&[2, 3, 2]).expect("3 stays");
        assert_eq!(indices(&Index::of_view(&repeated), 12), [0, 0, 1, 1, 2, 2, 0, 0, 1, 1, 2, 2]);
        assert_eq!(View::whole(0, &[3]).repeated(&[2]), None);
    }

    #[test]
    fn a_view_is_reshaped_where_it_takes_no_copy() {
        let view = View::whole(0, &[2, 6, 4]).sliced(2, 0, 2, 1);
        let split = view.reshaped(&[2, 2, 3, 2]).expect("an axis is split");
        assert_eq!(indices(&Index::of_view(&split), 24), indices(&Index::of_view(&view), 24));
        assert!(view.reshaped(&[2, 12]).is_none() && !view.is_dense());
        assert_eq!(view.reshaped(&[12, 1, 2]).map(|view| view.strides), Some(vec![4, 0, 1]));
    }

    #[test]
    fn axes_are_one_where_they_have_one_stride() {
        assert_eq!(as_one(&[(2, 12), (3, 4), (1, 9)]), Some((6, 4)));
        assert_eq!(as_one(&[(2, 4), (3, 8)]), None);
        assert_eq!(as_one(&[]), Some((1, 0)));
    }
}
