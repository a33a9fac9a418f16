//! One byte of every element, stored in the way that takes the fewest bytes.
//!
//! A stored plane begins with a byte that says how: 0, and its bytes follow as they are; 1, and one byte follows, which
//! all of them are; 2, and a stream of [`crate::rans`] follows, of the plane's [`Frequencies`] and then its bytes.

use super::frequencies::Frequencies;
use crate::PlaneFault;
use crate::rans::{Decoder, Encoder};

const RAW: u8 = 0;
const CONSTANT: u8 = 1;
const CODED: u8 = 2;

/// A plane, and how it is stored in the fewest bytes.
#[derive(Debug)]
pub(crate) struct Plane {
    bytes: Vec<u8>,
    store: Store,
}

#[derive(Debug)]
enum Store {
    Raw,
    Constant(u8),
    Coded { frequencies: Box<Frequencies>, bytes: u64 },
}

impl Plane {
    /// Every plane of some elements.
    pub(crate) fn all<const SIZE: usize>(elements: &[[u8; SIZE]]) -> [Self; SIZE] {
        std::array::from_fn(|plane| Self::new(elements.iter().map(|element| element[plane]).collect()))
    }

    fn new(bytes: Vec<u8>) -> Self {
        let store = match bytes.first() {
            None => Store::Raw,
            Some(first) if bytes.iter().all(|byte| byte == first) => Store::Constant(*first),
            Some(_) => coded_or_raw(&bytes),
        };
        Self { bytes, store }
    }

    /// How many bytes it takes; of a coded plane an estimate that is a few bytes off at most.
    pub(crate) fn bytes(&self) -> u64 {
        match self.store {
            Store::Raw => 1 + self.bytes.len() as u64,
            Store::Constant(_) => 2,
            Store::Coded { bytes, .. } => 1 + bytes,
        }
    }

    /// Appends the plane as it is stored.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match &self.store {
            Store::Raw => {
                out.push(RAW);
                out.extend_from_slice(&self.bytes);
            }
            Store::Constant(byte) => out.extend([CONSTANT, *byte]),
            Store::Coded { frequencies, .. } => {
                out.push(CODED);
                let mut encoder = Encoder::new(out);
                let slots = frequencies.slots();
                for byte in self.bytes.iter().rev() {
                    let (start, freq) = slots[usize::from(*byte)];
                    encoder.put(start.into(), freq.into());
                }
                frequencies.put(&mut encoder);
                encoder.finish();
            }
        }
    }
}

/// Codes where an estimate says that it saves something.
fn coded_or_raw(bytes: &[u8]) -> Store {
    let counts = counts(bytes);
    let frequencies = Box::new(Frequencies::fit(&counts));
    let coded = frequencies.bytes(&counts);
    if coded < bytes.len() as u64 { Store::Coded { frequencies, bytes: coded } } else { Store::Raw }
}

/// How often each byte occurs. Four tables, because equal neighbours would wait for each other in one.
fn counts(bytes: &[u8]) -> [u64; 256] {
    let mut tables = [[0_u64; 256]; 4];
    let (fours, rest) = bytes.as_chunks::<4>();
    for four in fours {
        for (table, byte) in tables.iter_mut().zip(four) {
            table[usize::from(*byte)] += 1;
        }
    }
    for byte in rest {
        tables[0][usize::from(*byte)] += 1;
    }
    std::array::from_fn(|byte| tables.iter().map(|table| table[byte]).sum())
}

/// Sets byte `plane` of every element by the stored plane that `stored` begins with, and gives what is behind it.
pub(crate) fn decode<'a, const SIZE: usize>(
    stored: &'a [u8],
    plane: usize,
    elements: &mut [[u8; SIZE]],
) -> Result<&'a [u8], PlaneFault> {
    let (store, stored) = stored.split_first().ok_or(PlaneFault::EndsEarly)?;
    match *store {
        RAW => {
            let (bytes, rest) = stored.split_at_checked(elements.len()).ok_or(PlaneFault::EndsEarly)?;
            for (element, byte) in elements.iter_mut().zip(bytes) {
                element[plane] = *byte;
            }
            Ok(rest)
        }
        CONSTANT => {
            let (byte, rest) = stored.split_first().ok_or(PlaneFault::EndsEarly)?;
            for element in elements {
                element[plane] = *byte;
            }
            Ok(rest)
        }
        CODED => {
            let mut decoder = Decoder::new(stored);
            let frequencies = Frequencies::take(&mut decoder);
            if decoder.ran_out() {
                return Err(PlaneFault::EndsEarly);
            }
            let symbols = frequencies?.symbols();
            for element in elements {
                let symbol = symbols.at(decoder.slot());
                element[plane] = symbol.byte;
                decoder.advance(symbol.start.into(), symbol.freq.into());
            }
            if decoder.ran_out() {
                return Err(PlaneFault::EndsEarly);
            }
            if decoder.is_whole() { Ok(decoder.rest()) } else { Err(PlaneFault::Altered) }
        }
        other => Err(PlaneFault::UnknownStore(other)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Planes of `len` bytes, from a few different ones to all, some much more frequent than others.
    fn planes() -> impl Strategy<Value = Vec<u8>> {
        (1..3000_usize, 1..=255_u8, 1..6_u32).prop_flat_map(|(len, most, skew)| {
            let byte = (0.0..1.0_f64).prop_map(move |part| (f64::from(most) * part.powi(skew as i32)) as u8);
            prop::collection::vec(byte, len)
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn a_plane_comes_back_and_takes_what_was_estimated(bytes in planes(), behind in 0..3_usize) {
            let plane = Plane::new(bytes.clone());
            let mut stored = Vec::new();
            plane.encode(&mut stored);
            prop_assert!(plane.bytes() <= 1 + bytes.len() as u64);
            let (estimate, taken) = (plane.bytes(), stored.len() as u64);
            prop_assert!(estimate.abs_diff(taken) <= 4 + taken / 100, "{taken} bytes, not {estimate}");
            stored.extend(vec![5; behind]);
            let mut elements = vec![[1, 2]; bytes.len()];
            prop_assert_eq!(decode(&stored, 1, &mut elements), Ok(&[5; 3][..behind]));
            for (element, byte) in elements.iter().zip(&bytes) {
                prop_assert_eq!(*element, [1, *byte]);
            }
        }
    }
}
