//! Sums of products over any axes.

use proptest::prelude::*;
use tract_onnx::tract_hir::internal::{OutletId, TVec, TypedFact, TypedModel, TypedNode};
use tract_onnx::tract_hir::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_hir::tract_core::prelude::Datum as _;

use super::{Graph, Lies, bounded, lies, number, size, weight};

/// Which of the two operands and the result have an axis.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Of {
    All,
    Left,
    Right,
    Operands,
}

#[derive(Debug, Clone)]
pub(crate) struct Sum {
    axes: Vec<(Of, usize)>,
    /// The order of axes in each operand and in the result.
    orders: [Vec<usize>; 3],
    /// An operand in which an axis of both is 1 long.
    pub(crate) repeated: Option<usize>,
    constant: Option<usize>,
    lies: [Lies; 2],
}

pub(crate) fn sum() -> impl Strategy<Value = Sum> {
    let of = proptest::sample::select(&[Of::All, Of::Left, Of::Right, Of::Operands, Of::Operands][..]);
    let axes = proptest::collection::vec((of, size()), 1..7);
    let axes = axes.prop_map(|axes| {
        let (of, sizes): (Vec<Of>, Vec<usize>) = axes.into_iter().unzip();
        of.into_iter().zip(bounded(sizes, 40_000)).collect::<Vec<_>>()
    });
    let has = |axes: &Vec<(Of, usize)>, not: Of| axes.iter().any(|(of, _)| *of != not);
    axes.prop_filter("both have axes", move |axes| has(axes, Of::Left) && has(axes, Of::Right))
        .prop_flat_map(|axes| {
            let order: Vec<usize> = (0..axes.len()).collect();
            let order = move || Just(order.clone()).prop_shuffle();
            let operand = || proptest::option::weighted(0.3, 0_usize..2);
            (Just(axes), [order(), order(), order()], operand(), operand(), [lies(), lies()])
        })
        .prop_map(|(axes, orders, repeated, constant, lies)| Sum { axes, orders, repeated, constant, lies })
}

impl Sum {
    fn has(&self, place: usize, axis: usize) -> bool {
        match self.axes[axis].0 {
            Of::All => true,
            Of::Left => place != 1,
            Of::Right => place != 0,
            Of::Operands => place != 2,
        }
    }

    fn ordered(&self, place: usize) -> impl Iterator<Item = usize> {
        self.orders[place].iter().copied().filter(move |axis| self.has(place, *axis))
    }

    fn text(&self) -> String {
        let letters = |place: usize| self.ordered(place).map(|axis| char::from(b'a' + axis as u8)).collect::<String>();
        format!("{},{}->{}", letters(0), letters(1), letters(2))
    }

    fn shape(&self, operand: usize) -> Vec<usize> {
        let repeats = |axis: &usize| self.repeated == Some(operand) && self.axes[*axis].0 == Of::All;
        let first = (0..self.axes.len()).find(repeats);
        self.ordered(operand).map(|axis| if Some(axis) == first { 1 } else { self.axes[axis].1 }).collect()
    }
}

impl Sum {
    /// Each product once, added to where it belongs.
    pub(crate) fn expected(&self) -> Vec<f32> {
        let shapes = [self.shape(0), self.shape(1), self.ordered(2).map(|axis| self.axes[axis].1).collect()];
        let sizes: Vec<usize> = self.axes.iter().map(|(_, size)| *size).collect();
        let mut made = vec![0_f64; shapes[2].iter().product()];
        for turn in 0..sizes.iter().product() {
            let mut rest: usize = turn;
            let mut place = vec![0; sizes.len()];
            for (place, size) in place.iter_mut().zip(&sizes) {
                (*place, rest) = (rest % size, rest / size);
            }
            let at = |of: usize| {
                let axes = self.ordered(of).zip(&shapes[of]);
                axes.fold(0, |at, (axis, size)| at * size + place[axis] % size)
            };
            let value = |operand: usize| {
                let made = if self.constant == Some(operand) { weight } else { number };
                f64::from(made(self.tensor(operand), at(operand)))
            };
            made[at(2)] += value(0) * value(1);
        }
        made.into_iter().map(|value| value as f32).collect()
    }

    /// What the numbers of an operand are made by: of a constant its place, else its place among what is taken.
    fn tensor(&self, operand: usize) -> usize {
        if self.constant == Some(0) { 0 } else { operand }
    }

    /// One node that sums.
    pub(crate) fn graph(&self) -> (Graph, OutletId) {
        let mut graph = Graph::default();
        // Where the numbers are computed here, each operand lies as it is read.
        let lies = if self.repeated.is_some() { [Lies::Whole; 2] } else { self.lies };
        let operands: Vec<_> = (0..2)
            .map(|place| {
                let shape = self.shape(place);
                if self.constant == Some(place) { graph.weights(&shape) } else { graph.operand(&shape, lies[place]) }
            })
            .collect();
        let op = EinSum::new(self.text().parse().expect("axes"), f32::datum_type());
        let made = graph.add(op, &operands);
        (graph, made)
    }
}

/// What errors are compared with where products cancel: rounding grows with what is summed, not with what is left of it.
///
/// Of n products of numbers between -1 and 1 the absolute values have a sum of about n / 4, of which this is a thousandth.
pub(crate) fn scale(graph: &TypedModel) -> f32 {
    let products = |node: &TypedNode| {
        let (axes, facts) = (&node.op_as::<EinSum>()?.axes, graph.node_input_facts(node.id).expect("facts"));
        let size = |(fact, places): (&&TypedFact, &TVec<usize>)| {
            places.first().map(|place| fact.shape.as_concrete().expect("fixed")[*place])
        };
        let summed = axes.iter_all_axes().filter(|axis| axis.outputs[0].is_empty());
        let sizes = summed.filter_map(|axis| facts.iter().zip(&axis.inputs).filter_map(size).max());
        Some(sizes.product::<usize>())
    };
    let most = graph.nodes.iter().filter_map(products).max().unwrap_or(0);
    (most as f32 / 4000.0).max(1e-2)
}
