//! Whole models as the parts that a module may run, under the names that it knows them by.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use thalweg_devices::{Model, Port, Shapes, Stage};
use thalweg_modules::sandbox::{Grants, Models, PortNames};
use thalweg_planner::Tensor;

use crate::run::RunError;

/// A model that a module may run, as it is written on a command line: `small=models/small.onnx`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenModel {
    /// What the module calls it.
    pub part: String,
    /// Its ONNX file.
    pub file: PathBuf,
}

impl FromStr for GivenModel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let given = text.split_once('=').filter(|(part, file)| !part.is_empty() && !file.is_empty());
        let (part, file) = given.ok_or_else(|| {
            format!("\"{text}\" is no model: write what the module calls it, = and its file, such as small=small.onnx")
        })?;
        Ok(Self { part: part.to_owned(), file: file.into() })
    }
}

/// What a module gets that may run these models, each as a whole; nothing where there are none.
pub fn grants(given: &[GivenModel]) -> Result<Grants, RunError> {
    let mut parts = BTreeMap::new();
    for GivenModel { part, file } in given {
        let model = Model::load(file, &Shapes::new())?;
        let names = |ports: &[Port]| ports.iter().map(|port| port.name.clone()).collect();
        let names = PortNames { inputs: names(model.inputs()), outputs: names(model.outputs()) };
        if parts.insert(part.clone(), (model.whole()?, names)).is_some() {
            return Err(RunError::ModelTwice { part: part.clone() });
        }
    }
    Ok(Grants { models: (!parts.is_empty()).then(|| Arc::new(Parts(parts)) as Arc<dyn Models>) })
}

struct Parts(BTreeMap<String, (Stage, PortNames)>);

impl Models for Parts {
    fn ports(&self, part: &str) -> Option<PortNames> {
        self.0.get(part).map(|(_, names)| names.clone())
    }

    /// Nothing interrupts a network: one that takes longer is noticed when it is done.
    fn infer(&self, part: &str, inputs: &[Tensor], _time: Duration) -> Result<Vec<Tensor>, String> {
        let (stage, _) = self.0.get(part).ok_or_else(|| {
            let known = self.0.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            format!("part {part} was not granted, but {known}")
        })?;
        stage.run(inputs).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_have_a_name_and_a_file() {
        let given = |part: &str, file: &str| Ok(GivenModel { part: part.into(), file: file.into() });
        assert_eq!("small=a/b.onnx".parse(), given("small", "a/b.onnx"));
        assert_eq!("a=b=c.onnx".parse(), given("a", "b=c.onnx"));
        for text in ["", "=", "small", "small=", "=small.onnx"] {
            assert!(text.parse::<GivenModel>().is_err_and(|error| error.contains(text)), "{text}");
        }
    }
}
