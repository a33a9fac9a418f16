//! What is kept of a model's answers where what crosses a cut gets coarser and coarser.

use thalweg_codec::features::fit::Options;
use thalweg_devices::Model;
use thalweg_planner::Tensor;

use crate::Failure;
use crate::cut::Cut;
use crate::fitting;
use crate::measure::{levels, send, times};
use crate::neighbours::Way;
use crate::table::{self, Table};

/// Levels below this are too coarse for any model that is measured.
const BITS_MIN: f64 = 0.2;
/// Coarser levels than so many that are too coarse are not measured.
const MISSES_MAX: usize = 2;

/// What is measured at a cut.
pub(crate) struct Descent<'a> {
    pub(crate) model: &'a Model,
    pub(crate) cut: &'a Cut,
    /// The inputs that are fitted to, and those that are measured.
    pub(crate) fitting: &'a [Vec<Tensor>],
    pub(crate) measured: &'a [Vec<Tensor>],
    /// Bits an element of the finest level.
    pub(crate) bits_max: f64,
    /// What the columns say between bits and times.
    pub(crate) columns: &'a [&'a str],
}

impl Descent<'_> {
    /// Prints a row for f16, for int8 and for every second level from the finest on, until some keep too little; `judge`
    /// gives the columns of all samples' answers, and whether they are kept well enough. Says from how many bits an element
    /// on they are.
    pub(crate) fn print<A: Send>(
        &self,
        read: impl Fn(&[Tensor]) -> Result<A, Failure> + Sync,
        judge: impl Fn(&[A]) -> (Vec<String>, bool),
    ) -> Result<String, Failure> {
        let Self { cut, .. } = self;
        let live = &cut.live(self.measured)?;
        let books = fitting::shown(self.model, cut, self.fitting, self.measured)?.books(Options::DEFAULT)?;
        let features = |level| Way::features(&books, level);
        let bytes = |bits: f64| bits * cut.elements() as f64 / 8.0;
        let mut ways = vec![Way::Codec("f16".parse()?), Way::Codec("int8".parse()?)];
        let near = levels(live, features, bytes(BITS_MIN), bytes(self.bits_max))?;
        ways.extend(near.iter().rev().step_by(2).map(|level| features(*level)));
        let head = [&["", "bytes", "bits an element"], self.columns, &["encode ms", "decode ms"]].concat();
        let mut table = Table::new(&head);
        let (mut least, mut misses): (Option<f64>, usize) = (None, 0);
        for way in ways {
            let sent = send(cut, live, &way, &read)?;
            let (columns, enough) = judge(&sent.answers);
            let bits = 8.0 * sent.bytes / cut.elements() as f64;
            match (&way, enough) {
                (Way::Features(..), true) => least = Some(bits),
                (Way::Features(..), false) => misses += 1,
                _ => {}
            }
            let [encode, decode] = times(live, &way)?;
            let sent = vec![way.title(), table::bytes(sent.bytes), format!("{bits:.2}")];
            table.row(&[sent, columns, vec![table::ms(encode), table::ms(decode)]].concat());
            if misses == MISSES_MAX {
                break;
            }
        }
        println!("{}", table.text());
        Ok(table::found(least))
    }
}
