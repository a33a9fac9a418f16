//! How frequent each byte of a plane is: fitted by the encoder, and sent before the plane.
//!
//! Their precision follows the plane. An error of a fraction e in the frequency of a byte costs about 0.7 · e² bits
//! each time that the byte occurs, so short planes send only the leading binary digits of frequencies; the most
//! frequent byte owns the slots that are left, and what it owns is not sent at all.

use crate::PlaneFault;
use crate::rans::{Decoder, Encoder, FREQ_BITS, TOTAL};

/// Classes of frequencies: 0 for a byte that does not occur, else the number of binary digits. All slots belong to one
/// byte only where the plane is constant, and there are no frequencies then.
const CLASSES: usize = FREQ_BITS as usize + 1;

/// How likely each class is for a byte, in slots, when the byte before it does not occur…
const AFTER_NONE: [u16; CLASSES] = [3840, 112, 56, 32, 16, 8, 8, 4, 4, 4, 4, 4, 4];
/// … and when that occurs: the first number is for a byte that does not occur, the others for the classes from that of
/// the byte before on upwards, and from the lowest on after the highest.
const AFTER_SOME: [u16; CLASSES] = [400, 1500, 800, 200, 28, 28, 28, 28, 28, 28, 28, 200, 800];

/// Binary digits in which the most frequent byte is sent, and the precision.
const MOST_BITS: u32 = 8;
const PRECISION_BITS: u32 = 4;

/// The parts of a bit in which costs are counted. A power of two.
const PARTS: u64 = 1024;

/// What a byte costs that owns this many slots, in parts of a bit.
static COSTS: [u16; TOTAL as usize + 1] = costs();

/// How many slots of the entropy coder each byte owns.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frequencies {
    freqs: [u16; 256],
    /// The byte that owns the slots that no other owns.
    most: u8,
    /// How many binary digits behind the first one a frequency has at most, except that of `most`.
    precision: u32,
}

/// A byte and the slots that it owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Symbol {
    pub(crate) byte: u8,
    pub(crate) start: u16,
    pub(crate) freq: u16,
}

/// The byte of every slot.
#[derive(Debug)]
pub(crate) struct Symbols(Box<[u32; TOTAL as usize]>);

impl Frequencies {
    /// Those of a plane in which each byte occurs as often as `counts` says: at least one does.
    pub(crate) fn fit(counts: &[u64; 256]) -> Self {
        let most = (0..=255).rev().max_by_key(|byte| counts[usize::from(*byte)]).unwrap_or(0);
        let some = counts.iter().filter(|count| **count > 0).count() as u64;
        // One digit more makes the error cost a quarter: it pays from four times the occurrences on.
        let occurrences = counts.iter().sum::<u64>().checked_div(some).unwrap_or(0);
        let precision = (occurrences.max(1).ilog2() / 2).clamp(1, FREQ_BITS - 1);
        let mut freqs = shares(counts).map(|share| {
            let dropped = share.checked_ilog2().unwrap_or(0).saturating_sub(precision);
            share >> dropped << dropped
        });
        freqs[usize::from(most)] = 0;
        freqs[usize::from(most)] = TOTAL as u16 - freqs.iter().sum::<u16>();
        Self { freqs, most, precision }
    }

    /// What a plane of these counts takes with the frequencies: an estimate that is a few bytes off at most.
    pub(crate) fn bytes(&self, counts: &[u64; 256]) -> u64 {
        let plane = counts.iter().zip(self.freqs).map(|(count, freq)| count * u64::from(COSTS[usize::from(freq)]));
        let sent = self.sent().map(|sent| {
            let (_, freq) = class_slots(sent.before, sent.class);
            u64::from(COSTS[usize::from(freq)]) + PARTS * u64::from(sent.digits)
        });
        let parts = plane.sum::<u64>() + sent.sum::<u64>() + PARTS * u64::from(MOST_BITS + PRECISION_BITS);
        // The states of the entropy coder begin with four bytes too many, and end with up to four more.
        parts.div_ceil(8 * PARTS) + 6
    }

    /// Puts the frequencies, so that they are decoded before what was put until now.
    pub(crate) fn put(&self, encoder: &mut Encoder<'_>) {
        let sent: Vec<Sent> = self.sent().collect();
        for sent in sent.iter().rev() {
            encoder.put_bits(sent.bits, sent.digits);
            let (start, freq) = class_slots(sent.before, sent.class);
            encoder.put(start.into(), freq.into());
        }
        encoder.put_bits(self.precision, PRECISION_BITS);
        encoder.put_bits(self.most.into(), MOST_BITS);
    }

