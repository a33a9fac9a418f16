//! Runs a part on this machine's CPU, one thread.

use std::sync::Arc;

use thalweg_planner::{Tensor, TensorSpec};
use tract_onnx::tract_hir::tract_core::prelude::{IntoRunnable as _, TractResult, TypedSimplePlan};

use crate::cut::{Border, Partition};
use crate::error::StageError;
use crate::guard::guard;
use crate::model::{Model, Port};
use crate::reason::reason;
use crate::tensor;

/// A part that is optimised for this machine and ready to run, from any thread.
#[derive(Debug, Clone)]
pub struct Stage {
    name: Arc<str>,
    plan: Arc<TypedSimplePlan>,
    takes: Arc<[Border]>,
    gives: Arc<[Border]>,
}

impl Partition {
    /// Optimises the part for this machine. Tens of milliseconds for a small network.
    pub fn prepare(self) -> Result<Stage, StageError> {
        let failed = |cause: String| StageError::Prepare { part: self.name.clone(), cause };
        let mut graph = self.graph;
        let plan = guard(move || -> TractResult<_> {
            graph.optimize()?;
            graph.into_runnable()
        });
        let plan = plan.map_err(failed)?.map_err(|cause| failed(reason(&cause)))?;
        Ok(Stage { name: self.name.into(), plan, takes: self.takes.into(), gives: self.gives.into() })
    }
}

impl Model {
    /// The whole model, ready to run: takes its inputs and gives its outputs.
    pub fn whole(&self) -> Result<Stage, StageError> {
        let tensors = |ports: &[Port]| ports.iter().map(|port| port.tensor).collect::<Vec<_>>();
        let layers: Vec<usize> = (0..self.layers.len()).collect();
        self.partition(&layers, &tensors(self.inputs()), &tensors(self.outputs()))?.prepare()
    }
}

impl Stage {
    /// Runs the part: one tensor for each that it takes, one for each that it gives.
    ///
    /// Refuses tensors of another type or shape, and never panics.
    pub fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, StageError> {
        self.check(inputs)?;
        let failed = |cause: String| StageError::Run { part: self.name.to_string(), cause };
        let typed = || inputs.iter().zip(self.takes.iter().map(|border| border.datum));
        let made = guard(|| -> TractResult<Vec<Tensor>> {
            let values = self.plan.run(tensor::all_to_engine(typed())?)?;
            values.iter().map(|value| tensor::from_engine(value)).collect()
        });
        let outputs = made.map_err(failed)?.map_err(|cause| failed(reason(&cause)))?;
        for (index, (border, output)) in self.gives.iter().zip(&outputs).enumerate() {
            if border.spec != *output.spec() {
                let (wants, got) = (border.spec.clone(), output.spec().to_string());
                return Err(StageError::WrongOutput { part: self.name.to_string(), index, wants, got });
            }
        }
        Ok(outputs)
    }

    /// The tensors that it takes.
    pub fn takes(&self) -> impl Iterator<Item = &TensorSpec> {
        self.takes.iter().map(|border| &border.spec)
    }

    /// The tensors that it gives.
    pub fn gives(&self) -> impl Iterator<Item = &TensorSpec> {
        self.gives.iter().map(|border| &border.spec)
    }

    fn check(&self, inputs: &[Tensor]) -> Result<(), StageError> {
        for index in 0..inputs.len().max(self.takes.len()) {
            let wants = self.takes.get(index).map(|border| &border.spec);
            let got = inputs.get(index).map(Tensor::spec);
            if wants != got {
                let print = |spec: Option<&TensorSpec>| spec.map_or("nothing".to_owned(), TensorSpec::to_string);
                let (part, wants, got) = (self.name.to_string(), print(wants), print(got));
                return Err(StageError::WrongInput { part, index, wants, got });
            }
        }
        Ok(())
    }
}
