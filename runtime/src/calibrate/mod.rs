//! Fits codebooks to samples of a model's inputs, and measures what they cost on other samples.
//!
//! | file          | what it does                                                                    |
//! |---------------|---------------------------------------------------------------------------------|
//! | `files.rs`    | samples from a folder: photos, `.npy` files, folders of them                    |
//! | `labels.rs`   | which classes are right for which sample                                        |
//! | `split.rs`    | which samples are fitted to, and which others are measured: never the same      |
//! | `places.rs`   | the cuts that are worth a book                                                  |
//! | `parallel.rs` | the same for all samples, on all cores                                          |
//! | `shown.rs`    | what samples show of the tensors of a cut, and books from that                  |
//! | `probe.rs`    | how far the answer moves when features do                                       |
//! | `judge.rs`    | how much an answer differs from another                                         |
//! | `measure.rs`  | bytes, times and disagreement of each level                                     |
//! | `rivals.rs`   | the same of the input as a picture                                              |
//! | `kept.rs`     | the file, which is complete after each cut                                      |
//!
//! Whoever has samples, a judge and cuts calls [`cut()`]; `thalweg calibrate` does no more than that. Whoever wants to fit
//! books of several kinds to the same samples keeps what [`Shown`] has seen.

mod files;
mod labels;
mod split;
mod places;
mod parallel;
mod shown;
mod probe;
mod judge;
mod measure;
mod rivals;
mod kept;

use std::time::Duration;

use thalweg_codec::features::fit;
use thalweg_devices::{Model, Split as Parts};
use thalweg_planner::{Graph, Separator, Tensor, TensorSpec};

use crate::codebook::{CutBooks, TensorBook};
use crate::run::RunError;
pub use files::{SampleFile, sample_files};
pub use judge::{Argmax, Cosine, Judge, Judged, SquaredError, judge_for};
pub use kept::Kept;
pub use labels::{Labelled, Labels};
pub use parallel::in_parallel;
pub use places::{Places, named, worthwhile};
pub use rivals::rivals;
pub use shown::Shown;
pub use split::{Fitting, Held, Split};

/// Features and answers of more than this are not kept at a time: fewer samples are taken then, evenly spread.
const KEPT_BYTES_MAX: usize = 512 << 20;

/// The inputs of one run of a model, or where they come from.
pub trait Sample: Sync {
    /// One tensor for each input of the model.
    fn inputs(&self) -> Result<Vec<Tensor>, RunError>;
}

impl Sample for Vec<Tensor> {
    fn inputs(&self) -> Result<Vec<Tensor>, RunError> {
        Ok(self.clone())
    }
}

/// How much trouble is taken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// How long a cut's features may be probed.
    pub effort: Duration,
    /// How many samples are measured at most.
    pub measured_max: usize,
    /// How many samples are run at a time; at least 1.
    pub threads: usize,
    /// How books are fitted.
    pub fit: fit::Options,
}

/// What is being done for a cut, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Running the part below the cut.
    Features,
    /// Running the part above it on features that were changed a little.
    Probing,
    /// Fitting books; of one step only.
    Fitting,
    /// Running the part above it on what levels restore.
    Measuring,
}

/// Hears what is done, and how much of it.
pub type Watch<'a> = &'a (dyn Fn(Phase, usize, usize) + Sync);

/// Fits the books of one cut and measures codecs there, levels up to the first whose answers are those of the model.
///
/// A tensor of integers has no book, nor has one that cannot be transformed: it travels exactly.
pub fn cut<S: Sample, H: Sample>(
    (model, graph): (&Model, &Graph),
    separator: &Separator,
    fitting: &Fitting<S>,
    held: &Held<H>,
    judge: &dyn Judge,
    options: &Options,
    watch: Watch<'_>,
) -> Result<CutBooks, RunError> {
    let parts = Parts::new(model, graph, separator.clone())?;
    let mut tensors: Vec<TensorBook> = separator.live.iter().filter_map(|id| tensor_book(model, graph, *id)).collect();
    let specs: Vec<TensorSpec> = tensors.iter().map(|tensor| tensor.spec.clone()).collect();
    let shown = Shown::of(&parts, &specs, fitting, options, watch)?;
    watch(Phase::Fitting, 0, 1);
    for (tensor, book) in tensors.iter_mut().zip(shown.books(options.fit)?) {
        tensor.book = book;
    }
    watch(Phase::Fitting, 1, 1);
    let codecs = measure::codecs(&parts, &tensors, held, judge, options, watch)?;
    Ok(CutBooks { at: separator.at, tensors, codecs })
}

fn tensor_book(model: &Model, graph: &Graph, id: usize) -> Option<TensorBook> {
    let spec = model.spec(id)?.clone();
    Some(TensorBook { id, name: graph.tensors[id].name.clone(), spec, len: 0, book: None })
}

/// `kept` of `count` indices, or all, evenly spread.
fn spread(count: usize, kept: usize) -> Vec<usize> {
    let kept = kept.min(count);
    (0..kept).map(|index| index * count / kept).collect()
}

/// The standard deviation of numbers; 0 where there are none, or one is not finite.
fn deviation<'a>(numbers: impl Iterator<Item = &'a f32>) -> f32 {
    let (mut count, mut sum, mut squares) = (0.0_f64, 0.0_f64, 0.0_f64);
    for number in numbers {
        let number = f64::from(*number);
        (count, sum, squares) = (count + 1.0, sum + number, squares + number * number);
    }
    let variance = (squares - sum * sum / count) / count;
    if variance.is_finite() { variance.max(0.0).sqrt() as f32 } else { 0.0 }
}

#[cfg(test)]
mod tests;
