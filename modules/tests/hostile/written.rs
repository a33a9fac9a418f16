//! Modules written as WebAssembly text: a core module that behaves, of which a test replaces one piece.

use std::path::Path;

use thalweg_modules::sandbox::WORLD;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// Where things lie in the module's memory. Between them is room for the largest there is.
const OK: u32 = 128;
const DESCRIPTION: u32 = 256;
const ANSWER: u32 = 512;
const SCHEMA: u32 = 1024;
const PORTS: u32 = 2048;
const AXES: u32 = 4096;
const SHAPE: u32 = 8192;
const DATA: u32 = 16384;
const HEAP: u32 = 40_000;

/// The number of `%u8` in the interface.
const U8: u32 = 5;

/// A module with an input `u8[...]` and an output `u8[4]`, or of another type.
pub(crate) struct Written {
    /// The world that it is built for.
    pub(crate) world: &'static str,
    /// Imports beside those of tensors.
    pub(crate) imports: &'static str,
    /// Fields of the core module: functions, tables, a start function.
    pub(crate) fields: String,
    /// Pages of its memory.
    pub(crate) pages: u32,
    /// The type of its input and output: its number in the interface.
    pub(crate) dtype: u32,
    /// The size of its output's one axis; any shape where there is none.
    pub(crate) output: Option<u64>,
    /// What it calls itself.
    pub(crate) name: &'static str,
    /// What `run` does. `$list` and `$len` are the inputs, `$in` the first one; it ends in the address of its answer.
    pub(crate) run: String,
}

/// Gives the inputs out again.
pub(crate) const ECHO: &str = "(call $answer (local.get $list) (local.get $len))";

impl Default for Written {
    fn default() -> Self {
        let (fields, run) = (String::new(), ECHO.to_owned());
        Self { world: "module", imports: "", fields, pages: 1, dtype: U8, output: Some(4), name: "hostile", run }
    }
}

impl Written {
    /// One whose `run` does this.
    pub(crate) fn running(run: &str) -> Self {
        Self { run: run.to_owned(), ..Self::default() }
    }

    /// One that gives out a new tensor of a type (its number in the interface), a shape, and so many bytes.
    pub(crate) fn making(dtype: u32, shape: &[u64], bytes: u32) -> Self {
        let shape_bytes: Vec<u8> = shape.iter().flat_map(|size| size.to_le_bytes()).collect();
        let fields = format!("(data (i32.const {SHAPE}) \"{}\")", escaped(&shape_bytes));
        let axes = shape.len();
        let run = format!(
            "(call $drop (local.get $in))
             (call $make (i32.const {dtype}) (i32.const {SHAPE}) (i32.const {axes})
                         (i32.const {DATA}) (i32.const {bytes}) (i32.const {ANSWER}))
             (if (i32.load8_u (i32.const {ANSWER})) (then unreachable))
             (i32.store (i32.const {HEAP}) (i32.load offset=4 (i32.const {ANSWER})))
             (call $answer (i32.const {HEAP}) (i32.const 1))"
        );
        Self { fields, run, ..Self::default() }
    }

    /// One that gives out a new tensor of a type of floats (its number in the interface), a shape, and these bytes.
    pub(crate) fn floats(dtype: u32, shape: &[u64], bytes: &[u8]) -> Self {
        let making = Self::making(dtype, shape, bytes.len() as u32);
        let fields = format!("{} (data (i32.const {DATA}) \"{}\")", making.fields, escaped(bytes));
        Self { fields, dtype, output: None, ..making }
    }

    /// The component.
    pub(crate) fn component(&self) -> Vec<u8> {
        let mut core = wat::parse_str(self.text()).expect("WebAssembly text");
        let mut resolve = Resolve::default();
        let (package, _) = resolve.push_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("wit")).expect("the interface");
        let world = resolve.select_world(&[package], Some(self.world)).expect("the world");
        embed_component_metadata(&mut core, &resolve, world, StringEncoding::UTF8).expect("metadata");
        let mut encoder = ComponentEncoder::default().module(&core).expect("a core module of that world");
        encoder.encode().expect("a component")
    }

    fn text(&self) -> String {
        let Self { imports, fields, pages, run, .. } = self;
        let tensors = WORLD.replace('@', "/tensors@");
        let data = escaped(&self.description());
        format!(
            r#"(module
              (import "{tensors}" "[static]tensor.make" (func $make (param i32 i32 i32 i32 i32 i32)))
              (import "{tensors}" "[method]tensor.spec" (func $spec (param i32 i32)))
              (import "{tensors}" "[method]tensor.read" (func $read (param i32 i64 i64 i32)))
              (import "{tensors}" "[method]tensor.reshape" (func $reshape (param i32 i32 i32 i32)))
              (import "{tensors}" "[resource-drop]tensor" (func $drop (param i32)))
              {imports}
              (memory (export "memory") {pages})
              {fields}
              (func $answer (param $list i32) (param $len i32) (result i32)
                (i32.store8 (i32.const {ANSWER}) (i32.const 0))
                (i32.store offset=4 (i32.const {ANSWER}) (local.get $list))
                (i32.store offset=8 (i32.const {ANSWER}) (local.get $len))
                (i32.const {ANSWER}))
              (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const {HEAP}))
              (func (export "describe") (result i32) (i32.const {DESCRIPTION}))
              (func (export "configure") (param i32 i32) (result i32) (i32.const {OK}))
              (func (export "run") (param $list i32) (param $len i32) (result i32) (local $in i32) (local $i i32)
                (local.set $in (i32.load (local.get $list)))
                {run})
              (data (i32.const {DESCRIPTION}) "{data}"))"#
        )
    }

    /// Memory from the description on: records, ports, axes and texts as the component model lays them out.
    fn description(&self) -> Vec<u8> {
        let mut bytes = vec![0; (SHAPE - DESCRIPTION) as usize];
        let mut put = |at: u32, content: &[u8]| {
            let at = (at - DESCRIPTION) as usize;
            bytes[at..at + content.len()].copy_from_slice(content);
        };
        let word = |number: usize| (number as u32).to_le_bytes();
        let texts = [self.name, "1.0.0", "in", "out", "{}"];
        let mut places = Vec::new();
        let mut at = SCHEMA;
        for text in texts {
            put(at, text.as_bytes());
            places.push([word(at as usize), word(text.len())].concat());
            at += text.len() as u32;
        }
        let list = |at: u32, len: usize| [word(at as usize), word(len)].concat();
        // name, version, inputs, outputs, nanoseconds a byte, schema
        put(DESCRIPTION, &[&places[0][..], &places[1], &list(PORTS, 1), &list(PORTS + 24, 1)].concat());
        put(DESCRIPTION + 40, &places[4]);
        // name, type, and perhaps a shape of one axis of a size
        let dtype = word(self.dtype as usize);
        put(PORTS, &[&places[2][..], &dtype].concat());
        let declared = usize::from(self.output.is_some());
        put(PORTS + 24, &[&places[3][..], &dtype, &word(declared), &list(AXES, declared)].concat());
        put(AXES, &[1u64.to_le_bytes(), self.output.unwrap_or(0).to_le_bytes()].concat());
        bytes
    }
}

/// Bytes as a string of WebAssembly text.
fn escaped(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\{byte:02x}")).collect()
}
