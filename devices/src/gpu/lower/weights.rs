//! Constants that are multiplied by: in f16 where that is wanted, and packed for the product of matrices.

use half::f16;
use tract_onnx::tract_hir::internal::{OutletId, Tensor};

use super::super::ir::{Constant, Kind};
use super::super::matrix::DEPTH_MAX;
use super::super::view::View;
use super::{Lowering, Why, kind, words};
use crate::Precision;

impl Lowering<'_> {
    /// An operand of a product. Whether it is in f16 depends on the constant alone, not on the kernel that reads it,
    /// which may be another one where the model is cut elsewhere.
    pub(super) fn factor(&mut self, outlet: OutletId) -> Result<View, Why> {
        if let Some(view) = self.halved.get(&outlet) {
            return Ok(view.clone());
        }
        if let (Precision::F16, Some(tensor)) = (self.bounds.precision, self.constant(outlet))
            && let made @ Constant::Halves(_) = self.weights(&tensor)?
        {
            let view = View::whole(self.upload(made, Kind::Float), tensor.shape());
            self.halved.insert(outlet, view.clone());
            return Ok(view);
        }
        self.view(outlet)
    }

    /// Weights as they lie on the device.
    pub(super) fn weights(&self, tensor: &Tensor) -> Result<Constant, Why> {
        let words = words(tensor)?;
        let halves = match (self.bounds.precision, kind(tensor.datum_type())?) {
            (Precision::F16, Kind::Float) => halves(&words),
            _ => None,
        };
        Ok(halves.map_or(Constant::Words(words), Constant::Halves))
    }
}

/// The nearest f16 of each number. None where one is not finite or would not be, since nothing would be left of what it
/// is multiplied by; and none where all are below the normal ones, of which f16 keeps few digits.
fn halves(words: &[u32]) -> Option<Vec<f16>> {
    let halves: Vec<f16> = words.iter().map(|word| f16::from_f32(f32::from_bits(*word))).collect();
    let most = halves.iter().fold(0.0_f32, |most, half| most.max(half.to_f32().abs()));
    (halves.iter().all(|half| half.is_finite()) && most >= f16::MIN_POSITIVE.to_f32()).then_some(halves)
}

impl Constant {
    /// As the left operand of a product, in fours along m: [groups, k filled up, m filled up].
    pub(super) fn packed(&self, sizes: (usize, usize, usize), at: impl Fn(usize, usize, usize) -> usize) -> Self {
        match self {
            Self::Words(words) => Self::Words(packed(words, sizes, at)),
            Self::Halves(halves) => Self::Halves(packed(halves, sizes, at)),
        }
    }
}

fn packed<T: Copy + Default>(
    from: &[T],
    (groups, m, k): (usize, usize, usize),
    at: impl Fn(usize, usize, usize) -> usize,
) -> Vec<T> {
    let (k_all, m_all) = (k.next_multiple_of(DEPTH_MAX), m.next_multiple_of(4));
    let mut made = vec![T::default(); groups * k_all * m_all];
    for group in 0..groups {
        for k_at in 0..k {
            let row = &mut made[(group * k_all + k_at) * m_all..][..m];
            for (m_at, place) in row.iter_mut().enumerate() {
                *place = from[at(group, m_at, k_at)];
            }
        }
    }
    made
}
