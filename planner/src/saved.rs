//! A plan as a file: by names, so that people can read and edit it, with a version, and checked again when it is read.

use serde::{Deserialize, Serialize};

use crate::{Crossing, Graph, Hop, Objective, Placement, Plan, PlanError, TensorId, Topology, check, evaluate};

/// The format that this version writes and reads.
const VERSION: u32 = 1;

/// A plan for writing and reading in any format of serde.
///
/// What was predicted when it was written is there to be read by people; it is worked out anew when the plan is read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedPlan {
    /// Version of the format: 1.
    version: u32,
    /// Hash of the model that it is for.
    model: String,
    /// Name of the tier where the answer is wanted.
    answer_at: String,
    /// Outputs of the exits in use.
    #[serde(default)]
    exits: Vec<String>,
    /// Predicted latency in milliseconds.
    predicted_ms: f64,
    /// From where the input is up.
    hops: Vec<SavedHop>,
}

/// One tier's share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedHop {
    tier: String,
    layers: Vec<String>,
    /// What it sends to the next hop.
    #[serde(default)]
    sends: Vec<SavedSent>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedSent {
    tensor: String,
    codec: String,
}

/// Why a saved plan cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum SavedPlanError {
    /// Another version of Thalweg has written it.
    #[error("the plan's format is version {version}, but this program reads version {VERSION}: plan again")]
    Version { version: u32 },
    /// It was made for another model, or for the same one before a change.
    #[error("the plan is for the model {model}, but this one is {here}: plan again")]
    OtherModel { model: String, here: String },
    /// A name that this graph or topology does not have.
    #[error("the plan names the {what} `{name}`, which {place} does not have, or has been named before")]
    Unknown { what: &'static str, name: String, place: &'static str },
    /// A layer that has no place.
    #[error("the plan has no place for layer `{layer}`")]
    LayerLeftOut { layer: String },
    /// A crossing that does not fit the layers' places.
    #[error("`{tier}` has to send {needs}, but the plan says that it sends {says}")]
    Crosses { tier: String, needs: String, says: String },
    /// It sends what the objective keeps where it is.
    #[error("the plan sends the input `{tensor}`, which has to stay where it is: plan again")]
    SendsInput { tensor: String },
    /// It makes no sense, or does not fit any more.
    #[error("{0}")]
    Plan(Box<PlanError>),
}

impl SavedPlan {
    /// A plan for this graph and topology, and the hash of its model.
    pub fn new(graph: &Graph, topology: &Topology, answer_at: usize, model: &str, plan: &Plan) -> Self {
        let hop = |(place, hop): (usize, &Hop)| SavedHop {
            tier: topology.tiers[hop.tier].name.clone(),
            layers: hop.layers.iter().map(|layer| graph.layers[*layer].name.clone()).collect(),
            sends: plan.crossings.get(place).map_or_else(Vec::new, |crossing| sends(graph, crossing)),
        };
        Self {
            version: VERSION,
            model: model.to_owned(),
            answer_at: topology.tiers[answer_at].name.clone(),
            exits: plan.exits.iter().map(|exit| graph.tensors[graph.exits[*exit].output].name.clone()).collect(),
            predicted_ms: plan.latency.as_secs_f64() * 1e3,
            hops: plan.hops.iter().enumerate().map(hop).collect(),
        }
    }

    /// Refuses a format that this version does not read. To be asked before the rest is read, which may have changed.
    pub fn check_version(version: u32) -> Result<(), SavedPlanError> {
        if version == VERSION { Ok(()) } else { Err(SavedPlanError::Version { version }) }
    }

