//! Loops over an axis: graphs within the graph.

use tract_onnx::pb::{GraphProto, ValueInfoProto};
use tract_onnx::tract_hir::internal::{OutletId, TypedNode};
use tract_onnx::tract_hir::tract_core::ops::scan::{InputMapping, Scan, ScanInfo};

use super::super::onnx;
use super::{Either, Lowering, Value, Why};

/// What goes into a loop, or comes out of it: what is handed from turn to turn, and what is cut into slices.
#[derive(Default)]
struct Crossing {
    states: Vec<String>,
    slices: Vec<String>,
    state_ports: Vec<ValueInfoProto>,
    slice_ports: Vec<ValueInfoProto>,
    axes: Vec<usize>,
    backwards: Vec<usize>,
}

impl Lowering<'_> {
    pub(super) fn scan(&mut self, node: &TypedNode, op: &Scan) -> Result<(), Why> {
        if op.skip != 0 {
            return Err(format!("it skips {} turns", op.skip));
        }
        let name = self.name();
        let mut body = Lowering::new(&op.body, &format!("{name}_"));
        let taken = self.taken_by(&mut body, node, op)?;
        body.all().map_err(|cause| cause.to_string())?;
        let (given, slots) = given_by(&mut body, op)?;
        let graph = GraphProto {
            name,
            node: std::mem::take(&mut body.nodes),
            initializer: std::mem::take(&mut body.constants),
            input: taken.state_ports.into_iter().chain(taken.slice_ports).collect(),
            output: given.state_ports.into_iter().chain(given.slice_ports).collect(),
            ..GraphProto::default()
        };
        let attributes = vec![
            onnx::graph("body", graph),
            onnx::int("num_scan_inputs", taken.slices.len() as i64),
            onnx::ints("scan_input_axes", taken.axes),
            onnx::ints("scan_input_directions", taken.backwards),
            onnx::ints("scan_output_axes", given.axes),
            onnx::ints("scan_output_directions", given.backwards),
        ];
        let inputs: Vec<String> = taken.states.into_iter().chain(taken.slices).collect();
        let outputs: Vec<String> = slots.iter().map(|_| self.name()).collect();
        self.nodes.push(onnx::node("Scan", &inputs, &outputs, attributes));
        for (slot, name) in slots.into_iter().zip(outputs) {
            if let Some((slot, last)) = slot {
                let outlet = OutletId::new(node.id, slot);
                let name = if last { self.last_of(name)? } else { name };
                let shape = self.shape(outlet)?;
                // As long as the engine says, or the library refuses it.
                let name = self.reshaped(name, &shape)?;
                self.set_slot(outlet, Either { name, lead: 0 });
            }
        }
        Ok(())
    }

    fn taken_by(&mut self, body: &mut Lowering<'_>, node: &TypedNode, op: &Scan) -> Result<Crossing, Why> {
        let mut taken = Crossing::default();
        for (place, mapping) in op.input_mapping.iter().enumerate() {
            let (within, outer) = (op.body.inputs[place], self.plain(node.inputs[place])?);
            let (datum, mut shape) = (body.datum(within)?, body.shape(within)?);
            let value = match mapping {
                // A graph within the graph sees what is around it.
                InputMapping::Full => outer,
                InputMapping::State => {
                    let name = body.name();
                    taken.states.push(outer);
                    taken.state_ports.push(onnx::port(&name, datum, &shape)?);
                    name
                }
                InputMapping::Scan(info) => {
                    let name = body.name();
                    single(info)?;
                    let whole = shape.clone();
                    shape.remove(info.axis);
                    taken.slices.push(outer);
                    taken.slice_ports.push(onnx::port(&name, datum, &shape)?);
                    taken.axes.push(info.axis);
                    taken.backwards.push(usize::from(info.chunk < 0));
                    body.reshaped(name, &whole)?
                }
            };
            body.values.insert(within, Value { plain: Some(value), led: None });
        }
        Ok(taken)
    }

    /// The last of what each turn gave.
    fn last_of(&mut self, all: String) -> Result<String, Why> {
        let last = self.hold(&(-1_i64).into())?;
        Ok(self.add("Gather", &[all, last], vec![onnx::int("axis", 0)]))
    }
}

/// What the body gives, and to which output of the node, if to any; of the second kind only the last is asked for.
#[expect(clippy::type_complexity, reason = "two lists that are made together")]
fn given_by(body: &mut Lowering<'_>, op: &Scan) -> Result<(Crossing, Vec<Option<(usize, bool)>>), Why> {
    let (mut given, mut of_states, mut of_slices) = (Crossing::default(), Vec::new(), Vec::new());
    for (place, mapping) in op.output_mapping.iter().enumerate() {
        let outlet = op.body.outputs[place];
        let (datum, shape) = (body.datum(outlet)?, body.shape(outlet)?);
        let value = body.plain(outlet)?;
        if mapping.state {
            let name = body.add("Identity", std::slice::from_ref(&value), Vec::new());
            given.state_ports.push(onnx::port(&name, datum, &shape)?);
            of_states.push(mapping.last_value_slot.map(|slot| (slot, false)));
        }
        if let Some((slot, info)) = &mapping.scan {
            single(info)?;
            let mut shape = shape.clone();
            shape.remove(info.axis);
            let name = body.reshaped(value.clone(), &shape)?;
            given.slice_ports.push(onnx::port(&name, datum, &shape)?);
            given.axes.push(info.axis);
            given.backwards.push(usize::from(info.chunk < 0));
            of_slices.push(Some((*slot, false)));
        }
        if let Some(slot) = mapping.last_value_slot.filter(|_| !mapping.state) {
            let name = body.add("Identity", &[value], Vec::new());
            given.slice_ports.push(onnx::port(&name, datum, &shape)?);
            given.axes.push(0);
            given.backwards.push(0);
            of_slices.push(Some((slot, true)));
        }
    }
    Ok((given, of_states.into_iter().chain(of_slices).collect()))
}

/// ONNX cuts slices of one.
fn single(info: &ScanInfo) -> Result<(), Why> {
    if info.chunk.unsigned_abs() == 1 { Ok(()) } else { Err(format!("its slices are {} long", info.chunk)) }
}
