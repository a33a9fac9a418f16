//! What a hop has agreed to take and to get back. It is checked before a byte of a tensor is awaited or any memory taken.

use std::time::Duration;

use thalweg_planner::TensorSpec;

use crate::{Answer, Open, PlanId, Reason};

/// One hop's side of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contract {
    /// The plan.
    pub plan: PlanId,
    /// Its epoch.
    pub epoch: u32,
    /// Index of the hop in the plan; 0 is where requests are made.
    pub hop: u8,
    /// The tensors that come, in the order in which they are sent.
    pub takes: Vec<Slot>,
    /// The outputs that all hops above make, in the order of the hops. They come back uncoded.
    pub returns: Vec<TensorSpec>,
    /// How long it takes, once the tensors have come, until the caller of the plan has its answer: this hop, those above
    /// and the way back, with some to spare. So long before the deadline the hop goes on with what has come, where that
    /// decodes; zero where it waits for everything.
    pub answers_in: Duration,
}

/// A tensor that a hop takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// Type and shape.
    pub spec: TensorSpec,
    /// How it comes from the hop below.
    pub codec: String,
    /// The most bytes that it takes in this codec.
    pub bytes_max: u64,
    /// Whether a beginning of it decodes to something coarser.
    pub early: bool,
}

/// Sizes of tensors that a contract allows: only this lets bytes be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    sizes: Vec<usize>,
    total: usize,
    /// So many bytes have to come in any case: behind them stand only tensors of which a beginning decodes, and one byte
    /// of the first of these is among them.
    least: usize,
}

impl Announced {
    /// Bytes of each tensor.
    pub fn sizes(&self) -> &[usize] {
        &self.sizes
    }

    /// Bytes of all of them.
    pub fn total(&self) -> usize {
        self.total
    }

    /// How many bytes have to be there to begin with less than all.
    pub fn least(&self) -> usize {
        self.least
    }
}

impl Contract {
    /// Whether this request is what was agreed on. The plan itself was found by [`crate::Installed`].
    pub fn admit(&self, open: &Open) -> Result<Announced, Reason> {
        if open.hop != self.hop {
            return Err(Reason::WrongHop { asked: open.hop, here: self.hop });
        }
        let coded = open.tensors.iter().zip(&self.takes).enumerate();
        if let Some((tensor, (coded, slot))) = coded.into_iter().find(|(_, (coded, slot))| coded.codec != slot.codec) {
            let (asked, agreed) = (coded.codec.as_str().into(), slot.codec.as_str().into());
            return Err(Reason::WrongCodec { tensor: tensor as u64, asked, agreed });
        }
        let sizes: Vec<u64> = open.tensors.iter().map(|coded| coded.bytes).collect();
        let mut admitted = announced(&sizes, self.takes.iter().map(|slot| 0..=slot.bytes_max))?;
        let early = self.takes.iter().rev().take_while(|slot| slot.early).count();
        let whole = admitted.sizes.iter().take(admitted.sizes.len() - early).sum::<usize>();
        admitted.least = whole.saturating_add(1).min(admitted.total);
        Ok(admitted)
    }

    /// Whether this answer from the hop above is what was agreed on.
    pub fn admit_answer(&self, answer: &Answer) -> Result<Announced, Reason> {
        let exact = self.returns.iter().map(|spec| spec.bytes().0..=spec.bytes().0);
        announced(&answer.sizes, exact)
    }
}

/// `sizes`, if there are as many as `allowed` and each is within its range.
fn announced(
    sizes: &[u64],
    allowed: impl ExactSizeIterator<Item = std::ops::RangeInclusive<u64>>,
) -> Result<Announced, Reason> {
    if sizes.len() != allowed.len() {
        return Err(Reason::WrongCount { announced: sizes.len() as u64, agreed: allowed.len() as u64 });
    }
    let mut checked = Announced { sizes: Vec::with_capacity(sizes.len()), total: 0, least: 0 };
    for (tensor, (size, allowed)) in sizes.iter().zip(allowed).enumerate() {
        let wrong = || Reason::WrongSize { tensor: tensor as u64, announced: *size, agreed: *allowed.end() };
        let fits = usize::try_from(*size).ok().filter(|_| allowed.contains(size));
        let size = fits.ok_or_else(wrong)?;
        checked.total = checked.total.checked_add(size).ok_or_else(wrong)?;
        checked.sizes.push(size);
    }
    checked.least = checked.total;
    Ok(checked)
}

