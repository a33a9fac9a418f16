//! Why no boxes could be found.

/// What is wrong with settings or outputs. Each message says what to do. All counts begin at 0.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FindError {
    /// A share outside its range.
    #[error("setting `{name}` is {value}: it takes 0 to 1")]
    Share {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: f32,
    },
    /// A number of boxes outside its range.
    #[error("setting `boxes_max` is {value}: it takes 1 to {max}")]
    BoxesMax {
        /// Its value.
        value: usize,
        /// The most it takes.
        max: usize,
    },
    /// A list that must not be empty.
    #[error("setting `{name}` is empty: give those that the model was trained with")]
    Nothing {
        /// The setting.
        name: &'static str,
    },
    /// A grid without anchors.
    #[error("setting `grids[{grid}].anchors` is empty: give width and height of each anchor, in pixels of the input")]
    NoAnchor {
        /// The grid.
        grid: usize,
    },
    /// A size that nothing has.
    #[error("setting `{place}` is {sides:?}: each side takes more than 0 and at most 65536 pixels")]
    Size {
        /// The setting.
        place: String,
        /// Its value.
        sides: [f32; 2],
    },
    /// Another number of outputs than of grids.
    #[error("the model gives {found} outputs, but the settings have {expected} grids: give one for each output")]
    Outputs {
        /// Outputs.
        found: usize,
        /// Grids.
        expected: usize,
    },
    /// An output of another size.
    #[error(
        "output {grid} has {found} numbers, which are not {anchors} anchors x (5 + {classes} classes) x {height} x \
         {width}: check anchors and labels"
    )]
    Shape {
        /// The output.
        grid: usize,
        /// Its numbers.
        found: usize,
        /// Anchors of its grid.
        anchors: usize,
        /// Classes of the settings.
        classes: usize,
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
    },
    /// An output that is broken.
    #[error("number {at} of output {grid} is {value}: the model or its input is broken")]
    NotANumber {
        /// The output.
        grid: usize,
        /// The place in it.
        at: usize,
        /// What stands there.
        value: f32,
    },
}
