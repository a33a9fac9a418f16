//! Looks at the sections of a component before anything compiles it: what would take too long is refused.

use wasmparser::{FunctionBody, Operator, Parser, Payload};

use super::error::SandboxError;

/// The largest component. The slowest code that the bounds below let through takes 4 s a megabyte on one core of a desktop
/// machine, and 6 s for the last two of them (`compiled` in benches/sandbox.rs); compiled Rust takes 1 s a megabyte.
const BYTES_MAX: u64 = 4 << 20;

/// What a component has so much of that it counts, and how much is compiled.
const COUNTED: [(&str, u64); 11] = [
    ("core modules", 16),
    ("components inside", 16),
    ("functions", 20_000),
    ("types", 20_000),
    ("functions between components", 2_000),
    ("instances", 100),
    ("bytes of code in one function", 128 << 10),
    ("local variables in one function", 10_000),
    ("targets of jump tables in one function", 10_000),
    ("pairs of loops in the same function", 20_000_000),
    ("pairs of a local variable and a branch in the same function", 4_000_000),
];

const MODULES: usize = 0;
const COMPONENTS: usize = 1;
const FUNCTIONS: usize = 2;
const TYPES: usize = 3;
const CANONICAL: usize = 4;
const INSTANCES: usize = 5;
const CODE: usize = 6;
const LOCALS: usize = 7;
const TARGETS: usize = 8;
const LOOPS: usize = 9;
const MERGES: usize = 10;

/// Refuses what is too large to compile, and bytes that have no sections.
pub(super) fn screen(module: &str, component: &[u8]) -> Result<(), SandboxError> {
    let too_large = |what, got, most| SandboxError::TooLarge { module: module.to_owned(), what, got, most };
    let bytes = component.len() as u64;
    if bytes > BYTES_MAX {
        return Err(too_large("bytes", bytes, BYTES_MAX));
    }
    if !component.starts_with(b"\0asm") {
        let reason = "it does not begin as WebAssembly does".to_owned();
        return Err(SandboxError::Invalid { module: module.to_owned(), reason });
    }
    let mut counts = [0; COUNTED.len()];
    for payload in Parser::new(0).parse_all(component) {
        let counted = payload.and_then(|payload| count(&payload, &mut counts));
        counted.map_err(|error| SandboxError::Invalid { module: module.to_owned(), reason: error.to_string() })?;
        if let Some(((what, most), got)) = COUNTED.iter().zip(counts).find(|((_, most), got)| got > most) {
            return Err(too_large(what, got, *most));
        }
    }
    Ok(())
}

fn count(payload: &Payload<'_>, counts: &mut [u64; COUNTED.len()]) -> wasmparser::Result<()> {
    match payload {
        Payload::ModuleSection { .. } => counts[MODULES] += 1,
        Payload::ComponentSection { .. } => counts[COMPONENTS] += 1,
        Payload::TypeSection(types) => counts[TYPES] += u64::from(types.count()),
        Payload::CoreTypeSection(types) => counts[TYPES] += u64::from(types.count()),
        Payload::ComponentTypeSection(types) => counts[TYPES] += u64::from(types.count()),
        Payload::ComponentCanonicalSection(functions) => counts[CANONICAL] += u64::from(functions.count()),
        Payload::InstanceSection(instances) => counts[INSTANCES] += u64::from(instances.count()),
        Payload::ComponentInstanceSection(instances) => counts[INSTANCES] += u64::from(instances.count()),
        Payload::FunctionSection(functions) => counts[FUNCTIONS] += u64::from(functions.count()),
        Payload::CodeSectionEntry(body) => {
            let function = Function::read(body)?;
            let most = |count: &mut u64, got: u64| *count = got.max(*count);
            most(&mut counts[CODE], body.range().len() as u64);
            most(&mut counts[LOCALS], function.locals);
            most(&mut counts[TARGETS], function.targets);
            counts[LOOPS] += function.loops * function.loops;
            counts[MERGES] += function.locals.saturating_mul(function.branches);
        }
        _ => {}
    }
    Ok(())
}

/// What makes one function slow to compile. Cranelift compares loops with each other, and where branches meet it merges
/// local variables one by one: few kilobytes can take minutes.
#[derive(Default)]
struct Function {
    locals: u64,
    loops: u64,
    targets: u64,
    branches: u64,
}

impl Function {
    fn read(body: &FunctionBody<'_>) -> wasmparser::Result<Self> {
        let mut function = Self::default();
        for group in body.get_locals_reader()? {
            function.locals += u64::from(group?.0);
        }
        for operator in body.get_operators_reader()? {
            match operator? {
                Operator::Loop { .. } => {
                    function.loops += 1;
                    function.branches += 1;
                }
                Operator::If { .. } | Operator::Br { .. } | Operator::BrIf { .. } => function.branches += 1,
                Operator::BrTable { targets } => {
                    function.targets += u64::from(targets.len());
                    function.branches += u64::from(targets.len());
                }
                _ => {}
            }
        }
        Ok(function)
    }
}
