//! Fills a report: from the plan and its prediction, and from what was measured.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use thalweg_devices::Port;
use thalweg_flow::{Coarse, Reason, Refusal, Span, SpanKind};
use thalweg_modules::classify::Class;
use thalweg_planner::{Baseline, Goal, Graph, Measure, Objective, Plan, Sent, Tensor, TensorId, Topology};

use super::choose::Choice;
use super::deploy::EPOCH;
use super::draft::plan_id;
use super::error::RunError;
use super::load::Subject;
use super::measure::Measured;
use super::report::{
    BaselineRow, BestRow, CoarseRow, CostRow, LATENCY, MeasuredRow, ModelRow, OutputRow, PlanRow, Report, SendsRow,
    SentRow, SpanRow, TierRow, TimesRow,
};
use super::study::decision;
use crate::memory::resident_bytes_max;
use crate::node::RequestError;

/// What is known before anything was run.
pub fn planned_report(
    subject: &Subject,
    graph: &Graph,
    topology: &Topology,
    objective: &Objective,
    choice: &Choice,
    emulated: Vec<String>,
) -> Report {
    let plan = &choice.plan;
    let missed = objective.limits.misses(&plan.totals).into_iter();
    let tiers = plan.hops.iter().enumerate().map(|(index, _)| tier_row(graph, topology, plan, index));
    let plan_row = PlanRow {
        id: plan_id(subject, plan).to_string(),
        epoch: EPOCH,
        tiers: tiers.collect(),
        predicted_ms: ms(plan.latency),
        goal: goal_name(&objective.goal),
        cost: cost_row(&objective.goal, plan),
        gap: plan.gap,
        missed: missed.map(|miss| format!("{} is missed: {}", miss.limit, miss.takes)).collect(),
        measured: None,
        spans: Vec::new(),
        coarse: Vec::new(),
    };
    let row = |baseline| baseline_row(subject, graph, objective, baseline, plan);
    let all = 0..graph.layers.len();
    Report {
        name: subject.name.clone(),
        model: ModelRow {
            hash: subject.steps.hash_text(),
            layers: graph.layers.len(),
            macs: graph.macs(all.clone()).0,
            weights_bytes: graph.weights(all).0,
        },
        input_ms: ms(subject.input_time),
        emulated,
        classes: Vec::new(),
        outputs: Vec::new(),
        plan: plan_row,
        best: choice.best.as_ref().map(|best| best_row(topology, objective, plan, best)),
        baselines: choice.baselines.iter().map(row).collect(),
        replanned: None,
        explanation: None,
        resident_bytes_max: resident_bytes_max(),
    }
}

fn best_row(topology: &Topology, objective: &Objective, given: &Plan, best: &Plan) -> BestRow {
    let cost = |plan: &Plan| objective.goal.cost(&plan.totals);
    BestRow {
        decision: decision(topology, best),
        predicted_ms: ms(best.latency),
        ratio: cost(given) / cost(best).max(f64::MIN_POSITIVE),
    }
}

/// Adds what was measured: one result for each of [`Choice::placements`]. What the plan answered comes back, in the order
/// of the subject's outputs.
pub fn run_report(
    report: &mut Report,
    subject: &Subject,
    graph: &Graph,
    choice: &Choice,
    measured: Vec<Result<Measured, RequestError>>,
) -> Result<Vec<Tensor>, RunError> {
    let plan = &choice.plan;
    let mut measured = measured.into_iter();
    let failed = |cause| no_answer(subject, plan, "the plan", cause);
    let Some(best) = measured.next().transpose().map_err(failed)? else { return Ok(Vec::new()) };
    let outputs = in_model_order(graph, plan, &best.median.outputs);
    report.classes = classes(subject, &outputs)?;
    report.outputs =
        subject.steps.outputs().iter().zip(&outputs).map(|(port, output)| output_row(subject, port, output)).collect();
    report.plan.spans = best.median.spans.iter().map(|span| span_row(report, span, best.median.start)).collect();
    let coarse = best.median.coarse.iter();
    report.plan.coarse = coarse.filter_map(|coarse| coarse_row(report, graph, plan, coarse)).collect();
    for (hop, tier) in report.plan.tiers.iter_mut().enumerate() {
        tier.measured = Some(times(hop, &best.median.spans));
        if let Some(sends) = &mut tier.sends {
            sends.measured_bytes = Some(sent(&best.median.spans, hop));
        }
    }
    report.plan.measured = Some(latency(&best));
    for (baseline, row) in choice.baselines.iter().zip(&mut report.baselines) {
        let Ok(plan) = &baseline.plan else { continue };
        match measured.next() {
            Some(Ok(shown)) => {
                row.measured = Some(latency(&shown));
                let own = classes(subject, &in_model_order(graph, plan, &shown.median.outputs))?;
                row.same_class = own.first().zip(report.classes.first()).map(|(own, best)| own.index == best.index);
                row.sent_bytes =
                    Some((0..plan.crossings.len()).map(|hop| sent(&shown.median.spans, hop)).max().unwrap_or(0));
            }
            Some(Err(error)) => row.refused = Some(error.to_string()),
            None => {}
        }
    }
    report.resident_bytes_max = resident_bytes_max();
    Ok(outputs)
}

