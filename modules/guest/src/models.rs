//! Parts of models, run on the node where the module runs. A module that calls [`infer`] imports the interface
//! `models`, and is loaded only where it was granted; others do not import it.

use crate::{Failure, Tensor};

/// Runs a part that was granted, by its name there: its outputs on these inputs, in its order. The inputs stay the
/// module's, and none is copied.
///
/// [`Failure::Model`] when there is no such part or it fails. The time it takes counts as the module's own.
pub fn infer(part: &str, inputs: &[&Tensor]) -> Result<Vec<Tensor>, Failure> {
    #[cfg(target_arch = "wasm32")]
    return super::hosted::infer(part, inputs);
    #[cfg(not(target_arch = "wasm32"))]
    super::native::infer(part, inputs)
}

/// Natively only: grants the module that `body` runs what `parts` answers, to the name of a part and its inputs.
///
/// ```
/// use thalweg_guest::{Failure, Tensor, models};
///
/// let echo = |part: &str, inputs: &[&Tensor]| match part {
///     "echo" => Ok(inputs.iter().map(|input| (*input).clone()).collect()),
///     other => Err(Failure::Model(format!("there is no part {other}"))),
/// };
/// let input = Tensor::from_f32(&[1], &[7.0])?;
/// let outputs = models::granting(echo, || models::infer("echo", &[&input]))?;
/// assert_eq!(outputs[0].to_f32()?, [7.0]);
/// # Ok::<(), Failure>(())
/// ```
#[cfg(not(target_arch = "wasm32"))]
pub fn granting<T>(
    parts: impl Fn(&str, &[&Tensor]) -> Result<Vec<Tensor>, Failure> + 'static,
    body: impl FnOnce() -> T,
) -> T {
    super::native::granting(std::rc::Rc::new(parts), body)
}
