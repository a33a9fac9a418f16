//! The smallest rectangle around points.

use crate::Point;

/// A rectangle that may be turned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rectangle {
    centre: Point,
    /// The direction of its first pair of sides, of length 1.
    along: Point,
    /// The lengths of both pairs of sides.
    sides: [f64; 2],
}

impl Rectangle {
    /// The rectangle of the smallest area that holds all points: without area where they lie on one line, and `None`
    /// where there are none.
    ///
    /// One of its sides lies on an edge of the convex hull (Freeman and Shapira, 1975), so all edges are tried; the
    /// points that bound each rectangle only move on around the hull from one edge to the next (Toussaint, "Solving
    /// Geometric Problems with the Rotating Calipers", 1983).
    pub(crate) fn around(points: &[Point]) -> Option<Self> {
        let hull = hull(points);
        let count = hull.len();
        let first = *hull.first()?;
        let point = |at: usize| hull[at % count];
        let mut smallest: Option<Self> = None;
        let (mut right, mut far, mut left) = (1, 1, 1);
        for edge in 0..count {
            let Some(along) = unit(minus(point(edge + 1), point(edge))) else { continue };
            let across = [-along[1], along[0]];
            let ahead = |at: usize| dot(minus(point(at + 1), point(at)), along);
            right = right.max(edge + 1);
            while ahead(right) > 0.0 && right < edge + count {
                right += 1;
            }
            far = far.max(right);
            while dot(minus(point(far + 1), point(far)), across) > 0.0 && far < edge + count {
                far += 1;
            }
            left = left.max(far);
            while ahead(left) < 0.0 && left < edge + count {
                left += 1;
            }
            let [start, end] = [left, right].map(|at| dot(point(at), along));
            let [near, far] = [edge, far].map(|at| dot(point(at), across));
            let found = Self::between(along, [start, end], [near, far]);
            if smallest.is_none_or(|smallest| found.area() < smallest.area()) {
                smallest = Some(found);
            }
        }
        smallest.or(Some(Self { centre: first, along: [1.0, 0.0], sides: [0.0; 2] }))
    }

    fn between(along: Point, [start, end]: [f64; 2], [near, far]: [f64; 2]) -> Self {
        let (middle, across) = ((start + end) / 2.0, (near + far) / 2.0);
        let centre = [along[0] * middle - along[1] * across, along[1] * middle + along[0] * across];
        Self { centre, along, sides: [end - start, far - near] }
    }

    /// The rectangle whose sides all lie further out by `ratio` times its area over its perimeter.
    ///
    /// PaddleOCR moves the outline out by that distance d, with round corners, and takes the smallest rectangle around
    /// the result. That is this rectangle: turned by an angle with cosine c and sine s (both from 0 to 1), a rectangle
    /// around the outline has the sides wc + hs + 2d and ws + hc + 2d. Their product is smallest where both the
    /// product and the sum of the parts without d are; the product is wh(c² + s²) + (w² + h²)cs, at least wh, and the
    /// sum is (w + h)(c + s), at least w + h, both reached at s = 0.
    pub(crate) fn grown(self, ratio: f64) -> Self {
        let [one, two] = self.sides;
        let distance = if one + two > 0.0 { one * two * ratio / (2.0 * (one + two)) } else { 0.0 };
        Self { sides: self.sides.map(|side| side + 2.0 * distance), ..self }
    }

    pub(crate) fn short_side(self) -> f64 {
        self.sides[0].min(self.sides[1])
    }

    fn area(self) -> f64 {
        self.sides[0] * self.sides[1]
    }

    /// Upper left, upper right, lower right, lower left: the two corners further left are the left ones, as PaddleOCR
    /// has it.
    pub(crate) fn corners(self) -> [Point; 4] {
        let [along, across] = [self.along, [-self.along[1], self.along[0]]];
        let corner = |one: f64, two: f64| {
            let axis = |at: usize| self.centre[at] + along[at] * self.sides[0] * one + across[at] * self.sides[1] * two;
            [axis(0), axis(1)]
        };
        let mut corners = [corner(-0.5, -0.5), corner(0.5, -0.5), corner(0.5, 0.5), corner(-0.5, 0.5)];
        corners.sort_by(|a, b| a[0].total_cmp(&b[0]).then(a[1].total_cmp(&b[1])));
        let upper_first = |one: Point, two: Point| if one[1] <= two[1] { (one, two) } else { (two, one) };
        let (upper_left, lower_left) = upper_first(corners[0], corners[1]);
        let (upper_right, lower_right) = upper_first(corners[2], corners[3]);
        [upper_left, upper_right, lower_right, lower_left]
    }
}

/// The corners of the convex hull, each turn to the same side (Andrew, "Another Efficient Algorithm for Convex Hulls in
/// Two Dimensions", 1979).
fn hull(points: &[Point]) -> Vec<Point> {
    let mut points = points.to_vec();
    points.sort_by(|a, b| a[0].total_cmp(&b[0]).then(a[1].total_cmp(&b[1])));
    points.dedup();
    if points.len() < 3 {
        return points;
    }
    let mut hull = half(points.iter().copied());
    let other = half(points.iter().rev().copied());
    hull.pop();
    hull.extend_from_slice(&other[..other.len() - 1]);
    hull
}

