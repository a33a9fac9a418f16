//! Models that follow each other in a part on one GPU become one, so that what passes between them stays there.

use thalweg_devices::Seam;
use thalweg_planner::TensorId;

use super::part::{Piece, Runs, Take};

/// The pieces, neighbours on one GPU joined. `gives` is what leaves the part.
pub(super) fn joined(pieces: Vec<Piece>, gives: &[TensorId]) -> Vec<Piece> {
    let mut all: Vec<Piece> = Vec::with_capacity(pieces.len());
    let mut rest = pieces.into_iter();
    while let Some(piece) = rest.next() {
        let needed = |tensor: &TensorId| {
            gives.contains(tensor) || rest.as_slice().iter().any(|later| later.reads().any(|read| read == *tensor))
        };
        let both = all.last().and_then(|last| join(last, &piece, needed));
        if both.is_some() {
            all.pop();
        }
        all.push(both.unwrap_or(piece));
    }
    all
}

/// Two pieces as one, where a GPU computes both and the second reads what the first gives.
fn join(first: &Piece, next: &Piece, needed: impl Fn(&TensorId) -> bool) -> Option<Piece> {
    let (Runs::Model(one), Runs::Model(other)) = (&first.runs, &next.runs) else { return None };
    let seam = seam(&first.gives, &next.takes, needed)?;
    let both = one.then(other, &seam)?;
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
    use super::*;

    #[test]
    fn what_others_need_is_kept_and_what_comes_from_elsewhere_is_taken() {
        let takes = [3, 5, 9].map(Take::Made);
        let expected = Seam { takes: vec![None, Some(1), None], keeps: vec![0] };
        assert_eq!(seam(&[4, 5], &takes, |tensor| *tensor == 4), Some(expected));
        assert_eq!(seam(&[4, 5], &takes[..1], |_| true), None, "nothing is handed over");
    }
}
