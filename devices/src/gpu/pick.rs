//! Which of several adapters computes.

use std::time::Duration;

use super::context::Gpu;
use super::error::GpuError;
use super::peaks::square_product;
use crate::backend::{EFFORT, zeros};
use crate::profile::time;

/// Rows of the product by which adapters are compared: a large layer's work, with what crosses the bus.
const SIZE: usize = 512;

/// The one with the shortest time of those that can be opened and timed; where none can, why the first cannot. One that is alone is
/// not timed. None of none.
pub(super) fn fastest<T>(
    mut opened: Vec<Result<T, GpuError>>,
    time: impl Fn(&T) -> Result<Duration, GpuError>,
) -> Option<Result<T, GpuError>> {
    if opened.len() == 1 {
        return opened.pop();
    }
    let mut best: Option<(Duration, T)> = None;
    let mut refused = None;
    for one in opened {
        match one.and_then(|one| Ok((time(&one)?, one))) {
            Ok(one) if best.as_ref().is_none_or(|best| one.0 < best.0) => best = Some(one),
            Ok(_) => {}
            Err(cause) => refused = refused.or(Some(cause)),
        }
    }
    best.map(|(_, one)| Ok(one)).or(refused.map(Err))
}

/// What the product takes there.
pub(super) fn product_time(gpu: &Gpu) -> Result<Duration, GpuError> {
    let product = square_product(SIZE)?;
    let inputs = zeros(&product).map_err(|cause| GpuError::Engine(cause.to_string()))?;
    let stage = product.prepare_on(gpu)?;
    Ok(time(EFFORT, || stage.run(&inputs).map(drop))?.least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fastest_that_works_is_picked() {
        let no = |adapter: &str| GpuError::NoF16 { adapter: adapter.to_owned() };
        // Milliseconds, or none where it fails while it is timed.
        let time = |one: &Option<u64>| one.map(Duration::from_millis).ok_or_else(|| no("timed"));
        let pick = |all: &[Result<Option<u64>, &str>]| fastest(all.iter().map(|one| one.map_err(no)).collect(), time);
        assert_eq!(pick(&[Ok(Some(3)), Err("a"), Ok(Some(2)), Ok(None), Ok(Some(2))]), Some(Ok(Some(2))));
        assert_eq!(pick(&[Err("a"), Ok(None)]), Some(Err(no("a"))), "the first says why");
        assert_eq!(pick(&[Ok(None)]), Some(Ok(None)), "one that is alone is not timed");
        assert_eq!(pick(&[Err("a")]), Some(Err(no("a"))));
        assert_eq!(pick(&[]), None);
    }

    #[test]
    fn an_adapter_is_timed_by_a_product() {
        let Some(gpu) = crate::gpu::tests::gpu() else { return };
        assert!(product_time(&gpu).expect("a product") > Duration::ZERO);
    }
}
