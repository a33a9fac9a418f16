//! What lowering adds to a program: kernels, their steps, and what of these goes to memory.

use super::super::ir::{Arg, Call, Kind, Operand, Origin, Step, Store, Template, ValueId};
use super::super::view::{Index, View, volume};
use super::{Lowering, Why};

const MAP: Template = Template { name: "map", text: include_str!("../kernels/map.wgsl") };

impl Lowering<'_> {
    /// Puts what the part gives where it can be copied from: each in one piece, and in memory.
    pub(super) fn outputs(&mut self) -> Result<(), Why> {
        for outlet in &self.graph.outputs {
            let view = self.view(*outlet)?;
            let value = &self.program.values[view.value];
            let made = matches!(value.origin, Origin::Made { .. });
            // What is given is all of a value.
            let whole = made && view.offset == 0 && volume(&view.shape) == value.len;
            let view = if whole { self.dense(view)? } else { self.copied(view)? };
            self.program.outputs.push(view);
        }
        for output in self.program.outputs.clone() {
            self.stored(output.value);
        }
        for call in 0..self.program.calls.len() {
            for value in self.program.calls[call].all_reads().collect::<Vec<_>>() {
                self.stored(value);
            }
        }
        Ok(())
    }

    /// A value that a kernel makes on its way is in memory from now on.
    pub(super) fn stored(&mut self, value: ValueId) {
        if let Origin::Made { call, step: Some(step) } = self.program.values[value].origin {
            let stores = &mut self.program.calls[call].stores;
            if !stores.iter().any(|store| store.value == value) {
                stores.push(Store { step, value, index: Index::linear(0) });
            }
        }
    }

    /// The same elements in one piece, row by row.
    pub(super) fn dense(&mut self, view: View) -> Result<View, Why> {
        if view.is_dense() { Ok(view) } else { self.copied(view) }
    }

    pub(super) fn copied(&mut self, view: View) -> Result<View, Why> {
        let (shape, kind) = (view.shape.clone(), self.program.values[view.value].kind);
        let call = self.map(volume(&shape))?;
        let args = vec![Arg::Read(view.value, Index::of_view(&view))];
        let value = self.step(call, "$0".to_owned(), args, kind);
        Ok(View::whole(value, &shape))
    }

    /// A kernel that makes so many elements by steps alone.
    pub(super) fn map(&mut self, len: usize) -> Result<usize, Why> {
        let (grid, pitch) = self.grid(len, 64)?;
        let params = vec![("len", len), ("pitch", pitch)];
        Ok(self.call(MAP, len, params, grid))
    }

    /// Workgroups for so many elements with so many each, and how many elements there are along x.
    pub(super) fn grid(&self, len: usize, each: usize) -> Result<([usize; 3], usize), Why> {
        let groups = len.div_ceil(each);
        let x = groups.min(self.bounds.groups);
        let y = groups.div_ceil(x);
        if y > self.bounds.groups || len > u32::MAX as usize / 2 {
            return Err(format!("{len} elements are too many"));
        }
        Ok(([x, y, 1], x * each))
    }

    pub(super) fn call(
        &mut self,
        template: Template,
        len: usize,
        params: Vec<(&'static str, usize)>,
        grid: [usize; 3],
    ) -> usize {
        self.program.calls.push(Call {
            node: self.node.clone(),
            template,
            consts: Vec::new(),
            params,
            inserts: Vec::new(),
            reads: Vec::new(),
            len,
            row: 0,
            steps: Vec::new(),
            stores: Vec::new(),
            grid,
            macs: 0,
            sizes: format!("{len}"),
        });
        self.program.calls.len() - 1
    }

    /// What the latest kernel makes itself, of these.
    pub(super) fn template(&mut self, reads: Vec<Operand>) -> ValueId {
        let call = self.program.calls.len() - 1;
        self.program.calls[call].reads = reads;
        self.step(call, "made".to_owned(), Vec::new(), Kind::Float)
    }

    /// One more step of a kernel, and the value that it makes.
    pub(super) fn step(&mut self, call: usize, text: String, args: Vec<Arg>, kind: Kind) -> ValueId {
        let step = self.program.calls[call].steps.len();
        let len = self.program.calls[call].len;
        let value = self.value(len, kind, Origin::Made { call, step: Some(step) });
        self.program.calls[call].steps.push(Step { text, args, kind, value });
        value
    }

    /// The latest kernel that writes a value.
    pub(super) fn maker(&self, value: ValueId) -> Option<usize> {
        if let Origin::Made { call, .. } = self.program.values[value].origin { Some(call) } else { None }
    }

    /// The kernel whose step makes these elements, in the kernel's own order, and that step.
    pub(super) fn made_by(&self, view: &View) -> Option<(usize, usize)> {
        let Origin::Made { call, step: Some(step) } = self.program.values[view.value].origin else { return None };
        let all = view.offset == 0 && view.is_dense() && volume(&view.shape) == self.program.calls[call].len;
        all.then_some((call, step))
    }

    /// Whether a kernel may have so many more buffers, beside those of what it makes that is read elsewhere.
    pub(super) fn has_room(&self, call: usize, more: usize) -> bool {
        let own = &self.program.calls[call];
        let stored = own.writes();
        // In memory will be what other nodes read too, and what no step of the kernel reads, such as the next one.
        let read = |place: usize| own.steps.iter().any(|step| step.args.contains(&Arg::Step(place)));
        let is_open = |(place, step): (usize, &Step)| {
            (self.kept.contains(&step.value) || !read(place)) && !stored.contains(&step.value)
        };
        let open = own.steps.iter().enumerate().filter(|step| is_open(*step)).count() + 1;
        own.reads.len() + own.read_by_steps().len() + stored.len() + open + more <= self.bounds.buffers
    }
}
