//! Levels of codebooks as choices of the planner: which ones a plan may take, and what they cost; and what calibration
//! has seen other codecs cost.

use std::sync::Arc;

use thalweg_codec::{Book, Codec, LEVELS};
use thalweg_planner::{Bytes, Coding, Loss, TensorId};

use super::costs::coding;
use super::load::Subject;
use crate::codebook::{CodecFigures, CutBooks};
use crate::config::{Pipeline, Runs};

/// Where no limit of the loss is set, a level may cost at most this share of right answers, as labels have shown…
const ACCURACY_LOSS_MAX: f64 = 0.01;
/// … and change at most this share of answers, if labels have shown that, …
const LABELLED_DISAGREEMENT_MAX: f64 = 0.1;
/// … or this share, if there were none: most answers that change were unsure or wrong before.
const DISAGREEMENT_MAX: f64 = 0.05;

/// The names of the levels that a plan may use: those that the pipeline lists, or all, where the pipeline has codebooks.
///
/// Where it has none although it asks for levels, `int8` stands in for them, with a warning.
pub fn codecs(subject: &Subject, pipeline: &Pipeline) -> Vec<Codec> {
    let (levels, mut codecs): (Vec<_>, Vec<_>) =
        pipeline.codecs.iter().cloned().partition(|codec| matches!(codec, Codec::Features { .. }));
    let named = pipeline.steps.iter().find_map(|step| match &step.runs {
        Runs::Model { codebooks, .. } => codebooks.as_ref(),
        Runs::Module(_) => None,
    });
    if subject.steps.codebooks().next().is_some() {
        let all = (1..=LEVELS).map(|level| Codec::Features { level, book: None });
        codecs.extend(if levels.is_empty() { all.collect() } else { levels });
    } else if named.is_some() || !levels.is_empty() {
        let file = named.map_or("none is named".to_owned(), |file| file.display().to_string());
        let target = pipeline.file.display();
        tracing::warn!(
            "there are no codebooks ({file}), so features travel as int8: run `thalweg calibrate {target} --samples \
             FOLDER`, of several steps with `--step NAME`, and name its file as `codebooks` in the pipeline"
        );
        if !codecs.contains(&Codec::Int8) {
            codecs.push(Codec::Int8);
        }
    }
    codecs
}

/// What levels make of a tensor; those are left out that lose more than the pipeline allows, and all where it has no book.
///
/// Bytes and loss are those that calibration has measured; times are measured here, on a tensor that the book calls
/// typical. A cut's loss is shared by its tensors as they share its bytes.
pub(super) fn level_codings(subject: &Subject, tensor: TensorId, levels: &[&Codec]) -> Vec<Coding> {
    let Some((cut, place, book)) = found(subject, tensor) else { return Vec::new() };
    let limited = subject.pipeline.as_ref().is_some_and(|pipeline| pipeline.limits.loss.is_some());
    let offered = levels.iter().filter_map(|codec| Some((*codec, figures_of(cut, &codec.to_string())?)));
    let offered: Vec<_> = offered.filter(|(_, figures)| limited || tolerable(figures)).collect();
    let Some(typical) = book.typical().filter(|_| !offered.is_empty()) else { return Vec::new() };
    let priced = |(codec, figures): (&Codec, &CodecFigures)| {
        let timed = coding(&codec.clone().with_book(book), &typical)?;
        let bytes = Bytes(figures.tensors[place].bytes.round() as u64);
        Some(Coding { bytes, loss: share_of_loss(figures, place), ..timed })
    };
    offered.into_iter().filter_map(priced).collect()
}

/// The cut whose book of a tensor is used, the tensor's place in it, and the book.
fn found(subject: &Subject, tensor: TensorId) -> Option<(&CutBooks, usize, &Arc<Book>)> {
    let (cut, place) = subject.steps.books_of(tensor)?;
    Some((cut, place, cut.tensors[place].book.as_ref()?))
}

/// What calibration has seen any other codec lose when this tensor crosses in it; none where it has not measured that.
pub(super) fn measured_loss(subject: &Subject, tensor: TensorId, codec: &str) -> Option<Loss> {
    if subject.photos.iter().any(|(photo, _)| *photo == tensor) {
        let mut rivals = subject.steps.codebooks().flat_map(|books| &books.rivals);
        let rival = rivals.find(|rival| rival.codec == codec)?;
        return Some(share(rival.accuracy_loss.unwrap_or(rival.disagreement)));
    }
    let (cut, place) = subject.steps.books_of(tensor)?;
    Some(share_of_loss(figures_of(cut, codec)?, place))
}

fn figures_of<'a>(cut: &'a CutBooks, codec: &str) -> Option<&'a CodecFigures> {
    cut.codecs.iter().find(|figures| figures.codec == codec)
}

/// A tensor's share of what its cut loses, as it has a share of its bytes.
fn share_of_loss(figures: &CodecFigures, place: usize) -> Loss {
    share(figures.loss() * figures.tensors[place].bytes / figures.bytes().max(1.0))
}

fn share(loss: f64) -> Loss {
    Loss((loss.max(0.0) * 1e6).ceil() as u64)
}

fn tolerable(figures: &CodecFigures) -> bool {
    match figures.accuracy_loss {
        Some(loss) => loss <= ACCURACY_LOSS_MAX && figures.disagreement <= LABELLED_DISAGREEMENT_MAX,
        None => figures.disagreement <= DISAGREEMENT_MAX,
    }
}

/// The codec with the book that a tensor has.
pub(super) fn with_book(codec: Codec, subject: &Subject, tensor: TensorId) -> Codec {
    match found(subject, tensor) {
        Some((_, _, book)) => codec.with_book(book),
        None => codec,
    }
}
