//! Range asymmetric numeral systems: symbols of known frequencies in nearly as few bits as their entropy.
//!
//! Duda, "Asymmetric numeral systems: entropy coding combining speed of Huffman coding with compression rate of
//! arithmetic coding" (2013), in the range variant, as two states that take turns (Giesen, "Interleaved entropy
//! coders", 2014). Integers only, so a stream is the same on every machine.
//!
//! Whoever codes says how frequent a symbol is: it owns `freq` of [`TOTAL`] slots, from `start` on, and may own others
//! the next time. Both ends must say the same in the same order.
//!
//! A stream is the two states as the decoder begins with them, four bytes each, and then the words in the order in
//! which the decoder needs them, two bytes each, all little-endian. A prefix of a stream decodes to the first symbols.
//! Beyond the symbols' entropy a stream takes four to eight bytes. A single symbol takes less than a tenth of a bit more
//! or less than its own, and on average some thousandths more.

/// Binary digits of a frequency.
pub(crate) const FREQ_BITS: u32 = 12;
/// Slots that the symbols share.
pub(crate) const TOTAL: u32 = 1 << FREQ_BITS;

/// No state is below this between symbols. It is a multiple of [`TOTAL`]: only so are words read where they were put.
const LOWEST: u32 = 1 << WORD_BITS;
const WORD_BITS: u32 = 16;
/// Bytes that the encoder makes room for at a time.
const ROOM: usize = 4096;

/// Takes the symbols in reverse: the last one that is put is the first to be decoded.
#[derive(Debug)]
pub(crate) struct Encoder<'a> {
    out: &'a mut Vec<u8>,
    /// Where the stream begins in `out`. Until it is finished it stands there backwards, with room behind it.
    start: usize,
    /// Where its next word goes.
    at: usize,
    /// The state that takes the next symbol.
    state: u32,
    /// The state that takes the one after it.
    other: u32,
}

impl<'a> Encoder<'a> {
    /// An encoder that appends one stream to `out`, which is complete after [`Encoder::finish`].
    pub(crate) fn new(out: &'a mut Vec<u8>) -> Self {
        let start = out.len();
        Self { out, start, at: start, state: LOWEST, other: LOWEST }
    }

    /// Puts the symbol that owns the slots from `start` to `start + freq`, at least one and all below `TOTAL`.
    #[inline]
    pub(crate) fn put(&mut self, start: u32, freq: u32) {
        debug_assert!(freq > 0 && start + freq <= TOTAL, "{freq} slots from {start}");
        // Beyond this the new state would not fit.
        let state = self.shrunk(self.state >> (2 * WORD_BITS - FREQ_BITS) >= freq);
        let (quotient, remainder) = (state / freq, state % freq);
        self.turn((quotient << FREQ_BITS) + start + remainder);
    }

    /// Puts the lowest `count` bits, at most 16, of `bits` as they are, which takes just as many.
    #[inline]
    pub(crate) fn put_bits(&mut self, bits: u32, count: u32) {
        debug_assert!(count <= WORD_BITS && bits < 1 << count, "{bits} in {count} bits");
        let state = self.shrunk(u64::from(self.state) >> (2 * WORD_BITS - count) > 0);
        self.turn(state << count | bits);
    }

    /// Completes the stream.
    pub(crate) fn finish(self) {
        self.out.truncate(self.at);
        // The last symbol was put into what is now the other state: there the decoder begins.
        self.out.extend(self.state.to_be_bytes());
        self.out.extend(self.other.to_be_bytes());
        self.out[self.start..].reverse();
    }

    fn turn(&mut self, state: u32) {
        (self.state, self.other) = (self.other, state);
    }

    /// The state without its low word, which is written, if it has to be. There is no branch to predict.
    #[inline]
    fn shrunk(&mut self, writes: bool) -> u32 {
        if self.at + 2 > self.out.len() {
            self.out.resize(self.at + ROOM, 0);
        }
        let [.., high, low] = self.state.to_be_bytes();
        self.out[self.at..self.at + 2].copy_from_slice(&[high, low]);
        self.at += 2 * usize::from(writes);
        if writes { self.state >> WORD_BITS } else { self.state }
    }
}

