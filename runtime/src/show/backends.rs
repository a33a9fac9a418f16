//! What models take on the backends of this machine.

use serde::{Deserialize, Serialize};
use thalweg_devices::Compared;
use thalweg_planner::Bytes;

use super::figures::{NONE, ms, short};
use super::grid::{fitted, grid};

/// The longest name that is shown in full.
const NAME_CHARS: usize = 60;

/// A model on each backend.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ComparedModel {
    /// Its name.
    pub model: String,
    /// The backends.
    pub backends: Vec<Compared>,
}

/// A line a model and backend, and below what has no kernel and why.
pub fn compared_table(models: &[ComparedModel]) -> String {
    let table = |width: usize| {
        let all = models.iter().flat_map(|of| of.backends.iter().map(|backend| row(&of.model, backend, width)));
        let header = ["model", "backend", "run", "on CPU", "first run", "prepared in", "kernels", "submits", "memory"];
        grid(&header, &[0, 1], all.collect())
    };
    let mut text = "each model, whole, on each backend\n\n".to_owned() + &fitted(NAME_CHARS, 8, table);
    for of in models {
        for backend in &of.backends {
            if let Some(why) = &backend.why_not {
                text += &format!("\n  {}: {}\n", short(&of.model, NAME_CHARS), short(why, usize::MAX));
            }
            if backend.on_cpu.is_empty() {
                continue;
            }
            let (some, all) = (backend.on_cpu.len(), backend.operators);
            let model = short(&of.model, NAME_CHARS);
            text += &format!("\n  {model}: {some} of {all} operators have no kernel and run on the CPU\n");
            let left = |(node, op, why): &(String, String, String)| {
                vec![short(node, NAME_CHARS), short(op, NAME_CHARS), short(why, NAME_CHARS)]
            };
            text += &grid(&["layer", "operator", "why"], &[0, 1, 2], backend.on_cpu.iter().map(left).collect());
        }
    }
    text
}

fn row(model: &str, of: &Compared, width: usize) -> Vec<String> {
    let time = |micros: f64| ms(micros / 1e3);
    // A library tells nothing of its kernels.
    let is_gpu = of.backend != "cpu" && !of.backend.starts_with("onnxruntime");
    let runs = of.run_us.is_some();
    let known = |text: String| if runs { text } else { NONE.to_owned() };
    let count = |number: usize| if is_gpu && runs { number.to_string() } else { NONE.to_owned() };
    let share = of.run_us.filter(|_| is_gpu).map(|run| format!("{:.0} %", 100.0 * of.cpu_us / run.max(1.0)));
    vec![
        short(model, width),
        short(&of.backend, width),
        of.run_us.map_or(NONE.to_owned(), time),
        share.unwrap_or(NONE.to_owned()),
        known(time(of.first_us)),
        known(time(of.prepare_us)),
        count(of.kernels),
        count(of.submits),
        if is_gpu { known(Bytes(of.constants + of.pool).to_string()) } else { NONE.to_owned() },
    ]
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn a_line_a_backend_and_what_has_no_kernel_below() {
        let on_cpu = |name: &str, run_us| Compared {
            backend: name.to_owned(),
            run_us,
            cpu_us: 250.0,
            prepare_us: 30_000.0,
            first_us: 9000.0,
            operators: 30,
            on_cpu: Vec::new(),
            kernels: 14,
            submits: 2,
            constants: 1 << 20,
            pool: 1 << 20,
            why_not: None,
        };
        let left = vec![("/stft/Pad".to_owned(), "Pad".to_owned(), "it pads by what is inside".to_owned())];
        let gpu = Compared { on_cpu: left, ..on_cpu("V3D 7.1.7", Some(1000.0)) };
        let none = Compared { why_not: Some("V3D 7.1.7 has no memory".to_owned()), ..on_cpu("V3D 7.1.7", None) };
        let models = [
            ComparedModel { model: "vad".to_owned(), backends: vec![on_cpu("cpu", Some(2000.0)), gpu] },
            ComparedModel { model: "large".to_owned(), backends: vec![none] },
        ];
        expect![[r#"
            each model, whole, on each backend

              model  backend        run  on CPU  first run  prepared in  kernels  submits   memory
              vad    cpu        2.00 ms       -    9.00 ms      30.0 ms        -        -        -
              vad    V3D 7.1.7  1.00 ms    25 %    9.00 ms      30.0 ms       14        2  2.10 MB
              large  V3D 7.1.7        -       -          -            -        -        -        -

              vad: 1 of 30 operators have no kernel and run on the CPU
              layer      operator  why
              /stft/Pad  Pad       it pads by what is inside

              large: V3D 7.1.7 has no memory
        "#]]
        .assert_eq(&compared_table(&models));
    }
}
