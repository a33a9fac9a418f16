//! The same for all samples, on all cores.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// What `each` makes of `0..count`, in this order, on so many threads; `done` hears how many are ready.
///
/// After an error no other begins. Of several errors it is the one of the lowest index.
pub fn in_parallel<T: Send, E: Send>(
    count: usize,
    threads: usize,
    each: impl Fn(usize) -> Result<T, E> + Sync,
    done: impl Fn(usize) + Sync,
) -> Result<Vec<T>, E> {
    let (next, ready, failed) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
    let made = Mutex::new(Vec::with_capacity(count));
    let one_after_the_other = || {
        while !failed.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                break;
            }
            let result = each(index);
            failed.fetch_or(result.is_err(), Ordering::Relaxed);
            made.lock().unwrap_or_else(PoisonError::into_inner).push((index, result));
            done(ready.fetch_add(1, Ordering::Relaxed) + 1);
        }
    };
    done(0);
    thread::scope(|scope| {
        for _ in 1..threads.min(count) {
            scope.spawn(one_after_the_other);
        }
        one_after_the_other();
    });
    let mut made = made.into_inner().unwrap_or_else(PoisonError::into_inner);
    made.sort_by_key(|(index, _)| *index);
    made.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::RunError;

    #[test]
    fn results_stand_in_order_and_each_is_made_once() {
        let runs = AtomicUsize::new(0);
        let square = |index: usize| {
            runs.fetch_add(1, Ordering::Relaxed);
            Ok::<_, RunError>(index * index)
        };
        let squares = in_parallel(100, 3, square, |_| {}).expect("no error");
        assert_eq!(squares, (0..100).map(|index| index * index).collect::<Vec<_>>());
        assert_eq!(runs.into_inner(), 100);
        assert!(in_parallel(0, 4, square_of_none, |_| {}).expect("nothing").is_empty());
    }

    fn square_of_none(_: usize) -> Result<usize, RunError> {
        Err(RunError::NoTopology)
    }

    #[test]
    fn an_error_ends_it() {
        let runs = AtomicUsize::new(0);
        let fails = |index: usize| {
            runs.fetch_add(1, Ordering::Relaxed);
            if index == 5 { Err(RunError::NoTopology) } else { Ok(index) }
        };
        assert!(matches!(in_parallel(10_000, 2, fails, |_| {}), Err(RunError::NoTopology)));
        assert!(runs.into_inner() < 10_000);
    }
}