    /// The frequencies that come next. They are of use only if the bytes have not run out.
    pub(crate) fn take(decoder: &mut Decoder<'_>) -> Result<Self, PlaneFault> {
        let most = decoder.take_bits(MOST_BITS) as u8;
        let precision = decoder.take_bits(PRECISION_BITS);
        let (mut freqs, mut left, mut before) = ([0; 256], TOTAL as u16, 0);
        for byte in (0..=255).filter(|byte| *byte != most) {
            let (class, start, freq) = class_at(before, decoder.slot() as u16);
            decoder.advance(start.into(), freq.into());
            before = class;
            let digits = class.saturating_sub(1) as u32;
            let (kept, dropped) = (digits.min(precision), digits.saturating_sub(precision));
            let behind = decoder.take_bits(kept) << dropped;
            let owned = if class > 0 { (1 << digits | behind) as u16 } else { 0 };
            // The most frequent byte owns at least one.
            left = left.checked_sub(owned).filter(|left| *left > 0).ok_or(PlaneFault::Frequencies)?;
            freqs[usize::from(byte)] = owned;
        }
        freqs[usize::from(most)] = left;
        Ok(Self { freqs, most, precision })
    }

    /// Where the slots of each byte start, and how many there are.
    pub(crate) fn slots(&self) -> [(u16, u16); 256] {
        let mut next = 0;
        self.freqs.map(|freq| {
            next += freq;
            (next - freq, freq)
        })
    }

    /// The byte of every slot.
    pub(crate) fn symbols(&self) -> Symbols {
        let mut symbols = Box::new([0; TOTAL as usize]);
        for (byte, (start, freq)) in (0_u32..).zip(self.slots()).filter(|(_, (_, freq))| *freq > 0) {
            let owned = usize::from(start)..usize::from(start + freq);
            symbols[owned].fill(byte | u32::from(start) << START_AT | u32::from(freq - 1) << FREQ_AT);
        }
        Symbols(symbols)
    }

    /// What is sent of the frequencies, in the order in which it is decoded.
    fn sent(&self) -> impl Iterator<Item = Sent> {
        let others = (0..=255).filter(|byte| *byte != self.most).map(|byte| self.freqs[usize::from(byte)]);
        others.scan(0, |last, freq| {
            let class = freq.checked_ilog2().map_or(0, |digits| digits as usize + 1);
            let digits = class.saturating_sub(1) as u32;
            let (kept, dropped) = (digits.min(self.precision), digits.saturating_sub(self.precision));
            let before = std::mem::replace(last, class);
            Some(Sent { before, class, bits: u32::from(freq) >> dropped & ((1 << kept) - 1), digits: kept })
        })
    }
}

const START_AT: u32 = 8;
const FREQ_AT: u32 = START_AT + FREQ_BITS;

impl Symbols {
    /// The symbol that owns a slot, which is below [`TOTAL`].
    #[inline]
    pub(crate) fn at(&self, slot: u32) -> Symbol {
        let packed = self.0[(slot % TOTAL) as usize];
        let start = (packed >> START_AT) % TOTAL;
        Symbol { byte: packed as u8, start: start as u16, freq: (packed >> FREQ_AT) as u16 + 1 }
    }
}

/// A frequency as it is sent: its class, and as many of the binary digits behind the first as the precision says.
struct Sent {
    /// The class of the byte before.
    before: usize,
    class: usize,
    bits: u32,
    digits: u32,
}

/// Shares of the slots in proportion to the counts, rounded down, but at least one where a count is not 0.
fn shares(counts: &[u64; 256]) -> [u16; 256] {
    let (mut slots, mut occurrences) = (u64::from(TOTAL), counts.iter().sum::<u64>());
    // Bytes too rare for a slot get one each. The others share the slots that are left, and more may be too rare then.
    let mut rare = [false; 256];
    loop {
        let found = (0..256).find(|byte| {
            let count = counts[*byte];
            count > 0 && !rare[*byte] && count * slots < occurrences
        });
        let Some(found) = found else { break };
        rare[found] = true;
        slots -= 1;
        occurrences -= counts[found];
    }
    std::array::from_fn(|byte| match rare[byte] {
        true => 1,
        false => (counts[byte] * slots).checked_div(occurrences).unwrap_or(0) as u16,
    })
}

