//! Resizing in all modes, there and back, of any axes.

use proptest::prelude::*;

use super::{cases, lies, shape, size};
use crate::cases::resize::{resize, to_scales, to_sizes};

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn images_of_other_sizes_agree(
        op in resize(),
        from in shape(1..5, 4096),
        to in prop::collection::vec(size(), 4),
        lies in lies(),
    ) {
        let (graph, made) = to_sizes(op, &from, &to, lies);
        graph.agrees(&[made]);
    }

    #[test]
    fn images_at_other_scales_agree(
        op in resize(),
        from in shape(2..4, 2048),
        scales in prop::collection::vec(0.3_f32..3.0, 3),
        lies in lies(),
    ) {
        prop_assume!(from.iter().zip(&scales).all(|(from, scale)| *from as f32 * scale >= 1.0));
        let (graph, made) = to_scales(op, &from, &scales, lies);
        graph.agrees(&[made]);
    }
}
