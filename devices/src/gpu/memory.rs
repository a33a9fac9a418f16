//! Where values lie: which buffers a program has, and which value uses which when.

use super::ir::{Origin, Program, ValueId};

/// Buffers of a program that several values use one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Memory {
    /// Bytes of each buffer.
    pub(super) buffers: Vec<usize>,
    /// By value, which it has; none where it is an input, a constant, or never in memory.
    pub(super) of: Vec<Option<usize>>,
}

/// Gives each value that kernels make the buffer that fits best among those that are free by then. No kernel reads from a
/// buffer that it writes to.
pub(super) fn plan(program: &Program) -> Memory {
    let last = last_uses(program);
    let mut memory = Memory { buffers: Vec::new(), of: vec![None; program.values.len()] };
    let mut free: Vec<usize> = Vec::new();
    for call in 0..program.calls.len() {
        for value in program.calls[call].writes() {
            if memory.of[value].is_some() {
                continue;
            }
            let bytes = program.values[value].len * 4;
            memory.of[value] = Some(memory.take(&mut free, bytes));
        }
        let ends = |value: &ValueId| last[*value] == Some(call);
        let freed = (0..program.values.len()).filter(ends).filter_map(|value| memory.of[value]);
        free.extend(freed);
    }
    memory
}

impl Memory {
    /// The least of those that are large enough; else the largest, which grows.
    fn take(&mut self, free: &mut Vec<usize>, bytes: usize) -> usize {
        let fits = (0..free.len()).filter(|at| self.buffers[free[*at]] >= bytes);
        let found = fits.min_by_key(|at| self.buffers[free[*at]]);
        let found = found.or_else(|| (0..free.len()).max_by_key(|at| self.buffers[free[*at]]));
        let Some(at) = found else {
            self.buffers.push(bytes);
            return self.buffers.len() - 1;
        };
        let buffer = free.swap_remove(at);
        self.buffers[buffer] = self.buffers[buffer].max(bytes);
        buffer
    }
}

/// By value that kernels make, the last of them that writes or reads it; none that is ever reached where the part gives it.
fn last_uses(program: &Program) -> Vec<Option<usize>> {
    let mut last = vec![None; program.values.len()];
    for (place, call) in program.calls.iter().enumerate() {
        for value in call.writes().into_iter().chain(call.all_reads()) {
            if let Origin::Made { .. } = program.values[value].origin {
                last[value] = Some(place);
            }
        }
    }
    for output in &program.outputs {
        last[output.value] = None;
    }
    last
}
