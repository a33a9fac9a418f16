//! How a quantised coefficient becomes a symbol of a table, and raw bits.
//!
//! A coefficient's *class* says how large it is expected to be, in quarters of an octave. A quantised value is folded to
//! 0, -1, 1, -2, 2, … = 0, 1, 2, 3, 4, …; of large classes the lowest bits go out raw, so that the rest is distributed as
//! in the largest class with a table; what is still too large goes out as [`ESCAPE`] and an Elias gamma code.

/// Probabilities are in units of 2⁻¹².
pub(crate) const PRECISION: u32 = 12;
/// Symbols of a table.
pub(crate) const SYMBOLS: usize = 32;
/// The symbol of all that no other one stands for.
pub(crate) const ESCAPE: u32 = SYMBOLS as u32 - 1;
/// Classes with a table: an expected magnitude of 2⁻⁴ steps in the first, almost 4 in the last.
pub(crate) const CLASSES: usize = 24;
/// Classes an octave.
pub(crate) const OCTAVE: usize = 4;
/// The class, counted from the first one, of coefficients that are expected to be one step large.
pub(crate) const ONE_STEP: usize = 4 * OCTAVE;
/// Values from here on do not fit the arithmetic of the stream.
pub(crate) const VALUE_END: i32 = 1 << 24;

/// How many low bits of a class's values go out raw: what is left is distributed as in the class so many octaves below.
#[inline]
pub(crate) const fn raw_bits(class: usize) -> usize {
    (class + OCTAVE).saturating_sub(CLASSES) / OCTAVE
}

/// 0, -1, 1, -2, 2, … = 0, 1, 2, 3, 4, …
pub(crate) fn fold(value: i32) -> u32 {
    ((value << 1) ^ (value >> 31)).cast_unsigned()
}

/// The inverse of [`fold`].
pub(crate) fn unfold(folded: u32) -> i32 {
    (folded >> 1).cast_signed() ^ -(folded & 1).cast_signed()
}

/// A probability table of one class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table {
    /// In units of 2⁻¹², at least one: any symbol can come.
    frequencies: [u16; SYMBOLS],
    starts: [u16; SYMBOLS],
    /// The symbol of each of the 2¹² slots.
    symbols: Box<[u8; 1 << PRECISION]>,
}

impl Table {
    /// A table whose frequencies add up to 2¹², with some for each symbol; `None` for others.
    pub(crate) fn new(frequencies: [u16; SYMBOLS]) -> Option<Self> {
        let total: u32 = frequencies.iter().map(|frequency| u32::from(*frequency)).sum();
        if total != 1 << PRECISION || frequencies.contains(&0) {
            return None;
        }
        let mut starts = [0; SYMBOLS];
        let mut symbols = Box::new([0; 1 << PRECISION]);
        let mut end = 0;
        for (symbol, (start, frequency)) in starts.iter_mut().zip(frequencies).enumerate() {
            *start = end as u16;
            symbols[end..end + usize::from(frequency)].fill(symbol as u8);
            end += usize::from(frequency);
        }
        Some(Self { frequencies, starts, symbols })
    }

    /// The table that codes symbols, of which `counts` were seen, in the fewest bits; any symbol can come.
    pub(crate) fn fitted(counts: &[u64; SYMBOLS]) -> Self {
        let seen = counts.iter().sum::<u64>().max(1);
        let spare = (1 << PRECISION) - SYMBOLS as u64;
        let mut frequencies = counts.map(|count| 1 + (u128::from(count) * u128::from(spare) / u128::from(seen)) as u16);
        let rest = (1 << PRECISION) - frequencies.iter().sum::<u16>();
        let largest = (0..SYMBOLS).max_by_key(|symbol| frequencies[*symbol]).unwrap_or_default();
        frequencies[largest] += rest;
        Self::new(frequencies).unwrap_or_else(|| unreachable!("every frequency is at least one and their sum is whole"))
    }

    pub(crate) fn frequencies(&self) -> &[u16; SYMBOLS] {
        &self.frequencies
    }

    /// Where the symbol's slots begin, and how many there are.
    pub(crate) fn slots(&self, symbol: u32) -> (u32, u32) {
        (u32::from(self.starts[symbol as usize]), u32::from(self.frequencies[symbol as usize]))
    }

    /// The symbol of a slot.
    pub(crate) fn symbol(&self, slot: u32) -> u32 {
        u32::from(self.symbols[slot as usize & ((1 << PRECISION) - 1)])
    }

    /// Bits that a symbol takes.
    pub(crate) fn bits(&self, symbol: u32) -> f32 {
        PRECISION as f32 - f32::from(self.frequencies[symbol as usize]).log2()
    }
}
