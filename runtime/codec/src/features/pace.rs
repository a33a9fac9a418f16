//! How large the coefficients of one tensor are beside what was expected, learnt from those that came before.
//!
//! Some pictures have more of everything. Both ends know the coefficients that have gone by, so both can tell by how many
//! classes the next ones should be taken for larger or smaller. On two cuts of EfficientNet-Lite0 that saves as much as
//! looking at each coefficient's neighbours in frequency and component does (`docs/codec.md`). Integers only.

/// Coefficients after which the pace is taken anew.
pub(super) const CHUNK: usize = 64;
/// By at most so many classes a coefficient is taken for larger or smaller.
pub(super) const OFFSET_MAX: i32 = 6;
/// A single value counts no more than this.
const COUNTED_MAX: u32 = 15;
/// Of what was seen before, a chunk leaves 7/8: half of it is forgotten after five chunks.
const KEPT: [u64; 2] = [7, 8];
/// What is taken for granted before anything was seen: some steps, as they were expected.
const PRIOR: u64 = 8 << EXPECTED_BITS;
/// Binary digits behind the point of what is expected.
pub(super) const EXPECTED_BITS: u32 = 8;
/// 2^((2n + 1) / 8) in units of 1/1024, for n from 0: from here on a ratio is rounded to n + 1 quarters of an octave.
const THRESHOLDS: [u64; OFFSET_MAX as usize] = [1218, 1722, 2435, 3444, 4871, 6889];

/// What was seen and what was expected, in steps with [`EXPECTED_BITS`] digits behind the point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace {
    seen: u64,
    expected: u64,
    /// Of the chunk that is not complete.
    chunk: [u64; 2],
    count: usize,
    offset: i32,
}

impl Pace {
    pub(super) const START: Self = Self { seen: PRIOR, expected: PRIOR, chunk: [0; 2], count: 0, offset: 0 };

    /// By how many classes the next value should be taken for larger.
    #[inline]
    pub(super) fn offset(&self) -> i32 {
        self.offset
    }

    /// Takes note of a value where `expected` was expected.
    #[inline]
    pub(super) fn note(&mut self, value: i32, expected: u32) {
        self.chunk[0] += u64::from(value.unsigned_abs().min(COUNTED_MAX)) << EXPECTED_BITS;
        self.chunk[1] += u64::from(expected);
        self.count += 1;
        if self.count == CHUNK {
            self.turn();
        }
    }

    #[cold]
    fn turn(&mut self) {
        let [kept, of] = KEPT;
        self.seen = self.seen * kept / of + self.chunk[0];
        self.expected = self.expected * kept / of + self.chunk[1];
        (self.chunk, self.count) = ([0; 2], 0);
        let above = |one: u64, other: u64| {
            THRESHOLDS.iter().take_while(|threshold| one << 10 >= other.max(1) * **threshold).count() as i32
        };
        self.offset = above(self.seen, self.expected) - above(self.expected, self.seen);
    }
}
