//! Pools of the largest element and of sums.

use proptest::prelude::*;
use tract_onnx::tract_hir::tract_core::ops::cnn::PaddingSpec;

use super::{Graph, cases, lies};
use crate::cases::convolution::{pooled, window};

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn pools_of_the_largest_agree(window in window(4), channels in 1_usize..6, lies in lies()) {
        let mut graph = Graph::default();
        let made = pooled(&mut graph, &window, channels, None, lies);
        graph.agrees(&[made]);
    }

    #[test]
    fn pools_of_sums_agree(
        window in window(4),
        channels in 1_usize..6,
        lies in lies(),
        count_include_pad in any::<bool>(),
        normalize in any::<bool>(),
    ) {
        // The mean of nothing is not compared.
        prop_assume!(count_include_pad || !normalize || window.sees_everywhere());
        let mut graph = Graph::default();
        let made = pooled(&mut graph, &window, channels, Some([count_include_pad, normalize]), lies);
        if count_include_pad && normalize && matches!(window.padding, PaddingSpec::ExplicitOnnxPool(_, _, true)) {
            graph.agrees_or_says_why(&[made]);
        } else {
            graph.agrees(&[made]);
        }
    }
}
