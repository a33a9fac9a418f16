//! Models through `wasi:nn`, as guests ask for them that know nothing of Thalweg.

use thalweg_modules::sandbox::Instance;
use thalweg_planner::{DType, TensorSpec};

use super::*;

/// Parts that are called after what they do. Each takes `x` and gives `y`, but `sum`, which takes `a` and `b`.
struct Graphs;

impl Models for Graphs {
    fn ports(&self, part: &str) -> Option<PortNames> {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let inputs: &[&str] = match part {
            "double" | "whether" | "fails" | "silent" => &["x"],
            "sum" => &["a", "b"],
            _ => return None,
        };
        Some(PortNames { inputs: names(inputs), outputs: names(&["y"]) })
    }

    fn infer(&self, part: &str, inputs: &[Tensor], time: Duration) -> Result<Vec<Tensor>, String> {
        assert!(inputs.len() == 1 && time <= Duration::from_secs(60));
        let numbers = inputs[0].to_f32().unwrap();
        match part {
            "double" => {
                let doubled: Vec<f32> = numbers.iter().map(|number| number * 2.0).collect();
                Ok(vec![Tensor::from_f32(inputs[0].spec().shape.clone(), &doubled).unwrap()])
            }
            "whether" => Ok(vec![Tensor::new(TensorSpec::new(DType::Bool, [1]), vec![1]).unwrap()]),
            "silent" => Ok(vec![]),
            other => Err(format!("{other}, as it always does")),
        }
    }
}

fn start(settings: &str) -> Result<Instance, SandboxError> {
    let grants = Grants { models: Some(Arc::new(Graphs)) };
    load("wasi-nn", &grants).unwrap().start(&LIMITS, settings)
}

fn run(settings: &str) -> Result<Vec<Tensor>, SandboxError> {
    start(settings).unwrap().run(&[picture(1.0)], Duration::MAX)
}

fn told(error: Option<SandboxError>) -> String {
    match error {
        Some(SandboxError::Failed { failure: Failure::Model(text), .. }) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_graph_that_was_loaded_once_computes_for_each_request() {
    // An input is told by its name, or by its place.
    for settings in [r#"{"double": "x"}"#, r#"{"double": "0"}"#] {
        let mut instance = start(settings).unwrap();
        for first in [1.0, -3.5] {
            let outputs = instance.run(&[picture(first)], Duration::MAX).unwrap();
            assert_eq!(outputs, [Tensor::from_f32([1, 3], &[2.0 * first, 4.0, 6.0]).unwrap()]);
        }
        assert!(!instance.is_spent());
    }
}

#[test]
fn what_cannot_be_is_told_by_its_code() {
    let refused = |settings: &str| told(start(settings).err());
    assert!(refused(r#"{"triple": "x"}"#).starts_with("ErrorCode::NotFound: no part triple was granted"));
    assert!(refused("{}").starts_with("ErrorCode::Security: models come from the pipeline file"));
    let failed = |settings: &str| told(run(settings).err());
    let wrong = "ErrorCode::InvalidArgument: ";
    assert_eq!(failed(r#"{"double": "y"}"#), format!("{wrong}the part has no input y, but x"));
    assert_eq!(failed(r#"{"double": "1"}"#), format!("{wrong}the part has no input 1, but x"));
    assert_eq!(failed(r#"{"sum": "a"}"#), format!("{wrong}input b is missing"));
    assert_eq!(failed(r#"{"sum": "a", "twice": "a"}"#), format!("{wrong}input a is given twice"));
    let no_type = "ErrorCode::UnsupportedOperation: output y is bool[1], which wasi:nn has no type for";
    assert_eq!(failed(r#"{"whether": "x"}"#), no_type);
    assert_eq!(failed(r#"{"fails": "x"}"#), "ErrorCode::RuntimeError: fails, as it always does");
    assert_eq!(failed(r#"{"silent": "x"}"#), "ErrorCode::RuntimeError: the part gave 0 outputs, not 1");
}

#[test]
fn what_is_hostile_is_stopped() {
    let exceeded = SandboxError::Exceeded { module: "wasi-nn".into(), exceeded: Exceeded::Handles(1024) };
    assert_eq!(run(r#"{"double": "graphs without end"}"#), Err(exceeded));
    let short = run(r#"{"double": "too few bytes"}"#).unwrap_err();
    assert!(matches!(&short, SandboxError::Interface { reason, .. } if reason.contains("f32[2]")), "{short}");
    let mut instance = start(r#"{"double": "kept"}"#).unwrap();
    let kept = SandboxError::Kept { module: "wasi-nn".into(), count: 1 };
    assert_eq!(instance.run(&[picture(1.0)], Duration::MAX), Err(kept));
}

#[test]
fn it_is_granted_with_models_only() {
    let error = load("wasi-nn", &Grants::default()).err().unwrap();
    let SandboxError::NotGranted { import, .. } = &error else { panic!("{error}") };
    assert!(import.starts_with("wasi:nn/") && import.ends_with("@0.2.0-rc-2024-10-28"), "{import}");
}
