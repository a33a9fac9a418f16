//! WGSL of a call: its template, between the buffers that it binds and the steps that each element goes through.

use std::fmt::Write as _;

use super::ir::{Arg, Call, Insert, Operand, Value};
use super::lower::FUNCTIONS;
use super::view::Index;

/// What a kernel is compiled from. Calls that differ only in their numbers share one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Shader {
    pub(super) name: &'static str,
    pub(super) text: String,
    /// Buffers that it reads, and then those that it writes, after the one of its numbers.
    pub(super) reads: usize,
    pub(super) writes: usize,
}

/// A shader and the numbers of one call of it, in the order in which it declares them.
pub(super) fn shader(call: &Call, values: &[Value]) -> (Shader, Vec<u32>) {
    let mut writer = Writer { call, values, numbers: Vec::new(), names: Vec::new() };
    for (name, number) in &call.params {
        writer.number((*name).to_owned(), *number);
    }
    let finish = writer.finish();
    let inserts: Vec<(&str, String)> =
        call.inserts.iter().map(|(mark, insert)| (*mark, writer.insert(insert))).collect();
    let (reads, writes) = (call.reads.len() + call.read_by_steps().len(), call.writes().len());
    let mut text = String::new();
    let _ = writeln!(text, "struct Numbers {{");
    for name in &writer.names {
        let _ = writeln!(text, "  {name}: u32,");
    }
    let _ = writeln!(text, "}}\n@group(0) @binding(0) var<uniform> p: Numbers;");
    writer.bindings(&mut text);
    for (name, number) in &call.consts {
        let _ = writeln!(text, "const {name} = {number}u;");
    }
    let mut template = call.template.text.to_owned();
    for (mark, insert) in inserts {
        template = template.replace(&format!("//{{{mark}}}"), &insert);
    }
    let functions =
        if finish.contains("error_function") || finish.contains("hyperbolic_tangent") { FUNCTIONS } else { "" };
    let text = writer.with_halves(format!("{text}{functions}{finish}{template}"));
    (Shader { name: call.template.name, text, reads, writes }, writer.numbers)
}

struct Writer<'a> {
    call: &'a Call,
    values: &'a [Value],
    names: Vec<String>,
    numbers: Vec<u32>,
}

