//! What kernels allocate once they have run: no more than the tensor that they make.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use pulp::Arch;
use tract_onnx::tract_hir::internal::{IntoArcTensor as _, IntoTValue as _, TValue, TVec, tvec};

use super::{Chain, Convolution, Direct, Kind, Pool, Product, Step, numbers, square};
use crate::cpu::convolution::filled;
use crate::cpu::nchwc::{Blocked, Depthwise};
use crate::cpu::pool::{Counted, Fold};

/// The system's allocator, which counts what each thread asks for.
struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[expect(unsafe_code, reason = "an allocator has no safe interface")]
// SAFETY: the system's allocator does all of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: what the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: what the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: what the caller promises.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: what the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Allocations of the third run.
fn count<T>(mut run: impl FnMut() -> T) -> usize {
    drop((run(), run()));
    let before = COUNT.get();
    let made = run();
    let count = COUNT.get() - before;
    drop(made);
    count
}

const CHANNELS: usize = 48;
const SIZE: usize = 14;

/// By a bias and two bounds for each channel.
fn convolution(groups: usize, kernel: usize) -> Convolution {
    let steps = [Kind::Add, Kind::Max, Kind::Min].map(|kind| Step::By(kind, numbers(1, &[CHANNELS]).into_arc_tensor()));
    square(SIZE, kernel, [CHANNELS, groups], steps.to_vec())
}

#[test]
fn kernels_allocate_nothing_but_what_they_make() {
    let shape: TVec<usize> = tvec![1, CHANNELS, SIZE, SIZE];
    let made = count(|| filled(&shape, |all| all.fill(0.0)).expect("a tensor"));
    let image = || numbers(2, &shape).into_tvalue();
    let is_made = |made: usize, name: &str, inputs: &[TValue], run: &dyn Fn(&[TValue]) -> TVec<TValue>| {
        assert_eq!(count(|| run(inputs)), made, "{name}");
    };
    let run = |name: &str, inputs: &[TValue], run: &dyn Fn(&[TValue]) -> TVec<TValue>| is_made(made, name, inputs, run);
    for kernel in [1, 3, 5] {
        let product = Product::new(convolution(1, kernel), &numbers(3, &[CHANNELS, CHANNELS, kernel, kernel]));
        let product = product.expect("its weights");
        run("a product", &[image()], &|inputs| product.run_on(Arch::new(), inputs).expect("a run"));
        let direct = Direct(convolution(CHANNELS, kernel));
        let weights = numbers(4, &[CHANNELS, kernel, kernel]).into_tvalue();
        let inputs = [image(), weights, numbers(5, &[CHANNELS]).into_tvalue()];
        run("depthwise", &inputs, &|inputs| direct.run_on(Arch::new(), inputs).expect("a run"));
        for fold in [Fold::Max, Fold::sum(&direct.0.window, Counted::Image)] {
            let pool = Pool { window: direct.0.window.clone(), shape: shape.clone(), fold };
            run("a pool", &[image()], &|inputs| pool.run_on(Arch::new(), inputs).expect("a run"));
        }
    }
    let steps = convolution(1, 1).steps;
    let chain = Chain::new(steps, &shape, Some(1));
    run("a chain", &[image()], &|inputs| chain.run_on(Arch::new(), inputs).expect("a run"));
    // A shape of five sizes is allocated too.
    let shape: TVec<usize> = tvec![1, CHANNELS / 16, SIZE, SIZE, 16];
    let blocks = count(|| filled(&shape, |all| all.fill(0.0)).expect("a tensor"));
    for kernel in [1, 3, 5] {
        let weights = numbers(3, &[CHANNELS, CHANNELS, kernel, kernel]);
        let blocked = Blocked::new(convolution(1, kernel), 1, &weights).expect("its weights");
        is_made(blocks, "over blocks", &[image()], &|inputs| blocked.run_on(Arch::new(), inputs).expect("a run"));
        let weights = numbers(4, &[CHANNELS, kernel, kernel]);
        let depthwise = Depthwise::new(convolution(CHANNELS, kernel), 1, &weights).expect("its weights");
        is_made(blocks, "depthwise over blocks", &[image()], &|inputs| {
            depthwise.run_on(Arch::new(), inputs).expect("a run")
        });
    }
}
