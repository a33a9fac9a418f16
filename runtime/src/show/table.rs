//! A report as text for a terminal: the answer, the plan, where the time went, and what else could have been done.

use thalweg_planner::{Bytes, Macs};

use super::figures::{NONE, Pace, backends, count, lines, ms, number, per_cent, short, wrapped};
use super::grid::{INDENT, WIDTH, fitted, grid};
use super::headline::headline;
use super::said::said;
use super::study::explanation;
use super::times::times;
use crate::run::report::{BaselineRow, LATENCY, OutputRow, Report, TierRow};

/// How many outputs are shown; all are in the JSON.
const OUTPUTS_SHOWN: usize = 8;

/// Plain text of at most 100 columns where names allow, which ends with a line break.
///
/// Without a measurement the columns of measured values are left out. Times that are not finite are printed as `-`.
pub fn table(report: &Report) -> String {
    let blocks = [
        answer(report),
        indented(headline(report)),
        tiers(&report.plan.tiers) + &computed_on(&report.plan.tiers),
        times(report),
        emulated(&report.emulated),
        baselines(report),
        report.explanation.as_ref().map_or_else(String::new, explanation),
        indented(lines(facts(report), ", ", WIDTH - INDENT.len())),
    ];
    let blocks: Vec<String> = blocks.into_iter().filter(|block| !block.is_empty()).collect();
    blocks.join("\n")
}

fn indented(lines: impl IntoIterator<Item = String>) -> String {
    lines.into_iter().map(|line| format!("{INDENT}{line}\n")).collect()
}

/// The best classes, else the outputs.
fn answer(report: &Report) -> String {
    if report.classes.is_empty() {
        return outputs(&report.outputs);
    }
    let is_share = report.classes.iter().all(|class| (0.0..=1.0).contains(&class.probability));
    let certainty = |value: f32| if is_share { per_cent(value.into()) } else { number(value.into(), 2) };
    let class = |label: &str, value| format!("{} {}", short(label, 32), certainty(value));
    let classes = report.classes.iter().map(|found| class(&found.label, found.probability));
    indented(lines(classes, "   ", WIDTH - INDENT.len()))
}

/// Texts, each as a table where it is a list of objects, then the other outputs.
fn outputs(all: &[OutputRow]) -> String {
    let texts = all.iter().filter_map(|output| Some(said(&output.name, output.text.as_ref()?)));
    let others: Vec<&OutputRow> = all.iter().filter(|output| output.text.is_none()).collect();
    let blocks: Vec<String> = texts.chain([numbers(&others)]).filter(|block| !block.is_empty()).collect();
    blocks.join("\n")
}

fn numbers(outputs: &[&OutputRow]) -> String {
    let Some(more) = outputs.len().checked_sub(1).map(|_| outputs.len().saturating_sub(OUTPUTS_SHOWN)) else {
        return String::new();
    };
    let row = |output: &&OutputRow, width| {
        let range = output.range.map(|range| range.map(|value| number(value.into(), 3)));
        let [lowest, mean, highest] = range.unwrap_or_else(|| [NONE; 3].map(str::to_owned));
        vec![short(&output.name, width), short(&output.spec, 40), lowest, mean, highest]
    };
    let header = ["output", "type and shape", "lowest", "mean", "highest"];
    let shown = outputs.iter().take(OUTPUTS_SHOWN);
    let mut text =
        fitted(40, 8, |width| grid(&header, &[0, 1], shown.clone().map(|output| row(output, width)).collect()));
    if more > 0 {
        text += &indented([format!("and {}", count(more, "more output"))]);
    }
    text
}

/// The plan, a row a tier.
fn tiers(tiers: &[TierRow]) -> String {
    let header = ["tier", "part", "layers", "compute", "weights", "sends", "codec"];
    let rows = |width| tiers.iter().enumerate().map(|(index, tier)| tier_row(tier, index > 0, width)).collect();
    fitted(40, 6, |width| grid(&header, &[0, 1, 5, 6], rows(width)))
}

/// Which of this machine's backends was the fastest for each tier, where there was a choice.
fn computed_on(tiers: &[TierRow]) -> String {
    let tier = |tier: &TierRow| format!("{} on {}", short(&tier.tier, 16), backends(&tier.computed_on));
    let mut told: Vec<String> = tiers.iter().filter(|tier| !tier.computed_on.is_empty()).map(tier).collect();
    if let Some(first) = told.first_mut() {
        first.insert_str(0, "computed here: ");
    }
    indented(lines(told, ", ", WIDTH - INDENT.len()))
}