fn tier_row(graph: &Graph, topology: &Topology, plan: &Plan, index: usize) -> TierRow {
    let hop = &plan.hops[index];
    let crossing = plan.crossings.get(index);
    let below = index.checked_sub(1).map(|below| &plan.crossings[below]);
    let whole = graph.macs(0..graph.layers.len()).0.max(1);
    let name = |layer: usize| graph.layers[layer].name.clone();
    TierRow {
        tier: topology.tiers[hop.tier].name.clone(),
        part: hop.layers.first().zip(hop.layers.last()).map(|(first, last)| [name(*first), name(*last)]),
        layers: hop.layers.len(),
        pieces: hop.layers.chunk_by(|one, next| one + 1 == *next).count(),
        compute_share: graph.macs(hop.layers.iter().copied()).0 as f64 / whole as f64,
        weights_bytes: hop.weights.0,
        sends: crossing.map(|crossing| SendsRow {
            tensors: crossing.sends.iter().map(|sent| sent_row(graph, sent)).collect(),
            predicted_bytes: crossing.bytes().0,
            measured_bytes: None,
        }),
        answers_bytes: hop.answers.iter().map(|output| graph.tensors[*output].spec.bytes().0).sum(),
        predicted: TimesRow {
            wait_ms: 0.0,
            decode_ms: below.map_or(0.0, |crossing| ms(crossing.decode)),
            compute_ms: ms(hop.compute),
            encode_ms: crossing.map_or(0.0, |crossing| ms(crossing.encode)),
            queue_ms: 0.0,
            wire_ms: crossing.map_or(0.0, |crossing| ms(crossing.wire)),
            answer_ms: crossing.map_or(0.0, |crossing| ms(crossing.answer)),
        },
        measured: None,
        computed_on: BTreeSet::new(),
    }
}

fn sent_row(graph: &Graph, sent: &Sent) -> SentRow {
    SentRow { name: graph.tensors[sent.tensor].name.clone(), codec: sent.codec.clone(), predicted_bytes: sent.bytes.0 }
}

/// The only thing that is to be least; none for a weighted sum.
fn alone(goal: &Goal) -> Option<Measure> {
    let mut weighed = Measure::ALL.into_iter().filter(|measure| goal.weight(*measure) > 0.0);
    weighed.next().filter(|_| weighed.next().is_none())
}

fn goal_name(goal: &Goal) -> &'static str {
    match alone(goal) {
        Some(Measure::Latency) => LATENCY,
        Some(Measure::Interval) => "interval",
        Some(Measure::Energy) => "energy",
        Some(Measure::Bytes) => "bytes",
        Some(Measure::Price) => "price",
        None => "a weighted sum",
    }
}

fn cost_row(goal: &Goal, plan: &Plan) -> CostRow {
    let value = goal.cost(&plan.totals);
    let text = alone(goal).map_or_else(|| format!("{value:.3}"), |measure| measure.print(plan.totals.of(measure)));
    CostRow { value, text }
}

fn baseline_row(
    subject: &Subject,
    graph: &Graph,
    objective: &Objective,
    baseline: &Baseline,
    best: &Plan,
) -> BaselineRow {
    let plan = baseline.plan.as_ref().ok();
    BaselineRow {
        name: baseline.name.clone(),
        single_place: baseline.single_place,
        cost: plan.map(|plan| cost_row(&objective.goal, plan)),
        predicted_ms: plan.map(|plan| ms(plan.latency)),
        measured: None,
        sent_bytes: plan.map(|plan| plan.crossings.iter().map(|crossing| crossing.bytes().0).max().unwrap_or(0)),
        same_class: None,
        is_the_plan: plan.is_some_and(|plan| plan_id(subject, plan) == plan_id(subject, best)),
        sends_inputs_that_stay: objective.inputs_stay && plan.is_some_and(|plan| plan.sends_inputs(graph)),
        refused: baseline.plan.as_ref().err().map(ToString::to_string),
    }
}

