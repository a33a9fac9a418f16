//! The engine can panic on a malformed model or input; here a panic becomes an error. And whoever comes after it finds the
//! registers clean.

use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use crate::reason::panic_reason;
use crate::registers::clear_upper_halves;

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
    static MESSAGE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs `call`; a panic in it is returned as its message, and nothing is printed.
///
/// `call` must not leave shared state half changed when it panics: what is called here owns what it works on.
pub(crate) fn guard<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if GUARDED.get() {
                MESSAGE.set(panic_reason(info));
            } else {
                previous(info);
            }
        }));
    });
    let outer = GUARDED.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(call));
    clear_upper_halves();
    GUARDED.set(outer);
    result.map_err(|_| MESSAGE.take())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_message() {
        let message = guard(|| [1, 2][std::hint::black_box(7)]).expect_err("the index is out of range");
        assert!(message.starts_with("it panicked at devices/src/guard.rs:"), "{message}");
        assert!(message.contains("index out of bounds"), "{message}");
        assert_eq!(guard(|| 3), Ok(3));
    }
}
