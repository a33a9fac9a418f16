//! What people do with task modules by hand: begin one, look at it, time it.

mod fresh;
mod found;
mod parts;
mod sheet;
mod input;
mod timing;

pub use found::Found;
pub use fresh::begin;
pub use input::GivenInput;
pub use parts::{GivenModel, grants};
pub use sheet::{DescriptionRow, ImportRow, PortRow, Sheet, Signed};
pub(crate) use timing::rank;
pub use timing::{Timing, time};
