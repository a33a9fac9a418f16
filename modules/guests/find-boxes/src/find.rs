//! From outputs to boxes.

use serde::Serialize;

use crate::decode::{Candidate, NUMBERS, candidates};
use crate::suppress::suppressed;
use crate::{FindError, Fit, Settings};

/// One output: f32, in the layout of the settings, of one picture.
#[derive(Debug, Clone, Copy)]
pub struct Map<'a> {
    /// Its numbers.
    pub values: &'a [f32],
    /// Rows of cells.
    pub height: usize,
    /// Columns of cells.
    pub width: usize,
}

/// An object in a photo. Lengths are in pixels from the photo's upper left corner.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Found {
    /// The index of its class.
    pub class: usize,
    /// The name of its class.
    pub label: String,
    /// From 0 to 1.
    pub confidence: f32,
    /// Left, top, right, bottom, within the photo.
    #[serde(rename = "box")]
    pub edges: [f32; 4],
}

/// Finds boxes by settings that were checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Finder(Settings);

impl Finder {
    /// Checks the settings.
    pub fn new(settings: Settings) -> Result<Self, FindError> {
        settings.check()?;
        Ok(Self(settings))
    }

    /// The objects of a photo, from the most confident.
    ///
    /// All numbers of the maps are finite. Takes memory for a few thousand boxes, whatever the outputs are.
    pub fn find(&self, maps: &[Map]) -> Result<Vec<Found>, FindError> {
        let settings = &self.0;
        if maps.len() != settings.grids.len() {
            return Err(FindError::Outputs { found: maps.len(), expected: settings.grids.len() });
        }
        for (grid, map) in maps.iter().enumerate() {
            self.check(grid, map)?;
        }
        let kept = suppressed(&candidates(maps, settings), settings.overlap_max, settings.boxes_max);
        Ok(kept.iter().map(|of| self.found(of)).collect())
    }

    fn check(&self, grid: usize, map: &Map) -> Result<(), FindError> {
        let (anchors, classes) = (self.0.grids[grid].anchors.len(), self.0.labels.len());
        let &Map { values, height, width } = map;
        let sides = [anchors, NUMBERS + classes, height, width];
        let expected = sides.into_iter().try_fold(1_usize, usize::checked_mul);
        if values.is_empty() || expected != Some(values.len()) {
            return Err(FindError::Shape { grid, found: values.len(), anchors, classes, height, width });
        }
        match values.iter().position(|value| !value.is_finite()) {
            Some(at) => Err(FindError::NotANumber { grid, at, value: values[at] }),
            None => Ok(()),
        }
    }

