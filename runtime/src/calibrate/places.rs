//! The cuts that are worth a book.

use thalweg_devices::{Model, cuts};
use thalweg_planner::{DType, Graph, Macs, Separator};

use crate::run::RunError;

/// A picture codec sends a photo in about a quarter of its bytes where nothing may be lost for the model; a crossing
/// that takes more at one bit an element would not be chosen.
const INPUT_SHARE: usize = 4;

/// Cuts, and how many were left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// In the order of the layers.
    pub cuts: Vec<Separator>,
    /// Cuts that could be made but are not worth a book.
    pub left_out: usize,
}

/// Of the places where at most `live_max` tensors cross those that are worth a book, at most `cuts_max`, spread over
/// the multiply-adds of the model.
///
/// A cut is worth one if some multiply-adds are below it and some above, if no cut with fewer multiply-adds below it
/// has as few elements, and, where floats enter that may travel themselves, if it takes fewer bytes at one bit
/// an element than a quarter of the inputs at eight.
pub fn worthwhile(model: &Model, graph: &Graph, live_max: usize, cuts_max: usize, inputs_stay: bool) -> Places {
    let all = cuts(model, graph, live_max);
    let count = all.len();
    let below = below(graph);
    let whole = graph.macs(0..graph.layers.len());
    let inputs: usize = graph.inputs.iter().map(|tensor| graph.tensors[*tensor].spec.len()).sum();
    let floats = graph.inputs.iter().all(|tensor| graph.tensors[*tensor].spec.dtype == DType::F32);
    let limit = if floats && !inputs_stay { 8 * inputs / INPUT_SHARE } else { usize::MAX };
    let mut least = limit;
    let mut kept: Vec<Separator> = Vec::new();
    for place in all.into_iter().filter(|place| below[place.at].0 > 0 && below[place.at] < whole) {
        let elements = elements(graph, &place);
        // Layers without multiply-adds come for nothing, and what an activation has cut off need not be sent.
        let for_nothing = kept.last().is_some_and(|last| below[last.at] == below[place.at]);
        if elements > least || (elements == least && !for_nothing) {
            continue;
        }
        if for_nothing {
            kept.pop();
        }
        least = elements;
        kept.push(place);
    }
    let cuts = spread(kept, cuts_max, |place| below[place.at].0);
    Places { left_out: count - cuts.len(), cuts }
}

/// The cuts after the layers, or behind the tensors, of these names.
pub fn named(model: &Model, graph: &Graph, names: &[String]) -> Result<Places, RunError> {
    let mut cuts = names.iter().map(|name| place(model, graph, name)).collect::<Result<Vec<_>, _>>()?;
    cuts.sort_by_key(|place| place.at);
    cuts.dedup();
    Ok(Places { cuts, left_out: 0 })
}

fn place(model: &Model, graph: &Graph, name: &str) -> Result<Separator, RunError> {
    let layer = graph.layers.iter().position(|layer| layer.name == name);
    let writes = |tensor: usize| graph.layers.iter().position(|layer| layer.writes.contains(&tensor));
    let tensor = || graph.tensors.iter().position(|tensor| tensor.name == name).and_then(writes);
    let unknown = || {
        let near = graph.layers.iter().max_by(|one, other| {
            strsim::jaro_winkler(&one.name, name).total_cmp(&strsim::jaro_winkler(&other.name, name))
        });
        RunError::NoSuchPlace { name: name.to_owned(), near: near.map_or_else(String::new, |layer| layer.name.clone()) }
    };
    let at = layer.or_else(tensor).ok_or_else(unknown)? + 1;
    let live = graph.live(at);
    let travels = live.iter().all(|tensor| model.spec(*tensor).is_some());
    if live.is_empty() || at == graph.layers.len() || !travels {
        return Err(RunError::NoCutThere { name: name.to_owned() });
    }
    Ok(Separator { at, live })
}

/// Multiply-adds below each cut.
fn below(graph: &Graph) -> Vec<Macs> {
    let sums = graph.layers.iter().scan(0_u64, |sum, layer| {
        *sum = sum.saturating_add(layer.macs.0);
        Some(Macs(*sum))
    });
    std::iter::once(Macs(0)).chain(sums).collect()
}

/// Elements of all that crosses.
fn elements(graph: &Graph, place: &Separator) -> usize {
    place.live.iter().map(|tensor| graph.tensors[*tensor].spec.len()).fold(0, usize::saturating_add)
}

/// At most `count` of `places`, which ascend in `position`, spread evenly over it: first and last, and between them
/// what is nearest to equal distances.
fn spread(mut places: Vec<Separator>, count: usize, position: impl Fn(&Separator) -> u64) -> Vec<Separator> {
    if places.len() <= count {
        return places;
    }
    let ends = [places.first(), places.last()].map(|place| place.map_or(0.0, |place| position(place) as f64));
    let mut chosen = Vec::with_capacity(count);
    for step in 0..count {
        let target = ends[0] + (ends[1] - ends[0]) * step as f64 / (count.max(2) - 1) as f64;
        let away = |at: &usize| (position(&places[*at]) as f64 - target).abs();
        if let Some(at) = (0..places.len()).min_by(|one, other| away(one).total_cmp(&away(other))) {
            chosen.push(places.remove(at));
        }
    }
    chosen.sort_by_key(|place| place.at);
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_spread_over_the_compute() {
        let places: Vec<Separator> = (0..10).map(|at| Separator { at, live: vec![at] }).collect();
        let at = |count: usize, position: fn(&Separator) -> u64| {
            spread(places.clone(), count, position).iter().map(|place| place.at).collect::<Vec<_>>()
        };
        assert_eq!(at(10, |place| place.at as u64), (0..10).collect::<Vec<_>>());
        assert_eq!(at(4, |place| place.at as u64), [0, 3, 6, 9]);
        assert_eq!(at(3, |place| 1 << place.at), [0, 8, 9], "most of the compute is behind the eighth");
        assert_eq!(at(1, |place| place.at as u64), [0]);
    }
}
