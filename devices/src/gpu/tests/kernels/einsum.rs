//! Sums of products over any axes.

use proptest::prelude::*;

use super::{cases, precision};
use crate::cases::sums::sum;

proptest! {
    #![proptest_config(cases(80))]

    #[test]
    fn sums_of_products_agree(sum in sum(), precision in precision()) {
        let (mut graph, made) = sum.graph();
        graph.precision = precision;
        // The engine repeats an axis wrongly where nothing is summed.
        if sum.repeated.is_some() {
            graph.makes(made, &sum.expected());
        } else {
            graph.agrees(&[made]);
        }
    }
}