/// An answer is sent only by tiers above the device.
fn tier_row(tier: &TierRow, above_device: bool, name_width: usize) -> Vec<String> {
    let part = match &tier.part {
        Some([first, last]) if first == last => short(first, name_width),
        Some([first, last]) => {
            let pieces = if tier.pieces > 1 { format!(" in {} pieces", tier.pieces) } else { String::new() };
            format!("{} .. {}{pieces}", short(first, name_width), short(last, name_width))
        }
        None => "passes on".to_owned(),
    };
    let onward = tier.sends.as_ref().map(|sends| {
        let bytes = Bytes(sends.measured_bytes.unwrap_or(sends.predicted_bytes));
        format!("{}, {bytes}", count(sends.tensors.len(), "tensor"))
    });
    let answers = above_device && tier.answers_bytes > 0;
    let answer = answers.then(|| format!("answer, {}", Bytes(tier.answers_bytes)));
    let sends = match (onward, answer) {
        (Some(onward), Some(answer)) => format!("{onward}; {answer}"),
        (onward, answer) => onward.or(answer).unwrap_or_else(|| NONE.to_owned()),
    };
    let codec = tier.sends.as_ref().map_or_else(|| NONE.to_owned(), |sends| short(&sends.codecs(), 24));
    let (compute, weights) = (per_cent(tier.compute_share), Bytes(tier.weights_bytes).to_string());
    vec![short(&tier.tier, 16), part, tier.layers.to_string(), compute, weights, sends, codec]
}

/// Each of what is not real on lines of its own, because an emulation that is not noticed is a lie.
fn emulated(emulated: &[String]) -> String {
    let title = "emulated: ";
    let wrapped = emulated.iter().flat_map(|item| {
        let lines = wrapped(&short(item, 4 * WIDTH), WIDTH - INDENT.len() - title.len() - INDENT.len());
        lines.into_iter().enumerate().map(|(index, line)| if index == 0 { line } else { format!("{INDENT}{line}") })
    });
    let blank = " ".repeat(title.len());
    let heads = std::iter::once(title).chain(std::iter::repeat(blank.as_str()));
    indented(heads.zip(wrapped).map(|(head, line)| format!("{head}{line}")))
}

/// What else could be done, and why some of it could not.
fn baselines(report: &Report) -> String {
    if report.baselines.is_empty() {
        return String::new();
    }
    let any_measured = report.baselines.iter().any(|row| row.measured.is_some());
    let any_class = report.baselines.iter().any(|row| row.same_class.is_some());
    let other_goal = report.plan.goal != LATENCY;
    let mut header =
        vec!["instead", report.plan.goal, "predicted", "measured", "beside the plan", "sends", "same answer"];
    let mut columns = vec![true, other_goal, true, any_measured, true, true, any_class].into_iter();
    header.retain(|_| columns.next().unwrap_or(true));
    let row = |baseline: &BaselineRow, width| {
        let or_none = |text: Option<String>| text.unwrap_or_else(|| NONE.to_owned());
        let mut row = vec![short(&baseline.name, width)];
        row.extend(other_goal.then(|| or_none(baseline.cost.as_ref().map(|cost| short(&cost.text, 20)))));
        row.push(or_none(baseline.predicted_ms.map(ms)));
        row.extend(any_measured.then(|| or_none(baseline.measured.map(|measured| ms(measured.median_ms)))));
        row.push(or_none(beside(report, baseline)));
        row.push(or_none(baseline.sent_bytes.filter(|bytes| *bytes > 0).map(|bytes| Bytes(bytes).to_string())));
        row.extend(
            any_class.then(|| or_none(baseline.same_class.map(|same| if same { "yes" } else { "no" }.to_owned()))),
        );
        row
    };
    let rows = |width| report.baselines.iter().map(|baseline| row(baseline, width)).collect();
    let refusals = report.baselines.iter().filter_map(|baseline| Some((&baseline.name, baseline.refused.as_ref()?)));
    let refusals = refusals.flat_map(|(name, reason)| refusal(name, reason));
    let forbidden = report.baselines.iter().filter(|row| row.sends_inputs_that_stay).map(|row| short(&row.name, 60));
    let forbidden = forbidden.collect::<Vec<_>>().join("; ");
    let note = format!("shown, but no choice, because the input must stay on the device: {forbidden}");
    let notes = if forbidden.is_empty() { Vec::new() } else { wrapped(&note, WIDTH - INDENT.len()) };
    fitted(60, 12, |width| grid(&header, &[0], rows(width))) + &indented(refusals.chain(notes))
}