fn half(points: impl Iterator<Item = Point>) -> Vec<Point> {
    let mut half: Vec<Point> = Vec::new();
    for point in points {
        while let [.., before, last] = half[..]
            && cross(minus(last, before), minus(point, last)) <= 0.0
        {
            half.pop();
        }
        half.push(point);
    }
    half
}

fn minus(a: Point, b: Point) -> Point {
    [a[0] - b[0], a[1] - b[1]]
}

fn dot(a: Point, b: Point) -> f64 {
    a[0] * b[0] + a[1] * b[1]
}

fn cross(a: Point, b: Point) -> f64 {
    a[0] * b[1] - a[1] * b[0]
}

fn unit(of: Point) -> Option<Point> {
    let length = dot(of, of).sqrt();
    (length > 0.0).then(|| of.map(|axis| axis / length))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-6
    }

    #[test]
    fn few_points_make_rectangles_without_area() {
        assert_eq!(Rectangle::around(&[]), None);
        let dot = Rectangle::around(&[[3.5, 4.5]; 5]).unwrap();
        assert_eq!((dot.centre, dot.sides), ([3.5, 4.5], [0.0; 2]));
        let line = Rectangle::around(&[[0.0, 0.0], [3.0, 4.0], [1.5, 2.0]]).unwrap();
        assert!(near(line.sides[0], 5.0) && near(line.sides[1], 0.0), "{line:?}");
        assert_eq!(line.grown(1.5).area(), 0.0);
    }

    #[test]
    fn a_box_grows_by_area_over_perimeter() {
        let grown = Rectangle::around(&[[0.0, 0.0], [6.0, 0.0], [6.0, 2.0], [0.0, 2.0]]).unwrap().grown(1.5);
        // 6 * 2 * 1.5 / 16 = 1.125
        let expected = [[-1.125, -1.125], [7.125, -1.125], [7.125, 3.125], [-1.125, 3.125]];
        let apart = grown.corners().as_flattened().iter().zip(expected.as_flattened()).all(|(a, b)| near(*a, *b));
        assert!(apart, "{grown:?}");
    }

    proptest! {
        #[test]
        fn equals_trying_every_edge(points in proptest::collection::vec((0u8..40, 0u8..40), 3..30)) {
            let points: Vec<Point> = points.into_iter().map(|(x, y)| [f64::from(x), f64::from(y)]).collect();
            let found = Rectangle::around(&points).unwrap();
            // Any two points may be an edge of the hull; a pair that is none only makes a larger rectangle.
            let mut least = f64::INFINITY;
            for a in &points {
                for along in points.iter().filter_map(|b| unit(minus(*b, *a))) {
                    let extent = |axis: Point| {
                        let at = points.iter().map(|point| dot(*point, axis));
                        at.clone().fold(f64::MIN, f64::max) - at.fold(f64::MAX, f64::min)
                    };
                    least = least.min(extent(along) * extent([-along[1], along[0]]));
                }
            }
            prop_assert!(least.is_infinite() || near(found.area(), least), "{found:?}, but {least}");
            let inside = |point: &Point| {
                let from = minus(*point, found.centre);
                dot(from, found.along).abs() <= found.sides[0] / 2.0 + 1e-9
                    && cross(found.along, from).abs() <= found.sides[1] / 2.0 + 1e-9
            };
            prop_assert!(points.iter().all(inside), "{found:?}");
        }

        /// The claim of [`Rectangle::grown`], tried on points around the rounded outline.
        #[test]
        fn is_the_smallest_around_the_rounded_outline(
            width in 1.0f64..50.0, height in 1.0f64..50.0, ratio in 0.1f64..3.0, turn in 0.0f64..3.2,
        ) {
            let distance = width * height * ratio / (2.0 * (width + height));
            let turned = |[x, y]: Point| [x * turn.cos() - y * turn.sin(), x * turn.sin() + y * turn.cos()];
            let outline: Vec<Point> = (0..720).map(|step| {
                let angle = f64::from(step).to_radians() / 2.0;
                let side = |part: f64, length: f64| if part >= 0.0 { length / 2.0 } else { -length / 2.0 };
                let [x, y] = [angle.cos(), angle.sin()];
                turned([side(x, width) + distance * x, side(y, height) + distance * y])
            }).collect();
            let plain = [[0.0, 0.0], [width, 0.0], [width, height], [0.0, height]].map(turned);
            let grown = Rectangle::around(&plain).unwrap().grown(ratio);
            let around = Rectangle::around(&outline).unwrap();
            prop_assert!((around.area() / grown.area() - 1.0).abs() < 1e-3, "{grown:?}, but {around:?}");
        }
    }
}
