//! A made-up report, and made-up codebooks, for the tests of this folder.

use std::collections::BTreeSet;

use thalweg_modules::classify::Class;

use thalweg_planner::{DType, Graph, Layer, Macs, OpClass, Pin, TensorSpec};

use crate::codebook::{Codebooks, CodecFigures, CutBooks, RivalFigures, TensorBook, TensorFigures};
use crate::run::report::*;

/// Names of up to eight tiers.
const TIERS: [&str; 8] = ["device", "edge", "cloud", "gateway", "cabinet", "exchange", "region", "data-centre"];

/// A report of a plan over the first `tiers` tiers, at most eight; without `measured` as if nothing had been run.
pub(super) fn report(tiers: usize, measured: bool) -> Report {
    let rows: Vec<TierRow> = (0..tiers).map(|index| tier(index, tiers, measured)).collect();
    let sum = |times: TimesRow| {
        let crossing = times.queue_ms + times.wire_ms + times.answer_ms;
        times.wait_ms + times.decode_ms + times.compute_ms + times.encode_ms + crossing
    };
    let predicted_ms = rows.iter().map(|row| sum(row.predicted)).sum();
    let median_ms = rows.iter().map(|row| sum(row.measured.unwrap_or_default())).sum::<f64>() + 0.7;
    let timed = MeasuredRow { median_ms, least_ms: median_ms * 0.97, most_ms: median_ms * 1.1, runs: 7 };
    let class = |index, label: &str, probability| Class { index, label: label.to_owned(), probability };
    let classes =
        [(967, "espresso", 0.941), (968, "cup", 0.012), (925, "consomme", 0.004), (504, "coffee mug, tall", 0.0031)];
    let output = OutputRow {
        name: "logits".to_owned(),
        spec: "f32[1,1000]".to_owned(),
        text: None,
        range: Some([-3.25, 0.0012, 14.5]),
    };
    Report {
        name: "efficientnet-lite0".to_owned(),
        model: ModelRow { hash: "4a1f".to_owned(), layers: 63, macs: 385_000_000, weights_bytes: 18_600_000 },
        input_ms: 21.4,
        emulated: ["Raspberry Pi 4", "Wi-Fi 20 Mbit/s 8 ms", "x86 gateway", "WAN 100 Mbit/s 30 ms"]
            .map(str::to_owned)
            .to_vec(),
        classes: classes
            .map(|(index, label, share)| class(index, label, share))
            .into_iter()
            .filter(|_| measured)
            .collect(),
        outputs: if measured { vec![output] } else { Vec::new() },
        plan: PlanRow {
            id: "3f9c".to_owned(),
            epoch: 1,
            predicted_ms,
            goal: LATENCY,
            cost: CostRow { value: predicted_ms * 1e6, text: format!("{predicted_ms} ms") },
            gap: Some(0.0),
            missed: Vec::new(),
            measured: measured.then_some(timed),
            spans: if measured { spans(&rows) } else { Vec::new() },
            coarse: Vec::new(),
            tiers: rows,
        },
        best: None,
        baselines: baselines(measured),
        replanned: None,
        explanation: None,
        resident_bytes_max: measured.then_some(131_000_000),
    }
}

/// Codebooks of a graph of one layer: one cut with two levels, and two pictures.
pub(super) fn books() -> (Codebooks, Graph) {
    let spec = TensorSpec::new(DType::F32, [1, 80, 14, 14]);
    let tensor = TensorBook { id: 1, name: "Conv_1".to_owned(), spec, len: 0, book: None };
    let figures = |codec: &str, bytes, disagreement, accuracy_loss| CodecFigures {
        codec: codec.to_owned(),
        tensors: vec![TensorFigures { bytes, encode_ms: 0.31, decode_ms: 0.27, distortion: 0.0625 }],
        disagreement,
        accuracy_loss: Some(accuracy_loss),
    };
    let rival = |codec: &str, bytes, disagreement| RivalFigures {
        codec: codec.to_owned(),
        bytes,
        disagreement,
        accuracy_loss: Some(0.0),
    };
    let layer = Layer {
        name: "Conv_1".to_owned(),
        op: "Conv".to_owned(),
        class: OpClass::Convolution,
        macs: Macs(1),
        weights: thalweg_planner::Bytes(1),
        reference: std::time::Duration::ZERO,
        reads: vec![0],
        writes: vec![1],
        pin: Pin::Anywhere,
    };
    let books = Codebooks {
        model: "4a1f".to_owned(),
        samples: "77".to_owned(),
        fitted: 700,
        measured: 1,
        judge: "argmax".to_owned(),
        accuracy: Some(0.754),
        rivals: vec![rival("jpeg/50", 6_100.0, 0.2), rival("webp/90", 14_800.0, 0.09)],
        cuts: vec![CutBooks {
            at: 1,
            tensors: vec![tensor],
            codecs: vec![figures("features/1", 490.0, 0.4, 0.21), figures("features/7", 2_912.25, 0.1, -0.0012)],
        }],
        hash: [0; 32],
    };
    (books, Graph { layers: vec![layer], ..Graph::default() })
}