/// Gives the symbols in the order that is the reverse of the encoder's. Takes any bytes, and then gives any symbols.
#[derive(Debug, Clone)]
pub(crate) struct Decoder<'a> {
    bytes: &'a [u8],
    /// Where the next word begins: beyond the end when one was missing.
    at: usize,
    /// The state that holds the next symbol.
    state: u32,
    /// The state that holds the one after it.
    other: u32,
}

impl<'a> Decoder<'a> {
    /// A decoder of the stream that `bytes` begins with.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        let state = |at: usize| {
            bytes.get(at..at + 4).map_or(0, |four| u32::from_le_bytes([four[0], four[1], four[2], four[3]]))
        };
        Self { bytes, at: 8, state: state(0), other: state(4) }
    }

    /// One of the slots of the next symbol, below `TOTAL`. It is right unless the bytes [`Decoder::ran_out`] before.
    #[inline]
    pub(crate) fn slot(&self) -> u32 {
        self.state % TOTAL
    }

    /// Goes on behind the next symbol, which owns the slots from `start` to `start + freq`.
    #[inline]
    pub(crate) fn advance(&mut self, start: u32, freq: u32) {
        // Nothing overflows while the slot is one of the symbol's.
        let quotient = freq.wrapping_mul(self.state >> FREQ_BITS);
        self.turn(quotient.wrapping_add(self.slot()).wrapping_sub(start));
    }

    /// The next `count` bits, at most 16, which were put as they are. They are right unless the bytes
    /// [`Decoder::ran_out`] before.
    #[inline]
    pub(crate) fn take_bits(&mut self, count: u32) -> u32 {
        debug_assert!(count <= WORD_BITS, "{count} bits");
        let bits = self.state & ((1 << count) - 1);
        self.turn(self.state >> count);
        bits
    }

    /// Whether the bytes ended before the symbols: no symbol after the one that was last advanced over is certain, and
    /// all before it are.
    #[inline]
    pub(crate) fn ran_out(&self) -> bool {
        self.at > self.bytes.len()
    }

    /// Whether the states are those that the encoder began with: they are behind the last symbol of a whole stream, and
    /// hardly ever behind that of an altered one.
    pub(crate) fn is_whole(&self) -> bool {
        !self.ran_out() && (self.state, self.other) == (LOWEST, LOWEST)
    }

    /// The bytes behind the stream, once its last symbol was taken.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// Refills a state. There is no branch to predict: whether a state needs a word is as good as random.
    #[inline]
    fn turn(&mut self, state: u32) {
        let word = self.bytes.get(self.at..self.at + 2).map_or(0, |two| u16::from_le_bytes([two[0], two[1]]));
        let needs = state < LOWEST;
        let refilled = if needs { state << WORD_BITS | u32::from(word) } else { state };
        self.at += 2 * usize::from(needs);
        (self.state, self.other) = (self.other, refilled);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is put: a symbol's slots, or bits and their count.
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Item {
        Symbol { start: u32, freq: u32 },
        Bits { bits: u32, count: u32 },
    }

    impl Item {
        fn put(self, encoder: &mut Encoder<'_>) {
            match self {
                Self::Symbol { start, freq } => encoder.put(start, freq),
                Self::Bits { bits, count } => encoder.put_bits(bits, count),
            }
        }

        /// Whether the decoder gives this item next.
        fn is_next(self, decoder: &mut Decoder<'_>) -> bool {
            match self {
                Self::Symbol { start, freq } => {
                    let slot = decoder.slot();
                    decoder.advance(start, freq);
                    (start..start + freq).contains(&slot)
                }
                Self::Bits { bits, count } => decoder.take_bits(count) == bits,
            }
        }

        fn bits(self) -> f64 {
            match self {
                Self::Symbol { freq, .. } => (f64::from(TOTAL) / f64::from(freq)).log2(),
                Self::Bits { count, .. } => f64::from(count),
            }
        }

        /// By how many bits what it takes differs from [`Item::bits`] at most. A state is divided by the slots, or
        /// loses its low word for the bits, and the quotient is rounded down: it is at least this, and was up to one
        /// more.
        fn slack(self) -> f64 {
            let quotient = match self {
                Self::Symbol { .. } => 1 << (WORD_BITS - FREQ_BITS),
                Self::Bits { count, .. } => 1 << (WORD_BITS - count),
            };
            (1.0 + 1.0 / f64::from(quotient)).log2()
        }
    }

    /// Symbols from the rarest to the only one, and bits from none to a word.
    fn items() -> impl Strategy<Value = Vec<Item>> {
        let frequent = (0..64_u32).prop_map(|start| (start, TOTAL - 64));
        let uneven = (0..TOTAL, 1..=TOTAL).prop_map(|(start, freq)| (start, freq.min(TOTAL - start)));
        let rare = (0..TOTAL).prop_map(|start| (start, 1));
        let slots = prop_oneof![4 => frequent, 2 => uneven, 1 => rare, 1 => Just((0, TOTAL))];
        let symbol = slots.prop_map(|(start, freq)| Item::Symbol { start, freq });
        let bits = (0..=WORD_BITS, any::<u32>());
        let bits = bits.prop_map(|(count, bits)| Item::Bits { bits: bits & ((1 << count) - 1), count });
        prop::collection::vec(prop_oneof![4 => symbol, 1 => bits], 0..400)
    }

    fn stream(items: &[Item]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut encoder = Encoder::new(&mut out);
        for item in items.iter().rev() {
            item.put(&mut encoder);
        }
        encoder.finish();
        out
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn what_was_put_last_comes_first(items in items(), before in 0..3_usize, after in 0..3_usize) {
            let mut out = vec![7; before];
            let mut encoder = Encoder::new(&mut out);
            for item in items.iter().rev() {
                item.put(&mut encoder);
            }
            encoder.finish();
            out.extend(vec![9; after]);
            let mut decoder = Decoder::new(&out[before..]);
            for (at, item) in items.iter().enumerate() {
                prop_assert!(item.is_next(&mut decoder), "item {at}");
                prop_assert!(!decoder.ran_out());
            }
            prop_assert!(decoder.is_whole());
            prop_assert_eq!(decoder.rest(), vec![9; after]);
        }

        #[test]
        fn a_stream_takes_its_entropy_and_some_bytes(items in items()) {
            let bits: f64 = items.iter().map(|item| item.bits()).sum();
            let slack: f64 = items.iter().map(|item| item.slack()).sum();
            let bytes = stream(&items).len() as f64;
            prop_assert!(bytes > (bits - slack) / 8.0 + 4.0 - 1e-9, "{bytes} bytes for {bits} bits");
            prop_assert!(bytes <= (bits + slack) / 8.0 + 8.0, "{bytes} bytes for {bits} bits");
        }

        #[test]
        fn a_prefix_gives_the_first_items(items in items(), cut in any::<prop::sample::Index>()) {
            let whole = stream(&items);
            let cut = cut.index(whole.len());
            let mut decoder = Decoder::new(&whole[..cut]);
            let mut taken = 0;
            while !decoder.ran_out() && taken < items.len() {
                prop_assert!(items[taken].is_next(&mut decoder), "item {taken} of a stream cut to {cut} bytes");
                taken += 1;
            }
            prop_assert!(!decoder.is_whole());
            // The eight bytes of the states hold four bytes at least. A state that needs a word holds less than two of
            // them when the bytes run out and the other one less than four; half a word is useless.
            let bits: f64 = items[..taken].iter().map(|item| item.bits() + item.slack()).sum();
            prop_assert!(bits / 8.0 + 11.0 >= cut as f64 || taken == items.len(), "{taken} items, {cut} bytes");
        }

        #[test]
        fn any_bytes_give_items(bytes in prop::collection::vec(any::<u8>(), 0..40), items in items()) {
            let mut decoder = Decoder::new(&bytes);
            for item in items {
                prop_assert!(decoder.slot() < TOTAL);
                item.is_next(&mut decoder);
            }
            prop_assert!(decoder.rest().len() <= bytes.len());
        }
    }

    #[test]
    fn a_stream_is_these_bytes_on_every_machine() {
        let items = [
            Item::Symbol { start: 0, freq: 3000 },
            Item::Symbol { start: 3000, freq: 1000 },
            Item::Bits { bits: 0xbeef, count: 16 },
            Item::Symbol { start: 4000, freq: 95 },
            Item::Symbol { start: 4095, freq: 1 },
            Item::Bits { bits: 5, count: 3 },
        ];
        assert_eq!(stream(&items), [31, 105, 217, 21, 227, 222, 132, 5, 255, 15]);
        assert_eq!(stream(&[]), [0, 0, 1, 0, 0, 0, 1, 0]);
    }
}