    /// The plan with what it costs today, for the model with this hash. What a search guarantees is checked: names,
    /// where it begins, the order of the layers, pins, codecs, inputs that must stay, and memory; not limits.
    pub fn plan(
        &self,
        graph: &Graph,
        topology: &Topology,
        objective: &Objective,
        model: &str,
    ) -> Result<Plan, SavedPlanError> {
        Self::check_version(self.version)?;
        if self.model != model {
            return Err(SavedPlanError::OtherModel { model: self.model.clone(), here: model.to_owned() });
        }
        let tier = |name: &String| {
            let found = topology.tiers.iter().position(|tier| tier.name == *name);
            found.ok_or_else(|| unknown("tier", name, "the topology"))
        };
        let exit = |name: &String| {
            let found = graph
                .exits
                .iter()
                .position(|exit| graph.tensors.get(exit.output).is_some_and(|tensor| tensor.name == *name));
            found.ok_or_else(|| unknown("exit", name, "the model"))
        };
        let exits = self.exits.iter().map(exit).collect::<Result<Vec<_>, _>>()?;
        let placement = Placement {
            path: self.hops.iter().map(|hop| tier(&hop.tier)).collect::<Result<_, _>>()?,
            places: self.places(graph, &exits)?,
            codecs: self.codecs(graph)?,
            exits,
        };
        let boxed = |error: PlanError| SavedPlanError::Plan(Box::new(error));
        check::topology(topology).and_then(|()| check::start(topology, objective, &placement.path)).map_err(boxed)?;
        let plan = evaluate(graph, topology, &placement, tier(&self.answer_at)?).map_err(boxed)?;
        for (crossing, hop) in plan.crossings.iter().zip(&self.hops) {
            if let Some(sent) = crossing.sends.iter().find(|sent| !objective.allows(graph, sent.tensor)) {
                return Err(SavedPlanError::SendsInput { tensor: graph.tensors[sent.tensor].name.clone() });
            }
            let mut says: Vec<&str> = hop.sends.iter().map(|sent| sent.tensor.as_str()).collect();
            let names = crossing.sends.iter().map(|sent| graph.tensors[sent.tensor].name.as_str());
            let mut needs: Vec<&str> = names.collect();
            says.sort_unstable();
            needs.sort_unstable();
            if says != needs {
                let (needs, says) = (needs.join(", "), says.join(", "));
                return Err(SavedPlanError::Crosses { tier: hop.tier.clone(), needs, says });
            }
        }
        Ok(plan)
    }

    fn places(&self, graph: &Graph, exits: &[usize]) -> Result<Vec<usize>, SavedPlanError> {
        let mut places = vec![None; graph.layers.len()];
        for (place, hop) in self.hops.iter().enumerate() {
            for name in &hop.layers {
                // Names may repeat in a model: they are taken in the order of its layers.
                let free =
                    (0..places.len()).find(|layer| places[*layer].is_none() && graph.layers[*layer].name == *name);
                let layer = free.ok_or_else(|| unknown("layer", name, "the model"))?;
                places[layer] = Some(place);
            }
        }
        let runs = crate::reach::Reach::new(graph, exits).runs;
        let place = |(layer, place): (usize, Option<usize>)| match place {
            Some(place) => Ok(place),
            None if runs[layer] == 0.0 => Ok(0),
            None => Err(SavedPlanError::LayerLeftOut { layer: graph.layers[layer].name.clone() }),
        };
        places.into_iter().enumerate().map(place).collect()
    }

    /// Codecs of each link, by ascending id of the tensors.
    fn codecs(&self, graph: &Graph) -> Result<Vec<Vec<String>>, SavedPlanError> {
        let links = self.hops.len().saturating_sub(1);
        let link = |hop: &SavedHop| {
            let mut sends: Vec<(TensorId, &String)> = Vec::new();
            for sent in &hop.sends {
                let free = |tensor: &TensorId| sends.iter().all(|(other, _)| other != tensor);
                let named = |tensor: &TensorId| graph.tensors[*tensor].name == sent.tensor;
                let tensor = (0..graph.tensors.len()).filter(named).find(free);
                sends.push((tensor.ok_or_else(|| unknown("tensor", &sent.tensor, "the model"))?, &sent.codec));
            }
            sends.sort_unstable_by_key(|(tensor, _)| *tensor);
            Ok(sends.into_iter().map(|(_, codec)| codec.clone()).collect())
        };
        self.hops.iter().take(links).map(link).collect()
    }
}

fn unknown(what: &'static str, name: &str, place: &'static str) -> SavedPlanError {
    SavedPlanError::Unknown { what, name: name.to_owned(), place }
}