    /// The candidate in pixels of the photo, cut at its edges.
    fn found(&self, of: &Candidate) -> Found {
        // Across and down.
        let ([height, width], [rows, columns]) = (self.0.input, self.0.photo());
        let (input, photo) = ([width, height].map(|side| side as f32), [columns, rows].map(|side| side as f32));
        let ratios = [0, 1].map(|axis| input[axis] / photo[axis]);
        let scale = match self.0.fit {
            Fit::Stretch => ratios,
            Fit::Letterbox => [ratios[0].min(ratios[1]); 2],
            Fit::Crop => [ratios[0].max(ratios[1]); 2],
        };
        let place = |axis: usize, at: f32| {
            let border = (input[axis] - photo[axis] * scale[axis]) / 2.0;
            ((at - border) / scale[axis]).clamp(0.0, photo[axis])
        };
        let edges = [place(0, of.left), place(1, of.top), place(0, of.right), place(1, of.bottom)];
        Found { class: of.class, label: self.0.labels[of.class].clone(), confidence: of.confidence, edges }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::{Grid, Layout};

    fn settings() -> Settings {
        let grids = r#""grids": [{"anchors": [[20, 10]]}]"#;
        let json = format!(r#"{{{grids}, "labels": ["cat", "dog"], "input": [40, 40], "photo": [40, 80]}}"#);
        serde_json::from_str(&json).unwrap()
    }

    /// Two by two cells with a dog in the middle of the upper right one, 20 x 20 pixels large.
    fn dog() -> Vec<f32> {
        let mut values = vec![-50.0; 7 * 4];
        for (number, value) in [0.0, 0.0, 0.0, 2f32.ln(), 50.0, -50.0, 1.0].into_iter().enumerate() {
            values[number * 4 + 1] = value;
        }
        values
    }

    fn find(settings: Settings) -> Vec<Found> {
        let map = Map { values: &dog(), height: 2, width: 2 };
        Finder::new(settings).unwrap().find(&[map]).unwrap()
    }

    #[test]
    fn a_box_stands_where_its_cell_is() {
        let found = find(settings());
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].class, found[0].label.as_str()), (1, "dog"));
        assert!((found[0].confidence - 0.731_058_6).abs() < 1e-6, "{found:?}");
        // From (20, 0) to (40, 20) of the input.
        let edges = |fit| {
            let found = find(Settings { fit, ..settings() });
            found[0].edges.map(|edge| (edge * 1000.0).round() / 1000.0)
        };
        assert_eq!(edges(Fit::Stretch), [40.0, 0.0, 80.0, 20.0]);
        // The photo fills rows 10 to 30, at half its size.
        assert_eq!(edges(Fit::Letterbox), [40.0, 0.0, 80.0, 20.0]);
        // Columns 20 to 60 of the photo are seen.
        assert_eq!(edges(Fit::Crop), [40.0, 0.0, 60.0, 20.0]);
    }

    #[test]
    fn both_layouts_read_the_same() {
        let plain = dog();
        let turned: Vec<f32> = (0..28).map(|at| plain[at % 7 * 4 + at / 7]).collect();
        let finder = Finder::new(Settings { layout: Layout::Nhwc, ..settings() }).unwrap();
        let found = finder.find(&[Map { values: &turned, height: 2, width: 2 }]).unwrap();
        assert_eq!(found, find(settings()));
    }

    #[test]
    fn outputs_that_lie_are_refused() {
        let finder = Finder::new(settings()).unwrap();
        let refused =
            |values: &[f32], height, width| finder.find(&[Map { values, height, width }]).unwrap_err().to_string();
        assert!(refused(&[0.0; 27], 2, 2).starts_with("output 0 has 27 numbers, which are not 1 anchors x (5 + 2"));
        assert!(refused(&[], 0, usize::MAX).starts_with("output 0 has 0 numbers"));
        assert!(refused(&[0.0; 28], usize::MAX, 4).starts_with("output 0 has 28 numbers"));
        let mut broken = dog();
        broken[9] = f32::INFINITY;
        assert!(refused(&broken, 2, 2).starts_with("number 9 of output 0 is inf"));
        assert!(finder.find(&[]).unwrap_err().to_string().starts_with("the model gives 0 outputs"));
    }

    #[test]
    fn settings_that_make_no_sense_are_refused() {
        let refused = |settings: Settings| Finder::new(settings).unwrap_err().to_string();
        assert_eq!(
            refused(Settings { confidence_min: f32::NAN, ..settings() }),
            "setting `confidence_min` is NaN: it takes 0 to 1"
        );
        assert!(refused(Settings { grids: vec![], ..settings() }).starts_with("setting `grids` is empty"));
        let grids = |anchors| vec![Grid { anchors }];
        assert!(refused(Settings { grids: grids(vec![]), ..settings() }).starts_with("setting `grids[0].anchors` is"));
        assert_eq!(
            refused(Settings { grids: grids(vec![[5.0, 5.0], [5.0, -1.0]]), ..settings() }),
            "setting `grids[0].anchors[1]` is [5.0, -1.0]: each side takes more than 0 and at most 65536 pixels"
        );
        assert!(
            refused(Settings { input: [70_000, 1], ..settings() }).starts_with("setting `input` is [70000.0, 1.0]")
        );
        assert!(refused(Settings { photo: Some([0, 9]), ..settings() }).starts_with("setting `photo` is [0.0, 9.0]"));
        assert!(refused(Settings { boxes_max: 0, ..settings() }).starts_with("setting `boxes_max` is 0"));
    }

    #[test]
    fn a_flood_of_boxes_is_bounded() {
        let settings = Settings { confidence_min: 0.0, overlap_max: 1.0, boxes_max: 9, ..settings() };
        let values: Vec<f32> = (0..7 * 10_000).map(|at| (at % 13) as f32).collect();
        let found = Finder::new(settings).unwrap().find(&[Map { values: &values, height: 100, width: 100 }]);
        assert_eq!(found.unwrap().len(), 9);
    }

    proptest! {
        #[test]
        fn arbitrary_outputs_never_panic(values in proptest::collection::vec(any::<f32>(), 28), width in any::<u32>()) {
            let settings = Settings { confidence_min: 0.0, photo: Some([7, width]), ..settings() };
            let map = Map { values: &values, height: 2, width: 2 };
            if let Ok(found) = Finder::new(settings).and_then(|finder| finder.find(&[map])) {
                prop_assert!(found.iter().all(|of| of.edges.iter().all(|edge| edge.is_finite())), "{found:?}");
            }
        }
    }
}
