//! Windows in blocks, several of which are gathered before they are multiplied.
//!
//! What is written to a channel then lies in one piece as long as all of them, and so does what is read of the image for a
//! place: caches read ahead of that. Of a single block it is half a kilobyte here and there.

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::OnceLock;

use pulp::Simd;

use super::convolution::Convolution;
use super::product::{FEW, LANES_MAX, PLACES, ROOM, ROWS};

/// Windows of a block, in long vectors and in short ones: so many are taken in equal steps.
pub(super) const WINDOWS: usize = 128;
const WINDOWS_SHORT: usize = 96;
/// Bytes of blocks that are gathered together at most: with more of them nothing is gained.
const BYTES_MAX: usize = 1 << 19;
/// What they may take of the second cache, which holds what is multiplied by and what is written too.
const SHARE: usize = 4;
/// Where that is not told.
const CACHE: usize = 1 << 20;
/// With fewer places than these a few vectors of a block are in the first cache, which serves all channels one after the other;
/// only in planes of more windows than these it is the longer rows that count.
const PLACES_MIN: usize = 128;
const PLANE_MIN: usize = 1024;

/// The blocks of some windows.
pub(super) struct Blocks {
    windows: Range<usize>,
    /// Windows of each but the last, which has room for a few more.
    size: usize,
    count: usize,
    /// How many are gathered together.
    together: usize,
}

impl Blocks {
    pub(super) fn new<S: Simd>(op: &Convolution, windows: Range<usize>) -> Self {
        let size = Self::size::<S>();
        let count = count(windows.len(), size);
        let together = if is_long::<S>() { together(op).min(count) } else { 1 };
        Self { windows, size, count, together }
    }

    /// Windows of each but the last.
    pub(super) const fn size<S: Simd>() -> usize {
        if is_long::<S>() { WINDOWS } else { WINDOWS_SHORT }
    }

    /// The numbers of those that are gathered together.
    pub(super) fn groups(&self) -> impl Iterator<Item = Range<usize>> {
        let (count, together) = (self.count, self.together);
        (0..count).step_by(together).map(move |first| first..count.min(first + together))
    }

    /// The windows of one.
    pub(super) fn windows(&self, number: usize) -> Range<usize> {
        let start = self.windows.start + number * self.size;
        start..if number + 1 == self.count { self.windows.end } else { start + self.size }
    }

    /// Gathers some of them, one after the other in `into`, each as `[places, ROOM]`.
    #[inline(always)]
    pub(super) fn gather(
        &self,
        op: &Convolution,
        image: &[f32],
        places: &Range<usize>,
        numbers: &Range<usize>,
        into: &mut [f32],
    ) {
        for place in places.clone() {
            let rows = into.chunks_exact_mut(ROOM).skip(place - places.start).step_by(places.len());
            for (number, row) in numbers.clone().zip(rows) {
                op.window.gather(image, place..place + 1, self.windows(number), row);
            }
        }
    }
}

/// How many blocks so many windows are, of which the last one has room for a few more.
fn count(windows: usize, size: usize) -> usize {
    windows.saturating_sub(LANES_MAX).div_ceil(size).max(1)
}

/// Whether some vectors of a row are several lines of a cache, which is read ahead of these: with one line it takes longer to read a
/// block for each channel from the second cache than to write here and there.
const fn is_long<S: Simd>() -> bool {
    S::F32_LANES >= LANES_MAX
}

/// Elements of the blocks that are gathered together.
pub(super) fn room_len(op: &Convolution) -> usize {
    let [_, plane] = op.window.planes();
    op.places().min(PLACES) * ROOM * together(op).min(plane.div_ceil(WINDOWS_SHORT))
}

/// How many blocks of a convolution are gathered together.
fn together(op: &Convolution) -> usize {
    let ([_, plane], places) = (op.window.planes(), op.places().min(PLACES));
    // Few channels read what is gathered too few times for its way through the second cache.
    let is_short = places < PLACES_MIN && plane < PLANE_MIN;
    if is_short || op.channels[1] <= FEW * ROWS {
        return 1;
    }
    (BYTES_MAX.min(cache() / SHARE) / size_of::<f32>() / (places * ROOM).max(1)).max(1)
}

/// Bytes of the second cache that one core has of it.
fn cache() -> usize {
    static BYTES: OnceLock<usize> = OnceLock::new();
    *BYTES.get_or_init(|| told(Path::new("/sys/devices/system/cpu/cpu0/cache/index2")).unwrap_or(CACHE))
}

/// What Linux says of a cache, divided among the cores that share it.
fn told(folder: &Path) -> Option<usize> {
    let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
    let kib: usize = read("size")?.trim().strip_suffix('K')?.parse().ok()?;
    let cores = |some: &str| match some.split_once('-') {
        Some((first, last)) => last.parse::<usize>().ok()?.checked_sub(first.parse().ok()?)?.checked_add(1),
        None => some.parse::<usize>().ok().map(|_| 1),
    };
    let list = read("shared_cpu_list")?;
    let sharing = list.trim().split(',').try_fold(0_usize, |sum, some| sum.checked_add(cores(some)?))?;
    kib.checked_mul(1024)?.checked_div(sharing)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    #[test]
    fn a_cache_is_divided_among_the_cores_that_share_it() {
        let folder = std::env::temp_dir().join(format!("thalweg-cache-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let says = |size: &str, cores: &str| {
            fs::write(folder.join("size"), size).expect("a file");
            fs::write(folder.join("shared_cpu_list"), cores).expect("a file");
            told(&folder)
        };
        assert_eq!(says("2048K\n", "0\n"), Some(2 << 20));
        assert_eq!(says("1024K\n", "0-3\n"), Some(256 << 10));
        assert_eq!(says("512K\n", "0,4\n"), Some(256 << 10));
        for (size, cores) in [
            ("", "0"),
            ("512", "0"),
            ("512K", ""),
            ("512K", "3-0"),
            ("512K", "all"),
            ("512K", "0-18446744073709551615"),
        ] {
            assert_eq!(says(size, cores), None, "{size} of {cores}");
        }
        fs::remove_dir_all(&folder).expect("it is there");
        assert_eq!(told(&folder), None);
    }

    proptest! {
        #[test]
        fn blocks_have_each_window_once(start in 0_usize..300, len in 1_usize..3000, together in 1_usize..9, size in select(&[96_usize, 128][..])) {
            let count = count(len, size);
            let blocks = Blocks { windows: start..start + len, size, count, together };
            let numbers: Vec<usize> = blocks.groups().flatten().collect();
            prop_assert_eq!(&numbers, &(0..count).collect::<Vec<_>>());
            let mut next = start;
            for number in numbers {
                let windows = blocks.windows(number);
                prop_assert!(windows.start == next && !windows.is_empty() && windows.len() <= ROOM);
                next = windows.end;
            }
            prop_assert_eq!(next, start + len);
        }
    }
}