fn sends(graph: &Graph, crossing: &Crossing) -> Vec<SavedSent> {
    let sent =
        |sent: &crate::Sent| SavedSent { tensor: graph.tensors[sent.tensor].name.clone(), codec: sent.codec.clone() };
    crossing.sends.iter().map(sent).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::plan;
    use crate::sample::{any_graph, any_topology, network, path, roomy};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn a_plan_is_read_as_it_was_written(mut graph in any_graph(), topology in any_topology()) {
            for (at, tensor) in graph.tensors.iter_mut().enumerate() {
                tensor.name = format!("{} {}", tensor.name, at / 2);
            }
            let topology = roomy(topology);
            let Ok(plan) = plan(&graph, &topology, &Objective::default()) else { return Ok(()) };
            let saved = SavedPlan::new(&graph, &topology, 0, "hash", &plan);
            let read = saved.plan(&graph, &topology, &Objective::default(), "hash");
            prop_assert_eq!(read, Ok(Plan { gap: None, ..plan }));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3_000))]

        #[test]
        fn a_damaged_plan_is_refused_or_makes_sense(
            damage in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..9, "[a-z0-9\"\\[\\]{},:]{0,6}"), 1..4),
        ) {
            let (graph, topology) = (network(), path());
            let objective = Objective::default();
            let best = plan(&graph, &topology, &objective).expect("there is a plan");
            let saved = SavedPlan::new(&graph, &topology, 0, "hash", &best);
            let mut text = serde_json::to_string(&saved).expect("it can be written");
            for (at, length, other) in damage {
                let from = at.index(text.len());
                text.replace_range(from..(from + length).min(text.len()), &other);
            }
            if let Ok(read) = serde_json::from_str::<SavedPlan>(&text)
                && let Ok(plan) = read.plan(&graph, &topology, &objective, "hash")
            {
                let layers: usize = plan.hops.iter().map(|hop| hop.layers.len()).sum();
                prop_assert_eq!(layers, graph.layers.len());
            }
        }
    }

    #[test]
    fn what_does_not_fit_any_more_is_refused() {
        let (graph, topology) = (network(), path());
        let best = plan(&graph, &topology, &Objective::default()).expect("there is a plan");
        let saved = SavedPlan::new(&graph, &topology, 0, "hash", &best);
        let refused = |change: &dyn Fn(&mut SavedPlan)| {
            let mut changed = saved.clone();
            change(&mut changed);
            changed.plan(&graph, &topology, &Objective::default(), "hash").expect_err("made to fail").to_string()
        };
        assert!(refused(&|saved| saved.version = 2).contains("version 2"));
        assert!(refused(&|saved| saved.model = "other".to_owned()).contains("for the model other"));
        assert!(refused(&|saved| saved.hops[0].tier = "moon".to_owned()).contains("the tier `moon`"));
        assert!(refused(&|saved| saved.hops[0].layers.push("conv9".to_owned())).contains("the layer `conv9`"));
        assert!(
            refused(&|saved| saved.hops.iter_mut().for_each(|hop| hop.layers.clear()))
                .contains("no place for layer `conv`")
        );
        assert!(refused(&|saved| saved.answer_at.clear()).contains("the tier ``"));
        assert!(refused(&|saved| saved.hops.reverse()).contains("but the input is at `device`: begin there"));
    }

    #[test]
    fn an_input_that_must_stay_is_not_sent_by_a_plan_from_a_file() {
        let (graph, topology) = (network(), roomy(path()));
        let mut topology = topology;
        topology.tiers[0].slowdown.convolution = 1000.0;
        let best = plan(&graph, &topology, &Objective::default()).expect("there is a plan");
        assert!(best.sends_inputs(&graph));
        let saved = SavedPlan::new(&graph, &topology, 0, "hash", &best);
        let stays = Objective { inputs_stay: true, ..Objective::default() };
        let error = saved.plan(&graph, &topology, &stays, "hash").expect_err("it sends the photo");
        assert_eq!(error, SavedPlanError::SendsInput { tensor: "photo".to_owned() });
    }
}
