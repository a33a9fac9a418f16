//! Bombs at compile time: each is refused before anything compiles it, or compiles in bounded time.

use thalweg_modules::sandbox::{Grants, SandboxError};

use super::{limits, load, sandbox};
use crate::written::Written;

fn with(fields: String) -> Written {
    Written { fields, ..Written::default() }
}

fn refused(written: &Written) -> String {
    match load(written).err().expect("refused") {
        SandboxError::TooLarge { what, got, most, .. } => format!("{got} {what} of {most}"),
        other => panic!("{other}"),
    }
}

#[test]
fn what_is_too_large_is_refused_before_it_is_compiled() {
    let count = 20_001;
    let many = refused(&with("(func)".repeat(count)));
    assert!(many.ends_with(" functions of 20000"), "{many}");
    let body = "(drop (i32.const 1))".repeat(50_000);
    let long = refused(&with(format!("(func {body})")));
    assert!(long.ends_with(" bytes of code in one function of 131072"), "{long}");
    let locals = refused(&with(format!("(func (local{}))", " i32".repeat(10_001))));
    assert_eq!(locals, "10001 local variables in one function of 10000");
    let types: String = (0..20_001).map(|_| "(type (func (param i32 i64)))").collect();
    let types = refused(&with(types));
    assert!(types.ends_with(" types of 20000"), "{types}");
    let large = sandbox().load("hostile", &vec![0; (4 << 20) + 1], &Grants::default(), &limits()).err();
    assert!(matches!(large, Some(SandboxError::TooLarge { what: "bytes", .. })));
}

/// 16,000 loops in one function take cranelift half a minute, in 110 KB.
#[test]
fn functions_that_compile_slowly_for_their_size_are_refused() {
    let looped = |count: usize| format!("(func {})", "(loop)".repeat(count));
    let pairs = |found: &str| found.ends_with(" pairs of loops in the same function of 20000000");
    assert!(pairs(&refused(&with(looped(4_500)))));
    assert!(pairs(&refused(&with(looped(500).repeat(81)))));
    assert!(load(&with(looped(500))).is_ok());
    let table = format!("(func (block (br_table{} (i32.const 0))))", " 0".repeat(10_002));
    assert_eq!(refused(&with(table)), "10001 targets of jump tables in one function of 10000");
    let merges = format!("(func (local{}) {})", " i32".repeat(2_000), "(loop)".repeat(2_001));
    let wanted = "4002000 pairs of a local variable and a branch in the same function of 4000000";
    assert_eq!(refused(&with(merges)), wanted);
}

#[test]
fn nested_modules_and_components_are_counted() {
    let modules = wat::parse_str(format!("(component {})", "(core module)".repeat(17))).expect("text");
    let components = wat::parse_str(format!("(component {})", "(component)".repeat(17))).expect("text");
    for (bytes, counted) in [(modules, "core modules"), (components, "components inside")] {
        let error = sandbox().load("hostile", &bytes, &Grants::default(), &limits()).err();
        assert!(matches!(error, Some(SandboxError::TooLarge { what, got: 17, most: 16, .. }) if what == counted));
    }
}

/// Each record has two of the one before it.
#[test]
fn types_that_double_are_refused() {
    let doubled = |times: usize| {
        let types: String = (1..=times)
            .map(|at| format!("(type $t{at} (record (field \"a\" $t{}) (field \"b\" $t{})))", at - 1, at - 1))
            .collect();
        let bytes = wat::parse_str(format!("(component (type $t0 (record (field \"a\" u64))) {types})")).expect("text");
        sandbox().load("hostile", &bytes, &Grants::default(), &limits()).err()
    };
    assert!(matches!(doubled(10), Some(SandboxError::World { .. })));
    let error = doubled(40);
    assert!(matches!(&error, Some(SandboxError::Invalid { .. })), "{error:?}");
}
