//! Puts tensors together from bytes that arrive in pieces of any size.

use crate::{Announced, Reason};

/// Tensors as bytes, one after the other: what one frame announces and what follows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Payload {
    bytes: Vec<u8>,
    sizes: Vec<usize>,
    cut: bool,
}

impl Payload {
    /// Lets `write` append one more tensor.
    pub fn append<E>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        let start = self.bytes.len();
        write(&mut self.bytes)?;
        self.sizes.push(self.bytes.len().saturating_sub(start));
        Ok(())
    }

    /// Whether the last bytes have not been awaited: then one tensor is a beginning, and those after it are empty.
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// The bytes of each tensor.
    pub fn tensors(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.bytes.as_slice();
        self.sizes.iter().map(move |size| {
            let (tensor, after) = rest.split_at_checked(*size).unwrap_or((rest, &[]));
            rest = after;
            tensor
        })
    }

    /// The sizes of the tensors, as a frame announces them.
    pub fn sizes(&self) -> impl Iterator<Item = u64> {
        self.sizes.iter().map(|size| *size as u64)
    }

    /// Bytes of all tensors.
    pub fn total(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Gives the bytes away.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// A payload that is still arriving.
#[derive(Debug)]
pub struct Assembly {
    announced: Announced,
    bytes: Vec<u8>,
}

impl Assembly {
    /// Takes memory for what was announced, and never more.
    pub fn new(announced: Announced) -> Self {
        let bytes = Vec::with_capacity(announced.total());
        Self { announced, bytes }
    }

    /// How many bytes have not come yet.
    pub fn missing(&self) -> usize {
        self.announced.total() - self.bytes.len()
    }

    /// Takes the next piece; refuses one that goes beyond what was announced, and keeps what it had.
    pub fn accept(&mut self, piece: &[u8]) -> Result<(), Reason> {
        if piece.len() > self.missing() {
            return Err(self.wrong_length(piece.len()));
        }
        self.bytes.extend_from_slice(piece);
        Ok(())
    }

    /// The payload, once nothing is missing.
    pub fn finish(self) -> Result<Payload, Reason> {
        match self.missing() {
            0 => Ok(Payload { bytes: self.bytes, sizes: self.announced.sizes().to_vec(), cut: false }),
            _ => Err(self.wrong_length(0)),
        }
    }

    /// Whether enough has come for [`Assembly::cut`].
    pub fn can_be_cut(&self) -> bool {
        self.bytes.len() >= self.announced.least()
    }

    /// What has come, where nothing more is awaited.
    pub fn cut(self) -> Payload {
        let mut rest = self.bytes.len();
        let there = |size: &usize| {
            let there = rest.min(*size);
            rest -= there;
            there
        };
        let cut = self.missing() > 0;
        let sizes = self.announced.sizes().iter().map(there).collect();
        Payload { bytes: self.bytes, sizes, cut }
    }

    fn wrong_length(&self, more: usize) -> Reason {
        let got = self.bytes.len().saturating_add(more) as u64;
        Reason::WrongLength { announced: self.announced.total() as u64, got }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use proptest::prelude::*;
    use thalweg_planner::{DType, TensorSpec};

    use super::*;
    use crate::{Answer, Contract, PlanId};

    fn announced(sizes: &[usize]) -> Announced {
        let returns = sizes.iter().map(|size| TensorSpec::new(DType::U8, [*size])).collect();
        let contract =
            Contract { plan: PlanId([0; 32]), epoch: 0, hop: 0, takes: vec![], returns, answers_in: Duration::ZERO };
        let sizes = sizes.iter().map(|size| *size as u64).collect();
        contract
            .admit_answer(&Answer { trace: 7, received_us: 0, sent_us: 0, spans: vec![], coarse: vec![], sizes })
            .unwrap()
    }

    proptest! {
        #[test]
        fn any_pieces_give_the_same_tensors(
            tensors in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..5),
            pieces in prop::collection::vec(0usize..30, 1..20),
        ) {
            let sizes: Vec<_> = tensors.iter().map(Vec::len).collect();
            let bytes = tensors.concat();
            let mut assembly = Assembly::new(announced(&sizes));
            let mut rest = bytes.as_slice();
            for length in pieces.iter().cycle().take(200) {
                let (piece, after) = rest.split_at(rest.len().min(*length));
                assembly.accept(piece).unwrap();
                rest = after;
            }
            assembly.accept(rest).unwrap();
            prop_assert_eq!(assembly.missing(), 0);
            let payload = assembly.finish().unwrap();
            prop_assert!(payload.tensors().eq(tensors.iter().map(Vec::as_slice)));
            prop_assert_eq!(payload.into_bytes(), bytes);
        }

        #[test]
        fn arbitrary_pieces_never_panic_and_never_take_more_than_announced(
            sizes in prop::collection::vec(0usize..50, 0..4),
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..8),
        ) {
            let total: usize = sizes.iter().sum();
            let mut assembly = Assembly::new(announced(&sizes));
            let mut taken = 0;
            for piece in &pieces {
                let fits = taken + piece.len() <= total;
                prop_assert_eq!(assembly.accept(piece).is_ok(), fits);
                taken += if fits { piece.len() } else { 0 };
            }
            prop_assert_eq!(assembly.finish().is_ok(), taken == total);
        }
    }

    #[test]
    fn a_payload_that_is_cut_has_a_beginning_of_each_tensor() {
        let cut = |bytes: &[u8]| {
            let mut assembly = Assembly::new(announced(&[2, 3, 1]));
            assembly.accept(bytes).unwrap();
            assembly.cut()
        };
        let payload = cut(b"abcd");
        assert!(payload.is_cut());
        assert_eq!(payload.tensors().collect::<Vec<_>>(), [&b"ab"[..], b"cd", b""]);
        assert_eq!(payload.sizes().collect::<Vec<_>>(), [2, 2, 0]);
        assert!(!cut(b"abcdef").is_cut());
    }

    #[test]
    fn appended_tensors_are_told_apart() {
        let mut payload = Payload::default();
        for tensor in [&b"one"[..], b"", b"three"] {
            let write = |out: &mut Vec<u8>| {
                out.extend_from_slice(tensor);
                Ok::<_, ()>(())
            };
            payload.append(write).unwrap();
        }
        assert_eq!(payload.sizes().collect::<Vec<_>>(), [3, 0, 5]);
        assert_eq!(payload.tensors().collect::<Vec<_>>(), [&b"one"[..], b"", b"three"]);
    }
}
