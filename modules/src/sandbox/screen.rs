//! Looks at the sections of a component before anything compiles it: what would take too long is refused.

use wasmparser::{Parser, Payload};

use super::error::SandboxError;

/// The largest component.
const BYTES_MAX: u64 = 16 << 20;

/// What a component has so much of that it counts, and how much is compiled.
const COUNTED: [(&str, u64); 8] = [
    ("core modules", 16),
    ("components inside", 16),
    ("functions", 20_000),
    ("types", 20_000),
    ("functions between components", 2_000),
    ("instances", 100),
    ("bytes of code in one function", 128 << 10),
    ("local variables in one function", 10_000),
];

const MODULES: usize = 0;
const COMPONENTS: usize = 1;
const FUNCTIONS: usize = 2;
const TYPES: usize = 3;
const CANONICAL: usize = 4;
const INSTANCES: usize = 5;
const CODE: usize = 6;
const LOCALS: usize = 7;

/// Refuses what is too large to compile, and bytes that have no sections.
pub(super) fn screen(module: &str, component: &[u8]) -> Result<(), SandboxError> {
    let too_large = |what, got, most| SandboxError::TooLarge { module: module.to_owned(), what, got, most };
    let bytes = component.len() as u64;
    if bytes > BYTES_MAX {
        return Err(too_large("bytes", bytes, BYTES_MAX));
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
            counts[CODE] = counts[CODE].max(body.range().len() as u64);
            let mut locals = 0;
            for group in body.get_locals_reader()? {
                locals += u64::from(group?.0);
            }
            counts[LOCALS] = counts[LOCALS].max(locals);
        }
        _ => {}
    }
    Ok(())
}