impl Writer<'_> {
    fn number(&mut self, name: String, number: usize) {
        self.names.push(name);
        self.numbers.push(u32::try_from(number).unwrap_or(u32::MAX));
    }

    /// A number that no template names, as WGSL reads it.
    fn own_number(&mut self, number: usize) -> String {
        let name = format!("i{}", self.names.len());
        let read = format!("p.{name}");
        self.number(name, number);
        read
    }

    /// What it reads, in the order in which it is bound.
    fn reads(&self) -> impl Iterator<Item = Operand> {
        let more = self.call.read_by_steps().into_iter().map(|value| Operand { value, wide: false });
        self.call.reads.iter().copied().chain(more)
    }

    fn bindings(&self, text: &mut String) {
        let mut binding = 0;
        for (place, Operand { value, wide }) in self.reads().enumerate() {
            binding += 1;
            let value = &self.values[value];
            let kind = if value.is_halves() { "f16" } else { value.kind.wgsl() };
            let kind = if wide { format!("vec4<{kind}>") } else { kind.to_owned() };
            let _ = writeln!(text, "@group(0) @binding({binding}) var<storage, read> in{place}: array<{kind}>;");
        }
        for (place, value) in self.call.writes().into_iter().enumerate() {
            binding += 1;
            let kind = self.values[value].kind.wgsl();
            let _ = writeln!(text, "@group(0) @binding({binding}) var<storage, read_write> out{place}: array<{kind}>;");
        }
    }

    /// What becomes of the element `o`, which stands in `row`, and of which the template has made `made`.
    fn finish(&mut self) -> String {
        let mut text = "fn finish(o: u32, row: u32, made: f32) {\n".to_owned();
        let (reads, writes) = (self.call.read_by_steps(), self.call.writes());
        let own = self.call.reads.len();
        for (place, step) in self.call.steps.iter().enumerate() {
            let mut expression = step.text.clone();
            for (number, arg) in step.args.iter().enumerate() {
                let arg = match arg {
                    Arg::Step(step) => format!("s{step}"),
                    Arg::Number(number) => number.clone(),
                    Arg::Read(value, index) => {
                        let buffer = own + reads.iter().position(|read| read == value).unwrap_or_default();
                        format!("in{buffer}[{}]", self.index(index, "o"))
                    }
                };
                expression = expression.replace(&format!("${number}"), &arg);
            }
            let _ = writeln!(text, "  let s{place}: {} = {expression};", step.kind.wgsl());
        }
        for store in &self.call.stores {
            let buffer = writes.iter().position(|written| *written == store.value).unwrap_or_default();
            let _ = writeln!(text, "  out{buffer}[{}] = s{};", self.index(&store.index, "o"), store.step);
        }
        text + "}\n"
    }

    /// The text with each f16 widened where it is read. Without one it stays as it is.
    fn with_halves(&self, mut text: String) -> String {
        let halves = |(_, operand): &(usize, Operand)| self.values[operand.value].is_halves();
        let halves: Vec<_> = self.reads().enumerate().filter(halves).collect();
        for (place, operand) in &halves {
            text = widened(&text, &format!("in{place}["), if operand.wide { "vec4<f32>" } else { "f32" });
        }
        if halves.is_empty() { text } else { format!("enable f16;\n{text}") }
    }

    fn insert(&mut self, insert: &Insert) -> String {
        match insert {
            Insert::Text(text) => text.clone(),
            Insert::Index(variable, index) => self.index(index, variable),
        }
    }

    /// An index by a variable, with numbers that differ from call to call.
    fn index(&mut self, index: &Index, variable: &str) -> String {
        let mut parts: Vec<String> = Vec::new();
        if index.offset != 0 {
            parts.push(self.own_number(index.offset));
        }
        for term in &index.terms {
            let mut part = variable.to_owned();
            if variable == "o" && term.div == self.call.row && term.div > 1 {
                part = "row".to_owned();
            } else if term.div != 1 {
                part = format!("{part} / {}", self.own_number(term.div));
            }
            if let Some(size) = term.size {
                part = format!("{part} % {}", self.own_number(size));
            }
            if term.stride != 1 {
                part = format!("({part}) * {}", self.own_number(term.stride));
            }
            parts.push(part);
        }
        if parts.is_empty() { "0u".to_owned() } else { parts.join(" + ") }
    }
}

/// The text with all that begins with `read` and ends with its bracket made a `kind`.
fn widened(text: &str, read: &str, kind: &str) -> String {
    let (mut made, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once(read) {
        let mut open = 1;
        let closes = |character: char| {
            open += match character {
                '[' => 1,
                ']' => -1,
                _ => 0,
            };
            open == 0
        };
        let (index, left) = after.split_at(after.find(closes).unwrap_or(after.len()));
        let _ = write!(made, "{before}{kind}({read}{index}])");
        rest = left.strip_prefix(']').unwrap_or(left);
    }
    made + rest
}

#[cfg(test)]
mod tests {
    use super::widened;

    #[test]
    fn what_is_read_is_widened_up_to_its_own_bracket() {
        let text = "x = in1[a] + in0[in1[b] + c]; in11[d]";
        assert_eq!(widened(text, "in1[", "f32"), "x = f32(in1[a]) + in0[f32(in1[b]) + c]; in11[d]");
        assert_eq!(widened(text, "in0[", "vec4<f32>"), "x = in1[a] + vec4<f32>(in0[in1[b] + c]); in11[d]");
        assert_eq!(widened(text, "in2[", "f32"), text);
    }
}
