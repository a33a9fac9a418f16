//! Models that follow each other in a part on one GPU become one, so that what passes between them stays there.

use thalweg_devices::{Seam, Stage};
use thalweg_planner::TensorId;

use super::part::{Piece, Runs, Take};

/// Makes one model of two.
type Then<'a> = &'a dyn Fn(&Stage, &Stage, &Seam) -> Option<Stage>;

/// The pieces, neighbours as one where `then` joins their models, as [`Stage::then`] does those on one GPU. `gives` is what
/// leaves the part.
pub(super) fn joined(pieces: Vec<Piece>, gives: &[TensorId], then: Then) -> Vec<Piece> {
    let mut all: Vec<Piece> = Vec::with_capacity(pieces.len());
    let mut rest = pieces.into_iter();
    while let Some(piece) = rest.next() {
        let needed = |tensor: &TensorId| {
            gives.contains(tensor) || rest.as_slice().iter().any(|later| later.reads().any(|read| read == *tensor))
        };
        let both = all.last().and_then(|last| join(last, &piece, needed, then));
        if both.is_some() {
            all.pop();
        }
        all.push(both.unwrap_or(piece));
    }
    all
}

/// Two pieces as one, where their models can be joined and the second reads what the first gives.
fn join(first: &Piece, next: &Piece, needed: impl Fn(&TensorId) -> bool, then: Then) -> Option<Piece> {
    let (Runs::Model(one), Runs::Model(other)) = (&first.runs, &next.runs) else { return None };
    let seam = seam(&first.gives, &next.takes, needed)?;
    let both = then(one, other, &seam)?;
    let elsewhere = next.takes.iter().zip(&seam.takes).filter(|(_, made)| made.is_none()).map(|(take, _)| take);
    let kept = seam.keeps.iter().map(|place| &first.gives[*place]);
    Some(Piece {
        step: format!("{} and {}", first.step, next.step),
        runs: Runs::Model(both),
        takes: first.takes.iter().chain(elsewhere).cloned().collect(),
        gives: kept.chain(&next.gives).copied().collect(),
    })
}

/// How pieces hang together of which one gives this and the next takes that; none where they do not. `needed` says what others
/// need of the first.
fn seam(gives: &[TensorId], takes: &[Take], needed: impl Fn(&TensorId) -> bool) -> Option<Seam> {
    let made = |take: &Take| match take {
        Take::Made(tensor) => gives.iter().position(|given| given == tensor),
        Take::Nothing(_) => None,
    };
    let takes: Vec<Option<usize>> = takes.iter().map(made).collect();
    let keeps = (0..gives.len()).filter(|place| needed(&gives[*place])).collect();
    takes.iter().any(Option::is_some).then_some(Seam { takes, keeps })
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::path::Path;

    use thalweg_devices::{Model, Shapes};

    use super::*;

    #[test]
    fn what_others_need_is_kept_and_what_comes_from_elsewhere_is_taken() {
        let takes = [3, 5, 9].map(Take::Made);
        let expected = Seam { takes: vec![None, Some(1), None], keeps: vec![0] };
        assert_eq!(seam(&[4, 5], &takes, |tensor| *tensor == 4), Some(expected));
        assert_eq!(seam(&[4, 5], &takes[..1], |_| true), None, "nothing is handed over");
    }

    #[test]
    fn pieces_in_a_row_become_one_and_those_that_hand_nothing_over_stay() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/models/onnx_light/light_squeezenet.onnx");
        let model = Model::load(&file, &Shapes::new()).expect("a model of the repository").whole().expect("the CPU");
        let piece = |step: &str, takes: &[TensorId], gives: &[TensorId]| Piece {
            step: step.to_owned(),
            runs: Runs::Model(model.clone()),
            takes: takes.iter().copied().map(Take::Made).collect(),
            gives: gives.to_vec(),
        };
        // Of what leaves the part b makes 7 and d makes 6, and after d e reads 8.
        let gives = [3, 6, 7, 11];
        let pieces = || {
            vec![
                piece("a", &[0], &[1, 2, 3]),
                piece("b", &[9], &[4, 7]),
                piece("c", &[4], &[5, 8]),
                piece("d", &[5, 2], &[6]),
                piece("e", &[8, 10], &[11]),
            ]
        };
        let seams = RefCell::new(Vec::new());
        let all = joined(pieces(), &gives, &|_, next, seam| {
            seams.borrow_mut().push((seam.takes.clone(), seam.keeps.clone()));
            Some(next.clone())
        });
        let told = |piece: &Piece| (piece.step.clone(), piece.reads().collect::<Vec<_>>(), piece.gives.clone());
        let apart = ("a".to_owned(), vec![0], vec![1, 2, 3]);
        let together = ("b and c and d and e".to_owned(), vec![9, 2, 10], vec![7, 6, 11]);
        assert_eq!(all.iter().map(told).collect::<Vec<_>>(), [apart, together]);
        let expected = [(vec![Some(0)], vec![1]), (vec![Some(1), None], vec![0, 2]), (vec![Some(1), None], vec![0, 2])];
        assert_eq!(*seams.borrow(), expected);
        assert_eq!(joined(pieces(), &gives, &|_, _, _| None).len(), 5, "no GPU computes them");
    }
}