#[cfg(test)]
mod tests {
    use thalweg_planner::DType;

    use super::*;
    use crate::Coded;

    fn contract() -> Contract {
        let spec = TensorSpec::new(DType::F32, [4]);
        Contract {
            plan: PlanId([1; 32]),
            epoch: 1,
            hop: 2,
            takes: vec![
                Slot { spec: spec.clone(), codec: "f16".into(), bytes_max: 8, early: false },
                Slot { spec: spec.clone(), codec: "int8".into(), bytes_max: u64::MAX, early: true },
            ],
            returns: vec![spec],
            answers_in: Duration::ZERO,
        }
    }

    fn open(hop: u8, tensors: &[(&str, u64)]) -> Open {
        let coded = |(codec, bytes): &(&str, u64)| Coded { codec: (*codec).to_owned(), bytes: *bytes };
        let tensors = tensors.iter().map(coded).collect();
        Open { trace: 1, plan: PlanId([1; 32]), epoch: 1, hop, remaining_us: 1, tensors }
    }

    #[test]
    fn a_request_as_agreed_is_admitted() {
        let admitted = contract().admit(&open(2, &[("f16", 8), ("int8", 100)]));
        assert_eq!(admitted, Ok(Announced { sizes: vec![8, 100], total: 108, least: 9 }));
    }

    #[test]
    fn each_departure_from_the_contract_is_named() {
        let refused = |open: Open| contract().admit(&open).map_err(|reason| reason.to_string()).err();
        let cases = [
            (
                open(1, &[("f16", 8), ("int8", 8)]),
                "a request for hop 1 came to hop 2: the path of the plan and the links differ",
            ),
            (open(2, &[("f16", 8), ("f16", 8)]), "tensor 1 comes as f16, but the plan says int8"),
            (open(2, &[("f16", 8)]), "1 tensors are announced, but the plan says 2"),
            (open(2, &[]), "0 tensors are announced, but the plan says 2"),
            (open(2, &[("f16", 8), ("int8", 8), ("x", 8)]), "3 tensors are announced, but the plan says 2"),
            (open(2, &[("f16", 9), ("int8", 8)]), "tensor 0 is announced with 9 bytes, but the plan allows 8"),
        ];
        for (open, expected) in cases {
            assert_eq!(refused(open).as_deref(), Some(expected));
        }
        let endless = contract().admit(&open(2, &[("f16", 8), ("int8", u64::MAX)]));
        assert!(matches!(endless, Err(Reason::WrongSize { tensor: 1, .. })));
    }

    #[test]
    fn what_must_come_ends_one_byte_into_the_last_tensors_that_decode_early() {
        let least = |early: [bool; 2], sizes: [u64; 2]| {
            let mut contract = contract();
            contract.takes.iter_mut().zip(early).for_each(|(slot, early)| slot.early = early);
            contract.admit(&open(2, &[("f16", sizes[0]), ("int8", sizes[1])])).map(|announced| announced.least())
        };
        assert_eq!(least([false, false], [8, 100]), Ok(108));
        assert_eq!(least([true, false], [8, 100]), Ok(108));
        assert_eq!(least([false, true], [8, 100]), Ok(9));
        assert_eq!(least([true, true], [8, 100]), Ok(1));
        assert_eq!(least([true, true], [0, 0]), Ok(0));
    }

    #[test]
    fn an_answer_has_exactly_the_agreed_sizes() {
        let answer = |sizes: &[u64]| Answer {
            trace: 7,
            received_us: 0,
            sent_us: 0,
            spans: vec![],
            coarse: vec![],
            sizes: sizes.to_vec(),
        };
        assert!(contract().admit_answer(&answer(&[16])).is_ok());
        for sizes in [&[15][..], &[17], &[], &[16, 0]] {
            assert!(contract().admit_answer(&answer(sizes)).is_err(), "{sizes:?} was admitted");
        }
    }
}