/// How much longer than the plan a baseline takes: measured against measured, else predicted against predicted.
fn beside(report: &Report, baseline: &BaselineRow) -> Option<String> {
    let pace = match (&baseline.measured, &report.plan.measured) {
        (Some(baseline), Some(plan)) => Pace::of(baseline.median_ms, plan.median_ms),
        _ => Pace::of(baseline.predicted_ms?, report.plan.predicted_ms),
    };
    Some(match pace? {
        Pace::Slower(ratio) => format!("{ratio:.1} x slower"),
        Pace::Faster(ratio) => format!("{ratio:.1} x faster"),
        Pace::Same => "the same".to_owned(),
    })
}

/// Why a baseline cannot be, on as many lines as it takes.
fn refusal(name: &str, reason: &str) -> Vec<String> {
    let text = format!("{} cannot be: {}", short(name, 60), short(reason, 4 * WIDTH));
    wrapped(&text, WIDTH - INDENT.len())
}

/// How large the model and the process are.
fn facts(report: &Report) -> Vec<String> {
    let model = &report.model;
    let mut facts = vec![
        format!("{}: weights {}", short(&report.name, 30), Bytes(model.weights_bytes)),
        count(model.layers, "layer"),
        Macs(model.macs).to_string(),
    ];
    facts.extend(report.resident_bytes_max.map(|bytes| format!("resident {}", Bytes(bytes))));
    facts.push(format!("input made in {}", ms(report.input_ms)));
    facts
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::show::sample;

    /// A snapshot loses the indentation that all of its lines share; the prompt has none.
    fn below_a_prompt(report: &Report) -> String {
        format!("$\n{}", table(report))
    }

    #[test]
    fn a_measured_split() {
        expect![[r#"
            $
              espresso 94.1 %   cup 1.2 %   consomme 0.4 %   coffee mug, tall 0.3 %

              plan 3f9c, epoch 1: 122 ms measured (median of 7, 118 to 134 ms), 117 ms predicted
              split over 3 tiers, 1.8 x as fast as the best single place (all on edge, 221 ms)

              tier    part                              layers  compute  weights  sends               codec
              device  /fea…ant .. /fea…Add                  21   33.3 %  6.20 MB  2 tensors, 14.1 kB  int8, f16
              edge    /fea…ant .. /fea…Add                  21   33.3 %  6.20 MB  1 tensor, 7.06 kB   int8
              cloud   /fea…ant .. /fea…Add in 3 pieces      21   33.3 %  6.20 MB  answer, 4 kB        -

              where the time went, in ms
              tier               wait  decode  compute  encode  queue  wire  answer    sum
              device  measured    0.0       -     49.9     0.4    0.1  13.0     4.2   67.7
                      predicted     -       -     48.0     0.4      -  12.5     4.2   65.1
              edge    measured    0.0     0.3     25.0     0.4    0.1   6.5     4.2   36.6
                      predicted     -     0.3     24.0     0.4      -   6.2     4.2   35.2
              cloud   measured    0.0     0.3     16.6       -      -     -       -   17.0
                      predicted     -     0.3     16.0       -      -     -       -   16.3
              other   measured      -       -        -       -      -     -       -    0.7
                      predicted     -       -        -       -      -     -       -      -
              total   measured    0.1     0.6     91.5     0.8    0.2  19.5     8.4  121.9
                      predicted     -     0.6     88.0     0.8      -  18.8     8.4  116.6

              emulated: Raspberry Pi 4
                        Wi-Fi 20 Mbit/s 8 ms
                        x86 gateway
                        WAN 100 Mbit/s 30 ms

              instead                           predicted  measured  beside the plan    sends  same answer
              all on device                             -         -                -        -            -
              all on edge                          212 ms    221 ms     1.8 x slower   602 kB          yes
              all in the cloud, input as it is     301 ms    312 ms     2.6 x slower  1.20 MB          yes
              all in the cloud, input as JPEG      231 ms    240 ms     2.0 x slower  41.3 kB           no
              Neurosurgeon                         150 ms    158 ms     1.3 x slower   401 kB          yes
              all on device cannot be: the model needs 1.20 GB on device, which has 512 MB: give it more memory,
              or let another tier run it

              efficientnet-lite0: weights 18.6 MB, 63 layers, 385 MMAC, resident 131 MB, input made in 21.4 ms
        "#]]
        .assert_eq(&below_a_prompt(&sample::report(3, true)));
    }

    #[test]
    fn a_plan_that_was_not_run() {
        expect![[r#"
            $
              plan 3f9c, epoch 1: 89.4 ms predicted, nothing was run
              split over 2 tiers, 2.4 x as fast as the best single place (all on edge, 212 ms)

              tier    part                                layers  compute  weights  sends             codec
              device  /featur…v_quant .. /features/7/Add      31   50.0 %  9.30 MB  2 tensors, 14 kB  int8, f16
              edge    /featur…v_quant .. /featur…/15/Add      31   50.0 %  9.30 MB  answer, 4 kB      -

              where the time would go, in ms
              tier    decode  compute  encode  wire  answer   sum
              device       -     48.0     0.4  12.5     4.2  65.1
              edge       0.3     24.0       -     -       -  24.3
              total      0.3     72.0     0.4  12.5     4.2  89.4

              emulated: Raspberry Pi 4
                        Wi-Fi 20 Mbit/s 8 ms
                        x86 gateway
                        WAN 100 Mbit/s 30 ms

              instead                           predicted  beside the plan    sends
              all on device                             -                -        -
              all on edge                          212 ms     2.4 x slower   602 kB
              all in the cloud, input as it is     301 ms     3.4 x slower  1.20 MB
              all in the cloud, input as JPEG      231 ms     2.6 x slower  41.3 kB
              Neurosurgeon                         150 ms     1.7 x slower   401 kB
              all on device cannot be: the model needs 1.20 GB on device, which has 512 MB: give it more memory,
              or let another tier run it

              efficientnet-lite0: weights 18.6 MB, 63 layers, 385 MMAC, input made in 21.4 ms
        "#]]
        .assert_eq(&below_a_prompt(&sample::report(2, false)));
    }

    #[test]
    fn every_table_keeps_within_the_terminal() {
        for tiers in 0..=8 {
            for measured in [true, false] {
                let mut report = sample::report(tiers, measured);
                report.baselines.iter_mut().for_each(|row| row.name = "all of it somewhere else ".repeat(5));
                report.classes.clear();
                report.outputs =
                    vec![OutputRow { name: "n".repeat(200), spec: "f32[1]".into(), range: None, text: None }; 20];
                let text = table(&report);
                let widest = text.lines().map(|line| line.chars().count()).max();
                assert!(widest <= Some(WIDTH), "{widest:?} in\n{text}");
                assert!(text.contains("and 12 more outputs"));
            }
        }
    }

    #[test]
    fn times_that_are_none_are_dashes() {
        let mut report = sample::report(3, true);
        report.plan.predicted_ms = f64::NAN;
        report.plan.tiers[1].predicted.compute_ms = f64::INFINITY;
        report.baselines[1].predicted_ms = Some(f64::NAN);
        let text = table(&report);
        assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
    }

    #[test]
    fn backends_are_told_where_there_was_a_choice() {
        let mut report = sample::report(3, true);
        assert!(!table(&report).contains("computed"));
        report.plan.tiers[0].computed_on = ["cpu".into(), "V3D 7.1".into()].into();
        report.plan.tiers[2].computed_on = ["cpu".into()].into();
        let (device, cloud) = (&report.plan.tiers[0].tier, &report.plan.tiers[2].tier);
        let told = format!("\n  computed here: {device} on V3D 7.1 and cpu, {cloud} on cpu\n");
        assert!(table(&report).contains(&told), "{}", table(&report));
    }

    #[test]
    fn names_cannot_steer_the_terminal() {
        let mut report = sample::report(3, true);
        report.plan.tiers[1].computed_on = ["\x1b[2J".to_owned()].into();
        let evil = "\x1b[2J\r\n\u{7}".to_owned();
        report.name.clone_from(&evil);
        report.emulated.push(evil.clone());
        report.classes[0].label.clone_from(&evil);
        report.plan.tiers[0].part = Some([evil.clone(), evil.clone()]);
        report.baselines[0].refused = Some(evil.clone());
        report.baselines[1].name = evil;
        let text = table(&report);
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
    }
}
