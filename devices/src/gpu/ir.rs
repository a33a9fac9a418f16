//! What a part is to the GPU: kernels in order, over values that lie in memory.

use half::f16;

use super::view::{Index, View};

/// A value by its place among all of a program.
pub(super) type ValueId = usize;

/// What elements are to kernels. Both take 4 bytes in memory, but for [`Constant::Halves`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// f32.
    Float,
    /// i32: all integers of the model, and booleans as 0 and 1.
    Int,
}

impl Kind {
    pub(super) fn wgsl(self) -> &'static str {
        match self {
            Self::Float => "f32",
            Self::Int => "i32",
        }
    }
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Origin {
    /// What the part takes, by its place.
    Input(usize),
    /// It is the same for all runs.
    Constant(Constant),
    /// A kernel writes it, by its place; of several the last. Where it is what a kernel computes, as which of its steps.
    Made { call: usize, step: Option<usize> },
}

/// Elements as they go to the device.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Constant {
    /// Of 4 bytes each.
    Words(Vec<u32>),
    /// f16, which kernels widen to f32 where they read them.
    Halves(Vec<f16>),
}

impl Constant {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Words(words) => words.len(),
            Self::Halves(halves) => halves.len(),
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Words(words) => bytemuck::cast_slice(words),
            Self::Halves(halves) => bytemuck::cast_slice(halves),
        }
    }
}

/// Elements in one piece.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Value {
    /// Elements.
    pub(super) len: usize,
    pub(super) kind: Kind,
    pub(super) origin: Origin,
}

impl Value {
    /// Whether it lies in memory as f16.
    pub(super) fn is_halves(&self) -> bool {
        matches!(self.origin, Origin::Constant(Constant::Halves(_)))
    }

    /// Bytes in memory.
    pub(super) fn bytes(&self) -> usize {
        self.len * if self.is_halves() { 2 } else { 4 }
    }
}

/// A kernel's file, in `kernels/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Template {
    pub(super) name: &'static str,
    pub(super) text: &'static str,
}

/// What a step works on.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Arg {
    /// What an earlier step of the same kernel has made of the same element.
    Step(usize),
    /// An element of a value, by the number of the kernel's element.
    Read(ValueId, Index),
    /// As WGSL writes it.
    Number(String),
}

/// One operation on an element: WGSL, in which `$0`, `$1` stand for its arguments.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    pub(super) text: String,
    pub(super) args: Vec<Arg>,
    pub(super) kind: Kind,
    /// The value that it makes, which is in memory only if another kernel reads it.
    pub(super) value: ValueId,
}

/// What a step has made goes to memory.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Store {
    pub(super) step: usize,
    pub(super) value: ValueId,
    pub(super) index: Index,
}

/// One kernel on its arguments.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Call {
    /// The node of the model where it begins.
    pub(super) node: String,
    pub(super) template: Template,
    /// Names that are numbers in the compiled kernel, such as a window's size.
    pub(super) consts: Vec<(&'static str, usize)>,
    /// Names that are numbers of this call.
    pub(super) params: Vec<(&'static str, usize)>,
    /// What stands in the place of marks of the template.
    pub(super) inserts: Vec<(&'static str, Insert)>,
    /// What the template reads, as `in0`, `in1`; four elements at a time where it is wide.
    pub(super) reads: Vec<Operand>,
    /// Elements that it makes.
    pub(super) len: usize,
    /// Elements that lie in a row of what `row` of `finish` numbers; 0 where the template tells no row.
    pub(super) row: usize,
    /// What it does with each element. The first is the template's own, but for `map`, which has none.
    pub(super) steps: Vec<Step>,
    pub(super) stores: Vec<Store>,
    /// Workgroups along x, y and z.
    pub(super) grid: [usize; 3],
    /// Multiply-adds.
    pub(super) macs: u64,
    /// Sizes, for people.
    pub(super) sizes: String,
}

/// What stands in a template in the place of a mark.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Insert {
    /// WGSL.
    Text(String),
    /// An index by this variable.
    Index(&'static str, Index),
}

/// What a template reads itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Operand {
    pub(super) value: ValueId,
    /// Whether as `vec4<f32>`, or `vec4<f16>`.
    pub(super) wide: bool,
}

/// All of a part.
#[derive(Debug, Clone, Default)]
pub(super) struct Program {
    pub(super) values: Vec<Value>,
    pub(super) calls: Vec<Call>,
    /// By place among what the part takes.
    pub(super) inputs: Vec<ValueId>,
    /// By place among what the part gives; dense, from their beginning.
    pub(super) outputs: Vec<View>,
}

impl Call {
    /// Values that it reads, some of them more than once.
    pub(super) fn all_reads(&self) -> impl Iterator<Item = ValueId> {
        let args = self.steps.iter().flat_map(|step| &step.args);
        let read = args.filter_map(|arg| if let Arg::Read(value, _) = arg { Some(*value) } else { None });
        self.reads.iter().map(|operand| operand.value).chain(read)
    }

    /// Values that steps read, each once, in the order in which they are bound after the template's own.
    pub(super) fn read_by_steps(&self) -> Vec<ValueId> {
        let mut values: Vec<ValueId> = Vec::new();
        for value in self.all_reads().skip(self.reads.len()) {
            if !values.contains(&value) {
                values.push(value);
            }
        }
        values
    }

    /// Values that it writes, each once, in the order in which they are bound.
    pub(super) fn writes(&self) -> Vec<ValueId> {
        let mut values: Vec<ValueId> = Vec::new();
        for store in &self.stores {
            if !values.contains(&store.value) {
                values.push(store.value);
            }
        }
        values
    }
}
