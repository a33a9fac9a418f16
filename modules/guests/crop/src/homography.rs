//! How a square is seen as a quadrilateral.

use crate::{Corners, CropError};

/// A map from the unit square to a quadrilateral that keeps straight lines straight.
///
/// x = (a u + b v + c) / (g u + h v + 1), and y likewise: Heckbert, "Fundamentals of Texture Mapping and Image
/// Warping" (1989), section 2.2.3.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Homography {
    x: [f64; 3],
    y: [f64; 3],
    depth: [f64; 3],
}

/// The least area of the triangles that three of the corners span, in square pixels. Less is a line.
const AREA_MIN: f64 = 1e-3;

impl Homography {
    /// The one that takes (0, 0), (1, 0), (1, 1) and (0, 1) to the corners, in this order.
    ///
    /// They are an error unless finite, and convex in either direction of turning.
    pub fn to(corners: &Corners) -> Result<Self, CropError> {
        let not_convex = || CropError::NotConvex { corners: *corners };
        let [p0, p1, p2, p3] = corners.map(|corner| corner.map(f64::from));
        let turn =
            |a: [f64; 2], b: [f64; 2], c: [f64; 2]| (b[0] - a[0]) * (c[1] - b[1]) - (b[1] - a[1]) * (c[0] - b[0]);
        let turns = [turn(p0, p1, p2), turn(p1, p2, p3), turn(p2, p3, p0), turn(p3, p0, p1)];
        let finite = turns.iter().all(|turn| turn.is_finite());
        let convex = |side: f64| turns.iter().all(|turn| turn * side >= 2.0 * AREA_MIN);
        if !finite || !(convex(1.0) || convex(-1.0)) {
            return Err(not_convex());
        }
        let sum = |axis: usize| p0[axis] - p1[axis] + p2[axis] - p3[axis];
        let [one, two] = [[p1[0] - p2[0], p1[1] - p2[1]], [p3[0] - p2[0], p3[1] - p2[1]]];
        let determinant = one[0] * two[1] - two[0] * one[1];
        let g = (sum(0) * two[1] - two[0] * sum(1)) / determinant;
        let h = (one[0] * sum(1) - sum(0) * one[1]) / determinant;
        let axis = |axis: usize| [p1[axis] * (1.0 + g) - p0[axis], p3[axis] * (1.0 + h) - p0[axis], p0[axis]];
        Ok(Self { x: axis(0), y: axis(1), depth: [g, h, 1.0] })
    }

    /// Where a point of the unit square goes.
    ///
    /// The divisor is positive there: it is linear, and at the corners of a convex quadrilateral it is a ratio of areas
    /// on the same side.
    pub fn at(&self, u: f64, v: f64) -> [f64; 2] {
        let linear = |of: &[f64; 3]| of[0] * u + of[1] * v + of[2];
        let depth = linear(&self.depth);
        [linear(&self.x) / depth, linear(&self.y) / depth]
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_convex_quadrilateral_is_refused() {
        let refused = |corners: Corners| matches!(Homography::to(&corners), Err(CropError::NotConvex { .. }));
        assert!(refused([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0], [9.0, 9.0]]), "crossed");
        assert!(refused([[0.0, 0.0], [9.0, 0.0], [2.0, 2.0], [0.0, 9.0]]), "an arrow");
        assert!(refused([[0.0, 0.0], [9.0, 0.0], [18.0, 0.0], [0.0, 9.0]]), "a triangle");
        assert!(refused([[5.0, 5.0]; 4]), "a point");
        assert!(refused([[0.0, 0.0], [f32::NAN, 0.0], [9.0, 9.0], [0.0, 9.0]]));
        assert!(refused([[0.0, 0.0], [f32::INFINITY, 0.0], [9.0, 9.0], [0.0, 9.0]]));
    }

    proptest! {
        #[test]
        fn corners_go_to_corners_and_lines_stay_straight(
            moved in proptest::array::uniform8(-20f32..20.0), u in 0.0f64..1.0,
        ) {
            let plain = [[0.0, 0.0], [100.0, 0.0], [100.0, 60.0], [0.0, 60.0]];
            let mut corners: Corners = plain;
            corners.as_flattened_mut().iter_mut().zip(moved).for_each(|(at, by)| *at += by);
            let to = Homography::to(&corners).unwrap();
            let near = |a: [f64; 2], b: [f32; 2]| (a[0] - f64::from(b[0])).hypot(a[1] - f64::from(b[1])) < 1e-6;
            for (corner, (u, v)) in corners.iter().zip([(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]) {
                prop_assert!(near(to.at(u, v), *corner), "{:?} is not {corner:?}", to.at(u, v));
            }
            // The diagonal of the square is the diagonal of the quadrilateral.
            let [a, b, c] = [to.at(0.0, 0.0), to.at(u, u), to.at(1.0, 1.0)];
            let area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]);
            prop_assert!(area.abs() < 1e-6, "{area}");
        }
    }
}