/// The slots of a class, when the byte before is of class `before`: the first, and how many.
fn class_slots(before: usize, class: usize) -> (u16, u16) {
    let start = (0..class).map(|lower| class_freq(before, lower)).sum();
    (start, class_freq(before, class))
}

/// The class that owns a slot, and its slots.
fn class_at(before: usize, slot: u16) -> (usize, u16, u16) {
    let mut start = 0;
    for class in 0..CLASSES {
        let freq = class_freq(before, class);
        if slot < start + freq {
            return (class, start, freq);
        }
        start += freq;
    }
    (0, 0, class_freq(before, 0))
}

fn class_freq(before: usize, class: usize) -> u16 {
    match (before, class) {
        (0, _) => AFTER_NONE[class],
        (_, 0) => AFTER_SOME[0],
        _ => AFTER_SOME[1 + (class + CLASSES - 1 - before) % (CLASSES - 1)],
    }
}

/// Binary logarithms of `TOTAL / freq`, digit by digit: squaring a number doubles its logarithm.
const fn costs() -> [u16; TOTAL as usize + 1] {
    let mut costs = [0; TOTAL as usize + 1];
    let mut freq = 1;
    while freq <= TOTAL {
        let digits = freq.ilog2();
        // From 2³⁰ to below 2³¹, which stands for 1 to 2.
        let mut number = (freq as u64) << (30 - digits);
        let (mut logarithm, mut digit) = (digits as u64 * PARTS, PARTS);
        while digit > 1 {
            digit /= 2;
            number = (number * number) >> 30;
            if number >> 31 > 0 {
                number >>= 1;
                logarithm += digit;
            }
        }
        costs[freq as usize] = (FREQ_BITS as u64 * PARTS - logarithm) as u16;
        freq += 1;
    }
    costs
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Planes of few and of all bytes, even and uneven, short and long.
    fn counts() -> impl Strategy<Value = [u64; 256]> {
        let rare = prop_oneof![Just(0..1_u64), Just(0..2), Just(0..300), Just(0..1 << 40)];
        (rare, 0..256_usize, 0..1_u64 << 44).prop_flat_map(|(rare, most, count)| {
            prop::collection::vec(rare, 256).prop_map(move |mut counts| {
                counts[most] += 1 + count % (1 << (count % 45));
                counts.try_into().expect("256 counts")
            })
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn each_byte_that_occurs_has_a_slot_and_no_slot_is_left(counts in counts()) {
            let frequencies = Frequencies::fit(&counts);
            prop_assert_eq!(frequencies.freqs.iter().map(|freq| u32::from(*freq)).sum::<u32>(), TOTAL);
            for (count, freq) in counts.iter().zip(frequencies.freqs) {
                prop_assert_eq!(*count > 0, freq > 0);
            }
            let symbols = frequencies.symbols();
            for (byte, (start, freq)) in (0..=255).zip(frequencies.slots()) {
                for slot in start..start + freq {
                    prop_assert_eq!(symbols.at(slot.into()), Symbol { byte, start, freq });
                }
            }
        }

        #[test]
        fn frequencies_arrive_as_they_were_sent(counts in counts()) {
            let frequencies = Frequencies::fit(&counts);
            let mut stream = Vec::new();
            let mut encoder = Encoder::new(&mut stream);
            frequencies.put(&mut encoder);
            encoder.finish();
            let mut decoder = Decoder::new(&stream);
            prop_assert_eq!(Frequencies::take(&mut decoder), Ok(frequencies));
            prop_assert!(decoder.is_whole());
        }
    }

    #[test]
    fn costs_are_binary_logarithms() {
        for freq in 1..=TOTAL {
            let cost = f64::from(COSTS[freq as usize]) / PARTS as f64;
            let exact = (f64::from(TOTAL) / f64::from(freq)).log2();
            assert!((cost - exact).abs() <= 1.0 / PARTS as f64, "{freq}: {cost} and {exact}");
        }
    }

    #[test]
    fn classes_share_all_slots() {
        for before in 0..CLASSES {
            let last = class_slots(before, CLASSES - 1);
            assert_eq!(u32::from(last.0 + last.1), TOTAL);
            for class in 0..CLASSES {
                let (start, freq) = class_slots(before, class);
                for slot in start..start + freq {
                    assert_eq!(class_at(before, slot), (class, start, freq));
                }
            }
        }
    }
}