fn tier(index: usize, tiers: usize, measured: bool) -> TierRow {
    let is_last = index + 1 == tiers;
    let tensor = |(name, codec): (&str, &str)| SentRow {
        name: name.to_owned(),
        codec: codec.to_owned(),
        predicted_bytes: 7000 >> index,
    };
    let tensors = [("/features/4/Add_output_0", "int8"), ("mask", "f16")].into_iter().take(2 - index % 2);
    let sends = SendsRow {
        tensors: tensors.map(tensor).collect(),
        predicted_bytes: 14_000 >> index,
        measured_bytes: measured.then_some(14_112 >> index),
    };
    let part = [format!("/features/{}/conv/Conv_quant", index * 8), format!("/features/{}/Add", index * 8 + 7)];
    let times = TimesRow {
        wait_ms: 0.0,
        decode_ms: if index > 0 { 0.31 } else { 0.0 },
        compute_ms: 48.0 / (index + 1) as f64,
        encode_ms: if is_last { 0.0 } else { 0.42 },
        queue_ms: 0.0,
        wire_ms: if is_last { 0.0 } else { 12.5 / (index + 1) as f64 },
        answer_ms: if is_last { 0.0 } else { 4.2 },
    };
    let slower = |ms: f64| ms * 1.04;
    let took = TimesRow {
        wait_ms: 0.04,
        queue_ms: if is_last { 0.0 } else { 0.12 },
        compute_ms: slower(times.compute_ms),
        wire_ms: slower(times.wire_ms),
        ..times
    };
    TierRow {
        tier: TIERS.get(index).copied().unwrap_or("beyond").to_owned(),
        part: Some(part),
        layers: 63 / tiers,
        pieces: if index == 2 { 3 } else { 1 },
        compute_share: 1.0 / tiers as f64,
        weights_bytes: 18_600_000 / tiers as u64,
        sends: (!is_last).then_some(sends),
        answers_bytes: if is_last { 4000 } else { 0 },
        predicted: times,
        measured: measured.then_some(took),
        computed_on: BTreeSet::new(),
    }
}

/// The measured times one after the other, up and down again.
fn spans(tiers: &[TierRow]) -> Vec<SpanRow> {
    let mut spans: Vec<SpanRow> = Vec::new();
    let mut start_ms = 0.3;
    let mut add = |tier: &TierRow, kind, length_ms, bytes| {
        spans.push(SpanRow { tier: tier.tier.clone(), kind, start_ms, length_ms, bytes });
        start_ms += length_ms;
    };
    for tier in tiers {
        let times = tier.measured.unwrap_or_default();
        let bytes = tier.sends.as_ref().and_then(|sends| sends.measured_bytes).unwrap_or(0);
        add(tier, "wait", times.wait_ms, 0);
        add(tier, "decode", times.decode_ms, 0);
        add(tier, "compute", times.compute_ms, 0);
        add(tier, "encode", times.encode_ms, 0);
        add(tier, "queue", times.queue_ms, 0);
        add(tier, "wire", times.wire_ms, bytes);
    }
    for tier in tiers.iter().rev() {
        add(tier, "answer", tier.measured.unwrap_or_default().answer_ms, 4000);
    }
    spans.retain(|span| span.length_ms > 0.0);
    spans
}

fn baselines(measured: bool) -> Vec<BaselineRow> {
    let row = |name: &str, times: Option<(f64, f64)>, sent_bytes, same, refused: Option<&str>| BaselineRow {
        name: name.to_owned(),
        single_place: name.starts_with("all"),
        cost: times.map(|times| CostRow { value: times.0 * 1e6, text: format!("{} ms", times.0) }),
        predicted_ms: times.map(|times| times.0),
        measured: times.filter(|_| measured).map(|(_, median_ms)| MeasuredRow {
            median_ms,
            least_ms: median_ms * 0.97,
            most_ms: median_ms * 1.2,
            runs: 5,
        }),
        sent_bytes,
        same_class: times.filter(|_| measured).map(|_| same),
        is_the_plan: false,
        sends_inputs_that_stay: false,
        refused: refused.map(str::to_owned),
    };
    let refusal =
        "the model needs 1.20 GB on device, which has 512 MB: give it more memory, or let another tier run it";
    vec![
        row("all on device", None, None, false, Some(refusal)),
        row("all on edge", Some((212.0, 221.0)), Some(602_112), true, None),
        row("all in the cloud, input as it is", Some((301.0, 312.0)), Some(1_204_224), true, None),
        row("all in the cloud, input as JPEG", Some((231.0, 240.0)), Some(41_300), false, None),
        row("Neurosurgeon", Some((150.0, 158.0)), Some(401_408), true, None),
    ]
}