/// Answers come hop by hop; the model lists its outputs in an order of its own.
pub fn in_model_order(graph: &Graph, plan: &Plan, answered: &[Tensor]) -> Vec<Tensor> {
    let passed = graph.outputs.iter().filter(|output| graph.inputs.contains(output));
    let first = plan.hops[0].answers.iter().chain(passed);
    let order: Vec<&TensorId> = first.chain(plan.hops[1..].iter().flat_map(|hop| &hop.answers)).collect();
    let place = |output: &TensorId| order.iter().position(|answered| *answered == output);
    graph.outputs.iter().filter_map(|output| answered.get(place(output)?).cloned()).collect()
}

/// The best classes, when the pipeline says what the answer means.
fn classes(subject: &Subject, outputs: &[Tensor]) -> Result<Vec<Class>, RunError> {
    subject.scores.as_ref().map_or(Ok(Vec::new()), |scores| scores.best(outputs))
}

/// Why the plan gave no answer.
fn no_answer(subject: &Subject, plan: &Plan, candidate: &str, cause: RequestError) -> RunError {
    let candidate = candidate.to_owned();
    match cause {
        RequestError::Refused(Refusal { reason: Reason::DeadlinePassed, .. }) => {
            let file = subject.pipeline.as_ref().map(|pipeline| pipeline.file.display().to_string());
            let place = file.unwrap_or("a run without a pipeline".to_owned());
            RunError::Late { candidate, deadline: subject.deadline(), place, predicted: plan.latency }
        }
        cause => RunError::Request { candidate, cause },
    }
}

fn output_row(subject: &Subject, port: &Port, output: &Tensor) -> OutputRow {
    let text = subject.steps.text(port, output);
    let text = text.map(|text| serde_json::from_str(text).unwrap_or_else(|_| Value::from(text)));
    let values = output.to_f32().filter(|values| !values.is_empty() && values.iter().all(|value| !value.is_nan()));
    let range = values.map(|values| {
        let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() / values.len() as f64;
        let (low, high) = values
            .iter()
            .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), value| (low.min(*value), high.max(*value)));
        [low, mean as f32, high]
    });
    OutputRow { name: port.name.clone(), spec: output.spec().to_string(), range, text }
}

fn span_row(report: &Report, span: &Span, start: Duration) -> SpanRow {
    let tier = report.plan.tiers.get(usize::from(span.hop));
    SpanRow {
        tier: tier.map_or_else(String::new, |tier| tier.tier.clone()),
        kind: kind_name(span.kind),
        start_ms: ms(span.start.saturating_sub(start)),
        length_ms: ms(span.length),
        bytes: span.bytes,
    }
}

/// None for a tensor that the plan does not have.
fn coarse_row(report: &Report, graph: &Graph, plan: &Plan, coarse: &Coarse) -> Option<CoarseRow> {
    let hop = usize::from(coarse.hop);
    let tensor = *plan.hops.get(hop)?.takes.get(usize::from(coarse.tensor))?;
    Some(CoarseRow {
        tier: report.plan.tiers.get(hop)?.tier.clone(),
        tensor: graph.tensors[tensor].name.clone(),
        share: f64::from(coarse.share_ppm) / 1e6,
    })
}

fn kind_name(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::Wait => "wait",
        SpanKind::Decode => "decode",
        SpanKind::Compute => "compute",
        SpanKind::Encode => "encode",
        SpanKind::Queue => "queue",
        SpanKind::Wire => "wire",
        SpanKind::Answer => "answer",
    }
}

fn times(hop: usize, spans: &[Span]) -> TimesRow {
    let mut row = TimesRow::default();
    for span in spans.iter().filter(|span| usize::from(span.hop) == hop) {
        let column = match span.kind {
            SpanKind::Wait => &mut row.wait_ms,
            SpanKind::Decode => &mut row.decode_ms,
            SpanKind::Compute => &mut row.compute_ms,
            SpanKind::Encode => &mut row.encode_ms,
            SpanKind::Queue => &mut row.queue_ms,
            SpanKind::Wire => &mut row.wire_ms,
            SpanKind::Answer => &mut row.answer_ms,
        };
        *column += ms(span.length);
    }
    row
}

/// Bytes of tensors that crossed the link above `hop`.
fn sent(spans: &[Span], hop: usize) -> u64 {
    let wires = spans.iter().filter(|span| usize::from(span.hop) == hop && span.kind == SpanKind::Wire);
    wires.map(|span| span.bytes).sum()
}

fn latency(measured: &Measured) -> MeasuredRow {
    let at = |index: usize| measured.latencies.get(index).map_or(0.0, |latency| ms(*latency));
    MeasuredRow {
        median_ms: ms(measured.median.length),
        least_ms: at(0),
        most_ms: at(measured.latencies.len().saturating_sub(1)),
        runs: measured.latencies.len(),
    }
}

pub(super) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
