//! Outputs of a YOLO-type detector become boxes with classes.
//!
//! Redmon and Farhadi, "YOLOv3: An Incremental Improvement" (2018), section 2.1. A detector looks at a picture on one
//! or several grids, each an output. In each cell stand as many boxes as the grid has anchors, and of each 5 + classes
//! numbers: x, y, width, height, whether there is an object, and how likely it is of each class. Of boxes of one class
//! that overlap, the most confident is kept (greedy non-maximum suppression).
//!
//! Anchors belong to the weights. Those of YOLOv3-tiny as published are 81x82, 135x169, 344x319 for the grid of 13x13
//! and 23x27, 37x58, 81x82 for 26x26 (`mask = 1,2,3`): so boxes of the same object from both grids are alike. With
//! 10x14, 23x27, 37x58 (`mask = 0,1,2`), which other configurations have, those of the second come out half as large.

mod settings;
mod decode;
mod suppress;
mod find;
mod module;
mod error;

pub use error::FindError;
pub use find::{Finder, Found, Map};
pub use module::FindBoxes;
pub use settings::{Fit, Grid, Layout, Settings};
